"""Cross-checks of `train`: loss, epochs, weight averages, devices, and groups that no key names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.recipe.sections.section import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe
    from tlkit.recipe.sections.train_section import TrainSection


def train_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions about training."""
    train = recipe.train
    if train.schedule != "one_cycle" and train.warmup_epochs >= train.epochs:
        yield Contradiction(
            ("train.warmup_epochs", "train.epochs"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, but train.epochs is {train.epochs}. "
            f"Use less than {train.epochs}, or 0 for no warm-up.",
        )
    yield from _loss_contradictions(recipe)
    yield from _mixing_contradictions(train)
    yield from _group_contradictions(recipe)
    yield from _soup_contradictions(recipe)
    yield from _sharding_contradictions(train)
    if train.precision == 16 and train.device == "cpu":
        yield Contradiction(
            ("train.precision", "train.device"),
            "train.precision is 16, but train.device is cpu, which has no float16 training. "
            "Use precision: bf16, 32 or auto.",
        )
    if train.grad_checkpointing and recipe.strategy.kind == "frozen":
        yield Contradiction(
            ("train.grad_checkpointing", "strategy.kind"),
            "train.grad_checkpointing is true, but strategy: frozen trains no part of the backbone, so no activations "
            "are kept. Remove train.grad_checkpointing.",
        )
    if train.grad_checkpointing and recipe.task in ("segmentation", "detection"):
        yield Contradiction(
            ("train.grad_checkpointing", "task"),
            f"train.grad_checkpointing is true, but task is {recipe.task}, whose encoder gives feature maps of several "
            "layers and has none. Use train.grad_checkpointing: false, and a smaller data.batch_size with "
            "train.accumulate_grad_batches for the same step in less memory.",
        )
    if train.grad_checkpointing and train.compile:
        yield Contradiction(
            ("train.grad_checkpointing", "train.compile"),
            "train.grad_checkpointing is true, and so is train.compile, which decides by itself what to compute again. "
            "Remove one of them.",
        )
    if train.device == "mps" and train.devices not in ("auto", 1):
        yield Contradiction(
            ("train.devices", "train.device"),
            f"train.devices is {train.devices}, but train.device is mps, and a machine has only one. Use devices: 1.",
        )


def _loss_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions of the loss with other keys, and several corrections for class imbalance at once."""
    train = recipe.train
    excluded = {
        "class_weights": (train.class_weights != "none", "already weights each intersection of class and group"),
        "logit_adjustment": (train.logit_adjustment > 0, "already weights each intersection of class and group"),
        "mixup": (train.mixup > 0, "needs one group per image"),
        "cutmix": (train.cutmix > 0, "needs one group per image"),
    }
    for key in [key for key, (is_used, _) in excluded.items() if is_used and train.loss == "group_dro"]:
        yield Contradiction(
            (f"train.{key}", "train.loss"),
            f"train.{key} is given, but loss: group_dro {excluded[key][1]}. "
            f"Remove train.{key}, or use loss: cross_entropy.",
        )
    corrections = {
        "train.class_weights": train.class_weights == "balanced",
        "train.sampling": train.sampling != "shuffled",
        "train.logit_adjustment": train.logit_adjustment > 0,
    }
    used = tuple(key for key, is_used in corrections.items() if is_used)
    if len(used) > 1:
        yield Contradiction(used, f"{' and '.join(used)} each correct for class imbalance. Keep one of them.")


def _mixing_contradictions(train: TrainSection) -> Iterator[Contradiction]:
    if train.mixup_off_epochs and not (train.mixup or train.cutmix):
        yield Contradiction(
            ("train.mixup_off_epochs", "train.mixup"),
            f"train.mixup_off_epochs is {train.mixup_off_epochs}, but neither mixup nor cutmix is on. "
            "Remove train.mixup_off_epochs, or set train.mixup or train.cutmix.",
        )
    elif train.mixup_off_epochs >= train.epochs:
        yield Contradiction(
            ("train.mixup_off_epochs", "train.epochs"),
            f"train.mixup_off_epochs is {train.mixup_off_epochs}, but train.epochs is {train.epochs}, which leaves "
            f"no epoch with mixing. Use less than {train.epochs}.",
        )


def _group_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield keys that need groups, where `audit.by` names none."""
    train = recipe.train
    if recipe.audit.by:
        return
    watched = train.early_stopping.monitor if train.early_stopping is not None else None
    for key, monitor in (("train.monitor", train.monitor), ("train.early_stopping.monitor", watched)):
        if monitor == "val_worst_group_accuracy":
            yield Contradiction(
                (key, "audit.by"), f"{key} is {monitor}, but audit.by names no group column. Set audit.by."
            )
    if train.sampling == "group_balanced":
        yield Contradiction(
            ("train.sampling", "audit.by"),
            "train.sampling is group_balanced, but audit.by names no group column. "
            "Set audit.by, or use sampling: balanced for classes alone.",
        )
    if train.loss == "group_dro":
        yield Contradiction(
            ("train.loss", "audit.by"),
            "train.loss is group_dro, but audit.by names no group column. Set audit.by, or use loss: cross_entropy.",
        )


def _sharding_contradictions(train: TrainSection) -> Iterator[Contradiction]:
    if train.parallel != "fsdp":
        return
    if train.devices == 1 and train.num_nodes == 1:
        yield Contradiction(
            ("train.parallel", "train.devices"),
            "train.parallel is fsdp, but there is only one process. Set train.devices to 2 or "
            "more, or remove train.parallel.",
        )
    unsupported = {
        "precision": (train.precision == 16, "needs loss scaling, which tlkit does not support there. Use bf16 or 32"),
        "memory_format": (
            train.memory_format == "channels_last",
            "is not possible for sharded weights. Use contiguous",
        ),
        "compile": (bool(train.compile), "is untested with sharded weights. Use compile: false"),
        "grad_checkpointing": (
            train.grad_checkpointing,
            "is untested with sharded weights. Use grad_checkpointing: false",
        ),
        "accumulate_grad_batches": (
            train.loss == "group_dro" and train.accumulate_grad_batches > 1,
            "and loss: group_dro is not possible: a step needs its images twice. Use 1 and a larger data.batch_size",
        ),
    }
    for key, (is_used, reason) in unsupported.items():
        if is_used:
            value = {True: "true"}.get(getattr(train, key), getattr(train, key))
            yield Contradiction(
                (f"train.{key}", "train.parallel"),
                f"train.{key} is {value}, which with train.parallel: fsdp {reason}, or parallel: ddp.",
            )


def _soup_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    train = recipe.train
    if train.model_soup_size is None:
        return
    given = f"train.model_soup_size is {train.model_soup_size}"
    if train.monitor == "val_worst_group_accuracy":
        yield Contradiction(
            ("train.model_soup_size", "train.monitor"),
            f"{given}, but a model soup is selected by val_loss or val_accuracy. Use one of them as train.monitor, or "
            "remove train.model_soup_size.",
        )
    if train.model_soup_size > train.epochs:
        yield Contradiction(
            ("train.model_soup_size", "train.epochs"),
            f"{given}, but train.epochs is {train.epochs}. Use at most {train.epochs}, or null.",
        )
    if recipe.strategy.kind == "lora":
        yield Contradiction(
            ("train.model_soup_size", "strategy.kind"),
            f"{given}, but the mean of low-rank factors is not the mean of their products. "
            "Remove train.model_soup_size, or use another strategy.",
        )
