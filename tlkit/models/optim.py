"""Optimizers and learning-rate schedules, from a recipe's `train` section."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from tlkit.models.strategy import ParameterGroup
from tlkit.recipe import TrainSection


def create_optimizer(groups: Sequence[ParameterGroup], train: TrainSection) -> torch.optim.Optimizer:
    """Build the optimizer that the recipe names; each group carries its own learning rate and weight decay."""
    parameters = list(groups)
    rate = train.learning_rate
    match train.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=train.momentum, nesterov=train.momentum > 0)
        case "adam":
            return torch.optim.Adam(parameters, lr=rate)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=rate)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=rate, momentum=train.momentum)


def create_schedule(optimizer: torch.optim.Optimizer, train: TrainSection, *, steps_per_epoch: int) -> LRScheduler:
    """Build the schedule that the recipe names, stepped once a batch.

    `one_cycle` follows Smith & Topin (2019) as torch implements it, with its own warm-up over the first 30 % of steps;
    the momentum stays as the recipe states it.
    """
    total = max(1, steps_per_epoch * train.epochs)
    if train.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=rates, total_steps=total + 1, cycle_momentum=False)
    warmup = round(train.warmup_epochs * steps_per_epoch)
    return LambdaLR(optimizer, learning_rate_factor(train.schedule == "cosine", total=total, warmup=warmup))


def learning_rate_factor(cosine: bool, *, total: int, warmup: int) -> Callable[[int], float]:
    """Return the factor on the learning rate as a function of the step, 0…total-1.

    It rises linearly over the first `warmup` steps, then stays at 1 or falls to 0 along half a cosine (Loshchilov &
    Hutter 2017, eq. 5, without restarts). It is a pure function of the step, so a resumed run meets the same values.

    Example:
        >>> factor = learning_rate_factor(True, total=12, warmup=2)
        >>> [round(factor(step), 3) for step in (0, 1, 2, 7, 12)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if not cosine:
            return 1.0
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return 0.5 * (1.0 + math.cos(math.pi * progress))

    return factor
