"""`TaskHead`: the number of outputs, the loss, the scores and the predictions of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from tlkit.choices import TrainedTask
from tlkit.models.box_head import DetectionTask
from tlkit.models.mask_head import SegmentationHead
from tlkit.recipe import TrainSection


class TaskHead(Protocol):
    """A task as the network and its training see it; targets are what `Samples.target_values` gives."""

    @property
    def task(self) -> TrainedTask:
        """Its name."""

    def outputs(self, classes: int) -> int:
        """Return the number of logits for this many classes, labels or grades."""

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return what logits (B, K) say: probabilities (B, C), or numbers (B, 1)."""

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the predictions that scores say: classes or grades (B,) int64, labels (B, L) bool, numbers (B,)."""

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the plain loss of each image, shape (B,), without weights, by which epochs are compared."""


@dataclass(frozen=True)
class MulticlassHead:
    """One of several classes: softmax and cross-entropy, in nats."""

    task: TrainedTask = "multiclass"

    def outputs(self, classes: int) -> int:
        """Return one logit for each class."""
        return classes

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the softmax (B, C)."""
        return torch.softmax(logits, dim=1)

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the most probable class (B,)."""
        return scores.argmax(dim=1)

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy (B,) of targets (B,)."""
        return functional.cross_entropy(logits, targets, reduction="none")


@dataclass(frozen=True)
class MultilabelHead:
    """Any number of labels: a sigmoid and the binary cross-entropy of each, in nats, whose mean is the loss."""

    task: TrainedTask = "multilabel"

    def outputs(self, classes: int) -> int:
        """Return one logit for each label."""
        return classes

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probability of each label (B, L), each on its own."""
        return torch.sigmoid(logits)

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return which labels have a probability of 0.5 or more (B, L)."""
        return scores >= 0.5

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean over the labels (B,) of targets (B, L), 1 or 0."""
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)


@dataclass(frozen=True)
class OrdinalHead:
    """Ordered grades by conditional ranks (CORN): logit k is that of a grade above k, given that it is k or more.

    Shi, Cao & Raschka 2023, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities", Pattern Analysis and Applications 26:941, sections 3.3 and 3.4. The probability of a grade above k
    is the product of the conditional ones up to k, so it never rises with k.
    """

    task: TrainedTask = "ordinal"

    def outputs(self, classes: int) -> int:
        """Return one logit for each grade but the highest."""
        return classes - 1

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probability of each grade (B, K), from the lowest on."""
        # the product of the conditional probabilities by its logarithm, which ONNX has, too; (B, K-1): P(y > k)
        above = torch.exp(torch.cumsum(functional.logsigmoid(logits), dim=1))
        one, none = torch.ones_like(above[:, :1]), torch.zeros_like(above[:, :1])
        return torch.cat([one, above], dim=1) - torch.cat([above, none], dim=1)

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the number of ranks whose probability to lie above is more than 0.5 (B,): a median of the grades."""
        above = 1 - torch.cumsum(scores, dim=1)[:, :-1]
        return (above > 0.5).sum(dim=1)

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return −log of the probability of the grade (B,): the sum of its conditional cross-entropies."""
        return conditional_losses(logits, targets).sum(dim=1)


def conditional_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of each rank (B, K-1) of grades (B,); 0 where the condition does not hold."""
    rank = torch.arange(logits.shape[1], device=logits.device)
    is_above = (targets[:, None] > rank).to(logits.dtype)
    each = functional.binary_cross_entropy_with_logits(logits, is_above, reduction="none")
    return each * (targets[:, None] >= rank)


@dataclass(frozen=True)
class RegressionHead:
    """A number: the network gives it in standard deviations from the mean of the training numbers.

    Attributes:
        mean: mean of the training numbers.
        std: their standard deviation, above 0.
        squared: whether the loss is the squared error; else Huber's, unless there are quantiles.
        quantiles: levels of the lower and the upper quantile that the network gives beside the median, in (0, 1), such
            as (0.025, 0.975); None = one number.
    """

    mean: float = 0.0
    std: float = 1.0
    squared: bool = False
    quantiles: tuple[float, float] | None = None
    task: TrainedTask = "regression"

    def outputs(self, classes: int) -> int:
        """Return 1; with quantiles 3: the median, the lower and the upper one."""
        return 1 if self.quantiles is None else 3

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the number (B, 1) in its unit; with quantiles (B, 3), the smaller of the outer two before the larger.

        Quantiles of a network may cross; sorted they are no farther from the true ones (Chernozhukov, Fernández-Val &
        Galichon 2010, Econometrica 78:1093).
        """
        found = self.mean + self.std * logits
        if self.quantiles is None:
            return found
        lower, upper = torch.minimum(found[:, 1], found[:, 2]), torch.maximum(found[:, 1], found[:, 2])
        return torch.stack([found[:, 0], lower, upper], dim=1)

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the number (B,)."""
        return scores[:, 0]

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss (B,) of targets (B,) in their unit, computed in standard deviations.

        Huber 1964, "Robust Estimation of a Location Parameter": e²/2 up to 1, |e| − 1/2 beyond. With quantiles the sum
        over their levels τ of the pinball loss max(τ e, (τ − 1) e) of e = y − q (Koenker & Bassett 1978, Econometrica
        46:33), whose smallest mean is at the quantile.
        """
        wanted = (targets - self.mean) / self.std
        if self.quantiles is not None:
            level = torch.tensor([0.5, *self.quantiles], dtype=logits.dtype, device=logits.device)
            error = wanted[:, None] - logits
            return torch.maximum(level * error, (level - 1) * error).sum(dim=1)
        if self.squared:
            return functional.mse_loss(logits[:, 0], wanted, reduction="none")
        return functional.huber_loss(logits[:, 0], wanted, reduction="none", delta=1.0)


def task_head(
    task: TrainedTask,
    *,
    scale: tuple[float, float] | None = None,
    train: TrainSection | None = None,
    quantiles: tuple[float, float] | None = None,
) -> TaskHead:
    """Return the head of a task.

    Args:
        task: its name.
        scale: mean and standard deviation of the training numbers, for regression.
        train: the section that names the loss of numbers or masks; None = its default.
        quantiles: levels of the lower and the upper quantile of a network of numbers; None = those that the section
            names, if its loss is that of quantiles.
    """
    if task == "segmentation":
        return SegmentationHead() if train is None else SegmentationHead(train.mask_loss)
    if task == "detection":
        return DetectionTask()
    if task == "regression":
        mean, std = scale or (0.0, 1.0)
        if quantiles is None and train is not None and train.number_loss == "quantile":
            tail = (1.0 - train.quantile_coverage) / 2.0
            quantiles = tail, 1.0 - tail
        squared = train is not None and train.number_loss == "mse"
        return RegressionHead(mean, std, squared=squared, quantiles=quantiles)
    heads: Mapping[TrainedTask, TaskHead] = {
        "multiclass": MulticlassHead(),
        "multilabel": MultilabelHead(),
        "ordinal": OrdinalHead(),
    }
    return heads[task]


class TaskLoss(nn.Module):
    """The training loss of another task than one class: Σ w_i l_i / Σ w_i over the images of a batch, in nats.

    Of several labels l is the mean over the labels of their weight times the binary cross-entropy, in which the term
    of an image with the label has its own weight, and w is 1. Of grades l is the mean of the conditional
    cross-entropies, w their number times the weight of the grade: so a batch's loss is their weighted mean over all
    images and ranks, as in the authors' code of CORN. Of numbers w is 1. Of masks the loss is that of the batch as a
    whole, since a Dice coefficient is no mean over images; see `SegmentationHead.image_weights` for w.

    Of several labels `asymmetric_loss` may take the place of the binary cross-entropy.

    Attributes:
        head: the task.
        class_weight: of each label or grade, shape (C,); None = 1.
        positive_weight: of the images with each label, shape (L,); None = 1.
        classes: number of labels or grades; 0 for numbers.
    """

    class_weight: torch.Tensor | None
    positive_weight: torch.Tensor | None

    def __init__(
        self,
        head: TaskHead,
        *,
        classes: int,
        class_weight: torch.Tensor | None = None,
        positive_weight: torch.Tensor | None = None,
        asymmetric: bool = False,
    ) -> None:
        super().__init__()
        self.head = head
        self.asymmetric: nn.Module | None = None
        if asymmetric:
            from tlkit.models.asymmetric_loss import asymmetric_loss

            self.asymmetric = asymmetric_loss(weight=class_weight, positive_weight=positive_weight)
        self.classes = classes
        self.register_buffer("class_weight", class_weight)
        self.register_buffer("positive_weight", positive_weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits (B, K) and targets as `Samples.target_values` gives them."""
        if self.head.task == "ordinal":
            weights = self.image_weights(targets)
            each = conditional_losses(logits, targets).sum(dim=1)
            own = 1.0 if self.class_weight is None else self.class_weight[targets]
            return (each * own).sum() / weights.sum()
        if self.asymmetric is not None:
            loss: torch.Tensor = self.asymmetric(logits, targets)
            return loss
        if self.head.task == "multilabel":
            return functional.binary_cross_entropy_with_logits(
                logits, targets, weight=self.class_weight, pos_weight=self.positive_weight
            )
        if isinstance(self.head, SegmentationHead):
            return self.head.batch_loss(logits, targets)
        return self.head.losses(logits, targets).mean()

    def image_weights(self, targets: torch.Tensor) -> torch.Tensor:
        """Return the weight of each image in the loss of a step, shape (B,)."""
        if isinstance(self.head, SegmentationHead):
            return self.head.image_weights(targets)
        if self.head.task != "ordinal":
            return torch.ones(len(targets), device=targets.device)
        ranks = torch.clamp(targets + 1, max=self.classes - 1).to(torch.float32)  # conditions that hold for each image
        return ranks if self.class_weight is None else ranks * self.class_weight[targets]


def create_task_loss(
    head: TaskHead,
    classes: Sequence[str],
    *,
    weights: Mapping[str, float] | None = None,
    positive_weights: Mapping[str, float] | None = None,
    asymmetric: bool = False,
) -> TaskLoss:
    """Return the loss of a task for these labels or grades.

    Args:
        head: the task.
        classes: labels or grades in target order.
        weights: of each of them; None = all 1.
        positive_weights: of the images with each label; None = all 1.
        asymmetric: whether several labels have the asymmetric loss.
    """
    return TaskLoss(
        head,
        classes=len(classes),
        class_weight=_tensor(weights, classes),
        positive_weight=_tensor(positive_weights, classes),
        asymmetric=asymmetric,
    )


def _tensor(weights: Mapping[str, float] | None, classes: Sequence[str]) -> torch.Tensor | None:
    return None if weights is None else torch.tensor([float(weights[name]) for name in classes])
