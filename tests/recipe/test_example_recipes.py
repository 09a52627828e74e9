"""Example recipes are found, valid, and written where the user says."""

from __future__ import annotations

import pytest
from command import tlkit

from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.recipe.example_recipes import example_recipes, read_example, summary_of_example


@pytest.mark.parametrize("name", sorted(example_recipes()))
def test_every_example_is_a_valid_recipe_with_a_summary(name, tmp_path):
    text = read_example(name)
    (tmp_path / "recipe.yaml").write_text(text)
    load_recipe(tmp_path / "recipe.yaml")
    assert 10 < len(summary_of_example(text)) < 200 and "schema" not in summary_of_example(text)


def test_an_unknown_example_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match="quickstart"):
        read_example("quickstrat")


def test_the_command_writes_an_example_and_never_replaces_a_file(tmp_path):
    written = tlkit("recipe", "example", "digits_frozen", "--out", "mine.yaml", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert load_recipe(tmp_path / "mine.yaml").strategy.kind == "frozen"
    (tmp_path / "mine.yaml").write_text("mine")
    again = tlkit("recipe", "example", "quickstart", "--out", "mine.yaml", cwd=tmp_path)
    assert again.returncode == 2 and "mine.yaml" in again.stderr
    assert (tmp_path / "mine.yaml").read_text() == "mine"
