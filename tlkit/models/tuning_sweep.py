"""Learning rate range test and batch size finder, on a copy of a classifier."""

from __future__ import annotations

import copy
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tlkit.choices import RATE_STEPS
from tlkit.errors import DataError, ModelError
from tlkit.memory_errors import memory_problem
from tlkit.models.classifier import Classifier
from tlkit.models.losses import GroupDROLoss, weight_in_loss
from tlkit.models.optim import create_optimizer
from tlkit.models.strategies.apply_phase import parameter_groups
from tlkit.models.training_step import batch_seed
from tlkit.models.tuning_results import BatchSize, BatchSizes, RateSweep, Stopped, smooth

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Batch = Sequence[torch.Tensor]

DIVERGED = 4.0
"""Ratio to the lowest smoothed loss from which training has diverged, as in fastai's finder."""
LEAST_GAIN = 1.05
"""Smallest factor in throughput that counts as a gain of a doubled batch size."""
PROBE = 4
"""Images of the first timed step, which shows whether a whole batch would take too long."""
FULL = 0.8
"""Share of the free memory that may be used."""
STEPS = 2
"""Timed steps of a batch size in each of the two rounds; the first of them also warms up."""


def sweep_rates(
    classifier: Classifier,
    batches: Iterable[Batch],
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = RATE_STEPS,
    first_batch: int = 0,
    device: str = "cpu",
) -> RateSweep:
    """Return the training loss of each step while the learning rate rises: the range test.

    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; the rate rises exponentially, as in
    fastai, so that each factor of ten gets equally many steps. It is the rate of `train.learning_rate`: every optimizer
    group keeps its ratio to it. A step is one of training (with accumulation, clipping, mixing and losses), in the
    phase that trains most parameters. The sweep ends early when the loss diverges. The classifier does not change;
    torch's generator does.

    Args:
        classifier: the classifier; a copy of it is trained, in float32.
        batches: normalized images and targets (and rows, for group DRO); they are repeated as needed.
        lowest: first learning rate, above 0.
        highest: last learning rate.
        steps: largest number of optimizer steps.
        first_batch: number of the first batch, by which mixing and dropout are seeded.
        device: "cpu", "cuda" or "mps".

    Raises:
        DataError: there is no batch.
        ModelError: the first loss is not a finite number.
    """
    trained = _copy(classifier, device)
    step, groups, phase = training_step_of(trained)
    rates, stream = np.geomspace(lowest, highest, steps), _repeated(batches)
    losses: list[float] = []
    diverged = False
    for number, rate in enumerate(rates):
        for group in groups:
            group["lr"] = rate * group["rates"][phase]
        taken = itertools.islice(stream, trained.settings.accumulate_grad_batches)
        loss = step([_moved(batch, trained, device) for batch in taken], first_batch + number)
        diverged = not math.isfinite(loss)
        if diverged:
            break
        losses.append(loss)
        curve = smooth(losses)
        diverged = bool(curve[-1] > DIVERGED * curve.min())
        if diverged:
            break
    if not losses:
        raise ModelError("The first training loss is not a finite number. Check the images and the weights.")
    values = np.array(losses, dtype=np.float64)
    return RateSweep(rates[: len(losses)], values, "diverged" if diverged else "end", trained.phases[phase].name)


def time_batch_sizes(
    classifier: Classifier,
    batches: Iterable[Batch],
    *,
    largest: int,
    smallest: int = 4,
    current: int | None = None,
    memory_mb: float | None = None,
    device: str = "cpu",
) -> BatchSizes:
    """Return the throughput of training steps at doubling batch sizes.

    The series ends when the device is out of memory; on a CPU, when twice the batch would take more than `memory_mb`;
    when two sizes in a row gain less than 5 %, but not before the current size; or at `largest`. A second round times
    the sizes again, since other work on the machine slows some sizes and not others; see `BatchSizes.scattered`. The
    classifier does not change; torch's generator does.

    Args:
        classifier: the classifier; a copy of it is trained, in float32.
        batches: normalized images and targets; the first batch is repeated to each size.
        largest: largest batch size, such as the number of training images.
        smallest: first batch size, at least 2.
        current: the batch size in use, which is timed too; None = none.
        memory_mb: memory by which the process may grow on a CPU; default: 80 % of the free memory.
        device: "cpu", "cuda" or "mps".
    """
    limit = None if device == "cuda" else memory_mb if memory_mb is not None else _free_mb()
    top = max(largest, smallest)
    doubled = itertools.takewhile(lambda size: size <= top, (smallest * 2**place for place in itertools.count()))
    sizes = sorted({*doubled, min(current or smallest, top)})
    trained = _copy(classifier, device)
    step, _, _ = training_step_of(trained)
    first = next(iter(batches))

    def images_per_s(size: int) -> float:
        rows = torch.arange(size) % len(first[1])
        batch = _moved([part[rows] for part in first], trained, device)
        return max(size / _seconds(lambda: step([batch], 0), device) for _ in range(STEPS))

    tried, stopped = _growing(images_per_s, sizes, least=min(current or 0, top), limit_mb=limit, device=device)
    again = [_two_rounds(one, images_per_s(one.images)) for one in tried]
    return BatchSizes(tuple(again), stopped, limit, current)


def _growing(
    images_per_s: Callable[[int], float], sizes: Sequence[int], *, least: int, limit_mb: float | None, device: str
) -> tuple[list[BatchSize], Stopped]:
    """Return the first round over rising batch sizes, and why it ended; `least` is a size before which it goes on."""
    tried: list[BatchSize] = []
    start, idle = _memory_mb(device), 0
    for size in sizes:
        try:
            throughput = images_per_s(size)
        except RuntimeError as error:  # torch.OutOfMemoryError is one, a CPU's allocator raises the plain one
            if memory_problem(error) is None:
                raise
            return tried, "memory"
        best = max((one.images_per_s for one in tried), default=0.0)
        idle = idle + 1 if throughput < LEAST_GAIN * best else 0
        peak = _memory_mb(device)
        tried.append(BatchSize(size, throughput, peak))
        if idle >= 2 and size >= least:
            return tried, "plateau"
        if limit_mb is not None and start is not None and peak is not None and 2 * (peak - start) > limit_mb:
            return tried, "memory"
    return tried, "images"


def _two_rounds(one: BatchSize, again: float) -> BatchSize:
    """Return a batch size with the throughput of its faster round and of its slower one."""
    rounds = (one.images_per_s, again)
    return replace(one, images_per_s=max(rounds), slower_round=min(rounds))


def time_steps(
    classifier: Classifier, batches: Iterable[Batch], *, most: int, budget_s: float, device: str = "cpu"
) -> tuple[tuple[float, ...], float]:
    """Return the seconds of some training steps with the loading of their batches, and those of a forward pass alone.

    The steps are of the phase that trains most parameters. A step of at most `PROBE` images comes first; where it shows
    that a whole batch would exceed the budget, its time in proportion is returned, and no whole batch is tried. The
    first whole batch is a warm-up, which counts only where it is the only one. The classifier does not change; torch's
    generator does.

    Args:
        classifier: the classifier; a copy of it is trained, in float32.
        batches: normalized images and targets.
        most: number of steps after the warm-up, at most; at least 1.
        budget_s: seconds after which no further step begins.
        device: "cpu", "cuda" or "mps".

    Raises:
        DataError: there is no batch.
    """
    trained = _copy(classifier, device)
    step, _, _ = training_step_of(trained)
    seconds: list[float] = []
    moved: list[torch.Tensor] = []
    stream = iter(batches)

    def load_and_step() -> None:
        moved[:] = _moved(next(stream), trained, device)
        step([moved], len(seconds))

    first = next(stream, None)
    if first is None:
        raise DataError("There is no batch to time.")
    few = _moved([part[:PROBE] for part in first], trained, device)
    of_whole = len(first[1]) / len(few[1])
    probe_s = _seconds(lambda: step([few], 0), device)
    stream = itertools.chain([first], stream)
    while probe_s * of_whole < budget_s and len(seconds) <= most and sum(seconds) < budget_s:
        try:
            seconds.append(_seconds(load_and_step, device))
        except StopIteration:
            break
    trained.eval()
    with torch.inference_mode():
        forward_s = of_whole * _seconds(lambda: trained.network(few[0]), device)
    return tuple(seconds[1:] or seconds) or (probe_s * of_whole,), forward_s


def _copy(classifier: Classifier, device: str) -> Classifier:
    """Return a copy of a classifier on a device, without its trainer."""
    trainer, classifier._trainer = classifier._trainer, None
    try:
        return copy.deepcopy(classifier).to(device)
    finally:
        classifier._trainer = trainer


def training_step_of(
    classifier: Classifier,
) -> tuple[Callable[[Sequence[Batch], int], float], list[dict[str, Any]], int]:
    """Return a function of one training step, the optimizer's groups, and the index of the phase.

    The function takes the batches of a step and the step's number, and returns their mean loss in nats.
    """
    phases, settings = classifier.phases, classifier.settings
    number = max(range(len(phases)), key=lambda place: len(phases[place].rates))
    classifier.enter_phase(phases[number])
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
        total, numbered = 0.0, [(batch, place * len(batches) + number) for number, batch in enumerate(batches)]
        for loss in _losses_of_step(classifier, numbered, epoch=epoch):
            total += loss.item()
            loss.backward()  # type: ignore[no-untyped-call]
        if settings.gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(parameters, settings.gradient_clip_val)
        optimizer.step()
        return total

    return step, optimizer.param_groups, number


def _losses_of_step(
    classifier: Classifier, batches: Sequence[tuple[Batch, int]], *, epoch: int
) -> Iterator[torch.Tensor]:
    """Yield losses whose sum is that of a step over numbered batches; each is to be differentiated before the next."""
    if isinstance(classifier.loss, GroupDROLoss):
        yield classifier.group_dro_loss(batches, epoch=epoch)
        return
    weights = [float(weight_in_loss(classifier.loss, batch[1])) for batch, _ in batches]
    total = sum(weights) or 1.0  # masks without a known pixel weigh nothing
    for (batch, number), weight in zip(batches, weights, strict=True):
        yield classifier.batch_loss(batch, epoch=epoch, batch_idx=number) * (weight / total)


def _seconds(work: Callable[[], object], device: str) -> float:
    begun = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _memory_mb(device: str) -> float | None:
    """Return the peak memory of torch (on a GPU) or of this process; None where the system does not report it."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _free_mb() -> float | None:
    """Return 80 % of the free memory; None where the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if free is None else FULL * int(free) * 1024 / 1e6


def _moved(batch: Batch, classifier: Classifier, device: str) -> Batch:
    """Return images and targets on a device, and for group DRO the rows."""
    parts = 3 if isinstance(classifier.loss, GroupDROLoss) else 2
    return [part.to(device) for part in batch[:parts]]


def _repeated(batches: Iterable[Batch]) -> Iterator[Batch]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise DataError("There is no batch to train on. Use a loader or a list, which can be repeated.")
