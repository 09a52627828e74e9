"""Numbers that both a Lightning trainer and a `train` section state: which of them counts, and where they disagree.

| number | stated by the section | at its default |
|---|---|---|
| epochs, steps | `train.epochs` plans the schedule and the phases; the trainer stops where it stops | the trainer's |
| accumulation, precision | the trainer's | the trainer's |
| gradient clipping | the trainer's, where it has one; else the section's | the trainer's |

A trainer of one's own carries out the training, so most numbers are its own. A plan of the learning rate is the
section's: who stops after 2 of 4 epochs, and continues, ends as who never stopped. What the section states otherwise
than the trainer is warned about.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkit.models.optim import set_learning_rate, steps_per_epoch
from tlkit.recipe import Recipe, Strategy, TrainSection, check_sections

if TYPE_CHECKING:
    from tlkit.lightning import pl

logger = logging.getLogger(__name__)

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""Lightning's name of each precision of a recipe."""

FOLLOWED = "Classifier, with the trainer's number of epochs:"
"""Who says what contradicts the number of epochs that was taken from the trainer."""
MOST_EPOCHS = 10_000
"""Most epochs of a part of training for which the trainer's epochs are awaited."""

ONLY_FIT: dict[str, str] = {
    "class_weights": "Pass class_weights= to the Classifier: a weight for each class",
    "sampling": "Pass sampling= to the ImageFolderDataModule",
    "early_stopping": "Pass the callback EarlyStopping to the Trainer",
    "monitor": "Pass the callback ModelCheckpoint(monitor=...) to the Trainer",
    "checkpoint_every": "Pass the callback ModelCheckpoint(every_n_train_steps=...) to the Trainer",
    "model_soup_size": "Use tlkit.fit",
    "memory_format": "Use tlkit.fit, or convert classifier.network",
    "compile": "Use tlkit.fit, or torch.compile",
    "grad_checkpointing": "Use tlkit.fit",
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


class TrainerNumbers:
    """The numbers of a `train` section in a trainer.

    Attributes:
        stated: the section as it was given.
        settings: the section that is used: with the epochs of the trainer where the section states none.
        length: how long training is planned.
        rate_changed: whether the learning rate was set since the optimizer was made.
    """

    def __init__(self, train: TrainSection, *, in_own_script: bool) -> None:
        self.stated = self.settings = train
        self.length = TrainingLength(train.epochs)
        self.rate_changed = False
        self._in_own_script = in_own_script

    @property
    def stated_clip(self) -> float | None:
        """The largest norm of the gradient that the section states; None = none stated."""
        return self.stated.gradient_clip_val if "gradient_clip_val" in self.stated.model_fields_set else None

    def set_learning_rate(self, value: float) -> None:
        """Use another learning rate than the section's."""
        self.settings = self.settings.model_copy(update={"learning_rate": value})
        self.rate_changed = True

    def apply_learning_rate(self, trainer: pl.Trainer) -> None:
        """Give the optimizer a learning rate that was set since it was made, as LearningRateFinder does."""
        if self.rate_changed:
            self.rate_changed = False
            for config in trainer.lr_scheduler_configs:
                set_learning_rate(config.scheduler, self.settings.learning_rate)

    def follow(self, trainer: pl.Trainer, *, strategy: Strategy, each: int | None) -> bool:
        """Take the trainer's length where the section states none; return whether the number of epochs has changed.

        Raises:
            RecipeError: it contradicts the strategy or the schedule.
        """
        if "epochs" in self.stated.model_fields_set:
            return False
        self.length = training_length(trainer, default=self.stated.epochs, each=each)
        if self.length.epochs == self.settings.epochs:
            return False
        train = self.settings.model_copy(update={"epochs": self.length.epochs})
        self.settings = check_sections({"strategy": strategy, "train": train}, source=FOLLOWED).train
        return True

    def warn(self, trainer: pl.Trainer, *, each: int | None, has_class_weights: bool) -> None:
        """Log where the trainer's numbers differ from the section's, and which keys only `tlkit.fit` applies."""
        problems = list(disagreements(self.stated, trainer, each=each))
        if self._in_own_script:
            problems += left_to_fit(self.stated, has_class_weights=has_class_weights)
        for problem in problems:
            logger.warning("%s", problem)


def check_arguments(given: Mapping[str, Any]) -> Recipe:
    """Return a recipe of a classifier's sections `strategy` and `train`, and its task, checked.

    Epochs that are not stated are the trainer's, which is not known yet: what needs more than the default is accepted,
    and `TrainerNumbers.follow` checks it again.

    Raises:
        RecipeError: a section is wrong, or does not apply to the task.
    """
    stated = {name: value for name, value in given.items() if value is not None}
    train, strategy = given.get("train"), given.get("strategy")
    if isinstance(train, TrainSection) or (isinstance(train, Mapping) and "epochs" in train):
        return check_sections(stated, source="Classifier")
    train = dict(train) if isinstance(train, Mapping) else {}
    needs = [train.get("warmup_epochs"), train.get("mixup_off_epochs"), _probe_epochs(strategy)]
    numbers = [need for need in needs if isinstance(need, int | float) and 0 < need <= MOST_EPOCHS]
    if sum(numbers) < TrainSection.model_fields["epochs"].default:
        return check_sections(stated, source="Classifier")
    recipe = check_sections({**stated, "train": {**train, "epochs": math.ceil(sum(numbers)) + 1}}, source="Classifier")
    recipe.train.model_fields_set.discard("epochs")
    return recipe


def _probe_epochs(strategy: object) -> object:
    return strategy.get("probe_epochs") if isinstance(strategy, Mapping) else getattr(strategy, "probe_epochs", None)


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


def disagreements(train: TrainSection, trainer: pl.Trainer, *, each: int | None) -> Iterator[str]:
    """Yield a message for each number that a section states and its trainer has otherwise.

    Args:
        train: the section; keys that it leaves at their defaults are not stated.
        trainer: the trainer, when its fit starts.
        each: optimizer steps per epoch; None = those of the trainer.
    """
    stated = train.model_fields_set
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    yield from _length_problem(train, training_length(trainer, default=0, each=each))
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


def _length_problem(train: TrainSection, length: TrainingLength) -> Iterator[str]:
    if length.epochs == 0:
        if train.schedule != "constant":
            yield (
                f"The trainer has neither max_epochs nor max_steps. The schedule is that of train.epochs = "
                f"{train.epochs}, and later epochs train at its last rate. Pass max_epochs to the Trainer."
            )
    elif "epochs" in train.model_fields_set and length != TrainingLength(train.epochs):
        limit = f"max_epochs is {length.epochs}" if length.steps is None else f"max_steps is {length.steps}"
        yield (
            f"train.epochs is {train.epochs}, but the trainer's {limit}. The schedule and the phases are those of "
            f"{train.epochs} epochs; later ones train at the last rate. State the number in the Trainer alone."
        )


def left_to_fit(train: TrainSection, *, has_class_weights: bool) -> Iterator[str]:
    """Yield a message for each stated key of a section that only `tlkit.fit` applies, with what to do instead."""
    for name, remedy in ONLY_FIT.items():
        value, default = getattr(train, name), TrainSection.model_fields[name].default
        if name not in train.model_fields_set or value == default or (name == "class_weights" and has_class_weights):
            continue
        yield f"train.{name} is {value}, which only tlkit.fit carries out. {remedy}."
