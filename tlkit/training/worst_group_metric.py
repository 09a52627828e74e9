"""The accuracy of the worst validation group in every epoch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from tlkit.audit.group_tables import CROSS
from tlkit.data.loading.batch import Batch
from tlkit.errors import RecipeError, first_few
from tlkit.lightning import pl
from tlkit.models.group_accuracy import GroupAccuracy
from tlkit.recipe import Recipe
from tlkit.runs.repair_groups import Grouping
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

WORST = "val_worst_group_accuracy"


class WorstGroup(pl.Callback):
    """Logs the accuracy of the worst group after every validation, with the ends of its Wilson interval.

    Images are found by their row in the split; the model sees no groups.

    Args:
        groups: their names.
        group: index of the group of each row of the val split, shape (N,); -1 = in none.

    Attributes:
        metric: counts of the current or last validation.
    """

    def __init__(self, groups: tuple[str, ...], group: torch.Tensor) -> None:
        self.metric = GroupAccuracy(groups)
        self._group = group

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the counts."""
        self.metric.to(pl_module.device).reset()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, *position: int
    ) -> None:
        """Count the predictions of a batch; images that all ranks see are counted by rank 0."""
        if trainer.global_rank and len(self._group) < trainer.world_size:
            return
        group = self._group[batch.index.cpu()].to(outputs["y_pred"].device)
        self.metric.update(outputs["y_pred"], batch.target, group)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the worst group over all batches and processes."""
        value = self.metric.compute()
        with self.metric.sync_context(should_sync=trainer.world_size > 1):
            name, worst = self.metric.worst
        bounds = {"_low": worst.low, "_high": worst.high}
        figures = {"": value} | {end: float("nan") if limit is None else limit for end, limit in bounds.items()}
        for end, figure in figures.items():  # equal in all processes; a maximum keeps every bit
            pl_module.log(f"{WORST}{end}", figure, sync_dist=True, reduce_fx="max")
        logger.info("The worst group of val is %s: %s.", name, worst.format())


def watch_worst_group(recipe: Recipe, samples: Samples) -> WorstGroup | None:
    """Return the metric of the worst group where the recipe selects or stops by it; else None.

    The groups are those of `audit.by`, or the intersections of several columns. Groups with fewer than
    `audit.min_group_size` validation images are logged and left out: chance would make them the worst.

    Raises:
        RecipeError: fewer than two groups have enough validation images.
    """
    train = recipe.train
    watched = train.early_stopping.monitor if train.early_stopping else None
    val = samples.split("val")
    if WORST not in (train.monitor, watched) or not len(val):
        return None
    grouping = Grouping.of(val, recipe.audit.plain)
    counts = np.bincount(grouping.code, minlength=len(grouping.values))
    enough = np.flatnonzero(counts >= recipe.audit.min_group_size)
    few = [f"{grouping.values[i]} {counts[i]}" for i in np.flatnonzero(counts < recipe.audit.min_group_size)]
    small = f"by {CROSS.join(grouping.by)} with fewer than audit.min_group_size ({recipe.audit.min_group_size})"
    if len(enough) < 2:
        raise RecipeError(
            f"train.monitor: {WORST} needs two groups or more; there are too many groups {small} validation images: "
            f"{first_few(few, most=10)}. Add images, or lower audit.min_group_size."
        )
    if few:
        logger.warning("Left out of the worst group: groups %s validation images: %s.", small, first_few(few, most=10))
    position = np.full(len(counts), -1, dtype=np.int64)
    position[enough] = np.arange(len(enough))
    return WorstGroup(tuple(grouping.values[i] for i in enough), torch.from_numpy(position[grouping.code]))
