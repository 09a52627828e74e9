"""Fixtures for runs: a recipe for a tiny data set, and a working directory of its own for every test."""

from __future__ import annotations

import logging
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before tests that import timm or torchvision themselves

import pytest

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
