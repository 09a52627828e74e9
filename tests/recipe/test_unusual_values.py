"""Settings that nobody uses: warned of, never refused, and nothing that is published is among them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from command import tlkit
from messages import saying, says

from tlkit.recipe import Recipe, load_recipe
from tlkit.recipe.unusual_values import unusual_settings, warn_of_unusual

PLAIN = {"recipe_version": 1, "name": "pets", "data": {"root": "pets"}, "model": {"name": "resnet18"}}


def said(**train: object) -> tuple[str, ...]:
    return unusual_settings(Recipe.model_validate({**PLAIN, "train": train}))


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"learning_rate": 30.0}, saying("train.learning_rate", "30", "tlkit recipe tune")),
        ({"learning_rate": 1e-12}, saying("train.learning_rate", "1e-12", "tlkit recipe tune")),
        ({"weight_decay": 50.0}, saying("train.weight_decay", "50", "0", "0.1")),
        ({"label_smoothing": 0.9}, saying("train.label_smoothing", "0.9", "0", "0.2")),
        ({"warmup_epochs": 9.0, "epochs": 10}, saying("train.warmup_epochs", "9", "10")),
        ({"momentum": 0.9999, "optimizer": "sgd"}, saying("train.momentum", "0.9999", "10,000", "0.9")),
        ({"focal_gamma": 40.0, "loss": "focal"}, saying("train.focal_gamma", "40", "0.5", "5")),
    ],
)
def test_each_setting_far_outside_what_is_used_has_its_sentence(train: dict[str, object], sentence: object) -> None:
    assert said(**train) == (sentence,)


def test_dropout_of_nearly_everything_is_unusual() -> None:
    recipe = Recipe.model_validate({**PLAIN, "model": {"name": "resnet18", "drop_rate": 0.95}})
    assert unusual_settings(recipe) == (saying("model.drop_rate", "0.95", "0", "0.5"),)


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
    assert says(done.stderr, "train.learning_rate", "30")
