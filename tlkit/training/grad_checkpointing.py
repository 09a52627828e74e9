"""Gradient checkpointing: the backward pass computes a backbone's activations again instead of keeping them.

T. Chen et al., Training Deep Nets with Sublinear Memory Cost (2016), https://arxiv.org/abs/1604.06174. timm's models
say where their activations are dropped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tlkit.errors import RecipeError
from tlkit.lightning import pl
from tlkit.models.classifier import Classifier


def require_grad_checkpointing(backbone: nn.Module, *, name: str) -> None:
    """Check that timm can drop activations of a backbone, which is left as it was.

    Raises:
        RecipeError: it cannot.
    """
    try:
        _set(backbone, True)
        _set(backbone, False)
    except (AssertionError, AttributeError):
        raise RecipeError(
            f"train.grad_checkpointing is true, but timm has no gradient checkpointing for {name}. Use "
            "train.grad_checkpointing: false, and a smaller data.batch_size with train.accumulate_grad_batches for the "
            "same step in less memory."
        ) from None


class GradCheckpointing(pl.Callback):
    """Turns gradient checkpointing on while a trainer fits a classifier.

    The second forward pass of a block would move the running statistics of its batch normalization again. They are
    kept, so training has the bits that it has without checkpointing.
    """

    def __init__(self) -> None:
        self._statistics: list[tuple[torch.Tensor, torch.Tensor]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Turn it on."""
        _set(_backbone(pl_module), True)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: Any, loss: torch.Tensor) -> None:
        """Copy the statistics of the norms that learn."""
        self._statistics = [
            (buffer, buffer.clone())
            for module in _backbone(pl_module).modules()
            if module.training and getattr(module, "running_mean", None) is not None
            for buffer in module.buffers(recurse=False)
        ]

    def on_after_backward(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Take the copies back."""
        for buffer, before in self._statistics:
            buffer.copy_(before)
        self._statistics = []

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Turn it off: Lightning tears callbacks down only where a fit ends well."""
        self._statistics = []
        self.teardown(trainer, pl_module, "fit")

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Turn it off; evaluation and export keep no activations anyway."""
        _set(_backbone(pl_module), False)


def _backbone(classifier: Any) -> nn.Module:
    assert isinstance(classifier, Classifier)
    return classifier.network.backbone


def _set(backbone: nn.Module, enable: bool) -> None:
    backbone.set_grad_checkpointing(enable)  # type: ignore[operator]
