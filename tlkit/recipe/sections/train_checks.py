"""What contradicts itself in `train`: epochs, averages, devices, and groups that nothing names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.recipe.sections.contradiction import Contradiction
from tlkit.recipe.sections.dependent_keys import unmet_dependencies
from tlkit.recipe.sections.loss_checks import of_loss

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe
    from tlkit.recipe.sections.train_section import TrainSection


def of_train(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what contradicts itself about training."""
    train = recipe.train
    yield from unmet_dependencies(recipe, "train.optimizer")
    yield from unmet_dependencies(recipe, "train.schedule")
    if train.schedule != "one_cycle" and train.warmup_epochs >= train.epochs:
        yield Contradiction(
            ("train.warmup_epochs", "train.epochs"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, but train.epochs is {train.epochs}. "
            f"Use less than {train.epochs}, or 0 for no warm-up.",
        )
    yield from of_loss(recipe)
    yield from _of_mixing(train)
    yield from _of_groups(recipe)
    yield from _of_soup(recipe)
    yield from _of_sharding(train)
    if train.precision == 16 and train.device == "cpu":
        yield Contradiction(
            ("train.precision", "train.device"),
            "train.precision is 16, but train.device is cpu, which has no float16 training. "
            "Use precision: bf16, 32 or auto.",
        )
    if train.device == "mps" and train.devices not in ("auto", 1):
        yield Contradiction(
            ("train.devices", "train.device"),
            f"train.devices is {train.devices}, but train.device is mps, of which a machine has one. Use devices: 1.",
        )


def _of_mixing(train: TrainSection) -> Iterator[Contradiction]:
    if train.mixup_off_epochs and not (train.mixup or train.cutmix):
        yield Contradiction(
            ("train.mixup_off_epochs", "train.mixup"),
            f"train.mixup_off_epochs is {train.mixup_off_epochs}, but there is neither mixup nor cutmix to turn off. "
            "Remove train.mixup_off_epochs, or set train.mixup or train.cutmix.",
        )
    elif train.mixup_off_epochs >= train.epochs:
        yield Contradiction(
            ("train.mixup_off_epochs", "train.epochs"),
            f"train.mixup_off_epochs is {train.mixup_off_epochs}, but train.epochs is {train.epochs}, which leaves "
            f"none to mix in. Use less than {train.epochs}.",
        )


def _of_groups(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what needs groups, where `audit.by` names none."""
    train = recipe.train
    if recipe.audit.by:
        return
    watched = train.early_stopping.monitor if train.early_stopping is not None else None
    for key, monitor in (("train.monitor", train.monitor), ("train.early_stopping.monitor", watched)):
        if monitor == "val_worst_group_accuracy":
            yield Contradiction(
                (key, "audit.by"),
                f"{key} is {monitor}, but audit.by names no column whose groups it could be about. Set audit.by.",
            )
    if train.sampling == "group_balanced":
        yield Contradiction(
            ("train.sampling", "audit.by"),
            "train.sampling is group_balanced, but audit.by names no column whose groups could be balanced. "
            "Set audit.by, or use sampling: balanced for classes alone.",
        )
    if train.loss == "group_dro":
        yield Contradiction(
            ("train.loss", "audit.by"),
            "train.loss is group_dro, but audit.by names no column whose groups it could weight. Set audit.by, or use "
            "loss: cross_entropy.",
        )


def _of_sharding(train: TrainSection) -> Iterator[Contradiction]:
    if train.parallel != "fsdp":
        return
    if train.devices == 1 and train.num_nodes == 1:
        yield Contradiction(
            ("train.parallel", "train.devices"),
            "train.parallel is fsdp, but there is one process, which shares with nobody. Set train.devices to 2 or "
            "more, or remove train.parallel.",
        )
    beside = {
        "precision": (train.precision == 16, "needs loss scaling, which tlkit does not share out. Use bf16 or 32"),
        "memory_format": (train.memory_format == "channels_last", "does not go with weights in parts. Use contiguous"),
        "compile": (train.compile, "has not been tried with weights in parts. Use compile: false"),
    }
    for key, (is_used, reason) in beside.items():
        if is_used:
            value = "true" if key == "compile" else getattr(train, key)
            yield Contradiction(
                (f"train.{key}", "train.parallel"),
                f"train.{key} is {value}, which with train.parallel: fsdp {reason}, or parallel: ddp.",
            )


def _of_soup(recipe: Recipe) -> Iterator[Contradiction]:
    train = recipe.train
    if train.model_soup_size is None:
        return
    if train.monitor == "val_worst_group_accuracy":
        yield Contradiction(
            ("train.model_soup_size", "train.monitor"),
            f"train.model_soup_size is {train.model_soup_size}, and a soup is chosen by val_loss or val_accuracy. Use one of them as "
            "train.monitor, or remove train.model_soup_size.",
        )
    if train.model_soup_size > train.epochs:
        yield Contradiction(
            ("train.model_soup_size", "train.epochs"),
            f"train.model_soup_size is {train.model_soup_size}, but train.epochs is {train.epochs}. Use at most {train.epochs}, or null.",
        )
    if recipe.strategy.kind == "lora":
        yield Contradiction(
            ("train.model_soup_size", "strategy.kind"),
            f"train.model_soup_size is {train.model_soup_size}, but the mean of low-rank factors is not the mean of what they add up to. "
            "Remove train.model_soup_size, or use another strategy.",
        )
