"""Optimizers and learning-rate schedules, from a recipe's `train` section."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch.optim.lr_scheduler import LambdaLR

from tlkit.models.network import Network
from tlkit.models.strategies.apply_phase import ParameterGroup, parameter_groups
from tlkit.models.strategies.plan_phases import Phase
from tlkit.recipe import TrainSection
from tlkit.recipe.sections.train_section import Schedule

if TYPE_CHECKING:
    from tlkit.lightning import pl


def create_optimizer(groups: Sequence[ParameterGroup], train: TrainSection) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe; each group has its own learning rate and weight decay."""
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


def create_schedule(
    optimizer: torch.optim.Optimizer,
    train: TrainSection,
    *,
    phases: Sequence[Phase],
    steps_per_epoch: int,
    total_steps: int | None = None,
) -> LambdaLR:
    """Return the schedule of a recipe, stepped once per optimizer step; it restarts in each phase.

    The factor on a group's rate is a pure function of the step, so a resumed run gets the same values; it is 0 in a
    phase in which the group is frozen. With `total_steps` the last phase ends there, within its last epoch.
    """
    starts = [steps_per_epoch * phase.first_epoch for phase in phases]
    ends = [*starts[1:], total_steps or starts[-1] + steps_per_epoch * phases[-1].epochs]
    shapes = [
        learning_rate_factor(
            train.schedule,
            total=max(1, end - start),
            warmup=round(_warmup_epochs(train, phase, phases[0]) * steps_per_epoch),
        )
        for phase, start, end in zip(phases, starts, ends, strict=True)
    ]

    def of_group(rates: Sequence[float]) -> Callable[[int], float]:
        def factor(step: int) -> float:
            number = bisect_right(starts, step) - 1
            return rates[number] / max(rates) * shapes[number](step - starts[number])

        return factor

    return LambdaLR(optimizer, [of_group(group["rates"]) for group in optimizer.param_groups])


def optimizer_with_schedule(
    network: Network,
    phases: Sequence[Phase],
    train: TrainSection,
    *,
    steps_per_epoch: int,
    total_steps: int | None = None,
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Return the optimizer of a network that trains in phases, and its schedule; see `create_schedule`."""
    groups = parameter_groups(network, phases, learning_rate=train.learning_rate, weight_decay=train.weight_decay)
    optimizer = create_optimizer(groups, train)
    schedule = create_schedule(
        optimizer, train, phases=phases, steps_per_epoch=steps_per_epoch, total_steps=total_steps
    )
    return optimizer, schedule


def set_learning_rate(schedule: object, learning_rate: float) -> None:
    """Give the optimizer of a schedule from `create_schedule` another learning rate; other schedules stay as they are.

    Each group keeps its share of the rate, and its current rate becomes that of the schedule's current step.
    """
    if not isinstance(schedule, LambdaLR):
        return
    factors = zip(schedule.optimizer.param_groups, schedule.lr_lambdas, strict=True)
    schedule.base_lrs = [learning_rate * max(group["rates"]) for group in schedule.optimizer.param_groups]
    for (group, factor), rate in zip(factors, schedule.base_lrs, strict=True):
        group["initial_lr"] = rate
        group["lr"] = rate * factor(schedule.last_epoch)


def _warmup_epochs(train: TrainSection, phase: Phase, first: Phase) -> float:
    """Return the warm-up epochs of a phase; in one that they would fill, the same share as in the first phase.

    The last phase of `gradual` may be short.
    """
    if train.warmup_epochs < phase.epochs or phase.epochs >= first.epochs:
        return train.warmup_epochs
    return train.warmup_epochs * phase.epochs / first.epochs


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Return the optimizer steps of an epoch."""
    total = trainer.estimated_stepping_batches  # sets up the loader
    batches = trainer.num_training_batches
    if batches == float("inf"):
        return max(1, int(total) // max(1, trainer.max_epochs or 1))
    return max(1, math.ceil(batches / trainer.accumulate_grad_batches))


def learning_rate_factor(schedule: Schedule, *, total: int, warmup: int = 0) -> Callable[[int], float]:
    """Return the factor on the learning rate as a function of the step of a phase, 0 to total - 1.

    - `constant` rises linearly over the first `warmup` steps, then stays at 1.
    - `cosine` rises in the same way, then falls to 0 along half a cosine (Loshchilov & Hutter 2017, eq. 5, without
      restarts).
    - `one_cycle` rises from 1/25 along half a cosine over 30 % of the steps and falls to 1/250000 (Smith & Topin 2019;
      the numbers are those of torch's OneCycleLR). The momentum is constant.

    Example:
        >>> factor = learning_rate_factor("cosine", total=12, warmup=2)
        >>> [round(factor(step), 3) for step in (0, 1, 2, 7, 12)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if schedule == "one_cycle":
        return _one_cycle(total)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if schedule == "constant":
            return 1.0
        return _half_cosine(1.0, 0.0, min(1.0, (step - warmup) / max(1, total - warmup)))

    return factor


def _one_cycle(total: int) -> Callable[[int], float]:
    top, start, end = 0.3 * (total + 1) - 1, 1 / 25, 1 / 250_000

    def factor(step: int) -> float:
        if step <= top:
            return _half_cosine(start, 1.0, step / top)
        return _half_cosine(1.0, end, min(1.0, (step - top) / (total - top)))

    return factor


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
