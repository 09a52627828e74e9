"""Every number of a recipe and of a file of gates has a range; what lies outside is refused with place and remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest
from messages import says
from pydantic import BaseModel, TypeAdapter

from tlkit.errors import RecipeError
from tlkit.preprocess import MAX_SIDE
from tlkit.recipe.field_tree import accepts, expected_value, kinds, sections_in
from tlkit.recipe.gates_file import Gates
from tlkit.recipe.loading import load_recipe
from tlkit.recipe.schema import Recipe

SIGNED = {"AuditColumn.bins", "Limit.at_least", "Limit.at_most"}  # keys that take numbers below 0
MANY = "1" + 400 * "0"


def numeric_fields() -> dict[str, Any]:
    """Return every field of a recipe and of gates that takes a number, by section and key."""
    found: dict[str, Any] = {}

    def collect(section: type[BaseModel]) -> None:
        for name, field in section.model_fields.items():
            if kinds(field) & {int, float}:
                found[f"{section.__name__}.{name}"] = field
            for inner in sections_in(field.annotation):
                collect(inner)

    for root in (Recipe, Gates):
        collect(root)
    return found


FIELDS = numeric_fields()


def test_the_walk_finds_the_numbers():
    assert len(FIELDS) > 50
    assert {"TrainSection.epochs", "DataSection.image_size", "LoraStrategy.rank", "Gates.alpha"} <= set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_number_has_a_range(name):
    field = FIELDS[name]
    for value in (10**21, 1e300, -(10**21), math.nan, math.inf, -math.inf, -1, 10**400):
        if value == -1 and name in SIGNED:
            continue
        for given in (value, [value], [1, value], [value, 1, 1], {"a": value}):
            assert not accepts(field, given), (given, expected_value(field))


@pytest.mark.parametrize("name", FIELDS)
def test_the_schema_states_the_range(name):
    """An editor that reads the schema refuses what `tlkit recipe check` refuses."""

    def numbers(part: Any):
        if isinstance(part, dict):
            if part.get("type") in ("integer", "number"):
                yield part
            for inner in part.values():
                yield from numbers(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from numbers(inner)

    section, _, key = name.partition(".")
    owner = next(one for one in owners() if one.__name__ == section)
    for one in numbers(TypeAdapter(owner).json_schema()["properties"][key]):
        assert {"minimum", "exclusiveMinimum"} & set(one), one
        assert {"maximum", "exclusiveMaximum"} & set(one), one


def owners() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []

    def collect(section: type[BaseModel]) -> None:
        found.append(section)
        for field in section.model_fields.values():
            for inner in sections_in(field.annotation):
                collect(inner)

    for root in (Recipe, Gates):
        collect(root)
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.image_size", "[100000, 100000]"),
        ("data.image_size", str(MAX_SIDE)),
        ("data.image_size", str(10**21)),
        ("data.batch_size", str(10**21)),
        ("train.epochs", str(10**21)),
        ("train.epochs", MANY),
        ("train.learning_rate", "1.0e+300"),
        ("train.learning_rate", MANY),
        ("train.learning_rate", ".inf"),
        ("data.crop_pct", "1.0e-9"),
        ("evaluate.confidence", "0.9999999999999999"),
        ("evaluate.confidence", "1.0e-320"),
        ("augment.transforms", "[{name: PadIfNeeded, min_height: 100000, min_width: 4}]"),
        ("augment.transforms", "[{name: GaussNoise, p: 1000000000000000000000}]"),
        ("augment.transforms", "[{name: GaussNoise, p: 70000}]"),
        ("augment.transforms", "[{name: RandomScale, scale_limit: 1000000000}]"),
        ("augment.transforms", "[{name: RandomScale, scale_limit: [0.1, 11]}]"),
        ("augment.transforms", "[{name: Affine, scale: {x: [1, 1000]}}]"),
        ("augment.transforms", "[{name: CoarseDropout, num_holes_range: [1, 1000000000]}]"),
        ("augment.transforms", "[{name: OneOf, transforms: [{name: MotionBlur, blur_limit: 100001}]}]"),
        ("augment.transforms", "[{name: CropAndPad, px: -9000}]"),
        ("augment.transforms", "[{name: ThinPlateSpline, num_control_points: 5000}]"),
        ("augment.transforms", "[{name: ZoomBlur, step_factor: [0.00000001, 0.03]}]"),
        ("augment.transforms", "[{name: OneOf, transforms: [{name: Resize, height: 100000, width: 1}]}]"),
    ],
)
def test_a_number_out_of_range_is_refused_with_place_and_remedy(key, value, tmp_path):
    section, _, name = key.partition(".")
    text = {"data": "root: data/a", "model": "name: resnet18"}
    text[section] = f"{text[section]}, {name}: {value}" if section in text else f"{name}: {value}"
    file = tmp_path / "recipe.yaml"
    lines = ["recipe_version: 1", "name: a", *(f"{one}: {{{keys}}}" for one, keys in text.items())]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert says(caught.value, f"{file}:", key, "Use")
