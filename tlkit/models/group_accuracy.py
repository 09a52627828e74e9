"""`GroupAccuracy`: a torchmetrics metric of accuracy by group, from integer counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlkit.lightning import Metric
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson


class GroupAccuracy(Metric):
    """Counts right and wrong images of each group; the value is the accuracy of the worst group.

    The state is a table of integers, groups × (wrong, right), summed over batches and processes, so the value does not
    depend on the batches. (torchmetrics' own group metrics number the groups of each batch, and count wrongly if a
    batch lacks one.)

    Attributes:
        groups: names of the G groups.
        counts: images by group and whether they are right, shape (G, 2), int64.

    Example:
        >>> metric = GroupAccuracy(["day", "night"])
        >>> metric.update(torch.tensor([1, 0]), torch.tensor([1, 1]), torch.tensor([1, 1]))
        >>> metric.update(torch.tensor([1]), torch.tensor([1]), torch.tensor([0]))
        >>> metric.compute().item(), metric.worst[0]
        (0.5, 'night')
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    counts: torch.Tensor

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__()
        self.groups = tuple(groups)
        self.add_state("counts", default=torch.zeros(len(self.groups), 2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, y_pred: torch.Tensor, y_true: torch.Tensor, group: torch.Tensor) -> None:
        """Count a batch.

        Args:
            y_pred: predicted classes, shape (B,).
            y_true: true classes, shape (B,).
            group: index of each image's group, shape (B,); -1 = in none, and not counted.
        """
        known = group >= 0
        cell = 2 * group[known] + (y_pred == y_true)[known].long()
        self.counts += torch.bincount(cell, minlength=self.counts.numel()).view_as(self.counts)

    def compute(self) -> torch.Tensor:
        """Return the accuracy of the worst group that has images, in [0, 1]; NaN without images."""
        images = self.counts.sum(dim=1)
        rates = self.counts[:, 1].double() / images
        return rates[images > 0].min().float() if bool((images > 0).any()) else torch.tensor(float("nan"))

    @property
    def worst(self) -> tuple[str, Estimate]:
        """Name of the worst group that has images, and its accuracy with a Wilson interval."""
        table = [(name, *counts) for name, counts in zip(self.groups, self.counts.tolist(), strict=True)]
        there = [(right / (wrong + right), name, wrong + right, right) for name, wrong, right in table if wrong + right]
        if not there:
            return "", wilson(0, 0)
        _, name, images, right = min(there, key=lambda one: one[0])
        return name, wilson(right, images)
