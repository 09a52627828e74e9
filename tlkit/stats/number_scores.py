"""Scores of predicted numbers with intervals: mean absolute error, root mean squared error, R²."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from tlkit.arrays import Floats
from tlkit.stats.cluster_sampling import MOST_FACTOR, NOTHING_VARIES, TOO_FEW, Units, student_estimate
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import spread_of
from tlkit.stats.means import clustered_mean


def mean_loss(losses: Floats, units: Units | None, confidence: float) -> Estimate:
    """Return the mean of losses of at least 0, with Student's t interval on the log scale (delta method).

    Losses are skewed; on the log scale an interval stays above 0. Clusters: see `clustered_mean`.

    Args:
        losses: one per image, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
    """
    if units is None:
        value = float(losses.mean())
        return positive_estimate(value, losses - value, None, confidence=confidence)
    return _with_value(clustered_mean(losses, units, confidence), float(np.average(losses, weights=units.weight)))


def positive_estimate(value: float, influence: Floats, units: Units | None, *, confidence: float) -> Estimate:
    """Return a score above 0 with Student's t interval of its influences on the log scale.

    Args:
        value: the score.
        influence: of each image, shape (N,), with a weighted sum of 0.
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
    """
    n = len(influence)
    if units is not None and (why := units.why_unknown):
        return Estimate(value, None, None, n=n, note=f"no interval: {why}")
    spread = spread_of(influence, units)
    if not (spread.df > 0 and math.isfinite(spread.variance)):
        return Estimate(value, None, None, n=n, note=TOO_FEW)
    if not value > 0 or spread.variance <= 1e-15 * value * value:
        return Estimate(value, None, None, n=n, note=NOTHING_VARIES)
    half = float(stdtrit(spread.df, 0.5 + confidence / 2.0)) * math.sqrt(spread.variance) / value
    if half > math.log(MOST_FACTOR):
        return Estimate(value, None, None, n=n, note=TOO_FEW)
    return Estimate(value, value * math.exp(-half), value * math.exp(half), n=n)


def signed_mean(values: Floats, units: Units | None, confidence: float) -> Estimate:
    """Return the mean of numbers of either sign, with Student's t interval; arguments as in `mean_loss`."""
    if units is None:
        value = float(values.mean())
        spread = spread_of(values - value, None)
        unit = float(np.abs(values).max(initial=0.0))
        return student_estimate(value, spread.variance, spread.df, n=len(values), confidence=confidence, unit=unit)
    found = clustered_mean(values, units, confidence, lowest=-math.inf)
    return _with_value(found, float(np.average(values, weights=units.weight)))


def _with_value(estimate: Estimate, value: float) -> Estimate:
    """Return the estimate, with its value where clusters are too few for an interval."""
    if estimate.value is not None:
        return estimate
    return Estimate(value, None, None, n=estimate.n, note=f"no interval: {estimate.note}")


def log_scale(estimate: Estimate) -> Estimate:
    """Return the mean of losses with its symmetric interval moved to the log scale (delta method)."""
    value, high = estimate.value, estimate.high
    if value is None or high is None or not value > 0:
        return estimate
    half = (high - value) / value
    if half > math.log(MOST_FACTOR):
        return Estimate(value, None, None, n=estimate.n, note=TOO_FEW)
    return Estimate(value, value * math.exp(-half), value * math.exp(half), n=estimate.n, note=estimate.note)


def root(estimate: Estimate) -> Estimate:
    """Return the square root of an estimate and of its ends: the root mean squared error from its square."""
    value, low, high = (
        None if one is None else math.sqrt(one) for one in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, n=estimate.n, note=estimate.note)


def r_squared(y_true: Floats, y_pred: Floats, units: Units | None, confidence: float) -> Estimate:
    """Return R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², at most 1; 0 = no better than the mean of the truth.

    The interval is that of the ratio 1 − R² on the log scale. The influence of an image on the ratio is
    ((y − ŷ)² − ratio (y − ȳ)²) / mean (y − ȳ)²; ȳ adds nothing to first order, since the sum is smallest there.

    Args:
        y_true: shape (N,).
        y_pred: shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).

    Returns:
        R²; undefined where all true numbers are equal.
    """
    weight = np.ones(len(y_true)) if units is None else units.weight
    squared, away = (y_true - y_pred) ** 2, (y_true - np.average(y_true, weights=weight)) ** 2
    spread = float(np.average(away, weights=weight))
    if spread <= 0 or np.ptp(y_true[weight > 0]) == 0:
        return Estimate(None, None, None, n=len(y_true), note="all true numbers are equal")
    ratio = float(np.average(squared, weights=weight)) / spread
    found = positive_estimate(ratio, (squared - ratio * away) / spread, units, confidence=confidence)
    low, high = (None if end is None else 1.0 - end for end in (found.high, found.low))
    return Estimate(1.0 - ratio, low, high, n=found.n, note=found.note)
