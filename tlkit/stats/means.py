"""Means with intervals: of one number per image, and of rates over classes (macro averages)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tlkit.arrays import Floats, Mask
from tlkit.choices import CONFIDENCE
from tlkit.stats.cluster_sampling import MOST_FACTOR, TOO_FEW, Units, combined_df, kurtosis_df, student_estimate
from tlkit.stats.dependent_samples import at_least_t, cluster_moments, effective_size
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds


def mean_estimate(
    values: npt.ArrayLike, confidence: float = CONFIDENCE, *, lowest: float = 0.0, highest: float = math.inf
) -> Estimate:
    """Return the mean of one number per image with Student's t interval, clipped to the possible range.

    Student (1908), Biometrika 6:1.

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
    unit = float(np.abs(given).max())
    return student_estimate(
        mean, spread**2 / n, n - 1, n=n, confidence=confidence, lowest=lowest, highest=highest, unit=unit
    )


def mean_by_outcome(
    values: npt.ArrayLike,
    outcome: Mask,
    otherwise: npt.ArrayLike,
    units: Units | None = None,
    confidence: float = CONFIDENCE,
    *,
    lowest: float = 0.0,
    highest: float = math.inf,
) -> Estimate:
    """Return the mean of a number that jumps with a yes or no outcome, such as a loss where the prediction is wrong.

    With few errors, or none, the values hardly show how the mean varies, and Student's interval is far too narrow: of
    60 images that are right with probability .99 it holds the mean log loss in about half of the samples. The mean is
    m₀ + e (m₁ − m₀), with e the share of images with the outcome, and m the means with and without it. The distances of
    e to the ends of Wilson's interval, times |m₁ − m₀|, are combined with the half-width of Student's interval of what
    varies within outcomes (MOVER: Zou, Huang & Zhang 2009, Computational Statistics & Data Analysis 53:1080). m of an
    outcome without images is the mean of `otherwise`, and one further image, or cluster, has their variance.

    Clusters: the effective size of e (`effective_size`), the correlation of both parts (Zou & Donner 2008, Statistics
    in Medicine 27:1693), and at least the interval of `clustered_mean`.

    Args:
        values: one per image, shape (N,), N ≥ 1.
        outcome: whether the image has the outcome, shape (N,).
        otherwise: the value that the image would have with the other outcome, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
        lowest: the smallest value possible.
        highest: the largest value possible.

    Returns:
        The mean, without an interval where the clusters are too few for one.
    """
    given, other = np.asarray(values, dtype=np.float64), np.asarray(otherwise, dtype=np.float64)
    n = len(given)
    weight = np.ones(n) if units is None else units.weight
    if not weight.any():
        return Estimate(None, None, None, n=n, note="no image has a weight")
    mean = float(np.average(given, weights=weight))
    if units is not None and (why := units.why_unknown):
        return Estimate(mean, None, None, n=n, note=f"no interval: {why}")
    if n == 1:
        return Estimate(mean, None, None, n=1, note="not enough data for an interval: one image")
    held = weight > 0
    sides = [held & (outcome == having) for having in (False, True)]
    means = [_mean_with(given, other, weight, side) for side in sides]
    residual = given - np.where(outcome, means[1], means[0])
    one_more = sum(_spread(other, side, units) for side in sides) if all(side.any() for side in sides) else 0.0
    if units is None:
        share, size, df, correlation = float(outcome.mean()), float(n), n - 1.0, 0.0
        variance = (float(residual @ residual) + one_more) / n**2
    else:
        place, both = np.zeros(n, dtype=np.int64), (outcome, residual)
        total = units.summed(place, 1)
        moments = cluster_moments(
            np.concatenate([units.summed(place, 1, one) for one in both], axis=1), np.repeat(total, 2, axis=1)
        )
        share = min(max(float(moments.rate[0]), 0.0), 1.0)
        worth = effective_size(
            np.array([share, 0.5]),
            np.diagonal(moments.covariance),
            images=[n, n],
            clusters=moments.clusters,
            df=moments.rate_df,
            confidence=confidence,
        )
        size, df, correlation = float(worth[0]), max(float(moments.rate_df[1]), 1.0), float(moments.correlation[0, 1])
        variance = float(moments.covariance[1, 1]) + one_more / units.clusters**2
    half = float(stdtrit(df, 0.5 + confidence / 2)) * math.sqrt(variance)
    jump = means[1] - means[0]
    moved = sorted(jump * (float(end) - share) for end in wilson_bounds(share * size, size, confidence))
    twice = 2 * math.copysign(correlation, correlation * jump) * half
    reach = [math.sqrt(max(half**2 + one**2 + twice * abs(one), 0.0)) for one in moved]
    low, high = mean - reach[0], mean + reach[1]
    if units is not None:
        plain = clustered_mean(given, units, confidence, lowest=lowest, highest=highest)
        if plain.low is None or plain.high is None:
            return plain
        low, high = min(low, plain.low), max(high, plain.high)
    return Estimate(mean, max(lowest, low), min(highest, high), n=n)


def _mean_with(given: Floats, other: Floats, weight: Floats, rows: Mask) -> float:
    """Return the weighted mean of some rows; that of the others' `other` where there are none."""
    if rows.any():
        return float(np.average(given[rows], weights=weight[rows]))
    return float(np.average(other, weights=weight))


def _spread(other: Floats, rows: Mask, units: Units | None) -> float:
    """Return the variance of `other` over some rows, or over the means of their clusters."""
    if units is None:
        return float(other[rows].var())
    own = units.take(rows)
    place = np.zeros(int(rows.sum()), dtype=np.int64)
    weight = own.summed(place, 1)
    return float((own.summed(place, 1, other[rows])[weight > 0] / weight[weight > 0]).var())


def mean_of_rates(k: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of independent rates with a denominator above 0, such as the macro recall.

    A class without images is left out; it is not a rate of 0. The interval combines the Wilson intervals of the rates
    by the squared distances of their ends (MOVER: Zou, Huang & Zhang 2009, Computational Statistics & Data Analysis
    53:1080).

    Args:
        k: numerators, shape (C,).
        n: denominators, shape (C,).
        confidence: two-sided level, in (0, 1).

    Returns:
        The mean in [0, 1]; its `n` is the sum of the denominators, its note the number of rates where some are missing.

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
    down, up = mover_distances(rate, low, high)
    note = "" if present.all() else f"{count} of {len(present)} classes present"
    ends = max(0.0, mean - down), min(1.0, mean + up)
    return Estimate(mean, *ends, n=int(trials.sum()), note=note)


def mover_distances(values: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """Return the distances of a mean's lower and upper ends from it, from the intervals of its independent terms.

    MOVER: Zou, Huang & Zhang 2009, Computational Statistics & Data Analysis 53:1080. All arrays have the shape (C,).
    """
    down, up = np.sum((values - low) ** 2), np.sum((high - values) ** 2)
    return math.sqrt(down) / len(values), math.sqrt(up) / len(values)


def clustered_mean(
    values: npt.ArrayLike,
    units: Units,
    confidence: float = CONFIDENCE,
    *,
    lowest: float = 0.0,
    highest: float = math.inf,
) -> Estimate:
    """Return the mean of one number per weighted or clustered image with Student's t interval.

    The variance and its degrees of freedom are those of `cluster_moments`. Losses are skewed, so their interval is on
    the log scale (delta method): with 5 to 20 clusters and few errors the coverage of the plain one falls to 81 %.

    Arguments as in `mean_estimate`; a `lowest` of 0 means that the values are losses, and `units` has the images'
    weights and clusters. The mean is undefined with a single cluster.
    """
    n = len(units.unit)
    if why := units.why_unknown:
        return Estimate(None, None, None, n=n, note=why)
    place = np.zeros(n, dtype=np.int64)
    moments = cluster_moments(units.summed(place, 1, values), units.summed(place, 1))
    mean = float(moments.rate[0])
    unit = float(np.abs(values).max(initial=0.0))
    plain = student_estimate(
        mean, float(moments.covariance[0, 0]), float(moments.rate_df[0]), n=n, confidence=confidence, unit=unit
    )
    if plain.low is None or plain.high is None:
        return plain
    low, high = plain.low, plain.high
    if lowest == 0.0:
        log_half = (high - mean) / mean
        if log_half > math.log(MOST_FACTOR):
            return Estimate(mean, None, None, n=n, note=TOO_FEW)
        low, high = mean * math.exp(-log_half), mean * math.exp(log_half)
    return Estimate(mean, max(lowest, low), min(highest, high), n=n)


def clustered_mean_of_rates(
    right: npt.ArrayLike, total: npt.ArrayLike, *, images: npt.ArrayLike, confidence: float = CONFIDENCE
) -> Estimate:
    """Return `mean_of_rates` of weighted or clustered images, such as the macro recall.

    The Wilson intervals have effective sizes (`effective_size`) and are combined with the correlation of rates that
    share clusters: √(Σ ρᵢⱼ δᵢ δⱼ) of the distances δ (Zou & Donner 2008, Statistics in Medicine 27:1693). The interval
    is at least as wide as Student's t interval of the clusters, with the degrees of freedom of `combined_df`.

    Args:
        right: images classified correctly, or their weight, by cluster and class, shape (M, C).
        total: images, or their weight, by cluster and class, shape (M, C).
        images: number of images of each class, shape (C,).
        confidence: two-sided level, in (0, 1).

    Returns:
        The mean in [0, 1]; undefined where a class has a single cluster.
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
        problem = "all images are of one cluster" if count == 1 else f"{few} of {count} classes are of one cluster"
        return Estimate(None, None, None, n=n, note=f"n = {n}, but {problem}")
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
    correlation = moments.correlation
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
