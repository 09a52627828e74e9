"""Estimates how long a fit takes on this machine, from a few batches that are timed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from tlkit.data.loading.batch import Batch
from tlkit.data.num_workers import available_cores
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_timing import FeatureTiming, time_features
from tlkit.inference.recipe_features import predicted_splits
from tlkit.models.tuning_sweep import time_steps
from tlkit.preflight.recipe_queries import augmentation, can_use_cache, head_kind, why_no_prefix
from tlkit.process_state import preserved_process_state
from tlkit.tables import Column, Table, counted
from tlkit.training.cached_features import why_pixels
from tlkit.training.prepare import Prepared

TIMED = 4
"""Batches that are timed, at most, after a warm-up."""
BUDGET_S = 6.0
"""Seconds after which no further batch is timed."""
SPREAD = 1.5
"""Factor by which the range reaches beyond the fastest and the slowest batch: other batches differ, and so do loads."""
STEP_OVERHEAD_S = 0.003
"""Largest time that Lightning adds to a training step: 1 to 3 ms on two CPU cores, with Lightning 2.6."""


@dataclass(frozen=True)
class TimedPart:
    """A part of a fit and its expected time: from `low_s` to `high_s` seconds."""

    name: str
    work: str
    low_s: float
    high_s: float


@dataclass(frozen=True)
class TimeEstimate:
    """The expected time of a fit on this machine.

    Attributes:
        parts: its parts in order.
        notes: what is not timed, and what would be quicker.
    """

    parts: tuple[TimedPart, ...]
    notes: tuple[str, ...]

    @property
    def low_s(self) -> float:
        """Seconds of all parts, at least."""
        return sum(part.low_s for part in self.parts)

    @property
    def high_s(self) -> float:
        """Seconds of all parts, at most."""
        return sum(part.high_s for part in self.parts)

    def table(self) -> Table:
        """Return the parts and their sum; the title states the sum in words."""
        columns = (
            Column("step", "step"),
            Column("work", "work"),
            Column("low_s", "from", "significant", unit="s", digits=2),
            Column("high_s", "to", "significant", unit="s", digits=2),
        )
        rows = [(part.name, part.work, part.low_s, part.high_s) for part in self.parts]
        total = ("all", None, self.low_s, self.high_s)
        title = f"Time on this machine: {in_words(self.low_s, self.high_s)}"
        return Table("time", title, columns, (*rows, total), notes=self.notes, marks={len(rows): "total"})


@preserved_process_state()
def estimate_time(prepared: Prepared, *, started_s: float) -> TimeEstimate:
    """Return how long a fit takes on this machine, from a few batches of its own images; nothing is stored.

    Args:
        prepared: the recipe with its data and model, which does not change.
        started_s: seconds that loading the libraries, checking the images and preparing the model took.
    """
    recipe = prepared.recipe
    images = len(prepared.data.samples)
    parts = [
        TimedPart("start", f"load the libraries and the model, check {counted(images, 'image')}", started_s, started_s)
    ]
    if can_use_cache(recipe):
        parts += _feature_parts(prepared)
    else:
        parts += _pixel_parts(prepared)
    notes = ["Not timed: evaluation, audit and report, which take seconds."]
    if busy := _busy():
        notes.append(busy)
    if head_kind(recipe) != "linear":
        notes.append("Not timed: the cross-validation of the heads, which takes seconds for thousands of images.")
    if len(prepared.classifier.phases) > 1:
        notes.append("The steps are those of the phase that trains most; other phases are quicker.")
    if not can_use_cache(recipe) and not why_no_prefix(recipe):
        notes.append("Every step is timed on images; phases that train on cached activations are quicker.")
    if (reason := why_pixels(recipe)) is not None:
        notes.append(reason)
    return TimeEstimate(tuple(parts), tuple(notes))


def in_words(low_s: float, high_s: float) -> str:
    """Return a range of time in a unit that suits it.

    Example:
        >>> in_words(7.2, 11.9), in_words(100, 150), in_words(5000, 9000)
        ('7 to 12 s', '1.7 to 2.5 min', '1.4 to 2.5 h')
    """
    for unit, seconds in (("h", 3600), ("min", 60)):
        if high_s >= 2 * seconds:
            return f"{low_s / seconds:.1f} to {high_s / seconds:.1f} {unit}"
    return f"{low_s:.0f} to {high_s:.0f} s"


def _busy() -> str | None:
    """Return a note where other work shares the cores, which the timed batches and the fit both wait for."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # not on Windows
    cores = available_cores()
    if load <= cores:
        return None
    return f"The machine is busy (load {load:.1f} on {counted(cores, 'core')}): without other work a fit is quicker."


def _feature_parts(prepared: Prepared) -> list[TimedPart]:
    """Return the passes through a frozen backbone, and the training of the head on their features."""
    recipe, samples = prepared.recipe, prepared.data.samples
    options = replace(EmbedOptions.of_recipe(recipe), device=prepared.device)
    backbone, views = prepared.classifier.source, recipe.features.views
    parts = []
    if views:
        augmented = augmentation(recipe)
        train = samples.split("train")
        timing = time_features(
            train,
            backbone=backbone,
            options=options,
            augment=augmented,
            seed=recipe.seed,
            most=TIMED,
            budget_s=BUDGET_S,
        )
        parts.append(_feature_part(f"features of {counted(views, 'view')}", timing, times=views))
        samples = samples.split(*predicted_splits(samples))
    timing = time_features(samples, backbone=backbone, options=options, most=TIMED, budget_s=BUDGET_S)
    parts.append(_feature_part("features", timing))
    if head_kind(recipe) == "linear":
        steps = recipe.train.epochs * prepared.steps_per_epoch * recipe.train.accumulate_grad_batches
        seconds, _ = time_steps(
            prepared.classifier, _made_up_features(prepared), most=TIMED, budget_s=BUDGET_S, device=prepared.device
        )
        low, high = steps * min(seconds) / SPREAD, steps * (max(seconds) * SPREAD + STEP_OVERHEAD_S)
        parts.append(TimedPart("training", f"{counted(steps, 'step')} of the head", low, high))
    return parts


def _feature_part(name: str, timing: FeatureTiming, *, times: int = 1) -> TimedPart:
    """Return the time of a pass, repeated for each view."""
    work = f"{timing.missing * times:,} of {timing.images * times:,} images by {timing.engine}"
    if timing.missing < timing.images:
        work += "; the others are cached"
    if not timing.batch_s:
        return TimedPart(name, work, 0.0, 0.0)
    batches = timing.batches * times
    low, high = _range(timing.batch_s, batches)
    return TimedPart(name, work, timing.setup_s + low, timing.setup_s * SPREAD + high)


def _pixel_parts(prepared: Prepared) -> list[TimedPart]:
    """Return training on images, and the forward passes over the images of val and test."""
    recipe, samples = prepared.recipe, prepared.data.samples
    seconds, forward_s = time_steps(
        prepared.classifier, _training_batches(prepared), most=TIMED, budget_s=BUDGET_S, device=prepared.device
    )
    train = len(samples.split("train"))
    batch = min(recipe.data.batch_size, train)
    batches = recipe.train.epochs * prepared.steps_per_epoch * recipe.train.accumulate_grad_batches
    full_batches = min(batches, recipe.train.epochs * train / batch)  # the last batch of an epoch may be short
    low, high = _range(seconds, full_batches)
    seen = recipe.train.epochs * len(samples.split("val")) + len(samples.split(*predicted_splits(samples)))
    return [
        TimedPart("training", f"{batches:,} batches of {batch} images", low, high + batches * STEP_OVERHEAD_S),
        TimedPart(
            "val and test",
            f"{counted(seen, 'image')} in all epochs, forward only",
            seen / batch * forward_s / SPREAD,
            seen / batch * max(seconds) * SPREAD,
        ),
    ]


def _range(seconds: Sequence[float], count: float) -> tuple[float, float]:
    """Return the least and the most seconds of a number of batches, some of which were timed."""
    return count * min(seconds) / SPREAD, count * max(seconds) * SPREAD


def _training_batches(prepared: Prepared) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield normalized training batches: images, targets, rows."""
    for batch in prepared.data.train_dataloader():
        ready: Batch = prepared.data.on_after_batch_transfer(batch, 0)
        yield ready.image, ready.target, ready.index


def _made_up_features(prepared: Prepared) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield batches of normal noise in the shape of features, with the targets of training images."""
    train = prepared.data.samples.split("train")
    size = min(prepared.recipe.data.batch_size, len(train))
    rows = torch.arange(size)
    targets = torch.from_numpy(train.target_values[:size])
    stream = torch.Generator().manual_seed(0)
    for _ in itertools.count():
        yield torch.randn(size, prepared.classifier.source.num_features, generator=stream), targets, rows
