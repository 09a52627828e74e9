"""What no single key can show: keys of a recipe that are each right and together wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.errors import did_you_mean

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe

TAKES_MOMENTUM = ("sgd", "rmsprop")


@dataclass(frozen=True)
class Contradiction:
    """Keys that do not go together.

    Attributes:
        keys: the dotted keys that take part; nothing is wrong with any of them alone.
        text: what was seen and what to do.
    """

    keys: tuple[str, ...]
    text: str


def contradictions(recipe: Recipe) -> tuple[Contradiction, ...]:
    """Return everything in a recipe that contradicts something else in it, in the order of the sections."""
    return (*_of_data(recipe), *_of_augment(recipe), *_of_train(recipe), *_of_audit(recipe))


def _of_data(recipe: Recipe) -> Iterator[Contradiction]:
    data = recipe.data
    if data.val + data.test >= 1:
        yield Contradiction(
            ("data.val", "data.test"),
            f"data.val is {data.val:g} and data.test is {data.test:g}, which leaves nothing to train on. "
            "Use shares that sum to less than 1.",
        )
    if data.groups and data.metadata is None:
        yield Contradiction(
            ("data.groups", "data.metadata"),
            f"data.groups names {', '.join(data.groups)}, but data.metadata names no CSV file to take columns from. "
            "Set data.metadata, or remove data.groups.",
        )
    if data.crop_pct is not None and data.resize not in (None, "crop"):
        yield Contradiction(
            ("data.crop_pct", "data.resize"),
            f"data.crop_pct is {data.crop_pct:g}, but resize: {data.resize} cuts nothing. "
            "Remove data.crop_pct, or use resize: crop.",
        )


def _of_augment(recipe: Recipe) -> Iterator[Contradiction]:
    augment = recipe.augment
    if augment.transforms is not None and "preset" in augment.model_fields_set:
        yield Contradiction(
            ("augment.preset", "augment.transforms"),
            f"augment.preset is {augment.preset}, but augment.transforms is given too. Keep one of them.",
        )


def _of_train(recipe: Recipe) -> Iterator[Contradiction]:
    train = recipe.train
    if "momentum" in train.model_fields_set and train.optimizer not in TAKES_MOMENTUM:
        yield Contradiction(
            ("train.momentum", "train.optimizer"),
            f"train.momentum is {train.momentum:g}, but {train.optimizer} has no momentum. "
            f"Remove train.momentum, or use optimizer: {' or '.join(TAKES_MOMENTUM)}.",
        )
    if train.schedule == "one_cycle" and train.warmup_epochs > 0:
        yield Contradiction(
            ("train.warmup_epochs", "train.schedule"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, but schedule: one_cycle has a warm-up of its own. "
            "Remove train.warmup_epochs, or use schedule: cosine.",
        )
    elif train.warmup_epochs >= train.epochs:
        yield Contradiction(
            ("train.warmup_epochs", "train.epochs"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, but train.epochs is {train.epochs}. "
            f"Use less than {train.epochs}, or 0 for no warm-up.",
        )
    if train.precision == 16 and train.device == "cpu":
        yield Contradiction(
            ("train.precision", "train.device"),
            "train.precision is 16, but train.device is cpu, which has no float16 training. "
            "Use precision: bf16, 32 or auto.",
        )


def _of_audit(recipe: Recipe) -> Iterator[Contradiction]:
    carried = recipe.data.groups
    for column in recipe.audit.by:
        if not carried:
            text = f"audit.by names {column!r}, but data.groups is empty. Add {column!r} to data.groups."
        elif column not in carried:
            text = f"audit.by names {column!r}, but data.groups carries only {', '.join(carried)}."
            text += did_you_mean(column, carried) or " Add it to data.groups, or remove it from audit.by."
        else:
            continue
        yield Contradiction(("audit.by", "data.groups"), text)
