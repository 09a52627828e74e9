"""Ranking by a score: area under the ROC curve, false positive rate at a true positive rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from tlkit.arrays import Floats
from tlkit.choices import CONFIDENCE
from tlkit.stats.cluster_sampling import NOTHING_VARIES, Units, combined_df, kurtosis_df, student_estimate
from tlkit.stats.dependent_samples import cluster_moments
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile


def auroc(score: npt.ArrayLike, positive: npt.ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Return the area under the ROC curve with DeLong's interval.

    It is the probability that a positive scores above a negative, ties counted half. DeLong, DeLong & Clarke-Pearson
    (1988), Biometrics 44:837, eq. 3–7.

    Args:
        score: higher = more likely positive, shape (N,).
        positive: whether an image is of the class, shape (N,).
        confidence: two-sided level, in (0, 1).

    Returns:
        The area in [0, 1]; undefined without positives or negatives; without an interval where the score separates them
        completely, because its variance is then 0.

    Example:
        >>> auroc([0.5, 0.5, 0.5, 0.9], [0, 0, 1, 1]).value
        0.75
    """
    scores, is_positive = np.asarray(score, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    return auroc_sorted(np.sort(scores[is_positive]), [np.sort(scores[~is_positive])], confidence=confidence)


def auroc_sorted(
    high: Floats,
    low: Sequence[Floats],
    *,
    without: Sequence[Floats] = (),
    high_is_negative: bool = False,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return `auroc` of sorted samples.

    The cost is a binary search of the first sample in the others, so many small samples are compared with a large one
    without copying it.

    Args:
        high: scores of the positives, ascending, shape (M,).
        low: scores of the negatives, as one or several arrays, each ascending.
        without: scores to remove from `low`, each array ascending: those of a group, to use its complement.
        high_is_negative: True = `high` holds the negatives and the other arrays the positives.
        confidence: two-sided level, in (0, 1).
    """
    signed = [(part, 1) for part in low] + [(part, -1) for part in without]
    m, n = len(high), sum(sign * len(part) for part, sign in signed)
    missing = "no positives" if (m == 0) is not high_is_negative else "no negatives"
    if m == 0 or n == 0:
        return Estimate(None, None, None, n=m + n, note=missing)
    value, times = np.unique(high, return_counts=True)
    below = sum(sign * np.searchsorted(part, value, "left") for part, sign in signed)
    upto = sum(sign * np.searchsorted(part, value, "right") for part, sign in signed)
    placed = (below + upto) / (2 * n)  # share of the second sample below each score
    last = np.cumsum(times)
    # The second sample: scores equal to one of the first, between two of them, above the last.
    equal, between = upto - below, np.diff(np.append(upto, n), prepend=0) - np.append(upto - below, 0)
    above_equal, above_between = (m - last + times / 2) / m, (m - np.append(0, last)) / m
    area = float(times @ placed) / m
    estimate = 1 - area if high_is_negative else area
    if m < 2 or n < 2:
        return Estimate(estimate, None, None, n=m + n, note="one image has no spread")
    own = float(times @ (placed - area) ** 2) / (m - 1)
    others = float(equal @ (above_equal - area) ** 2 + between @ (above_between - area) ** 2) / (n - 1)
    variance = own / m + others / n
    if variance < 1e-15:
        return Estimate(estimate, None, None, n=m + n, note=NOTHING_VARIES)
    half = normal_quantile(confidence) * math.sqrt(variance)
    return Estimate(estimate, max(0.0, estimate - half), min(1.0, estimate + half), n=m + n)


def clustered_area(
    high: Floats, low: Floats, *, high_units: Units, low_units: Units, confidence: float = CONFIDENCE
) -> Estimate:
    """Return `auroc` of weighted or clustered images.

    Obuchowski (1997), Biometrics 53:567: DeLong's placements, summed within clusters, which may have positives and
    negatives; the covariance of their two means is that of `cluster_moments`, whose 1 − share replaces I/(I − 1). The
    interval is Student's t, with the degrees of freedom of `combined_df`, on the log odds scale (Qin & Hotilovac 2008,
    Statistical Methods in Medical Research 17:207): near 1 the coverage of the plain one falls to 86 % with 5 or 10
    clusters.

    `high` and `low` are the scores of the positives and of the negatives, shapes (P,) and (Q,), with their weights and
    clusters. Also undefined where either has a single cluster.
    """
    n = len(high) + len(low)
    for units, missing in ((high_units, "no positives"), (low_units, "no negatives")):
        if why := units.why_unknown:
            return Estimate(None, None, None, n=n, note=why if len(units.unit) else missing)
    placed = _share_below(high, low, low_units.weight)
    above = 1.0 - _share_below(low, high, high_units.weight)
    kind = np.repeat([0, 1], [len(high), len(low)])
    every = Units(
        np.concatenate([high_units.weight, low_units.weight]), np.concatenate([high_units.unit, low_units.unit])
    )
    own, total = every.summed(kind, 2, np.concatenate([placed, above])), every.summed(kind, 2)
    moments = cluster_moments(own, total)
    area = float(moments.rate[0])
    independent = [
        float((units.weight**2 @ (place - area) ** 2) / units.weight.sum() ** 2)
        for units, place in ((high_units, placed), (low_units, above))
    ]
    df = kurtosis_df(combined_df(total, independent), ((own - area * total) / total.sum(axis=0)).sum(axis=1))
    found = student_estimate(area, float(moments.covariance.sum()), df, n=n, confidence=confidence)
    if found.high is None or not 0 < area < 1:
        return found
    half = (found.high - area) / (area * (1 - area))
    low_end, high_end = expit(logit(area) + np.array([-half, half])).tolist()
    return Estimate(area, low_end, high_end, n=n)


def _share_below(score: Floats, others: Floats, weight: Floats) -> Floats:
    """Return the share of the weight of the other scores below each score, ties counted half, shape (N,)."""
    order = np.argsort(others, kind="stable")
    cumulated = np.append(0.0, np.cumsum(weight[order]))
    rising = others[order]
    below, upto = (cumulated[np.searchsorted(rising, score, side)] for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * cumulated[-1]))


def false_positive_rate_at(positive: npt.ArrayLike, negative: npt.ArrayLike, *, rate: float = 0.95) -> float | None:
    """Return the false positive rate at a true positive rate, such as FPR95.

    The threshold is the largest that at least `rate` of the positives reach. For out-of-distribution detection there
    are two conventions with different results: known images as positives, scored by confidence (Hendrycks & Gimpel
    2017, ICLR; Liang, Li & Srikant 2018, ICLR), or unknown images as positives, scored by minus the
    confidence (OpenOOD).

    Args:
        positive: scores of the positives, higher = more positive, shape (M,).
        negative: scores of the negatives, shape (N,).
        rate: true positive rate, in (0, 1].

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
