"""Training losses: cross-entropy, focal loss, group DRO; and the logit adjustment for rare classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from tlkit.errors import ModelError
from tlkit.models.process_group import all_gather
from tlkit.models.task_heads import TaskLoss
from tlkit.recipe import TrainSection


class FocalLoss(nn.Module):
    """Mean of −w_y (1 − p_y)^γ log p_y over the images, weighted by w_y as torch's cross-entropy is.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equations 4 and 5, with the softmax's probability of the
    true class for p_t. With γ = 0 it is the cross-entropy.

    Attributes:
        gamma: γ, at least 0; the larger, the less well-classified images count.
        weight: w, shape (C,), or None for 1.
    """

    def __init__(self, *, gamma: float, weight: torch.Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits (B, C) and targets (B,), in nats."""
        log_p = functional.log_softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]  # (B,)
        doubt = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)  # 1 - p; a power has no gradient at 0
        loss = -(doubt**self.gamma) * log_p
        if self.weight is None:
            return loss.mean()
        weight = cast(torch.Tensor, self.weight)[targets]
        return (weight * loss).sum() / weight.sum()


class GroupDROLoss(nn.Module):
    """Group DRO: cross-entropy of groups whose weights grow with their loss.

    Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", algorithm 1, for batches of several
    groups as in the authors' code: on each optimizer step q_g ← q_g · exp(η · l_g), divided by the sum of all q, and
    then the loss Σ q_g · l_g, where l_g is the mean cross-entropy of the step's images of group g, and 0 without any.
    All weights start equal; they are stored as logarithms, so that none underflows to 0.

    Attributes:
        step: η, above 0.
        log_q: natural logarithm of each group's weight, shape (G,); a buffer, so checkpoints hold it.
        group_of: group of each row of the training images, shape (N,), None before `set_groups`; not a buffer, so it is
            neither stored nor broadcast.
    """

    log_q: torch.Tensor

    def __init__(self, *, groups: int, step: float, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.step = step
        self.label_smoothing = label_smoothing
        self.register_buffer("log_q", torch.full((groups,), -math.log(groups)))
        self.group_of: torch.Tensor | None = None

    def set_groups(self, codes: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Set the group of each training image.

        Args:
            codes: by row of the training images, shape (N,), from 0 to below the number of groups.

        Raises:
            ModelError: a code is out of range.
        """
        found = torch.as_tensor(codes, dtype=torch.int64, device=self.log_q.device)
        if not bool(((found >= 0) & (found < len(self.log_q))).all()):
            raise ModelError(f"Groups must be whole numbers from 0 to {len(self.log_q) - 1}.")
        self.group_of = found

    def groups_in(self, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the groups (B,) of a batch of images, targets and rows.

        Raises:
            ModelError: the groups are not set, or the batch has no rows.
        """
        if self.group_of is None or len(batch) < 3:
            raise ModelError(
                "train.loss: group_dro needs groups. Call loss.set_groups, and give batches of images, targets, rows."
            )
        self.group_of = self.group_of.to(batch[2].device)
        return self.group_of[batch[2]]

    @property
    def q(self) -> torch.Tensor:
        """The weight of each group, shape (G,); they sum to 1."""
        return self.log_q.exp()

    def forward(
        self, logits: torch.Tensor, targets: torch.Tensor, group: torch.Tensor, *, processes: int = 1
    ) -> torch.Tensor:
        """Return the loss of logits (B, C), targets (B,) and groups (B,), in nats; in training mode q is updated first.

        See `of_sums`.
        """
        return self.of_sums(self.sums(logits, targets, group), processes=processes)

    def sums(self, logits: torch.Tensor, targets: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        """Return the sum of the cross-entropy of each group, and its number of images, shape (2, G).

        Targets are classes (B,), or shares of the classes (B, C).

        Sums of several batches add up to those of one batch of their images.
        """
        each = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=self.label_smoothing)
        inside = functional.one_hot(group, len(self.log_q)).to(each.dtype)  # (B, G)
        return torch.stack([(each[:, None] * inside).sum(dim=0), inside.sum(dim=0)])

    def of_sums(self, sums: torch.Tensor, *, processes: int = 1) -> torch.Tensor:
        """Return the loss of a step's images from their sums (2, G), in nats; in training mode q is updated first.

        A loss that is not finite does not change q. With several processes, each gets its images' part of the loss
        times the number of processes, so that the mean over the processes is the loss of the whole batch, for values
        and gradients. q is the same in all of them.
        """
        whole = all_gather(sums.detach(), processes=processes).sum(dim=0)
        images = whole[1].clamp(min=1)
        if self.training:
            moved = torch.log_softmax(self.log_q + self.step * whole[0] / images, dim=0)
            self.log_q.copy_(torch.where(torch.isfinite(moved).all(), moved, self.log_q))
        return processes * (self.q * sums[0] / images).sum()


def create_loss(train: TrainSection, *, weight: torch.Tensor | None, groups: int | None = None) -> nn.Module:
    """Return the loss of a recipe; `weight` is that of each class, shape (C,), and `groups` the number of groups.

    Raises:
        ModelError: group DRO without groups.
    """
    if train.loss == "group_dro":
        if not groups:
            raise ModelError("train.loss: group_dro needs the number of groups. Pass num_groups.")
        return GroupDROLoss(groups=groups, step=train.group_dro_step, label_smoothing=train.label_smoothing)
    if train.loss == "focal":
        return FocalLoss(gamma=train.focal_gamma, weight=weight)
    return nn.CrossEntropyLoss(weight=weight, label_smoothing=train.label_smoothing)


def loss_and_adjustment(
    train: TrainSection,
    classes: Sequence[str],
    *,
    weights: Mapping[str, float] | None,
    counts: Mapping[str, int] | None,
    groups: int | None,
) -> tuple[nn.Module, torch.Tensor]:
    """Return the loss of a recipe for these classes, and the term (C,) that is added to the training logits.

    Args:
        train: the section.
        classes: class names in target order.
        weights: weight of each class in the loss; None = all 1.
        counts: training images of each class, for the logit adjustment.
        groups: number of groups, for group DRO.

    Raises:
        ModelError: the counts or the groups are missing.
    """
    weight = None if weights is None else torch.tensor([weights[name] for name in classes])
    loss = create_loss(train, weight=weight, groups=groups)
    if train.logit_adjustment and counts is None:
        raise ModelError("train.logit_adjustment needs the number of images of each class. Pass class_counts.")
    return loss, logit_adjustment(train.logit_adjustment, [counts[name] if counts else 1 for name in classes])


def targets_of(batch: Sequence[torch.Tensor], shares: torch.Tensor | None) -> torch.Tensor:
    """Return the targets (B,) of a batch of images, targets, rows; with soft labels its shares of the classes (B, C).

    Args:
        batch: the batch.
        shares: of all training images, shape (N, C); None without soft labels.
    """
    return batch[1] if shares is None else shares[batch[2].cpu()].to(batch[1].device)


def loss_of(loss: nn.Module, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of logits (B, C) and targets, in nats: classes (B,) int64, or shares of the classes (B, C).

    The loss of another task takes its own targets, which may be floating, too.

    With shares y it is Σ w_c y'_c l_c / Σ w_c y_c over images and classes, with l_c the loss if c were the class, w the
    class weights and y' the shares after label smoothing, which equals the loss of classes where a share is 1. torch's
    own cross-entropy divides by the number of images instead, so that class weights would change the step's size.
    """
    if isinstance(loss, TaskLoss) or not targets.is_floating_point():
        return cast(torch.Tensor, loss(logits, targets))
    log_p = functional.log_softmax(logits, dim=1)
    each, shares = -log_p, targets
    if isinstance(loss, FocalLoss):
        each = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny) ** loss.gamma * each
    elif smoothing := cast(float, getattr(loss, "label_smoothing", 0.0)):
        shares = (1 - smoothing) * targets + smoothing / targets.shape[1]
    weight = cast(torch.Tensor | None, getattr(loss, "weight", None))
    return (shares * each * (1.0 if weight is None else weight)).sum() / weight_in_loss(loss, targets)


def weight_in_loss(loss: nn.Module, targets: torch.Tensor) -> torch.Tensor | float:
    """Return the weight of a batch's images in the loss of a step: their number, or the sum of their class weights.

    `targets` are classes (B,), or shares of the classes (B, C), whose weights are averaged by their shares; or those of
    another task.
    """
    if isinstance(loss, TaskLoss):
        return loss.image_weights(targets).sum()
    weight = cast(torch.Tensor | None, getattr(loss, "weight", None))
    if weight is None:
        return len(targets)
    return (targets @ weight).sum() if targets.is_floating_point() else weight[targets].sum()


def logit_adjustment(strength: float, counts: Sequence[int]) -> torch.Tensor:
    """Return the term that is added to the training logits, shape (C,): τ log π, with π each class's share of images.

    Menon et al. 2021, "Long-tail learning via logit adjustment", equation 10. The rarer a class, the larger the margin
    that its logit must gain in training; predictions use the logits without it.

    Example:
        >>> logit_adjustment(1.0, [3, 1]).exp().tolist()
        [0.75, 0.25]
    """
    shares = torch.tensor(counts, dtype=torch.float32)
    return strength * torch.log(shares / shares.sum())
