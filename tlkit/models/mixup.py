"""Mixup and cutmix of a batch, on the device, as a function of a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tlkit.recipe import TrainSection


@dataclass(frozen=True)
class MixedBatch:
    """A batch whose images are mixed in pairs.

    Attributes:
        images: (B, 3, H, W).
        first: (B,) targets of the original images, or shares of the classes (B, C).
        second: the targets of the images that are mixed in.
        share: share of the original image, 0 to 1; the loss is share · L(first) + (1 − share) · L(second).
    """

    images: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    share: float

    def loss(self, of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits (B, C) by a function of logits and targets, weighted by the share."""
        loss = of(logits, self.first)
        return loss if self.share >= 1 else self.share * loss + (1 - self.share) * of(logits, self.second)


def mix_batch_of_epoch(
    images: torch.Tensor, targets: torch.Tensor, train: TrainSection, *, epoch: int, seed: int
) -> MixedBatch:
    """Return a batch mixed as a recipe says, and unmixed in its last `mixup_off_epochs`; `epoch` counts from 0."""
    mixes = epoch < train.epochs - train.mixup_off_epochs
    mixup, cutmix = (train.mixup, train.cutmix) if mixes else (0.0, 0.0)
    return mix_batch(images, targets, mixup=mixup, cutmix=cutmix, seed=seed)


def mix_batch(images: torch.Tensor, targets: torch.Tensor, *, mixup: float, cutmix: float, seed: int) -> MixedBatch:
    """Return a batch mixed with itself in another order.

    Mixup takes λ x + (1 − λ) x′ (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", section 2). Cutmix
    puts a box of x′ into x that covers 1 − λ of it where it lies inside (Yun et al. 2019, "CutMix", equations 1 and 2);
    the share is then that of the pixels. λ is drawn from Beta(α, α), once a batch. The seed alone determines all
    random choices, on any device.

    Args:
        images: (B, 3, H, W), normalized or not.
        targets: (B,), or shares of the classes (B, C).
        mixup: its α; 0 = no mixup.
        cutmix: its α; 0 = no cutmix. If both are above 0, each batch takes one of them at random.
        seed: of this batch.
    """
    if mixup <= 0 and cutmix <= 0:
        return MixedBatch(images, targets, targets, 1.0)
    stream = np.random.Generator(np.random.PCG64(seed))
    with_box = cutmix > 0 and (mixup <= 0 or stream.random() < 0.5)
    order = torch.from_numpy(stream.permutation(len(images))).to(images.device)
    alpha = cutmix if with_box else mixup
    share = float(stream.beta(alpha, alpha))
    if not with_box:
        return MixedBatch(images * share + images[order] * (1 - share), targets, targets[order], share)
    height, width = images.shape[-2:]
    rows, columns = (_inside(stream, side, share) for side in (height, width))
    mixed = images.clone()
    mixed[..., rows, columns] = images[order][..., rows, columns]
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return MixedBatch(mixed, targets, targets[order], 1 - covered / (height * width))


def _inside(stream: np.random.Generator, side: int, share: float) -> slice:
    """Return the part of a side that a box of √(1 − share) times its length, at a random center, covers."""
    length = int(side * (1 - share) ** 0.5)
    start = int(stream.integers(side)) - length // 2
    return slice(max(0, start), min(side, start + length))
