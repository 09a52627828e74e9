"""Confidence intervals of F1, balanced accuracy and macro-F1."""

from __future__ import annotations

import math

import numpy as np

from tlkit.arrays import Floats, Ints
from tlkit.stats.bootstrap import REPLICATES, percentile_estimate
from tlkit.stats.confusion_scores import CONFUSION_SCORES, score_replicates
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds
from tlkit.stats.means import mover_distances

Counts = Ints


def f1_bounds(confusion: Counts, confidence: float) -> tuple[Floats, Floats]:
    """Return the interval of each class's F1, shape (C,), in [0, 1]; NaN where a class neither occurs nor is predicted.

    With r = TP / (TP + FP + FN), F1 = 2·TP / (2·TP + FP + FN) = 2r / (1 + r), which grows with r. Where images are
    drawn independently, (TP, FP, FN, TN) is multinomial, so that TP given TP + FP + FN is binomial with r: the ends
    are those of r's Wilson interval, mapped the same way. They do not collapse at F1 = 1 or 0, as a percentile
    bootstrap does.

    `confusion` (C, C) counts images; row = true class, column = predicted class.
    """
    right = np.diagonal(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    low, high = wilson_bounds(right, either, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def macro_estimates(
    confusion: Counts,
    *,
    rng: np.random.Generator,
    confidence: float,
    replicates: int = REPLICATES,
    drawn: Floats | None = None,
) -> tuple[Estimate, Estimate]:
    """Return balanced accuracy and macro-F1, both means over the classes that have images, with their intervals.

    Each end is the farther of two:

    1. The percentile bootstrap of the confusion matrix; in a resample, too, the mean is over the classes that it has.
       It collapses where few images are wrong: with 10 images in each of 2 classes and a true accuracy of 0.97, its
       95 % interval holds the truth 44 % of the time (simulated).
    2. The intervals of the single classes, combined by their squared distances from the estimates (MOVER: Zou, Huang &
       Zhang 2009, Computational Statistics & Data Analysis 53:1080). Recalls of different classes are independent. F1s
       are not, for an error i → j counts against both classes: to first order their sum has the variance
       Σ λ_ij (a_i + b_j)², and (a_i + b_j)² ≤ 2 (a_i² + b_j²), so twice the variance of independent F1s is a bound,
       and the distance grows by √2.

    Together they hold the truth at least 94 % of the time over 2 to 50 classes with 5 to 50 images each and accuracies
    of 0.7 to 0.97, and over long tails (`benchmarks/macro_intervals.py`). There the interval of macro-F1 reaches
    farther up than the bootstrap's, as it must: the F1 of a rare class is mostly too low in a sample.

    Args:
        confusion: number of images, shape (C, C); row = true class, column = predicted class; not all 0.
        rng: source of randomness for the bootstrap.
        confidence: two-sided level, in (0, 1).
        replicates: number of bootstrap resamples.
        drawn: resampled scores, as `score_replicates` returns them; None = they are drawn here.
    """
    support = confusion.sum(axis=1)
    present = support > 0
    right = np.diagonal(confusion)[present]
    both = (confusion.sum(axis=0) + confusion.sum(axis=1))[present]
    recall, f1 = right / support[present], 2 * right / both
    low, high = wilson_bounds(right, support[present], confidence)
    recall_distances = mover_distances(recall, low, high)
    low, high = f1_bounds(confusion, confidence)
    f1_distances = mover_distances(f1, low[present], high[present])
    if drawn is None:
        drawn = score_replicates(confusion, rng=rng, replicates=replicates)
    balanced_drawn, f1_drawn = (drawn[:, CONFUSION_SCORES.index(name)] for name in ("balanced_accuracy", "macro_f1"))
    n = int(support.sum())
    note = "" if present.all() else f"{present.sum()} of {len(present)} classes present"
    return (
        _widen(percentile_estimate(recall.mean(), balanced_drawn, n=n, confidence=confidence), recall_distances, note),
        _widen(
            percentile_estimate(f1.mean(), f1_drawn, n=n, confidence=confidence),
            (math.sqrt(2) * f1_distances[0], math.sqrt(2) * f1_distances[1]),
            note,
        ),
    )


def _widen(estimate: Estimate, distances: tuple[float, float], note: str) -> Estimate:
    """Return the estimate with ends at least the given distances below and above the value, within [0, 1]."""
    value, low, high = estimate.value, estimate.low, estimate.high
    assert value is not None and low is not None and high is not None, "some class has images"
    return Estimate(
        value, max(0.0, min(low, value - distances[0])), min(1.0, max(high, value + distances[1])), estimate.n, note
    )
