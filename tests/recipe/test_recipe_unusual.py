"""Settings that nobody uses: warned of, never refused, and nothing that is published is among them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from command import tlkit

from tlkit.recipe import Recipe, load_recipe
from tlkit.recipe.unusual import unusual_settings, warn_of_unusual

PLAIN = {"recipe_version": 1, "name": "pets", "data": {"root": "pets"}, "model": {"name": "resnet18"}}


def said(**train: object) -> tuple[str, ...]:
    return unusual_settings(Recipe.model_validate({**PLAIN, "train": train}))


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (
            {"learning_rate": 30.0},
            "train.learning_rate is 30, far above what is used with adamw: training will hardly converge. `tlkit "
            "recipe tune` suggests one for these images.",
        ),
        (
            {"learning_rate": 1e-12},
            "train.learning_rate is 1e-12, so small that hardly a weight will change. `tlkit recipe tune` suggests one "
            "for these images.",
        ),
        (
            {"weight_decay": 50.0},
            "train.weight_decay is 50, far above what is used: it pulls the weights to 0 faster than they learn. Usual "
            "is 0 to 0.1.",
        ),
        (
            {"label_smoothing": 0.9},
            "train.label_smoothing is 0.9, which leaves the true class the smaller part of its own target. Usual is 0 "
            "to 0.2.",
        ),
        (
            {"warmup_epochs": 9.0, "epochs": 10},
            "train.warmup_epochs is 9 of 10 epochs: most of the training goes by before the learning rate is reached. "
            "Usual is a tenth at most.",
        ),
        (
            {"momentum": 0.9999, "optimizer": "sgd"},
            "train.momentum is 0.9999: each step follows the mean of the last 10,000. Usual is 0.9.",
        ),
        (
            {"focal_gamma": 40.0, "loss": "focal"},
            "train.focal_gamma is 40, so that hardly an image counts. Usual is 0.5 to 5.",
        ),
    ],
)
def test_each_setting_far_outside_what_is_used_has_its_sentence(train: dict[str, object], sentence: str) -> None:
    assert said(**train) == (sentence,)


def test_dropout_of_nearly_everything_is_unusual() -> None:
    recipe = Recipe.model_validate({**PLAIN, "model": {"name": "resnet18", "drop_rate": 0.95}})
    assert unusual_settings(recipe) == (
        "model.drop_rate is 0.95: hardly a feature reaches the classifier. Usual is 0 to 0.5.",
    )


@pytest.mark.parametrize(
    "train",
    [
        {},
        {"optimizer": "sgd", "learning_rate": 30.0, "weight_decay": 0.0},  # MoCo's linear protocol
        {"weight_decay": 0.4},  # DINO
        {"label_smoothing": 0.1, "warmup_epochs": 0.5, "epochs": 1},
        {"optimizer": "sgd", "momentum": 0.999},
        {"learning_rate": 1e-7, "focal_gamma": 5.0, "loss": "focal"},
    ],
)
def test_what_is_published_is_not_unusual(train: dict[str, object]) -> None:
    assert said(**train) == ()


def test_the_recipes_that_come_with_tlkit_are_usual() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        if path.name != "gates.yaml":
            assert unusual_settings(load_recipe(path)) == (), path


def test_all_is_said_at_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe.model_validate({**PLAIN, "train": {"learning_rate": 30.0, "weight_decay": 50.0}})
    with caplog.at_level(logging.WARNING, logger="tlkit"):
        warn_of_unusual(recipe)
    assert [message.split(" is ")[0] for message in caplog.messages] == ["train.learning_rate", "train.weight_decay"]


def test_check_warns_and_calls_the_recipe_valid_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("recipe_version: 1\nname: a\ndata: {root: b}\nmodel: {name: resnet18}\n")
    done = tlkit("recipe", "check", "r.yaml", "train.learning_rate=30", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "r.yaml is a valid recipe.\n")
    assert done.stderr.startswith("train.learning_rate is 30, far above what is used with adamw")
