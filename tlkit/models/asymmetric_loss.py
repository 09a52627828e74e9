"""The asymmetric loss of several labels, by timm: a door to timm."""

from __future__ import annotations

import torch
from torch import nn

from tlkit.timm import AsymmetricLossMultiLabel


def asymmetric_loss(*, weight: torch.Tensor | None = None, positive_weight: torch.Tensor | None = None) -> nn.Module:
    """Return the loss of logits (B, L) and targets (B, L), 1 or 0: the mean over images and labels, in nats.

    Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", ICCV, equations 4 and 5, with the settings of
    the authors: −(1 − p)^γ₊ log p where an image has the label, and −p_m^γ₋ log(1 − p_m), p_m = max(p − m, 0), where it
    has not; γ₊ = 1, γ₋ = 4, m = 0.05. Images that surely lack a label, which are most, count little or nothing.

    Args:
        weight: of each label, shape (L,); None = 1.
        positive_weight: of the images with each label, shape (L,); None = 1.

    Example:
        >>> loss = asymmetric_loss()
        >>> round(loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)  # 0.5 · log 2
        0.3466
    """
    return AsymmetricLossMultiLabel(reduction="mean", weight=weight, pos_weight=positive_weight)
