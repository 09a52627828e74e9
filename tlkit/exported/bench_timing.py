"""Times ways to run a model side by side: warm-up, alternating order, intervals of the quantiles. Needs no torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import quantile_test

from tlkit.stats.estimate import Estimate

WARM_UP = 3
"""Calls of each configuration that are not timed, before all others."""
FEWEST = 8
"""Timed calls of each configuration, whatever the time limit."""


@dataclass(frozen=True)
class Configuration:
    """A way to run a model, ready to be called.

    Attributes:
        engine: such as "onnxruntime 1.31.1".
        subject: the file, or "model" for torch.
        batch: images in a call.
        threads: threads of a call.
        call: runs it once.
    """

    engine: str
    subject: str
    batch: int
    threads: int
    call: Callable[[], object]


def time_alternating(configurations: Sequence[Configuration], *, calls: int, budget_s: float) -> list[list[float]]:
    """Return the seconds of each timed call, for each configuration.

    Rounds visit every configuration once, each second round in reverse order, so that a change of the machine's load
    meets all of them. Before each timed call one is not timed: it wakes the threads, and fills the caches.

    Args:
        configurations: what to time.
        calls: timed calls of each at most.
        budget_s: seconds after which no further round begins, once each has 8 calls.
    """
    for one in configurations:
        for _ in range(WARM_UP):
            one.call()
    seconds: list[list[float]] = [[] for _ in configurations]
    begun = time.perf_counter()
    for turn in range(calls):
        if turn >= FEWEST and time.perf_counter() - begun > budget_s:
            break
        places = range(len(configurations))
        for place in reversed(places) if turn % 2 else places:
            call = configurations[place].call
            call()
            start = time.perf_counter()
            call()
            seconds[place].append(time.perf_counter() - start)
    return seconds


def quantile_estimate(values: Sequence[float], share: float, *, confidence: float) -> Estimate:
    """Return a quantile with its distribution-free interval from order statistics.

    Conover (1999), Practical Nonparametric Statistics, section 3.2, by `scipy.stats.quantile_test`. It takes the calls
    for independent; neighbours in time are not quite. Where so few calls have no such interval there is none.

    Example:
        >>> quantile_estimate(list(range(1, 101)), 0.5, confidence=0.95).format(digits=0)
        '50 [40, 61]'
        >>> quantile_estimate([1.0, 2.0, 3.0], 0.95, confidence=0.95).note
        'too few calls for an interval: n = 3'
    """
    found = quantile_test(values, q=float(np.quantile(values, share)), p=share)
    ends = found.confidence_interval(confidence_level=confidence)
    value = float(np.quantile(values, share))
    if not np.isfinite([ends.low, ends.high]).all():
        return Estimate(value, None, None, n=len(values), note=f"too few calls for an interval: n = {len(values)}")
    return Estimate(value, float(ends.low), float(ends.high), n=len(values))


def peak_memory(arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> int | None:
    """Return the largest resident memory in bytes of a process of its own that loads a model and runs it once.

    It holds everything: Python, the engine's library, the model and a batch.

    Args:
        arguments: what `python -m tlkit.exported.peak_memory` takes, or the name of another module and its arguments.
        environment: variables of the process; None = those of this one.

    Returns:
        None where the process failed, or the system does not say.
    """
    package = os.fspath(Path(__file__).resolve().parents[2])
    variables = dict(os.environ if environment is None else environment)
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, (package, variables.get("PYTHONPATH", ""))))
    done = subprocess.run(  # noqa: S603  # this interpreter and our own modules
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=variables, check=False
    )
    text = done.stdout.strip()
    return int(text) if done.returncode == 0 and text.isdigit() and int(text) else None
