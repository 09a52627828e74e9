"""Confidence intervals of F1, balanced accuracy and macro-F1."""

from __future__ import annotations

import math

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.stats.bootstrap import REPLICATES, percentile_estimate
from tlkit.stats.confusion_scores import CONFUSION_SCORES, score_replicates
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import Spread, bounded_estimate
from tlkit.stats.intervals import jeffreys_bounds, wilson_bounds
from tlkit.stats.macro_f1 import class_f1, macro_f1_jackknife
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


def macro_f1_estimate(confusion: Counts, confidence: float) -> Estimate:
    """Return macro-F1, the mean over the classes that have images, with its interval.

    Each end is the farther of two:

    1. Wilson's interval around the value less its bias, with the effective number of images by the jackknife's variance
       (`macro_f1_jackknife`, times (n − 1)/n; `bounded_estimate`). The F1 of a rare class is mostly too low in a
       sample, and the jackknife takes this back. Where no image changes the value, the number is n.
    2. Jeffreys's intervals of the classes' overlaps r (`f1_bounds`; Brown, Cai & DasGupta 2001, Statistical Science
       16:101, section 3.1.2), mapped to F1 and combined by their squared distances from the values (MOVER: Zou, Huang &
       Zhang 2009, Computational Statistics & Data Analysis 53:1080). It is the farther one where a class has so few
       images that all are right or all are wrong, and the jackknife sees no variance in them. Wilson's intervals,
       wider at an r of 0 or 1, would hold the truth too often.

    Coverage and width: `benchmarks/macro_intervals.py`, decision 220.

    Args:
        confusion: number of images, shape (C, C); row = true class, column = predicted class; not all 0.
        confidence: two-sided level, in (0, 1).
    """
    found, n, present = macro_f1_jackknife(confusion), int(confusion.sum()), confusion.sum(axis=1) > 0
    bias = found.bias if 0.0 < found.value - found.bias < 1.0 else 0.0
    spread = Spread(found.variance * (n - 1) / n, math.inf)  # of a share of n images: s(1 − s)/n, whose number is n
    whole = bounded_estimate(found.value, spread, n=n, least=n, bias=bias, confidence=confidence)
    right = np.diagonal(confusion)[present]
    either = (confusion.sum(axis=0) + confusion.sum(axis=1))[present] - right
    low, high = (2 * end / (1 + end) for end in jeffreys_bounds(right, either, confidence))
    return _widen(whole, mover_distances(class_f1(confusion), low, high), _note(present))


def macro_estimates(
    confusion: Counts,
    *,
    rng: np.random.Generator,
    confidence: float,
    replicates: int = REPLICATES,
    drawn: Floats | None = None,
) -> tuple[Estimate, Estimate]:
    """Return balanced accuracy and macro-F1, both means over the classes that have images, with their intervals.

    For macro-F1 see `macro_f1_estimate`. Each end of balanced accuracy is the farther of two:

    1. The percentile bootstrap of the confusion matrix; in a resample, too, the mean is over the classes that it has.
       It collapses where few images are wrong: with 10 images in each of 2 classes and a true accuracy of 0.97, its
       95 % interval holds the truth 44 % of the time (simulated).
    2. Wilson's intervals of the recalls, which are independent, combined by MOVER.

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
    recall = right / support[present]
    low, high = wilson_bounds(right, support[present], confidence)
    if drawn is None:
        drawn = score_replicates(confusion, rng=rng, replicates=replicates)
    replicated = drawn[:, CONFUSION_SCORES.index("balanced_accuracy")]
    balanced = percentile_estimate(recall.mean(), replicated, n=int(support.sum()), confidence=confidence)
    return (
        _widen(balanced, mover_distances(recall, low, high), _note(present)),
        macro_f1_estimate(confusion, confidence),
    )


def _note(present: Mask) -> str:
    return "" if present.all() else f"{present.sum()} of {len(present)} classes present"


def _widen(estimate: Estimate, distances: tuple[float, float], note: str) -> Estimate:
    """Return the estimate with ends at least the given distances below and above the value, within [0, 1]."""
    value, low, high = estimate.value, estimate.low, estimate.high
    assert value is not None and low is not None and high is not None, "some class has images"
    return Estimate(
        value, max(0.0, min(low, value - distances[0])), min(1.0, max(high, value + distances[1])), estimate.n, note
    )
