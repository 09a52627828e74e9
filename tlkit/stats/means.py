"""Means with intervals: of a number an image, and of rates over classes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds

Floats = npt.NDArray[np.float64]


def mean_estimate(
    values: npt.ArrayLike, confidence: float = 0.95, *, lowest: float = 0.0, highest: float = math.inf
) -> Estimate:
    """Return the mean of a number an image with Student's t interval, cut at what is possible.

    Args:
        values: one per image, shape (N,), N ≥ 1, between `lowest` and `highest`.
        confidence: two-sided level, in (0, 1).
        lowest: the smallest value possible.
        highest: the largest value possible.
    """
    given = np.asarray(values, dtype=np.float64)
    n, mean = len(given), float(given.mean())
    spread = float(given.std(ddof=1)) if n > 1 else 0.0
    if spread == 0.0:
        return Estimate(mean, None, None, n=n, note="not enough data for an interval: the images do not differ")
    half = float(stdtrit(n - 1, 0.5 + confidence / 2.0)) * spread / math.sqrt(n)
    return Estimate(mean, max(lowest, mean - half), min(highest, mean + half), n=n)


def mean_of_rates(k: npt.ArrayLike, n: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the mean of independent rates over those that have a denominator, such as the recalls of classes.

    A class without images takes no part: it is not a rate of 0. The interval combines Wilson's intervals of the single
    rates by their squared distances (MOVER: Zou, Huang & Zhang 2009, Computational Statistics & Data Analysis 53:1080).

    Args:
        k: numerators, shape (C,).
        n: denominators, shape (C,).
        confidence: two-sided level, in (0, 1).

    Returns:
        The mean; its `n` is the sum of the denominators, its note says how many rates there are where not all.

    Example:
        >>> mean_of_rates([2, 2, 0], [2, 2, 0]).value
        1.0
    """
    successes, trials = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    present = trials > 0
    if not present.any():
        return Estimate(None, None, None, n=0, note="no images")
    low, high = wilson_bounds(successes[present], trials[present], confidence)
    rate = successes[present] / trials[present]
    mean, count = float(rate.mean()), int(present.sum())
    down, up = math.sqrt(float(((rate - low) ** 2).sum())), math.sqrt(float(((high - rate) ** 2).sum()))
    note = "" if present.all() else f"{count} of {len(present)} classes present"
    ends = max(0.0, mean - down / count), min(1.0, mean + up / count)
    return Estimate(mean, *ends, n=int(trials.sum()), note=note)
