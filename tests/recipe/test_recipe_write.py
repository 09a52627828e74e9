"""A recipe that is written reads back as the same recipe; the JSON Schema and the models agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlkit.errors import RecipeError
from tlkit.preprocess import MIN_CROP_PCT
from tlkit.recipe import Recipe, dump_recipe, json_schema, load_recipe
from tlkit.recipe.value_types import OWN_COLUMNS

WORDS = r"""no NO y on off null Null ~ true none 1e3 1e-3 .5e3 010 0o17 0x1F 1_000 1:30 2024-01-31 << = .inf -.NaN +1
    - ? ! &a *a # % @ ` [a {a ' " it's \ é 日本 👩🏽‍🌾 , a,b --- ...""".split()  # noqa: SIM905
WORDS += ["- ", "\x85", "\ufeff", "a: b", "a #b", "- a", "a\nb", "\ta", " a ", "x" * 200, "two words " * 20]
WORDS += ["\u2028", "\x00", "\x7f"]

names = st.sampled_from(WORDS) | st.text(min_size=1, max_size=20)
columns = names.filter(lambda name: name not in OWN_COLUMNS and not name.startswith("proba_"))
titles = st.none() | names.filter(lambda name: name.lower() != "none")
shares = st.floats(0, 0.45)
below_one = st.floats(0, 1, exclude_max=True)
positive = st.floats(0, 100, exclude_min=True)
up_to_one = st.floats(0, 1, exclude_min=True)
counts = st.integers(1, 10**9)
sides = st.integers(1, 4096)
plain = st.none() | st.booleans() | st.integers(-4096, 4096) | st.floats(-4096, 4096) | names
arguments = st.dictionaries(
    names.filter(lambda name: name != "name"),
    st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2), max_leaves=4
    ),
    max_size=3,
)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Draw any recipe that is right."""
    groups = draw(st.lists(columns, unique=True, max_size=3))
    resize = draw(st.sampled_from([None, "crop", "letterbox", "squash"]))
    optimizer = draw(st.sampled_from(["sgd", "adam", "adamw", "rmsprop"]))
    schedule = draw(st.sampled_from(["cosine", "one_cycle", "constant"]))
    epochs = draw(st.integers(1, 1000))
    data: dict[str, Any] = {
        "root": draw(names),
        "metadata": draw(titles.filter(bool)) if groups else draw(titles),
        "groups": groups,
        "val": draw(shares),
        "test": draw(shares),
        "batch_size": draw(st.integers(1, 65_536)),
        "num_workers": draw(st.just("auto") | st.integers(0, 64)),
        "image_size": draw(st.none() | sides | st.tuples(sides, sides)),
        "resize": resize,
        "background": draw(st.tuples(*[st.integers(0, 255)] * 3)),
    }
    if resize in (None, "crop"):
        data["crop_pct"] = draw(st.none() | st.floats(MIN_CROP_PCT, 1))
    train: dict[str, Any] = {
        "epochs": epochs,
        "optimizer": optimizer,
        "learning_rate": draw(positive),
        "weight_decay": draw(st.just(0) | positive),
        "schedule": schedule,
        "warmup_epochs": 0 if schedule == "one_cycle" else draw(st.floats(0, epochs, exclude_max=True)),
        "label_smoothing": draw(below_one),
        "class_weights": draw(
            st.sampled_from(["none", "balanced"]) | st.dictionaries(names, positive, min_size=1, max_size=4)
        ),
        "gradient_clip_val": draw(st.none() | positive),
        "early_stopping": draw(st.none() | st.fixed_dictionaries({"patience": counts, "min_delta": positive})),
        "precision": draw(st.sampled_from(["auto", 32, "bf16"])),
    }
    if optimizer in ("sgd", "rmsprop"):
        train["momentum"] = draw(below_one)
    transforms = st.lists(
        st.builds(lambda name, rest: {"name": name, **rest}, names, arguments), min_size=1, max_size=2
    )
    augment = draw(
        st.builds(lambda word: {"preset": word}, st.sampled_from(["none", "heavy"]))
        | st.builds(lambda items: {"transforms": items}, transforms)
    )
    strategy = draw(
        st.just({"kind": "frozen"}) | st.builds(lambda x: {"kind": "full", "backbone_lr_factor": x}, up_to_one)
    )
    return Recipe.model_validate(
        {
            "recipe_version": 1,
            "name": draw(st.sampled_from(["no", "1e3", "null", "42", "x_y.z-1", "2024-01-31", "0"])),
            "seed": draw(st.integers(0, 2**32 - 1)),
            "data": data,
            "augment": augment,
            "model": {
                "name": draw(names),
                "weights": draw(st.sampled_from(["hub", "none", "pip:a", "file:no", "run:a b"])),
            },
            "strategy": strategy,
            "train": train,
            "evaluate": {"top_k": draw(st.lists(counts, unique=True, max_size=4)), "confidence": 0.5 + draw(shares)},
            "audit": {"by": groups[:2], "max_intersection_order": draw(counts)},
            "report": {"enabled": draw(st.booleans()), "title": draw(titles)},
            "tracking": {"tags": draw(st.lists(names, unique=True, max_size=3)), "entity": draw(titles)},
        }
    )


@pytest.fixture(scope="module")
def validator(schema_validator: Any) -> Any:
    """Return the validator of recipes."""
    return schema_validator(json_schema())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipe=recipes())
def test_a_written_recipe_reads_back_as_the_same_recipe(
    recipe: Recipe, tmp_path_factory: pytest.TempPathFactory, validator: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "dumped.yaml"
    text = dump_recipe(recipe)
    path.write_bytes(text.encode("utf-8"))
    assert load_recipe(path) == recipe
    assert dump_recipe(load_recipe(path)) == text
    validator.validate(yaml.safe_load(text))


def test_every_key_is_written_except_those_without_effect() -> None:
    recipe = Recipe(recipe_version=1, name="a", data={"root": "b"}, model={"name": "c"})
    written = yaml.safe_load(dump_recipe(recipe))
    assert written["train"]["learning_rate"] == 0.001
    assert "momentum" not in written["train"]
    assert written["augment"] == {"preset": "light"}
    sgd = recipe.model_copy(update={"train": recipe.train.model_copy(update={"optimizer": "sgd"})})
    assert yaml.safe_load(dump_recipe(sgd))["train"]["momentum"] == 0.9


def test_words_that_other_yaml_readers_parse_as_numbers_are_quoted() -> None:
    recipe = Recipe(
        recipe_version=1, name="1e3", data={"root": "0o17"}, model={"name": "y"}, train={"class_weights": {"no": 1}}
    )
    lines = dump_recipe(recipe).splitlines()
    assert {"name: '1e3'", "  root: '0o17'", "  name: 'y'", "    'no': 1.0"} <= set(lines)


def test_the_json_schema_is_valid(schema_validator: Any) -> None:
    schema = json_schema()
    schema_validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["recipe_version", "name", "data", "model"]
    for section in schema["$defs"].values():
        assert section["description"]
        for field in section["properties"].values():
            assert field["description"]


HEAD: dict[str, Any] = {"recipe_version": 1, "name": "a", "data": {"root": "b"}, "model": {"name": "c"}}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"strategy": "full"}, True),
        ({"strategy": {"kind": "full", "backbone_lr_factor": 0.5}}, True),
        ({"augment": "none"}, True),
        ({"augment": {"transforms": [{"name": "HorizontalFlip", "p": 0.5}]}}, True),
        ({"tracking": "wandb"}, True),
        ({"train": {"precision": 16, "class_weights": {"no": 2}}}, True),
        ({"data": {"root": "b", "image_size": [32, 48]}}, True),
        ({"strategy": "half"}, False),
        ({"strategy": {"kind": "frozen", "backbone_lr_factor": 0.5}}, False),
        ({"strategy": {"backbone_lr_factor": 0.5}}, False),
        ({"model": "resnet18"}, False),
        ({"train": {"lr": 0.1}}, False),
        ({"train": {"epochs": 0}}, False),
        ({"train": {"epochs": "5"}}, False),
        ({"train": {"learning_rate": 0}}, False),
        ({"train": {"precision": "32"}}, False),
        ({"data": {"root": "b", "val": 0.95}}, False),
        ({"evaluate": {"top_k": [1, 1]}}, False),
        ({"name": "my run"}, False),
        ({"recipe_version": 2}, False),
    ],
)
def test_the_json_schema_and_the_models_agree(
    change: dict[str, Any], fits: bool, tmp_path: Path, validator: Any
) -> None:
    recipe = HEAD | change
    assert validator.is_valid(recipe) is fits
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(recipe))
    if fits:
        load_recipe(path)
    else:
        with pytest.raises(RecipeError):
            load_recipe(path)
