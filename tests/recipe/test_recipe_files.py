"""The recipes that come with tlkit: right, self-explaining, and checked by the schema that they point to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from messages import saying

from tlkit.recipe import json_schema, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(file for file in RECIPES.glob("*.yaml") if not file.name.startswith("gates"))


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = json.loads((RECIPES / "recipe.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "write it anew with: tlkit recipe schema > recipes/recipe.schema.json"


def test_the_promised_recipes_exist() -> None:
    promised = "quickstart ants_bees_frozen ants_bees_full cifar10_resnet vit_frozen digits_frozen digits_full"
    assert set(promised.split()) <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_recipe_is_valid_and_begins_with_its_schema_and_result(file: Path, schema_validator: Any) -> None:
    recipe = load_recipe(file)
    assert recipe.name == file.stem.replace("_", "-")
    text = file.read_text(encoding="utf-8")
    schema_validator(json_schema()).validate(yaml.safe_load(text))
    first, *rest = text.splitlines()
    assert first == saying("$schema=recipe.schema.json", "language")
    header = [line for line in rest if line.startswith("#")]
    for word in ("# Data:", "# Hardware:", "# Command:", "# Result:"):
        assert any(line.startswith(word) for line in header), f"{file.name} does not say {word}"
    assert f"tlkit fit recipes/{file.name}" in text
