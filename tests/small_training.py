"""Small networks, batches of noise and quiet trainers, for tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tlkit.torchvision_cure  # noqa: F401  before Lightning, which imports torchvision

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.weights.weight_files import tensors_digest

SIZE = 32
STRATEGIES = [
    *("frozen", "full", "gradual", "last_n", "norm_only", "bias_only"),
    {"kind": "lp_ft", "probe_epochs": 1},
    {"kind": "lora", "rank": 4},
]


def small_classifier(name: str = "test_resnet", strategy: Any = "full", *, given: Any = None, **train: Any):
    """Return a classifier of two classes with the same random weights each time; `given` are its other arguments."""
    torch.manual_seed(0)
    backbone = create_backbone(name, weights="none", image_size=(SIZE, SIZE))
    return Classifier(backbone, classes=["a", "b"], strategy=strategy, train={"epochs": 4, **train}, **(given or {}))


def noise(count: int = 12, batch_size: int = 4, *, rows: bool = False) -> DataLoader:
    """Return batches of noise and targets, with `rows` also the number of each image."""
    images = torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) + 1
    numbers = torch.arange(count)
    return DataLoader(TensorDataset(images, numbers % 2, *([numbers] if rows else [])), batch_size=batch_size)


def trainer(folder: Path, epochs: int = 1, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )


def whole_half_and_resumed(make: Any, batches: DataLoader, folder: Path, **options: Any) -> tuple[Any, Any, Any]:
    """Train four epochs, two, and two more from the checkpoint `half.ckpt`; the first and last end with equal bits."""
    whole, half, resumed = make(), make(), make()
    trainer(folder, 4, **options).fit(whole, batches)
    first = trainer(folder, 2, **options)
    first.fit(half, batches)
    first.save_checkpoint(folder / "half.ckpt")
    trainer(folder, 4, **options).fit(resumed, batches, ckpt_path=folder / "half.ckpt", weights_only=True)
    assert tensors_digest(resumed.state_dict()) == tensors_digest(whole.state_dict())
    return whole, half, resumed
