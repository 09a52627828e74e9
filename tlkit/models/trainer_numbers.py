"""Numbers that both a Lightning trainer and a `train` section state: which of them counts, and where they disagree.

The trainer carries out the training, so its numbers count: `max_epochs` and `max_steps` (the schedule and the phases of
a strategy are planned for them), `accumulate_grad_batches`, `precision`, and `gradient_clip_val` where it has one. What
the section states otherwise is warned about; what it leaves at its default is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.models.optim import steps_per_epoch
from tlkit.recipe import TrainSection

if TYPE_CHECKING:
    from tlkit.lightning import pl

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""Lightning's name of each precision of a recipe."""

ONLY_FIT: dict[str, str] = {
    "class_weights": "Pass class_weights= to the Classifier: a weight for each class",
    "sampling": "Pass sampling= to the ImageFolderDataModule",
    "early_stopping": "Pass the callback EarlyStopping to the Trainer",
    "monitor": "Pass the callback ModelCheckpoint(monitor=...) to the Trainer",
    "checkpoint_every": "Pass the callback ModelCheckpoint(every_n_train_steps=...) to the Trainer",
    "model_soup_size": "Use tlkit.fit",
    "memory_format": "Use tlkit.fit, or convert classifier.network",
    "compile": "Use tlkit.fit, or torch.compile",
    "device": "Pass accelerator= to the Trainer",
    "devices": "Pass devices= to the Trainer",
    "num_nodes": "Pass num_nodes= to the Trainer",
    "parallel": "Pass strategy= to the Trainer",
}
"""Keys of `train` that the classifier does not carry out, and what to do in a script of one's own."""


@dataclass(frozen=True)
class TrainingLength:
    """How long a trainer trains.

    Attributes:
        epochs: epochs, the last of which may be cut short.
        steps: optimizer steps, where they end within an epoch; None = whole epochs.
    """

    epochs: int
    steps: int | None = None


def training_length(trainer: pl.Trainer, *, default: int, each: int | None) -> TrainingLength:
    """Return how long a trainer trains by `max_epochs` and `max_steps`, whichever ends first.

    Args:
        trainer: the trainer, with its data attached.
        default: epochs where the trainer has no limit, or only tries whether a script runs (`fast_dev_run`).
        each: optimizer steps per epoch; None = those of the trainer.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return TrainingLength(default)
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
    if trainer.max_steps < 1:
        return TrainingLength(epochs or default)
    each = each or steps_per_epoch(trainer)
    if epochs is not None and epochs * each <= trainer.max_steps:
        return TrainingLength(epochs)
    return TrainingLength(math.ceil(trainer.max_steps / each), trainer.max_steps)


def disagreements(train: TrainSection, trainer: pl.Trainer, *, length: TrainingLength) -> Iterator[str]:
    """Yield a message for each number that a section states and its trainer has otherwise.

    Args:
        train: the section; keys that it leaves at their defaults are not stated.
        trainer: the trainer.
        length: how long it trains.
    """
    stated = train.model_fields_set
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    if trainer.max_steps < 1 and (trainer.max_epochs is None or trainer.max_epochs < 1):
        if train.schedule != "constant":
            yield (
                f"The trainer has neither max_epochs nor max_steps, so the schedule is that of train.epochs = "
                f"{train.epochs}; later epochs train at its last rate. Pass max_epochs to the Trainer."
            )
    elif "epochs" in stated and (length.epochs != train.epochs or length.steps is not None):
        limit = f"max_epochs is {length.epochs}" if length.steps is None else f"max_steps is {length.steps}"
        yield (
            f"train.epochs is {train.epochs}, but the trainer's {limit}. The trainer's number counts, also for the "
            "schedule and the phases. State it there alone."
        )
    if "accumulate_grad_batches" in stated and train.accumulate_grad_batches != trainer.accumulate_grad_batches:
        yield (
            f"train.accumulate_grad_batches is {train.accumulate_grad_batches}, but the trainer's is "
            f"{trainer.accumulate_grad_batches}, which counts. Pass it to the Trainer."
        )
    precision = PRECISIONS.get(str(train.precision))
    if "precision" in stated and precision is not None and precision != trainer.precision:
        yield (
            f"train.precision is {train.precision}, but the trainer's is {trainer.precision}, which counts. Pass "
            f"precision={precision!r} to the Trainer."
        )
    clip = trainer.gradient_clip_val
    if "gradient_clip_val" in stated and clip is not None and clip != (train.gradient_clip_val or 0):
        yield (
            f"train.gradient_clip_val is {train.gradient_clip_val}, but the trainer's is {clip}, which counts. State "
            "one of them."
        )


def left_to_fit(train: TrainSection, *, has_class_weights: bool) -> Iterator[str]:
    """Yield a message for each stated key of a section that only `tlkit.fit` carries out, with what to do instead."""
    for name, remedy in ONLY_FIT.items():
        value, default = getattr(train, name), TrainSection.model_fields[name].default
        if name not in train.model_fields_set or value == default or (name == "class_weights" and has_class_weights):
            continue
        yield f"train.{name} is {value}, which only tlkit.fit carries out. {remedy}."
