"""Try learning rates and batch sizes on a copy of a classifier: nothing that a later training starts from changes."""

from __future__ import annotations

import copy
import itertools
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tlkit.errors import DataError, ModelError
from tlkit.models.classifier import Classifier
from tlkit.models.losses import GroupDROLoss
from tlkit.models.optim import create_optimizer
from tlkit.models.strategies.phases import parameter_groups
from tlkit.models.training_step import batch_seed
from tlkit.models.tuning_results import BETA, BatchSize, BatchSizes, RateSweep

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Batch = Sequence[torch.Tensor]

DIVERGED = 4.0
"""A smoothed loss of so many times the lowest one has diverged, as in fastai's finder."""
LEAST_GAIN = 1.05
"""A doubled batch size that brings less than this factor in throughput brings nothing."""
FULL = 0.8
"""Share of the free memory that may be used."""


def sweep_rates(
    classifier: Classifier,
    batches: Iterable[Batch],
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    device: str = "cpu",
) -> RateSweep:
    """Train a copy for some steps while the learning rate rises, and note the loss of each: the range test.

    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; the rate rises exponentially, as in
    fastai, so that each factor of ten gets equally many steps. It is the rate of `train.learning_rate`: every optimizer
    group keeps its ratio to it. A step is one of training (accumulation, clipping, mixing and losses included), in the
    phase in which most parameters learn. It ends early where the loss diverges. The classifier, the random numbers of
    torch, numpy and Python and the position of a loader are afterwards what they were before.

    Args:
        classifier: the classifier; a copy of it is trained, in float32.
        batches: normalised images and targets (and rows, for group DRO); they are gone through as often as is needed.
        lowest: first learning rate, above 0.
        highest: last learning rate.
        steps: optimizer steps at most.
        device: where to train.

    Raises:
        DataError: there is no batch.
        ModelError: the very first loss is not a finite number.
    """
    with preserved_state(classifier, device) as trained, _at_rest(batches):
        step, groups, phase = _trainer_of(trained)
        rates = np.geomspace(lowest, highest, steps)
        stream = _repeated(batches)
        losses: list[float] = []
        average, best = 0.0, math.inf
        stopped = False
        for number, rate in enumerate(rates):
            for group in groups:
                group["lr"] = rate * group["rates"][phase]
            taken = itertools.islice(stream, trained.settings.accumulate_grad_batches)
            some = [_moved(batch[: _parts(trained)], device) for batch in taken]
            loss = step(some, number)
            if not math.isfinite(loss):
                stopped = True
                break
            losses.append(loss)
            average = BETA * average + (1 - BETA) * loss
            smoothed = average / (1 - BETA ** (number + 1))
            best = min(best, smoothed)
            if smoothed > DIVERGED * best:
                stopped = True
                break
        words = trained.phases[phase].name
    kept = len(losses)
    if not kept:
        raise ModelError("The very first training loss is not a finite number. Look at the images and the weights.")
    return RateSweep(rates[:kept], np.array(losses, dtype=np.float64), "diverged" if stopped else "end", words)


def time_batch_sizes(
    classifier: Classifier,
    batches: Iterable[Batch],
    *,
    largest: int,
    smallest: int = 4,
    memory_mb: float | None = None,
    device: str = "cpu",
) -> BatchSizes:
    """Time training steps of a copy at batch sizes that double, until memory or throughput ends it.

    It ends where the device has no more memory; on a CPU, where twice the batch would take more than `memory_mb`; where
    two doublings in a row bring less than 5 %; or at `largest`. Nothing else changes, as in `sweep_rates`.

    Args:
        classifier: the classifier; a copy of it is trained, in float32.
        batches: normalised images and targets; the first batch is repeated to the size wanted.
        largest: largest batch size, such as the number of training images.
        smallest: first batch size, at least 2.
        memory_mb: memory that a process on a CPU may grow by; default: 80 % of what is free.
        device: where to train.
    """
    tried: list[BatchSize] = []
    limit = None if device == "cuda" else memory_mb if memory_mb is not None else _free_mb()
    start, idle, size = _memory_mb(device), 0, smallest
    with preserved_state(classifier, device) as trained, _at_rest(batches):
        step, _, _ = _trainer_of(trained)
        first = next(iter(batches))
        while size <= max(largest, smallest):
            rows = torch.arange(size) % len(first[1])
            batch = _moved([part[rows] for part in first[: _parts(trained)]], device)
            try:
                throughput = max(size / _seconds(lambda: step([batch], 0), device) for _ in range(3))  # noqa: B023
            except RuntimeError as error:  # torch.OutOfMemoryError is one, a CPU's allocator raises the plain one
                if "memory" not in str(error):
                    raise
                return BatchSizes(tuple(tried), "memory", limit)
            best = max((one.images_per_s for one in tried), default=0.0)
            idle = idle + 1 if throughput < LEAST_GAIN * best else 0
            peak = _memory_mb(device)
            tried.append(BatchSize(size, throughput, peak))
            if idle == 2:
                return BatchSizes(tuple(tried), "plateau", limit)
            grown = None if start is None or peak is None else peak - start
            if limit is not None and grown is not None and 2 * grown > limit:
                return BatchSizes(tuple(tried), "memory", limit)
            size *= 2
    return BatchSizes(tuple(tried), "images", limit)


def training_step_of(classifier: Classifier) -> Callable[[Sequence[Batch], int], float]:
    """Return what takes one training step on some batches, given their number, and returns their loss in nats."""
    return _trainer_of(classifier)[0]


@contextmanager
def preserved_state(classifier: Classifier, device: str) -> Iterator[Classifier]:
    """Lend a copy of a classifier to train; the classifier and the random numbers stay as they were."""
    with _same_random_state(), _copied(classifier, device) as trained:
        yield trained


def _trainer_of(classifier: Classifier) -> tuple[Callable[[Sequence[Batch], int], float], list[dict[str, Any]], int]:
    """Return what takes one training step on some batches and gives their loss, the groups, and the phase's number."""
    phases, settings = classifier.phases, classifier.settings
    number = max(range(len(phases)), key=lambda place: len(phases[place].rates))
    classifier._enter(phases[number])
    classifier.train()
    groups = parameter_groups(
        classifier.network, phases, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    optimizer = create_optimizer(groups, settings)
    parameters = [parameter for parameter in classifier.network.parameters() if parameter.requires_grad]
    epoch = phases[number].first_epoch

    def step(batches: Sequence[Batch], place: int) -> float:
        torch.manual_seed(batch_seed(classifier.seed, epoch=epoch, batch=place))
        optimizer.zero_grad()
        total = 0.0
        for batch in batches:
            loss = classifier.batch_loss(batch, epoch=epoch, batch_idx=place) / len(batches)
            total += loss.item()
            loss.backward()  # type: ignore[no-untyped-call]
        if settings.gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(parameters, settings.gradient_clip_val)
        optimizer.step()
        return total

    return step, optimizer.param_groups, number


def _seconds(work: Callable[[], object], device: str) -> float:
    begun = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _memory_mb(device: str) -> float | None:
    """Return the most memory that torch (on a GPU) or this process has had; None where the system does not say."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _free_mb() -> float | None:
    """Return 80 % of the memory that is free, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if free is None else FULL * int(free) * 1024 / 1e6


def _parts(classifier: Classifier) -> int:
    """Return how many parts of a batch training takes: images and targets, and the rows for group DRO."""
    return 3 if isinstance(classifier.loss, GroupDROLoss) else 2


def _moved(batch: Batch, device: str) -> Batch:
    return [part.to(device) for part in batch]


def _repeated(batches: Iterable[Batch]) -> Iterator[Batch]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise DataError("There is no batch to train on. Give a loader or a list, which can be gone through again.")


@contextmanager
def _copied(classifier: Classifier, device: str) -> Iterator[Classifier]:
    """Lend a copy of a classifier, without the trainer that it may belong to."""
    trainer, classifier._trainer = classifier._trainer, None
    try:
        trained = copy.deepcopy(classifier)
    finally:
        classifier._trainer = trainer
    yield trained.to(device)


@contextmanager
def _at_rest(batches: Iterable[Batch]) -> Iterator[None]:
    """Leave a loader where it was: its epoch, its place in it, and its stream of random numbers."""
    loader = getattr(batches, "loader", batches)
    sampler, generator = getattr(loader, "sampler", None), getattr(loader, "generator", None)
    held = [(thing, dict(vars(thing))) for thing in (loader, sampler) if hasattr(thing, "__dict__")]
    stream = generator.get_state() if isinstance(generator, torch.Generator) else None
    try:
        yield
    finally:
        for thing, before in held:
            vars(thing).clear()
            vars(thing).update(before)
        if stream is not None and generator is not None:
            generator.set_state(stream)


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Leave the random numbers of torch, numpy and Python as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # it is the global state that is kept
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
