"""Fixtures: recipes and runs of a tiny data set, and a stored tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before timm

import pytest
import torch
from run_fixtures import in_a_folder_of_its_own, tiny_recipe  # noqa: F401

from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import save_artifact


@pytest.fixture
def stored_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of stored models with random weights, which depend on the seed."""

    def make(name: str = "model", *, seed: int = 0, classes: tuple[str, ...] = ("blue", "red")) -> Path:
        torch.manual_seed(seed)
        classifier = Classifier(create_backbone("test_resnet", weights="none", image_size=(32, 32)), classes=classes)
        save_artifact(tmp_path / name, classifier.network.state_dict(), classifier.facts())
        return tmp_path / name

    return make
