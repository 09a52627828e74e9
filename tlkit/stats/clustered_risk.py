"""Selective risk and the area under the risk–coverage curve of weighted or clustered images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.dependent_samples import effective_size
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import spread_of
from tlkit.stats.intervals import tail_of, wilson_bounds
from tlkit.stats.selective_risk import NEIGHBORS


@dataclass(frozen=True)
class WeightedRanking:
    """Images by falling confidence, in blocks of equal confidence, with their weights.

    Attributes:
        confidence: of each block, falling, shape (M,).
        weight: weight of the images in each block and those before, shape (M,).
        errors: that of the wrong ones among these, shape (M,).
        place: block of each image, shape (N,).
    """

    confidence: Floats
    weight: Floats
    errors: Floats
    place: Ints


def weighted_ranking(confidence: npt.ArrayLike, correct: npt.ArrayLike, weight: Floats) -> WeightedRanking:
    """Return images by falling confidence.

    Args:
        confidence: higher where the model is surer, shape (N,).
        correct: whether the prediction is right, shape (N,).
        weight: shape (N,), at least 0, not all 0.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    values, place = np.unique(-sure, return_inverse=True)
    own = np.bincount(place, weights=weight, minlength=len(values))
    wrong = np.bincount(place, weights=weight * ~right, minlength=len(values))
    return WeightedRanking(-values, np.cumsum(own), np.cumsum(wrong), np.asarray(place, dtype=np.int64))


def clustered_aurc(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, units: Units, *, value: float, level: float = CONFIDENCE
) -> Estimate:
    """Return the area under the risk–coverage curve with the interval of weighted or clustered images.

    The influence function is that of `aurc_estimate`, with weights; the variance is that of its sums over clusters
    (`spread_of`). The interval is Student's t on the log scale. It has the degrees of freedom of that variance, and no
    more than there are clusters with an error.

    Args:
        confidence: shape (N,), N of at least 1.
        correct: shape (N,).
        units: weights and clusters.
        value: the area itself, `tlkit.stats.ranking.aurc` with the weights.
        level: two-sided level, in (0, 1).
    """
    right, n = np.asarray(correct, dtype=np.bool_), len(units.unit)
    if units.why_unknown:
        return Estimate(value, None, None, n=n, note=f"no interval: {units.why_unknown}")
    if value <= 0.0:
        return Estimate(0.0, None, None, n=n, note="not enough data for an interval: no image is wrong")
    ranking = weighted_ranking(confidence, right, units.weight)
    total, place = float(ranking.weight[-1]), ranking.place
    block = np.diff(ranking.weight, prepend=0.0)
    safe = np.where(ranking.weight > 0, ranking.weight, 1.0)
    risk = ranking.errors / safe
    down_a = np.cumsum((block / safe)[::-1])[::-1]
    down_b = np.cumsum((block * risk / safe)[::-1])[::-1]
    influence = risk[place] - float(block @ risk) / total + ~right * down_a[place] - down_b[place]
    spread = spread_of(influence, units)
    df = min(spread.df, float(units.take(~right).clusters))
    half = float(stdtrit(max(df, 1.0), 1 - tail_of(level))) * math.sqrt(spread.variance) / value
    if half > math.log(1e3):
        return Estimate(value, None, None, n=n, note="not enough data for an interval: too few clusters")
    return Estimate(value, value * math.exp(-half), min(1.0, value * math.exp(half)), n=n)


def clustered_risk_at_coverage(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, coverage: float, units: Units, level: float = CONFIDENCE
) -> tuple[Estimate, float]:
    """Return `risk_at_coverage` of weighted or clustered images, and the smallest confidence that is answered.

    The error of the risk is about the mean over the images of [answered · (wrong − R) − (r − R)(answered − c)]/c, with
    the error rate r at the threshold, as there; its variance is that of the sums over clusters. The interval is
    Wilson's at the effective size (`effective_size`).

    Args:
        confidence: shape (N,), N of at least 1.
        correct: shape (N,).
        coverage: share of the weight to answer, in (0, 1].
        units: weights and clusters.
        level: two-sided level, in (0, 1).
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    ranking, n = weighted_ranking(sure, right, units.weight), len(sure)
    total = float(ranking.weight[-1])
    order = np.argsort(-sure, kind="stable")
    upto = np.cumsum(units.weight[order])
    last = min(n - 1, int(np.searchsorted(upto, coverage * total * (1 - 1e-12))))
    target, edge = float(upto[last]), int(ranking.place[order[last]])
    before = float(ranking.weight[edge - 1]) if edge else 0.0
    own = float(ranking.weight[edge]) - before
    part = (target - before) / own if own > 0 else 1.0
    answered = np.where(ranking.place < edge, 1.0, np.where(ranking.place == edge, part, 0.0))
    wrong_before = float(ranking.errors[edge - 1]) if edge else 0.0
    risk = (wrong_before + part * (float(ranking.errors[edge]) - wrong_before)) / target
    smallest, k = float(ranking.confidence[edge]), max(1, round(float(answered.sum())))
    if units.why_unknown:
        return Estimate(risk, None, None, n=k, note=f"no interval: {units.why_unknown}"), smallest
    share, reach = target / total, max(5, round(n**NEIGHBORS))
    near = order[max(0, last + 1 - reach) : min(n, last + 1 + reach)]
    weight = units.weight[near]
    local = float(weight @ ~right[near] / weight.sum()) if weight.any() else risk
    influence = (answered * (~right - risk) - max(0.0, local - risk) * (answered - share)) / share
    spread = spread_of(influence, units)
    kept = units.take(answered > 0)
    inside = min(max(risk, 0.5 / k), 1 - 0.5 / k)
    size = effective_size(
        np.array([inside]),
        np.array([spread.variance if 0 < risk < 1 else 0.0]),
        images=[k],
        clusters=[max(kept.clusters, 1)],
        df=[spread.df],
        confidence=level,
    )
    low, high = wilson_bounds(risk * size, size, level)
    return Estimate(risk, float(low[0]), float(high[0]), n=k), smallest
