"""Runs that differ in their seed only are seeds of one recipe."""

from __future__ import annotations

from types import SimpleNamespace

from tlkit.recipe import Recipe
from tlkit.runs.compare_runs import seeds_of_recipes


def test_runs_whose_recipes_differ_in_name_and_seed_only_are_one_recipe() -> None:
    def run(**values: object) -> SimpleNamespace:
        plain = {"recipe_version": 1, "data": {"root": "photos"}, "model": {"name": "resnet18"}}
        return SimpleNamespace(recipe=Recipe.model_validate({**plain, **values}))

    runs = {
        "one": run(name="one", seed=0),
        "two": run(name="two", seed=1),
        "other": run(name="other", seed=0, train={"epochs": 9}),
    }
    found = seeds_of_recipes(runs)  # type: ignore[arg-type]
    assert set(found) == {"one", "two"}
    assert len(set(found.values())) == 1
