"""Fixtures for runs: a recipe for a tiny data set, and a working directory of its own for every test."""

from __future__ import annotations

import logging
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before tests that import timm or torchvision themselves

import pandas as pd
import pytest

from tlkit.predictions import Predictions
from tlkit.runs import RunDirectory
from tlkit.runs.run import open_run
from tlkit.samples import Samples

TINY = """\
recipe_version: 1
name: tiny
data: {{root: {root}, batch_size: 8, num_workers: 0, image_size: 32, val: 0.25, test: 0.25{more}}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: full
train: {{epochs: 2, learning_rate: 0.01}}
"""


@pytest.fixture
def tiny_recipe(tmp_path, image_folder):
    """Return a maker of recipes over a small folder of coloured images."""

    def make(*, more: str = "", tail: str = "", **splits) -> Path:
        root = image_folder(**splits) if splits else image_folder(**{"": 16})
        path = tmp_path / "tiny.yaml"
        path.write_text(TINY.format(root=root, more=more) + tail)
        return path

    return make


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, logger="tlkit")


def write_run(path: Path, recipe: str, table: pd.DataFrame, predictions: Predictions, *, root: Path = Path("photos")):
    """Write what a fit leaves behind, without a model, and return the run.

    Args:
        path: of the run.
        recipe: its text.
        table: columns `path` and `label` of the images, and perhaps `split`, `digest` and groups.
        predictions: of the test split.
        root: folder of the images.
    """
    directory = RunDirectory.create(path)
    directory.recipe.write_text(recipe)
    defaults = {"split": "test", "digest": ""}
    table = table.assign(**{name: value for name, value in defaults.items() if name not in table})
    Samples(root, predictions.classes, table).to_csv(directory.split)
    directory.predictions("test").parent.mkdir()
    predictions.to_parquet(directory.predictions("test"))
    directory.write_json(directory.environment, {"data": {"root": str(root)}})
    directory.set_status("finished")
    return open_run(path)
