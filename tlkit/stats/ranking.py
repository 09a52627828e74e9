"""How well a score ranks: positives above negatives, right above wrong, known above unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tlkit.stats.cluster_sampling import NOTHING_VARIES, Units, combined_df, kurtosis_df, student_estimate
from tlkit.stats.dependent_samples import cluster_moments
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile

Floats = npt.NDArray[np.float64]


def auroc(score: npt.ArrayLike, positive: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return the chance that a positive scores above a negative, ties counted half, with DeLong's interval.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837.

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
    return area_above(np.sort(scores[is_positive]), [np.sort(scores[~is_positive])], confidence=confidence)


def area_above(
    high: Floats,
    low: Sequence[Floats],
    *,
    without: Sequence[Floats] = (),
    turned: bool = False,
    confidence: float = 0.95,
) -> Estimate:
    """Return the chance that a score of one sample lies above one of another, ties counted half, as `auroc` does.

    For samples that are sorted already. The cost is that of placing the first sample among the others, so
    many small samples are compared with one large one without copying it.

    Args:
        high: scores of the positives, rising, shape (M,).
        low: scores of the negatives, as one or several arrays, each rising.
        without: scores that are among those of `low`, each rising, to be left out: those of a group, to compare it with
            the others.
        turned: take `high` for the negatives, and the others for the positives.
        confidence: two-sided level, in (0, 1).
    """
    signed = [(part, 1) for part in low] + [(part, -1) for part in without]
    m, n = len(high), sum(sign * len(part) for part, sign in signed)
    missing = "no positives" if (m == 0) is not turned else "no negatives"
    if m == 0 or n == 0:
        return Estimate(None, None, None, n=m + n, note=missing)
    value, times = np.unique(high, return_counts=True)
    below = sum(sign * np.searchsorted(part, value, "left") for part, sign in signed)
    upto = sum(sign * np.searchsorted(part, value, "right") for part, sign in signed)
    placed = (below + upto) / (2 * n)  # share of the others below each score
    last = np.cumsum(times)
    # The others in turn: those equal to a score, those between two scores, those above the last.
    equal, between = upto - below, np.diff(np.append(upto, n), prepend=0) - np.append(upto - below, 0)
    above_equal, above_between = (m - last + times / 2) / m, (m - np.append(0, last)) / m
    area = float(times @ placed) / m
    estimate = 1 - area if turned else area
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
    high: Floats, low: Floats, *, high_units: Units, low_units: Units, confidence: float = 0.95
) -> Estimate:
    """Return the chance that a positive scores above a negative where images are weighted or in clusters.

    Obuchowski (1997), Biometrics 53:567: DeLong's placements, summed within each cluster, which may have positives and
    negatives; the two means of placements vary together as `cluster_moments` has it, whose 1 − share stands for her
    I/(I − 1). The interval is Student's t, with the degrees of freedom of `combined_df`, on the scale of the log odds
    of the area (Qin & Hotilovac 2008, Statistical Methods in Medical Research 17:207): near 1 the plain one would hold
    the area in as little as 86 % of cases with 5 or 10 clusters.

    Args:
        high: scores of the positives, shape (P,).
        low: scores of the negatives, shape (Q,).
        high_units: weights and clusters of the positives.
        low_units: those of the negatives.
        confidence: two-sided level, in (0, 1).

    Returns:
        The area in [0, 1]; undefined where positives or negatives are missing, or all of either are of one cluster.
    """
    n = len(high) + len(low)
    for units, missing in ((high_units, "no positives"), (low_units, "no negatives")):
        if why := units.why_unknown:
            return Estimate(None, None, None, n=n, note=why if len(units.unit) else missing)
    placed = _share_below(high, low, low_units.weight)
    above = 1.0 - _share_below(low, high, high_units.weight)
    kind = np.repeat([0, 1], [len(high), len(low)])
    every = Units(
        *(np.concatenate([getattr(units, name) for units in (high_units, low_units)]) for name in ("weight", "unit"))
    )
    own, total = every.summed(kind, 2, np.concatenate([placed, above])), every.summed(kind, 2)
    moments = cluster_moments(own, total)
    area = float(moments.rate[0])
    alone = [
        float((units.weight**2 @ (place - area) ** 2) / units.weight.sum() ** 2)
        for units, place in ((high_units, placed), (low_units, above))
    ]
    df = kurtosis_df(combined_df(total, alone), ((own - area * total) / total.sum(axis=0)).sum(axis=1))
    found = student_estimate(area, float(moments.covariance.sum()), df, n=n, confidence=confidence)
    if found.high is None or not 0 < area < 1:
        return found
    reach = (found.high - area) / (area * (1 - area))
    ends = [1 / (1 + (1 - area) / area * math.exp(-sign * reach)) for sign in (-1, 1)]
    return Estimate(area, ends[0], ends[1], n=n)


def _share_below(score: Floats, others: Floats, weight: Floats) -> Floats:
    """Return the share of the others' weight that lies below each score, ties counted half."""
    order = np.argsort(others, kind="stable")
    cumulated = np.append(0.0, np.cumsum(weight[order]))
    rising = others[order]
    below, upto = (cumulated[np.searchsorted(rising, score, side)] for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * cumulated[-1]))


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float | None:
    """Return the area under the risk–coverage curve: the mean share of errors among the surest 1, 2, … N images.

    Geifman & El-Yaniv (2017), NeurIPS, section 2. Among equal confidences, whose order means nothing, the errors are
    averaged over all orders, so that the order of the images changes nothing.

    Args:
        confidence: how sure the model is, shape (N,).
        correct: whether it is right, shape (N,).
        weights: of the images, shape (N,), not all 0; None = all alike. Equal confidences share theirs.

    Returns:
        The area in [0, 1], 0 = no error, or None without images.
    """
    sure, wrong = np.asarray(confidence, dtype=np.float64), 1.0 - np.asarray(correct, dtype=np.float64)
    if len(sure) == 0:
        return None
    _, block, size = np.unique(-sure, return_inverse=True, return_counts=True)
    if weights is not None:
        weight = np.asarray(weights, dtype=np.float64)
        each = np.repeat(np.bincount(block, weights=weight) / size, size)
        missed = np.repeat(np.bincount(block, weights=weight * wrong) / size, size)
        heavy = np.cumsum(each) > 0  # before the first image that weighs, there is nothing to miss
        return float((np.cumsum(missed) / np.where(heavy, np.cumsum(each), 1.0)) @ each / each.sum())
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
