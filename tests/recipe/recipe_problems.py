"""The problems of a recipe file, for tests of messages."""

from __future__ import annotations

from pathlib import Path

from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe


def recipe_problems(path: Path | str) -> tuple[str, ...]:
    """Return all problems of a recipe, each with its place and its remedy."""
    try:
        load_recipe(path)
    except RecipeError as error:
        return error.problems
    return ()
