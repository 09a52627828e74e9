"""Calibration: expected calibration error, its value under perfect calibration, Brier score and log loss."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.dependent_samples import cluster_moments
from tlkit.stats.hypothesis_tests import log_choose

Binning = Literal["mass", "width"]
BINS = 10


def calibration_error(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "mass",
    weights: npt.ArrayLike | None = None,
) -> float | None:
    """Return the expected calibration error: the mean absolute difference of confidence and accuracy over bins.

    Naeini, Cooper & Hauskrecht (2015), AAAI, eq. 3; with bins of equal mass: Nguyen & O'Connor (2015), EMNLP. It is
    above 0 even for a perfectly calibrated model: compare it with `null_calibration_error`. Over- and under-confident
    images of one bin cancel.

    Args:
        confidence: probability of the predicted class, shape (N,), in [0, 1].
        correct: whether the prediction is right, shape (N,).
        bins: number of bins.
        binning: mass = bins of about equal size, equal confidences in one bin; width = equal parts of [0, 1], closed on
            the right.
        weights: of the images within the bins, shape (N,), not all 0; None = equal weights.

    Returns:
        The error in [0, 1], or None without images.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if len(sure) == 0:
        return None
    weight = _weights(weights, len(sure))
    sums = np.bincount(assign_bins(sure, bins, binning), weights=weight * (right - sure))
    return float(np.abs(sums).sum() / weight.sum())


def calibration_design_effect(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, units: Units, *, bins: int = BINS
) -> float | None:
    """Return the design effect of the calibration error: its variance in clusters over that of independent images.

    The variances of accuracy minus confidence in the bins (`cluster_moments`, and as if images were independent) are
    each summed over the bins: Kish (1965), Survey Sampling, section 8.2. Bins of one cluster, whose variance is
    unknown, are left out.

    Args:
        confidence: probability of the predicted class, shape (N,), in [0, 1].
        correct: whether the prediction is right, shape (N,).
        units: weights and clusters of the images.
        bins: number of bins of equal mass.

    Returns:
        The design effect, at least 1; None where every bin has a single cluster.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    place = assign_bins(sure, bins, "mass")
    total = units.summed(place, bins)
    moments = cluster_moments(units.summed(place, bins, right - sure), total)
    known = moments.clusters >= 2
    if not known.any():
        return None
    images = np.bincount(place[units.weight > 0], minlength=bins)
    mean = np.where(known, moments.rate, 0.0)
    squares = np.bincount(place, weights=(units.weight * (right - sure - mean[place])) ** 2, minlength=bins)
    independent = squares * images / np.maximum(images - 1, 1)
    varies = np.diagonal(moments.covariance)[known] * total.sum(axis=0)[known] ** 2
    return max(1.0, float(varies.sum() / independent[known].sum())) if independent[known].sum() > 0 else 1.0


def null_calibration_error(
    confidence: npt.ArrayLike,
    *,
    bins: int = BINS,
    binning: Binning = "mass",
    weights: npt.ArrayLike | None = None,
    effect: float = 1.0,
) -> float | None:
    """Return the expected calibration error of a perfectly calibrated model with these confidences.

    In a bin the number of right images has the mean Σp and the variance Σp(1 − p). Its mean absolute deviation is that
    of a binomial with the bin's mean p (De Moivre; Diaconis & Zabell 1991, Statistical Science 6:284, eq. 1.1), times
    the ratio of the standard deviations. The result is close to the mean of the consistency resampling of Bröcker &
    Smith (2007), Weather and Forecasting 22:651, without random draws.

    Arguments as in `calibration_error`; with weights the variance of a bin is Σw²p(1 − p), and the square root of the
    design effect of clusters, `effect`, scales the error.

    Returns:
        The mean error in [0, 1], or None without images.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    if len(sure) == 0:
        return None
    place = assign_bins(sure, bins, binning)
    n, expected, variance = (np.bincount(place, weights=each) for each in (np.ones(len(sure)), sure, sure * (1 - sure)))
    filled = variance > 0  # not where every confidence is 0 or 1
    n, expected = n[filled], expected[filled]
    p = expected / n
    above = np.floor(expected) + 1  # ν of De Moivre: E|X − np| = 2 ν C(n, ν) pᵛ (1 − p)ⁿ⁻ᵛ⁺¹
    deviation = 2 * above * np.exp(log_choose(n, above) + above * np.log(p) + (n - above + 1) * np.log1p(-p))
    weight = _weights(weights, len(sure))
    variance = np.bincount(place, weights=weight**2 * sure * (1 - sure))[filled]
    return float((deviation * np.sqrt(variance / (n * p * (1 - p)))).sum() / weight.sum() * math.sqrt(effect))


def confidence_losses(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Floats:
    """Return the squared error of each image's confidence, shape (N,), in [0, 1]; the mean is its Brier score.

    Brier (1950), Monthly Weather Review 78:1, eq. 2, for being right.

    Args:
        confidence: probability of the predicted class, shape (N,), in [0, 1].
        correct: whether the prediction is right, shape (N,).
    """
    return np.asarray((np.asarray(confidence, dtype=np.float64) - np.asarray(correct, dtype=np.float64)) ** 2)


def log_losses(proba: npt.ArrayLike, y_true: npt.ArrayLike) -> Floats:
    """Return the log loss of each image in nats, shape (N,): −ln p of the true class, the terms of scikit-learn's.

    Good (1952), J. R. Stat. Soc. B 14:107. As scikit-learn's `log_loss` it divides by the sum of each row, and takes p
    between 2⁻⁵² and 1 − 2⁻⁵²: a probability of 0 costs 36 nats.

    Args:
        proba: class probabilities, shape (N, C).
        y_true: true classes, shape (N,), in 0…C-1.
    """
    table, truth = np.asarray(proba, dtype=np.float64), np.asarray(y_true, dtype=np.int64)
    own = table[np.arange(len(truth)), truth] / table.sum(axis=1)
    smallest = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(own, smallest, 1 - smallest)))


def opposite_classes(proba: npt.ArrayLike, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Ints:
    """Return the class with which a right prediction is wrong and a wrong one right, shape (N,).

    The most probable class beside the true one, and the predicted one.

    Args:
        proba: class probabilities, shape (N, C).
        y_true: true classes, shape (N,), in 0…C-1.
        y_pred: predicted classes, shape (N,).
    """
    truth, guess = np.asarray(y_true, dtype=np.int64), np.asarray(y_pred, dtype=np.int64)
    table = np.array(proba, dtype=np.float64)
    table[np.arange(len(truth)), truth] = -np.inf
    return np.asarray(np.where(guess == truth, table.argmax(axis=1), guess))


def _weights(weights: npt.ArrayLike | None, n: int) -> Floats:
    return np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)


def assign_bins(sure: Floats, bins: int, binning: Binning) -> Ints:
    """Return the bin of each image, shape (N,), in 0…bins-1; equal confidences are in one bin.

    Args:
        sure: confidences, shape (N,), in [0, 1].
        bins: number of bins at most.
        binning: as in `calibration_error`.
    """
    if binning == "width":
        return np.asarray(np.clip(np.ceil(sure * bins) - 1, 0, bins - 1), dtype=np.int64)
    inner = np.unique(np.quantile(sure, np.arange(1, bins) / bins, method="inverted_cdf"))
    return np.asarray(np.searchsorted(inner, sure, side="left"), dtype=np.int64)
