"""Sweep files: what a space may hold, and every mistake with its line and its remedy before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from messages import saying, says

from tlkit.errors import RecipeError
from tlkit.recipe.sweep_file import Choices, Range, load_sweep

RECIPE = """\
recipe_version: 1
name: insects
data: {root: photos}
model: {name: test_resnet, weights: none}
augment: none
"""
HEAD = "sweep_version: 1\nname: s\nrecipe: insects.yaml\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("insects.yaml").write_text(RECIPE)

    def read(space, head=HEAD):
        Path("sweep.yaml").write_text(f"{head}space:\n{space}")
        return load_sweep("sweep.yaml")

    return read


@pytest.fixture
def problems(read):
    def problems(space, head=HEAD):
        with pytest.raises(RecipeError) as error:
            read(space, head)
        return list(error.value.problems)

    return problems


def test_lists_are_choices_and_numbers_have_ranges_of_the_keys_own_kind(read):
    file = read(
        "  train.learning_rate: {low: 0.0001, high: 0.1, log: true}\n"
        "  train.epochs: {low: 1, high: 9, step: 2}\n"
        "  strategy: [frozen, {kind: full, backbone_lr_factor: 0.1}]\n"
    )
    assert file.space == (
        Range("train.learning_rate", 0.0001, 0.1, True, None, whole=False),
        Range("train.epochs", 1, 9, False, 2, whole=True),
        Choices("strategy", ("frozen", {"kind": "full", "backbone_lr_factor": 0.1})),
    )
    recipe = file.recipe_with({"train.epochs": 3, "strategy": file.space[2].values[1]})
    assert (recipe.train.epochs, recipe.strategy.kind) == (3, "full")


def test_the_sweeps_that_come_with_tlkit_are_valid(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    files = [load_sweep(path) for path in Path("recipes/sweeps").glob("*.yaml") if path.stem != "wandb"]
    assert files and all(file.space for file in files)


@pytest.mark.parametrize(
    ("space", "found"),
    [
        ("  train.lr: [0.1, 0.2]\n", ("sweep.yaml:5", "train.lr", "train.learning_rate")),
        ("  train.learning_rate: [0.1, -1]\n", ("sweep.yaml:5", "-1", "above 0")),
        ("  train.epochs: {low: 0, high: 5}\n", ("sweep.yaml:5", "train.epochs", "0")),
        ("  train.epochs: {low: 1, high: 2.5}\n", ("2.5", "whole numbers")),
        ("  train.learning_rate: {low: 0.1, high: 0.01}\n", ("low is 0.1", "below high")),
        ("  train.weight_decay: {low: 0, high: 0.1, log: true}\n", ("logarithmic", "above 0")),
        ("  train.optimizer: {low: 1, high: 2}\n", ("train.optimizer", "list of values")),
        ("  train.learning_rate: {low: 0.1, hihg: 0.2}\n", ("hihg", "high")),
        ("  train.learning_rate: 0.1\n", ("0.1", "list of values")),
        ("  train.learning_rate: [0.1]\n", ("one value", "recipe")),
        ("  train.learning_rate: [0.1, 0.1]\n", ("twice",)),
        ("  data.val: [0.1, 0.2]\n", ("data.val", "data.batch_size")),
        ("  seed: [1, 2]\n", ("seed", "Remove it")),
        ("  strategy: [frozen, full]\n  strategy.kind: [frozen, full]\n", ("strategy.kind", "Keep one")),
        ("  strategy: [frozen, {kind: full, backbone_lr: 3}]\n", ("backbone_lr",)),
    ],
)
def test_a_wrong_space_is_refused_with_place_value_and_remedy(problems, space, found):
    assert any(says(problem, *found) for problem in problems(space)), problems(space)


def test_values_that_contradict_each_other_are_refused_before_anything_runs(problems):
    assert saying(
        problems("  strategy.kind: [frozen, full]\n  strategy.backbone_lr_factor: [0.1, 0.2]\n"), "backbone_lr_factor"
    )


def test_all_mistakes_are_reported_at_once(problems):
    found = problems("  train.lr: [1, 2]\n  modle.name: [a, b]\n", HEAD + "trails: 3\nsampler: gird\n")
    assert [bool(saying(found, word)) for word in ("trails", "gird", "train.lr", "modle.name")] == [True] * 4


def test_a_grid_needs_lists(problems):
    head = HEAD + "sampler: grid\n"
    assert saying(problems("  train.learning_rate: {low: 0.1, high: 0.2}\n", head), "grid", "train.learning_rate")
