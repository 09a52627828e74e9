"""Fixtures that load a recipe from its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tlkit.errors import RecipeError
from tlkit.recipe import Recipe, load_recipe

HEAD = "recipe_version: 1\nname: pets\ndata: {root: data/pets}\nmodel: {name: resnet18}\n"  # four lines


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Load the recipe r.yaml from its text, below HEAD unless `head` says otherwise."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str = "", overrides: Sequence[str] | Mapping[str, Any] = (), *, head: str = HEAD) -> Recipe:
        Path("r.yaml").write_text(head + text, encoding="utf-8")
        return load_recipe("r.yaml", overrides)

    return loaded


@pytest.fixture(scope="session")
def schema_validator() -> Any:
    """Return jsonschema's validator of draft 2020-12; its import builds grammars for seconds."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator


@pytest.fixture
def problems(load: Callable[..., Recipe]) -> Callable[..., Sequence[str]]:
    """Return the problems of a recipe, with the arguments of `load`."""

    def found(*arguments: Any, **keywords: Any) -> Sequence[str]:
        with pytest.raises(RecipeError) as caught:
            load(*arguments, **keywords)
        return caught.value.problems

    return found
