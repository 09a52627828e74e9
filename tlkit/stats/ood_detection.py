"""Detection of a second kind of image by a score: area under the ROC curve and false positive rate at a fixed TPR."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, SEED
from tlkit.stats.bootstrap import REPLICATES
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds
from tlkit.stats.ranking import auroc, clustered_area, false_positive_rate_at

TPR = 0.95


@dataclass(frozen=True)
class Detection:
    """How well a score separates unknown (out-of-distribution) images from known (in-distribution) ones.

    Attributes:
        auroc: probability that an unknown image scores above a known one; the same in both conventions.
        fpr95_unknown_positive: share of the known images that are called unknown where 95 % of the unknown ones are.
            OpenOOD's convention: out-of-distribution = positive.
        fpr95_known_positive: share of the unknown images that are accepted where 95 % of the known ones are. The
            convention of Hendrycks & Gimpel (2017) and Liang et al. (2018): in-distribution = positive.
    """

    auroc: Estimate
    fpr95_unknown_positive: Estimate
    fpr95_known_positive: Estimate


def detection(
    known: Floats, unknown: Floats, *, known_unit: Ints | None = None, confidence: float = CONFIDENCE, seed: int = SEED
) -> Detection:
    """Return AUROC, and FPR95 in both conventions, each with its interval.

    Args:
        known: scores of in-distribution images, higher = more foreign, shape (M,).
        unknown: scores of out-of-distribution images, shape (N,).
        known_unit: cluster of each known image, shape (M,); None = independent images.
        confidence: two-sided level, in (0, 1).
        seed: of the bootstrap.
    """
    scores, is_unknown = np.concatenate([unknown, known]), np.repeat([True, False], [len(unknown), len(known)])
    if known_unit is None or len(np.unique(known_unit)) == len(known):
        known_unit = None
        area = auroc(scores, is_unknown, confidence)
    else:
        units = Units(np.ones(len(known)), known_unit)
        own = Units(np.ones(len(unknown)), np.arange(len(unknown)) + int(known_unit.max()) + 1)
        area = clustered_area(unknown, known, high_units=own, low_units=units, confidence=confidence)
    return Detection(
        auroc=area,
        fpr95_unknown_positive=fpr_at_tpr(unknown, known, negative_unit=known_unit, confidence=confidence, seed=seed),
        fpr95_known_positive=fpr_at_tpr(-known, -unknown, positive_unit=known_unit, confidence=confidence, seed=seed),
    )


def fpr_at_tpr(
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    *,
    rate: float = TPR,
    positive_unit: Ints | None = None,
    negative_unit: Ints | None = None,
    confidence: float = CONFIDENCE,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> Estimate:
    """Return the false positive rate at a true positive rate, such as FPR95, with its interval.

    The threshold is estimated too: a Wilson interval that takes it as given is too narrow (Pepe 2003, The Statistical
    Evaluation of Medical Tests for Classification and Prediction, section 5.2). So the variance V is that of a
    bootstrap of both samples (Zhou & Qin 2005, Statistics in Medicine 24:465), and the interval is Wilson's with the
    effective size p(1 − p)/V, at most the number of negatives. Independent images are resampled in closed form: the
    threshold of a resample is an order statistic whose rank is drawn from a beta distribution, and the negatives above
    it are binomial.

    Args:
        positive: scores of the positives, higher = more positive, shape (M,).
        negative: scores of the negatives, shape (N,).
        rate: true positive rate, in (0, 1].
        positive_unit: cluster of each positive, shape (M,); None = independent images.
        negative_unit: cluster of each negative, shape (N,); None = independent images.
        confidence: two-sided level, in (0, 1).
        replicates: resamples.
        seed: of the bootstrap.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> fpr_at_tpr(rng.normal(2, 1, 200), rng.normal(0, 1, 200)).format()
        '0.280 [0.167, 0.431]'
    """
    high, low = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
    value = false_positive_rate_at(high, low, rate=rate)
    if value is None:
        note = "no positives" if len(high) == 0 else "no negatives"
        return Estimate(None, None, None, n=len(low), note=note)
    rng = np.random.default_rng(seed)
    if positive_unit is None and negative_unit is None:
        drawn = _independent(high, low, rate, rng, replicates)
    else:
        drawn = _clustered(high, low, rate, rng, replicates, high_unit=positive_unit, low_unit=negative_unit)
    clusters = len(low) if negative_unit is None else len(np.unique(negative_unit))
    if clusters < 2:
        return Estimate(value, None, None, n=len(low), note="not enough data for an interval: too few clusters")
    mean, variance = float(drawn.mean()), float(drawn.var())
    most = float(len(low) if variance > 0 else clusters)
    effective = min(most, mean * (1 - mean) / variance) if variance > 0 and 0 < mean < 1 else most
    effective = max(effective, 1.0)
    start, end = wilson_bounds(value * effective, effective, confidence)
    return Estimate(value, float(start), float(end), n=len(low))


def _independent(high: Floats, low: Floats, rate: float, rng: np.random.Generator, replicates: int) -> Floats:
    """Return the rate in resamples of independent images, shape (B,)."""
    m, n = len(high), len(low)
    rank = math.ceil(rate * m - 1e-9)
    place = np.ceil(m * rng.beta(rank, m - rank + 1, size=replicates)).astype(np.int64)
    threshold = np.sort(high)[::-1][np.clip(place, 1, m) - 1]
    share = 1.0 - np.searchsorted(np.sort(low), threshold, "left") / n
    return np.asarray(rng.binomial(n, share) / n)


def _clustered(
    high: Floats,
    low: Floats,
    rate: float,
    rng: np.random.Generator,
    replicates: int,
    *,
    high_unit: Ints | None,
    low_unit: Ints | None,
) -> Floats:
    """Return the rate in resamples of whole clusters, shape (B,)."""
    high_order, low_order = np.argsort(-high, kind="stable"), np.argsort(low, kind="stable")
    found = np.empty(replicates)
    high_units, low_units = _numbered(high_unit, len(high)), _numbered(low_unit, len(low))
    for place in range(replicates):
        upper = np.cumsum(_times(high_units, rng)[high_order])
        threshold = high[high_order][min(int(np.searchsorted(upper, rate * upper[-1] - 1e-9)), len(high) - 1)]
        lower = np.append(0, np.cumsum(_times(low_units, rng)[low_order]))
        found[place] = 1.0 - lower[np.searchsorted(low[low_order], threshold, "left")] / lower[-1]
    return found


def _numbered(unit: Ints | None, n: int) -> Ints:
    return np.arange(n) if unit is None else np.unique(unit, return_inverse=True)[1]


def _times(unit: Ints, rng: np.random.Generator) -> Ints:
    """Return how many times each image is drawn where clusters are drawn with replacement, shape (N,)."""
    clusters = int(unit.max()) + 1
    return np.asarray(np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)[unit])
