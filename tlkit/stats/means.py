"""Means with intervals: of a number an image, and of rates over classes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tlkit.stats.cluster_sampling import MOST_FACTOR, TOO_FEW, Units, combined_df, kurtosis_df, student_estimate
from tlkit.stats.dependent_samples import at_least_t, cluster_moments, effective_size
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


def clustered_mean(
    values: npt.ArrayLike, units: Units, confidence: float = 0.95, *, lowest: float = 0.0, highest: float = math.inf
) -> Estimate:
    """Return the mean of a number an image where images are weighted or in clusters, with Student's t interval.

    The variance and its degrees of freedom are those of `cluster_moments`. Losses, which are 0 or more and skewed, have
    the interval on the scale of their logarithm (the delta method): with 5 to 20 clusters and few errors the plain one
    would hold the mean in as little as 81 % of cases.

    Args:
        values: one per image, shape (N,), N ≥ 1, between `lowest` and `highest`.
        units: their weights and clusters.
        confidence: two-sided level, in (0, 1).
        lowest: the smallest value possible; 0 = the values are losses.
        highest: the largest value possible.

    Returns:
        The mean; undefined where all images are of one cluster.
    """
    n = len(units.unit)
    if why := units.why_unknown:
        return Estimate(None, None, None, n=n, note=why)
    place = np.zeros(n, dtype=np.int64)
    moments = cluster_moments(units.summed(place, 1, values), units.summed(place, 1))
    mean = float(moments.rate[0])
    found = student_estimate(
        mean, float(moments.covariance[0, 0]), float(moments.rate_df[0]), n=n, confidence=confidence
    )
    if found.low is None or found.high is None:
        return found
    if lowest == 0.0:
        reach = (found.high - mean) / mean
        if reach > math.log(MOST_FACTOR):
            return Estimate(mean, None, None, n=n, note=TOO_FEW)
        ratio = math.exp(reach)
        found = Estimate(mean, mean / ratio, mean * ratio, n=n)
    assert found.low is not None and found.high is not None
    return Estimate(mean, max(lowest, found.low), min(highest, found.high), n=n)


def clustered_mean_of_rates(
    right: npt.ArrayLike, total: npt.ArrayLike, *, images: npt.ArrayLike, confidence: float = 0.95
) -> Estimate:
    """Return the mean of rates that were counted cluster by cluster, such as the recalls of classes.

    As `mean_of_rates`, with effective sizes in Wilson's intervals (Korn & Graubard 1998, as `effective_size` has them)
    and the correlation of rates that share clusters: √(Σ ρᵢⱼ δᵢ δⱼ) of the distances δ (Zou & Donner 2008, Statistics
    in Medicine 27:1693). It is not narrower than Student's t on the clusters, with the degrees of freedom of
    `combined_df`.

    Args:
        right: images recognised, or their weight, by cluster and class, shape (M, C).
        total: images, or their weight, by cluster and class, shape (M, C).
        images: number of images of each class, shape (C,).
        confidence: two-sided level, in (0, 1).

    Returns:
        The mean; undefined where a class is of one cluster, of which nothing is known but itself.
    """
    a, b = np.asarray(right, dtype=np.float64), np.asarray(total, dtype=np.float64)
    number = np.asarray(images, dtype=np.int64)
    present = b.sum(axis=0) > 0
    count, n = int(present.sum()), int(number.sum())
    if not count:
        return Estimate(None, None, None, n=n, note="no images")
    moments = cluster_moments(a[:, present], b[:, present])
    if (moments.clusters < 2).any():
        few = int((moments.clusters < 2).sum())
        alone = "all images are of one cluster" if count == 1 else f"{few} of {count} classes are of one cluster"
        return Estimate(None, None, None, n=n, note=f"n = {n}, but {alone}")
    rate, covariance = moments.rate, moments.covariance
    size = effective_size(
        rate,
        np.diagonal(covariance),
        images=number[present],
        clusters=moments.clusters,
        df=moments.rate_df,
        confidence=confidence,
    )
    low, high = wilson_bounds(rate * size, size, confidence)
    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.clip(np.nan_to_num(covariance / np.outer(spread, spread)), -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    down, up = (math.sqrt(max(float(d @ correlation @ d), 0.0)) / count for d in (rate - low, high - rate))
    mean, variance = float(rate.mean()), float(covariance.sum()) / count**2
    df = kurtosis_df(
        combined_df(b[:, present], rate * (1 - rate) / number[present]),
        ((a[:, present] - rate * b[:, present]) / b[:, present].sum(axis=0)).sum(axis=1),
    )
    ends = at_least_t(
        max(0.0, mean - down), min(1.0, mean + up), difference=mean, variance=variance, df=df, confidence=confidence
    )
    note = "" if present.all() else f"{count} of {len(present)} classes present"
    return Estimate(mean, max(0.0, ends[0]), ends[1], n=n, note=note)
