"""Overrides: what they set, what they replace, and what is said of those that cannot be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tlkit.errors import RecipeError
from tlkit.recipe import FrozenStrategy, FullStrategy, Recipe, load_recipe

HEAD = "recipe_version: 1\nname: pets\ndata: {root: data/pets}\nmodel: {name: resnet18}\n"

Load = Callable[..., Recipe]
Problems = Callable[..., Sequence[str]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def loaded(overrides: Sequence[str] | Mapping[str, Any], *, text: str = "") -> Recipe:
        Path("r.yaml").write_text(HEAD + text, encoding="utf-8")
        return load_recipe("r.yaml", overrides)

    return loaded


@pytest.fixture
def problems(load: Load) -> Problems:
    def found(overrides: Sequence[str] | Mapping[str, Any], *, text: str = "") -> Sequence[str]:
        with pytest.raises(RecipeError) as caught:
            load(overrides, text=text)
        return caught.value.problems

    return found


@pytest.mark.parametrize("written", ["data.batch_size=64", "--data.batch_size=64", "data.batch_size = 64"])
def test_an_override_sets_one_key(load: Load, written: str) -> None:
    assert load([written]).data.batch_size == 64
    assert load([written], text="seed: 3\n").seed == 3


def test_an_override_reaches_sections_that_the_file_does_not_have(load: Load) -> None:
    recipe = load(["train.early_stopping.patience=3", "train.class_weights.no=2", "evaluate.top_k=[1, 3]"])
    assert recipe.train.early_stopping is not None
    assert recipe.train.early_stopping.patience == 3
    assert recipe.train.class_weights == {"no": 2.0}
    assert recipe.evaluate.top_k == (1, 3)


def test_the_last_override_of_a_key_counts(load: Load) -> None:
    assert load(["train.epochs=2", "train.epochs=3"], text="train: {epochs: 1}\n").train.epochs == 3


def test_a_sweep_agent_may_write_numbers_as_python_does(load: Load) -> None:
    recipe = load(["--train.learning_rate=1e-05", "--train.weight_decay=1E-3", "--report.enabled=False"])
    assert (recipe.train.learning_rate, recipe.train.weight_decay, recipe.report.enabled) == (1e-5, 1e-3, False)


def test_a_text_needs_no_quotes_on_the_command_line(load: Load) -> None:
    recipe = load(["name=2024", "data.root=no", "report.title=Pets: round 2 #1", "model.name=1e3"])
    assert (recipe.name, recipe.data.root, recipe.report.title) == ("2024", "no", "Pets: round 2 #1")
    assert recipe.model.name == "1e3"
    assert load(["report.title='null'"]).report.title == "null"
    assert load(["report.title=null"], text="report: {title: x}\n").report.title is None


def test_python_values_are_taken_as_they_are(load: Load) -> None:
    assert load(["data.root=[a, b]"]).data.root == ("a", "b")
    recipe = load({"train.epochs": 3, "data.root": Path("x") / "y", "data.image_size": (32, 48), "augment": "none"})
    assert (recipe.train.epochs, recipe.data.root, recipe.data.image_size) == (3, "x/y", (32, 48))
    assert recipe.augment.preset == "none"


@pytest.mark.parametrize("text", ["", "strategy: frozen\n", "strategy: {kind: frozen}\n"])
def test_the_strategy_can_be_chosen_in_either_form(load: Load, text: str) -> None:
    assert load(["strategy.kind=full"], text=text).strategy == FullStrategy()
    assert load(["strategy=full"], text=text).strategy == FullStrategy()
    chosen = load(["strategy=full", "strategy.backbone_lr_factor=0.5"], text=text).strategy
    assert chosen == FullStrategy(backbone_lr_factor=0.5)


def test_choosing_an_alternative_drops_what_only_served_the_other(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    text = (
        "strategy:\n  kind: full\n  backbone_lr_factor: 0.2\n"
        "train: {optimizer: sgd, momentum: 0.5, warmup_epochs: 1}\n"
        "augment: {transforms: [{name: HorizontalFlip}]}\n"
    )
    with caplog.at_level(logging.INFO, logger="tlkit"):
        recipe = load(
            ["strategy.kind=frozen", "train.optimizer=adam", "train.schedule=one_cycle", "augment.preset=none"],
            text=text,
        )
    assert recipe.strategy == FrozenStrategy()
    assert (recipe.train.momentum, recipe.train.warmup_epochs) == (0.9, 0.0)
    assert (recipe.augment.preset, recipe.augment.transforms) == ("none", None)
    assert caplog.messages == [
        "override strategy.kind=frozen: strategy.backbone_lr_factor of r.yaml:7 no longer applies and is dropped",
        "override train.optimizer=adam: train.momentum of r.yaml:8 no longer applies and is dropped",
        "override train.schedule=one_cycle: train.warmup_epochs of r.yaml:8 no longer applies and is dropped",
        "override augment.preset=none: augment.transforms of r.yaml:9 no longer applies and is dropped",
    ]


def test_a_value_that_is_wrong_itself_drops_nothing(problems: Problems, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tlkit"):
        found = problems(["train.optimizer=sdg"], text="train: {optimizer: sgd, momentum: 0.5}\n")
    assert found == (
        "override train.optimizer=sdg  train.optimizer is 'sdg'. Use sgd, adam, adamw or rmsprop. Did you mean sgd?",
    )
    assert caplog.messages == []


def test_overrides_that_contradict_each_other_are_refused(problems: Problems) -> None:
    assert problems(["train.momentum=0.5", "train.optimizer=adam"]) == (
        "override train.optimizer=adam  train.momentum is 0.5, but adam has no momentum. "
        "Remove train.momentum, or use optimizer: sgd or rmsprop.",
    )


def test_the_override_is_blamed_for_a_contradiction_that_it_brings(problems: Problems) -> None:
    assert problems(["train.epochs=2"], text="train: {warmup_epochs: 3}\n") == (
        "override train.epochs=2  train.warmup_epochs is 3, but train.epochs is 2. "
        "Use less than 2, or 0 for no warm-up.",
    )


def test_a_mistake_of_the_file_is_told_even_where_an_override_covers_it(problems: Problems) -> None:
    assert problems(["train.learning_rate=0.1"], text="train: {learning_rate: 1e-3}\n") == (
        "r.yaml:5  train.learning_rate is `1e-3`, which YAML 1.1 reads as text. "
        "Write 1.0e-3 for the number, or '1e-3' for the text.",
    )


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.batch_sise=64", "data.batch_sise is unknown. Did you mean data.batch_size?"),
        ("dta.batch_size=64", "dta.batch_size is unknown. Did you mean data.batch_size?"),
        ("--data.batch-size=64", "data.batch-size is unknown. Did you mean data.batch_size?"),
        ("lr=0.1", "lr is unknown. Did you mean train.learning_rate?"),
        ("train.lr=0.1", "train.lr is unknown. Did you mean train.learning_rate?"),
        ("epochs=3", "epochs is unknown: epochs belongs to train. Use train.epochs."),
        ("data.epochs=3", "data.epochs is unknown: epochs belongs to train. Use train.epochs."),
        ("data.batch_size", "no value is given. Write data.batch_size=VALUE, in one piece."),
        ("--overwite", "no value is given. Write overwite=VALUE, in one piece. `--help` lists the options that take no "
         "value."),
        ("-q", "this option is tlkit's own. Write it before the verb: tlkit -q VERB."),
        ("--verbose", "this option is tlkit's own. Write it before the verb: tlkit --verbose VERB."),
        ("=64", "no key is given. Write a dotted key, such as data.batch_size=64."),
        ("data..val=0", "no key is given. Write a dotted key, such as data.batch_size=64."),
        ("data.batch_size=64.0", "data.batch_size is 64.0. Use a whole number of at least 1: 64."),
        ("data.root=", "data.root is empty. Use the path of a folder of images, such as data/pets."),
        ("data.groups=age,sex", "data.groups is 'age,sex'. Use a list of columns of the metadata: [age, sex]."),
        ("data.image_size=[1,", "the text ends before the bracket on line 1 is closed. Close it."),
        ("train.epochs.x=3", "train.epochs has no keys below it. Write train.epochs=VALUE."),
        ("data.background.0=3", "data.background has no keys below it. Write data.background=VALUE."),
        ("strategy=foo", "strategy is 'foo'. Use frozen, full, lp_ft, gradual, last_n, norm_only, bias_only or lora."),
        ("strategy.kind=finetune", "strategy.kind is 'finetune'. Use frozen, full, lp_ft, gradual, "
         "last_n, norm_only, bias_only or lora. Did you mean full?"),
        ("strategy.backbone_lr_factor=0.1", "strategy.kind is missing. Add kind: frozen, full, lp_ft, gradual, "
         "last_n, norm_only, bias_only or lora."),
        ("train=5", "train is 5, not a section. Write its keys below it, indented, such as epochs: 5."),
        ("train.class_weights={no: 2}", "the key `no` in train.class_weights is read by YAML as true or false. "
         "Quote it: 'no'."),
        ("train.gradient_clip=None", "train.gradient_clip is 'None'. "
         "Use a number above 0, or null for no clipping. Did you mean null?"),
        ("train.learning_rate=1e999", "train.learning_rate is `1e999`, which is no finite number. Use a finite one."),
        ("train.learning_rate=.nan", "train.learning_rate is `.nan`, which is no finite number. Use a finite one."),
    ],
)  # fmt: skip
def test_a_wrong_override_is_told_as_written(problems: Problems, override: str, expected: str) -> None:
    assert problems([override]) == (f"override {override}  {expected}",)


def test_wrong_python_values_are_told_too(problems: Problems) -> None:
    assert problems({"train.epochs": 2.5, "train.learning_rate": float("nan"), "data.root": None}) == (
        "override train.epochs=2.5  train.epochs is 2.5. Use a whole number of at least 1.",
        "override train.learning_rate=.nan  train.learning_rate is .nan. Use a number above 0.",
        "override data.root=null  data.root is empty. Use the path of a folder of images, such as data/pets.",
    )


def test_an_override_below_a_mistake_of_the_file_waits_for_it(problems: Problems) -> None:
    assert problems(["train.epochs=3"], text="train: 5\n") == (
        "r.yaml:5  train is 5, not a section. Write its keys below it, indented, such as epochs: 5.",
        "override train.epochs=3  train is 5, without keys below it. Set train as a whole.",
    )
