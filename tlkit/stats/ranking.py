"""How well a score ranks: positives above negatives, right above wrong, known above unknown."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile

Floats = npt.NDArray[np.float64]


def auroc(score: npt.ArrayLike, positive: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the chance that a positive scores above a negative, ties counted half, with DeLong's interval.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837; by midranks: Sun & Xu (2014), IEEE Signal Processing
    Letters 21:1389.

    Args:
        score: higher = more likely positive, shape (N,).
        positive: whether an image is of the class, shape (N,).
        confidence: two-sided level, in (0, 1).

    Returns:
        The area in [0, 1]; undefined where positives or negatives are missing; without an interval where the score
        separates them wholly, because then nothing varies.

    Example:
        >>> auroc([0.5, 0.5, 0.5, 0.9], [0, 0, 1, 1]).value
        0.75
    """
    scores, is_positive = np.asarray(score, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    high, low = scores[is_positive], scores[~is_positive]
    m, n = len(high), len(low)
    if m == 0 or n == 0:
        return Estimate(None, None, None, n=m + n, note="no positives" if m == 0 else "no negatives")
    ranks = _midranks(np.concatenate([high, low]))
    above = (ranks[:m] - _midranks(high)) / n  # share of negatives below each positive
    below = 1 - (ranks[m:] - _midranks(low)) / m  # share of positives above each negative
    area = float(above.mean())
    if m < 2 or n < 2:
        return Estimate(area, None, None, n=m + n, note="one image has no spread")
    variance = float(above.var(ddof=1) / m + below.var(ddof=1) / n)
    if variance == 0.0:
        return Estimate(area, None, None, n=m + n, note="not enough data for an interval: nothing varies")
    half = normal_quantile(confidence) * math.sqrt(variance)
    return Estimate(area, max(0.0, area - half), min(1.0, area + half), n=m + n)


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float | None:
    """Return the area under the risk–coverage curve: the mean share of errors among the surest 1, 2, … N images.

    Geifman & El-Yaniv (2017), NeurIPS, section 2. Among equal confidences, whose order means nothing, the errors are
    averaged over all orders, so that the order of the images changes nothing.

    Args:
        confidence: how sure the model is, shape (N,).
        correct: whether it is right, shape (N,).

    Returns:
        The area in [0, 1], 0 = no error, or None without images.
    """
    sure, wrong = np.asarray(confidence, dtype=np.float64), 1.0 - np.asarray(correct, dtype=np.float64)
    if len(sure) == 0:
        return None
    _, block, size = np.unique(-sure, return_inverse=True, return_counts=True)
    share = np.bincount(block, weights=wrong) / size  # errors per image of a block of ties
    errors = np.cumsum(np.repeat(share, size))
    return float((errors / np.arange(1, len(sure) + 1)).mean())


def false_positive_rate_at(positive: npt.ArrayLike, negative: npt.ArrayLike, *, rate: float = 0.95) -> float | None:
    """Return the share of negatives that pass the threshold which lets at least that share of the positives pass.

    For out-of-distribution scores there are two conventions: with the known images as positives and their confidence
    as the score, or, as OpenOOD does, with the unknown ones as positives and minus the confidence; the numbers differ.

    Args:
        positive: scores of the positives, higher = more positive, shape (M,).
        negative: scores of the negatives, shape (N,).
        rate: share of the positives to pass, in (0, 1].

    Returns:
        The share in [0, 1], or None where either is empty.

    Example:
        >>> known, unknown = [0.9, 0.8, 0.7, 0.6, 0.55], [0.65, 0.5, 0.4, 0.3]
        >>> false_positive_rate_at(known, unknown)
        0.25
    """
    high, low = np.sort(np.asarray(positive, dtype=np.float64))[::-1], np.asarray(negative, dtype=np.float64)
    if len(high) == 0 or len(low) == 0:
        return None
    threshold = high[math.ceil(rate * len(high) - 1e-9) - 1]
    return float((low >= threshold).mean())


def _midranks(values: Floats) -> Floats:
    """Return ranks from 1, the mean rank for ties, shape (N,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)
