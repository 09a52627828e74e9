"""`SegmentationHead`: the class of each pixel as a task of the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tlkit.choices import MaskLoss, TrainedTask
from tlkit.models.mask_decoder import IGNORED, mask_loss


@dataclass(frozen=True)
class SegmentationHead:
    """One of several classes for each pixel: softmax over the classes, and a loss of segmentation_models_pytorch.

    Attributes:
        loss: dice, cross_entropy or focal.
    """

    loss: MaskLoss = "dice"
    task: TrainedTask = "segmentation"

    def outputs(self, classes: int) -> int:
        """Return one logit for each class, of each pixel."""
        return classes

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the softmax (B, C, H, W)."""
        return torch.softmax(logits, dim=1)

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the most probable class of each pixel (B, H, W)."""
        return scores.argmax(dim=1)

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image alone (B,), of targets (B, H, W); 0 where every pixel is unknown."""
        return torch.stack([self.batch_loss(logits[[row]], targets[[row]]) for row in range(len(targets))])

    def image_weights(self, targets: torch.Tensor) -> torch.Tensor:
        """Return the weight of each image (B,) in the loss of a step of several batches, of targets (B, H, W).

        The library's focal loss is a mean over the known pixels, so w is their share; its cross-entropy is one over all
        pixels, with 0 where they are unknown, so w is 1. Of a Dice coefficient w is 1, too: it is no mean over batches,
        and a step over several of them has the mean of their losses.
        """
        if self.loss == "focal":
            return (targets != IGNORED).flatten(1).float().mean(dim=1)
        return torch.ones(len(targets), device=targets.device)

    def batch_loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch; 0 where every pixel is unknown."""
        if not bool((targets != IGNORED).any()):
            return logits.sum() * 0.0
        loss: torch.Tensor = mask_loss(self.loss)(logits, targets)
        return loss


def mean_image_iou(predicted: torch.Tensor, targets: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean IoU of each image (B,) over the classes that its masks show, and whether any pixel is known (B,).

    Args:
        predicted: classes, shape (B, H, W).
        targets: true classes, 255 = unknown, shape (B, H, W).
        classes: their number, C.
    """
    values = []
    for called, true in zip(predicted, targets, strict=True):
        known = true != IGNORED
        cells = torch.bincount(true[known] * classes + called[known], minlength=classes**2).reshape(classes, classes)
        right = cells.diagonal().float()
        union = cells.sum(dim=0) + cells.sum(dim=1) - right
        values.append((right / union.clamp(min=1)).sum() / (union > 0).sum().clamp(min=1))
    return torch.stack(values), (targets != IGNORED).flatten(1).any(dim=1)
