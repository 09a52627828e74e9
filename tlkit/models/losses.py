"""The training loss: cross-entropy or focal loss, over logits that may be adjusted for rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from tlkit.recipe import TrainSection


class FocalLoss(nn.Module):
    """Mean of −w_y (1 − p_y)^γ log p_y over the images, weighted by w_y as torch's cross-entropy is.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equations 4 and 5, with the softmax's probability of the
    true class for p_t. With γ = 0 it is the cross-entropy.

    Attributes:
        gamma: γ, at least 0; the larger, the less an image counts that is classified well already.
        weight: w, shape (C,), or None for 1.
    """

    def __init__(self, *, gamma: float, weight: torch.Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits (B, C) and targets (B,), in nats."""
        log_p = functional.log_softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]  # (B,)
        doubt = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)  # 1 - p; at 0 a power has no gradient
        loss = -(doubt**self.gamma) * log_p
        if self.weight is None:
            return loss.mean()
        weight = cast(torch.Tensor, self.weight)[targets]
        return (weight * loss).sum() / weight.sum()


def create_loss(train: TrainSection, *, weight: torch.Tensor | None) -> nn.Module:
    """Build the loss that the recipe names; `weight` is that of each class, shape (C,)."""
    if train.loss == "focal":
        return FocalLoss(gamma=train.focal_gamma, weight=weight)
    return nn.CrossEntropyLoss(weight=weight, label_smoothing=train.label_smoothing)


def logit_adjustment(strength: float, counts: Sequence[int]) -> torch.Tensor:
    """Return what is added to the training logits, shape (C,): τ log π, π being each class's share of the images.

    Menon et al. 2021, "Long-tail learning via logit adjustment", equation 10. The rarer a class, the larger a margin
    its logit has to gain in training; predictions use the logits without it.

    Example:
        >>> logit_adjustment(1.0, [3, 1]).exp().tolist()
        [0.75, 0.25]
    """
    shares = torch.tensor(counts, dtype=torch.float32)
    return strength * torch.log(shares / shares.sum())
