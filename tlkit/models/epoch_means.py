"""Means over the images of an epoch: the loss and the accuracy of an evaluation, and the training loss so far."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from tlkit.lightning import Metric
from tlkit.models.mask_head import mean_image_iou
from tlkit.models.process_group import all_gather
from tlkit.models.task_heads import MulticlassHead, TaskHead


class WeightedMean(Metric):
    """A weighted mean over the batches and processes of an epoch.

    torchmetrics 1.9 has one, but its MeanMetric either ignores the weights or waits for the device at every update.
    """

    mean_value: torch.Tensor
    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("mean_value", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, values: torch.Tensor, weights: torch.Tensor | float = 1.0) -> None:
        """Add values with their weights, which are broadcast to them."""
        weights = torch.as_tensor(weights, dtype=torch.float32, device=values.device).expand(values.shape)
        self.mean_value += (values * weights).sum()
        self.weight += weights.sum()

    def compute(self) -> torch.Tensor:
        """Return the mean."""
        return self.mean_value / self.weight


class EvaluationMeans(nn.Module):
    """The plain loss and the accuracy of an evaluation, without smoothing and class weights.

    The loss is the cross-entropy in nats, or that of another task. Of grades and numbers there is the mean absolute
    error in place of the accuracy, of masks the mean IoU of the images; of several labels there is the loss alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.task: TaskHead = MulticlassHead()
        self.loss, self.accuracy = WeightedMean(), WeightedMean()

    def update(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Add a batch of logits and targets, as those of `TaskHead`; return its predictions."""
        is_class = self.task.task == "multiclass"
        y_pred = self.task.predicted(logits if is_class else self.task.scores(logits))
        self.loss.update(self.task.losses(logits, targets))
        if is_class:
            self.accuracy.update((y_pred == targets).float())
        elif self.task.task == "segmentation":
            self.accuracy.update(*mean_image_iou(y_pred, targets, logits.shape[1]))
        elif self.second is not None:
            self.accuracy.update((y_pred - targets).abs().float())
        return y_pred

    @property
    def second(self) -> str | None:
        """The name of the figure beside the loss; None where there is none."""
        names = {"multiclass": "accuracy", "regression": "mae", "ordinal": "mae", "segmentation": "iou"}
        return names.get(self.task.task)

    def metrics(self) -> Iterator[tuple[str, WeightedMean]]:
        """Yield "loss" and the figure beside it, each with its mean."""
        yield "loss", self.loss
        if self.second is not None:
            yield self.second, self.accuracy


def gather_mean(metric: WeightedMean, *, processes: int) -> list[list[float]]:
    """Return mean and weight so far of each process, by rank; a collective call."""
    so_far = torch.stack([metric.mean_value, metric.weight]).clone()
    values: list[list[float]] = all_gather(so_far, processes=processes).tolist()
    return values


def restore_mean(metric: WeightedMean, values: list[list[float]] | None, *, rank: int) -> None:
    """Restore what `gather_mean` returned; None empties the mean."""
    metric.reset()
    if values is not None:
        so_far = torch.tensor(values).reshape(-1, 2)[rank]
        metric.mean_value.copy_(so_far[0])
        metric.weight.copy_(so_far[1])
