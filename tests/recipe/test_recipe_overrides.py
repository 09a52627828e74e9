"""Overrides: the keys that they set, the keys that they drop, and the messages for wrong ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from messages import saying

from tlkit.recipe import FrozenStrategy, FullStrategy, Recipe

Load = Callable[..., Recipe]
Problems = Callable[..., Sequence[str]]


@pytest.mark.parametrize("written", ["data.batch_size=64", "--data.batch_size=64", "data.batch_size = 64"])
def test_an_override_sets_one_key(load: Load, written: str) -> None:
    assert load(overrides=[written]).data.batch_size == 64
    assert load(overrides=[written], text="seed: 3\n").seed == 3


def test_an_override_reaches_sections_that_the_file_does_not_have_and_the_last_one_counts(load: Load) -> None:
    given = ["train.early_stopping.patience=3", "train.class_weights.no=2", "evaluate.top_k=[1, 3]"]
    recipe = load(overrides=[*given, "train.epochs=2", "train.epochs=3"])
    assert recipe.train.early_stopping is not None
    assert (recipe.train.early_stopping.patience, recipe.train.epochs) == (3, 3)
    assert (recipe.train.class_weights, recipe.evaluate.top_k) == ({"no": 2.0}, (1, 3))


def test_numbers_may_be_written_as_in_python(load: Load) -> None:
    recipe = load(overrides=["--train.learning_rate=1e-05", "--train.weight_decay=1E-3", "--report.enabled=False"])
    assert (recipe.train.learning_rate, recipe.train.weight_decay, recipe.report.enabled) == (1e-5, 1e-3, False)


def test_a_text_needs_no_quotes_on_the_command_line(load: Load) -> None:
    recipe = load(overrides=["name=2024", "data.root=no", "report.title=Pets: round 2 #1", "model.name=1e3"])
    assert (recipe.name, recipe.data.root, recipe.report.title) == ("2024", "no", "Pets: round 2 #1")
    assert recipe.model.name == "1e3"
    assert load(overrides=["report.title='null'"]).report.title == "null"
    assert load(overrides=["report.title=null"], text="report: {title: x}\n").report.title is None


def test_python_values_are_taken_as_they_are(load: Load) -> None:
    assert load(overrides=["data.root=[a, b]"]).data.root == ("a", "b")
    recipe = load(
        overrides={"train.epochs": 3, "data.root": Path("x") / "y", "data.image_size": (32, 48), "augment": "none"}
    )
    assert (recipe.train.epochs, recipe.data.root, recipe.data.image_size) == (3, "x/y", (32, 48))
    assert recipe.augment.preset == "none"


@pytest.mark.parametrize("text", ["", "strategy: frozen\n", "strategy: {kind: frozen}\n"])
def test_the_strategy_can_be_chosen_in_either_form(load: Load, text: str) -> None:
    assert load(overrides=["strategy.kind=full"], text=text).strategy == FullStrategy()
    assert load(overrides=["strategy=full"], text=text).strategy == FullStrategy()
    chosen = load(overrides=["strategy=full", "strategy.backbone_lr_factor=0.5"], text=text).strategy
    assert chosen == FullStrategy(backbone_lr_factor=0.5)


def test_choosing_an_alternative_drops_keys_of_the_other(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    text = (
        "strategy:\n  kind: full\n  backbone_lr_factor: 0.2\ntrain: {optimizer: sgd, momentum: 0.5, warmup_epochs: 1}\n"
    )
    text += "augment: {transforms: [{name: HorizontalFlip}]}\n"
    words = "strategy.kind=frozen train.optimizer=adam train.schedule=one_cycle augment.preset=none"
    with caplog.at_level(logging.INFO, logger="tlkit"):
        recipe = load(overrides=words.split(), text=text)
    assert recipe.strategy == FrozenStrategy()
    assert (recipe.train.momentum, recipe.train.warmup_epochs) == (0.9, 0.0)
    assert (recipe.augment.preset, recipe.augment.transforms) == ("none", None)
    assert caplog.messages == [
        saying("strategy.kind=frozen", "strategy.backbone_lr_factor", "r.yaml:7"),
        saying("train.optimizer=adam", "train.momentum", "r.yaml:8"),
        saying("train.schedule=one_cycle", "train.warmup_epochs", "r.yaml:8"),
        saying("augment.preset=none", "augment.transforms", "r.yaml:9"),
    ]


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (
            "train: {optimizer: sgd, momentum: 0.5}\n",
            ["train.optimizer=sdg"],
            [saying("train.optimizer=sdg", "train.optimizer", "'sdg'", "sgd")],
        ),
        (
            "",
            ["train.momentum=0.5", "train.optimizer=adam"],
            [saying("train.optimizer=adam", "train.momentum", "0.5", "optimizer")],
        ),
        (
            "train: {warmup_epochs: 3}\n",
            ["train.epochs=2"],
            [saying("train.epochs=2", "train.warmup_epochs", "3", "train.epochs", "2", "0")],
        ),
        (
            "train: {learning_rate: 1e-3}\n",
            ["train.learning_rate=0.1"],
            [saying("r.yaml:5", "train.learning_rate", "1e-3", "YAML", "1.1", "1.0e-3", "'1e-3'")],
        ),
        ("train: 5\n", ["train.epochs=3"], [saying("r.yaml:5", "train", "5"), saying("train.epochs=3", "5")]),
    ],
)
def test_a_problem_is_reported_where_it_arises_and_drops_no_key(
    problems: Problems, caplog: pytest.LogCaptureFixture, text: str, overrides: list[str], expected: list[object]
) -> None:
    with caplog.at_level(logging.INFO, logger="tlkit"):
        assert list(problems(overrides=overrides, text=text)) == expected
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.batch_sise=64", saying("data.batch_sise", "data.batch_size")),
        ("dta.batch_size=64", saying("dta.batch_size", "data.batch_size")),
        ("--data.batch-size=64", saying("data.batch-size", "data.batch_size")),
        ("lr=0.1", saying("lr", "train.learning_rate")),
        ("train.lr=0.1", saying("train.lr", "train.learning_rate")),
        ("epochs=3", saying("epochs", "train.epochs")),
        ("data.epochs=3", saying("data.epochs", "train.epochs")),
        ("data.batch_size", saying("data.batch_size=VALUE", "value")),
        ("--overwite", saying("overwite=VALUE", "--help")),
        ("-q", saying("-q", "COMMAND")),
        ("--verbose", saying("--verbose", "COMMAND")),
        ("=64", saying("data.batch_size=64", "dotted")),
        ("data..val=0", saying("data.batch_size=64", "dotted")),
        ("data.batch_size=64.0", saying("data.batch_size", "64.0", "1", "64")),
        ("data.root=", saying("data.root", "data/pets")),
        ("data.groups=age,sex", saying("data.groups", "'age,sex'")),
        ("data.image_size=[1,", saying("1", "bracket")),
        ("train.epochs.x=3", saying("train.epochs", "train.epochs=VALUE")),
        ("data.background.0=3", saying("data.background", "data.background=VALUE")),
        ("strategy=foo", saying("strategy", "'foo'", "frozen", "lora")),
        ("strategy.kind=finetune", saying("strategy.kind", "'finetune'", "full")),
        ("strategy.backbone_lr_factor=0.1", saying("strategy.kind", "kind", "frozen", "lora")),
        ("train=5", saying("train", "5")),
        ("train.class_weights={no: 2}", saying("no", "train.class_weights", "YAML", "'no'")),
        ("train.gradient_clip_val=None", saying("train.gradient_clip_val", "'None'", "0", "null")),
        ("train.learning_rate=1e999", saying("train.learning_rate", "1e999")),
        ("train.learning_rate=.nan", saying("train.learning_rate", ".nan")),
    ],
)
def test_a_wrong_override_is_reported_as_written(problems: Problems, override: str, expected: object) -> None:
    assert problems(overrides=[override]) == (saying(override, expected),)


def test_wrong_python_values_are_reported(problems: Problems) -> None:
    assert problems(overrides={"train.epochs": 2.5, "train.learning_rate": float("nan"), "data.root": None}) == (
        saying("train.epochs=2.5", "train.epochs", "2.5", "1"),
        saying("train.learning_rate=.nan", "train.learning_rate", "0"),
        saying("data.root=null", "data.root", "data/pets"),
    )
