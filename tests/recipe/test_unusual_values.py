"""Settings far outside published use: a warning, never an error; published settings give none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from command import tlkit
from messages import saying

from tlkit.recipe import Recipe, load_recipe
from tlkit.recipe.unusual_values import unusual_settings, warn_of_unusual

PLAIN = {"recipe_version": 1, "name": "pets", "data": {"root": "pets"}, "model": {"name": "resnet18"}}


def warnings_of(**train: object) -> tuple[str, ...]:
    return tuple(unusual_settings(Recipe.model_validate({**PLAIN, "train": train})))


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"learning_rate": 30.0}, saying("train.learning_rate", "30", "tlkit recipe tune")),
        ({"learning_rate": 1e-12}, saying("train.learning_rate", "1e-12", "tlkit recipe tune")),
        ({"weight_decay": 50.0}, saying("train.weight_decay", "50", "0", "0.1")),
        ({"label_smoothing": 0.9}, saying("train.label_smoothing", "0.9", "0", "0.2")),
        ({"warmup_epochs": 9.0, "epochs": 10}, saying("train.warmup_epochs", "9", "10")),
    ],
)
def test_each_unusual_setting_has_a_warning(train: dict[str, object], sentence: object) -> None:
    assert warnings_of(**train) == (sentence,)


@pytest.mark.parametrize(
    "train",
    [
        {},
        {"optimizer": "sgd", "learning_rate": 30.0, "weight_decay": 0.0},  # MoCo's linear protocol
        {"weight_decay": 0.4},  # DINO
        {"label_smoothing": 0.1, "warmup_epochs": 0.5, "epochs": 1},
        {"learning_rate": 1e-7},
    ],
)
def test_published_settings_give_no_warning(train: dict[str, object]) -> None:
    assert warnings_of(**train) == ()


def test_the_shipped_recipes_give_no_warning() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        if path.name != "gates.yaml":
            assert not list(unusual_settings(load_recipe(path))), path


def test_all_warnings_are_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe.model_validate({**PLAIN, "train": {"learning_rate": 30.0, "weight_decay": 50.0}})
    with caplog.at_level(logging.WARNING, logger="tlkit"):
        warn_of_unusual(recipe)
    assert [message.split(" is ")[0] for message in caplog.messages] == ["train.learning_rate", "train.weight_decay"]


def test_recipe_check_warns_and_accepts_an_unusual_setting(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("recipe_version: 1\nname: a\ndata: {root: b}\nmodel: {name: resnet18}\n")
    done = tlkit("recipe", "check", "r.yaml", "train.learning_rate=30", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "r.yaml is a valid recipe.\n")
    assert done.stderr == saying("train.learning_rate", "30", "adamw", "tlkit recipe tune")
