"""Lightning and torchmetrics, imported after the torchvision cure; the only module that imports them."""

from __future__ import annotations

import tlkit.torchvision_cure  # noqa: F401  before Lightning, which imports torchvision

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, RichProgressBar
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torchmetrics import Metric

__all__ = [
    "Checkpoint",
    "CheckpointIO",
    "DDPStrategy",
    "EarlyStopping",
    "LightningEnvironment",
    "Metric",
    "OptimizerLRScheduler",
    "RichProgressBar",
    "TorchElasticEnvironment",
    "pl",
]
