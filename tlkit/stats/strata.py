"""Stratified comparison of two groups: Kitagawa decomposition, Mantel–Haenszel odds ratio, Breslow–Day test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE
from tlkit.stats.bootstrap import Counts, bootstrap_replicates, percentile_estimate
from tlkit.stats.cluster_sampling import (
    MOST_FACTOR,
    NOTHING_VARIES,
    TOO_FEW,
    Units,
    difference_df,
    jackknife,
    student_estimate,
)
from tlkit.stats.dependent_samples import cluster_test
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile, wilson_bounds

SPLIT_REPLICATES = 1000  # resamples of the bootstrap of a decomposition
NOTHING_COMMON = Estimate(None, None, None, n=0, note="no class in common")
NO_STRATUM = "both groups share no stratum"
ONE_SIDED = "in every stratum one group is always right or the other always wrong"
NO_OUTCOMES = "no two outcomes to compare in any stratum"


@dataclass(frozen=True)
class GapSplit:
    """Kitagawa decomposition of the gap between two groups' accuracies, over the classes that both groups have.

    Attributes:
        gap: accuracy of the first group minus that of the second, in [-1, 1].
        mix: the part due to different class frequencies.
        rate: the part due to different recalls of the same classes; mix + rate = gap.
        standardised: the gap if both groups had the class frequencies of all images.
        common: number of classes that both groups have.
        only_one: number of classes that only one group has, which are left out.
        left_out: number of images of those classes.
    """

    gap: Estimate
    mix: Estimate
    rate: Estimate
    standardised: Estimate
    common: int
    only_one: int
    left_out: int


@dataclass(frozen=True)
class OddsRatio:
    """Odds ratio of being right in one group versus another, across strata.

    Attributes:
        crude: odds ratio without strata; None where it is undefined.
        pooled: Mantel–Haenszel odds ratio with its interval; undefined without an informative stratum, and where it
            would be 0 or infinite.
        p: p-value of the Cochran–Mantel–Haenszel test that the odds are equal in every stratum; None = no test. It does
            not need the odds ratio: a group that is always right has a test, too.
        statistic: χ² of that test with one degree of freedom, without continuity correction.
        equal_p: p-value of the Breslow–Day test that all strata have the same odds ratio; None = no test.
        equal_statistic: χ² of that test, with the strata used − 1 degrees of freedom.
        strata: number of strata in which both groups have images.
    """

    crude: float | None
    pooled: Estimate
    p: float | None
    statistic: float | None
    equal_p: float | None
    equal_statistic: float | None
    strata: int


def kitagawa_split(
    right: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    replicates: int = SPLIT_REPLICATES,
) -> GapSplit:
    """Return the Kitagawa decomposition of the gap between two groups' accuracies, with bootstrap intervals.

    Kitagawa (1955), J. Am. Stat. Assoc. 50:1168: gap = Σ (w₁ − w₂)(r₁ + r₂)/2 [mix] + Σ (r₁ − r₂)(w₁ + w₂)/2 [rate],
    where w are a group's class frequencies and r its recalls. The standardised gap is Σ w (r₁ − r₂) with the class
    frequencies w of both groups together. Intervals: percentile bootstrap of the counts (`tlkit.stats.bootstrap`). A
    class that only one group has is left out, also in each resample. Classes that a group has always right, or always
    wrong, do not vary in the bootstrap: Wilson's interval of their images widens the others (MOVER, as in
    `mean_of_rates`).

    Args:
        right: images classified correctly, shape (2, C): first and second group.
        n: images, shape (2, C).
        rng: random generator.
        confidence: two-sided level, in (0, 1).
        replicates: number of resamples.

    Example:
        >>> split = kitagawa_split([[855, 60], [95, 540]], [[900, 100], [100, 900]], rng=np.random.default_rng(0))
        >>> round(split.gap.value, 3), round(split.mix.value, 3), abs(round(split.rate.value, 3))
        (0.28, 0.28, 0.0)
    """
    successes, sizes = np.asarray(right, dtype=np.int64), np.asarray(n, dtype=np.int64)
    common, counted = _common(sizes)
    successes, sizes = successes[:, common], sizes[:, common]
    cells = np.stack([successes, sizes - successes]).ravel()  # (2 outcomes · 2 groups · C)
    images, shape = int(sizes.sum()), (2, 2, int(common.sum()))
    if images == 0:
        return GapSplit(NOTHING_COMMON, NOTHING_COMMON, NOTHING_COMMON, NOTHING_COMMON, *counted)

    def statistic(counts: Counts) -> Floats:
        return _split(counts.reshape(-1, *shape))

    values = statistic(cells[None])[0]
    drawn = bootstrap_replicates(cells, statistic, rng=rng, replicates=replicates)
    widening = _constant_rate_widening(
        cells.reshape(shape), lambda group, classes: int(sizes[group, classes].sum()), confidence
    )

    def estimate(i: int, low: float, high: float) -> Estimate:
        found = percentile_estimate(float(values[i]), drawn[:, i], n=images, confidence=confidence)
        return _widened(found, low, high)

    gap, rate, standardised = (estimate(i, *widening[i]) for i in (0, 2, 3))
    return GapSplit(gap, estimate(1, 0.0, 0.0), rate, standardised, *counted)


def clustered_kitagawa_split(
    right: Mask, units: Units, *, side: Ints, kind: Ints, kinds: int, confidence: float = CONFIDENCE
) -> GapSplit:
    """Return `kitagawa_split` of weighted or clustered images.

    The variances are those of the cluster `jackknife`, which also leaves out a class that a group lacks without a
    cluster; the intervals are Student's t. The variance of a class that a group has always or never right is 0. Its
    clusters then count as images, whose Wilson interval widens that of the gap.

    `right` is whether each image is classified correctly, `side` its group (0 = the first, 1 = the second) and `kind`
    its class, in 0…kinds-1, each of shape (N,); `units` has their weights and clusters.
    """
    sizes = np.bincount(side * kinds + kind, weights=units.weight > 0, minlength=2 * kinds).reshape(2, kinds)
    common, counted = _common(sizes)
    inside = common[kind] & (units.weight > 0)
    right, side, kind, units = right[inside], side[inside], kind[inside], units.take(inside)
    images = len(kind)
    if not images:
        return GapSplit(NOTHING_COMMON, NOTHING_COMMON, NOTHING_COMMON, NOTHING_COMMON, *counted)
    df = difference_df(right, side, units)
    place = ((~right).astype(np.int64) * 2 + side) * kinds + kind
    table = units.summed(place, 4 * kinds)
    value, moved = jackknife(table, lambda sums: _split(sums.reshape(-1, 2, 2, kinds)))
    variance = (moved**2).sum(axis=0)
    table = table.reshape(-1, 2, 2, kinds)
    present = table.sum(axis=1) > 0  # (M, 2, C)
    widening = _constant_rate_widening(
        table.sum(axis=0), lambda group, classes: int(present[:, group, classes].any(axis=1).sum()), confidence
    )

    def estimate(i: int, low: float, high: float) -> Estimate:
        found = student_estimate(float(value[i]), float(variance[i]), df, n=images, confidence=confidence)
        return _widened(found, low, high)

    # With a single class the mix is 0 in every sample.
    mix = Estimate(0.0, 0.0, 0.0, n=images) if counted[0] == 1 else estimate(1, 0.0, 0.0)
    gap, rate, standardised = (estimate(i, *widening[i]) for i in (0, 2, 3))
    return GapSplit(gap, mix, rate, standardised, *counted)


def _common(sizes: Ints) -> tuple[Mask, tuple[int, int, int]]:
    """Return the classes that both groups have, and their number, that of the others, and the images of those."""
    common: Mask = np.asarray((sizes > 0).all(axis=0))
    only_one = (sizes > 0).any(axis=0) & ~common
    return common, (int(common.sum()), int(only_one.sum()), int(sizes[:, only_one].sum()))


def _constant_rate_widening(
    weight: Ints | Floats, count: Callable[[int, Mask], int], confidence: float
) -> dict[int, tuple[float, float]]:
    """Return how much farther the ends are of the gap (0), its rate part (2) and the standardised gap (3).

    Args:
        weight: of images by outcome (0 = right), group and class, shape (2, 2, C).
        count: gives the number of images, or of clusters, of a group in some classes.
        confidence: two-sided level, in (0, 1).
    """
    sizes = weight.sum(axis=0).astype(np.float64)
    share = sizes / sizes.sum(axis=1, keepdims=True)
    shares = {2: share.mean(axis=0), 3: sizes.sum(axis=0) / sizes.sum()}
    squared = {i: [0.0, 0.0] for i in (0, 2, 3)}
    for group in (0, 1):
        for outcome in (0, 1):
            constant = (weight[1 - outcome, group] == 0) & (sizes[group] > 0)
            number = count(group, constant)
            distance = 1.0 - float(wilson_bounds(number, number, confidence)[0]) if number else 0.0
            end = 0 if outcome == group else 1  # the first may be worse than always right, or the second better
            for i, of_class in shares.items():
                squared[i][end] += (float(of_class[constant].sum()) * distance) ** 2
            if constant[sizes[group] > 0].all():
                squared[0][end] += distance**2
    return {i: (math.sqrt(low), math.sqrt(high)) for i, (low, high) in squared.items()}


def _widened(found: Estimate, down: float, up: float) -> Estimate:
    """Return an estimate with an interval whose ends are farther from its value (MOVER), in [-1, 1]."""
    value, low, high = found.value, found.low, found.high
    if value is not None and found.note == NOTHING_VARIES and (down > 0 or up > 0):
        low = high = value
    if value is None or low is None or high is None:
        return found
    ends = value - math.hypot(value - low, down), value + math.hypot(high - value, up)
    return Estimate(value, max(-1.0, ends[0]), min(1.0, ends[1]), n=found.n)


def _split(counts: Ints | Floats) -> Floats:
    """Return gap, mix, rate and standardised gap of tables of shape (B, 2 outcomes, 2 groups, C): shape (B, 4)."""
    sizes = counts.sum(axis=1).astype(np.float64)  # (B, 2, C)
    common = (sizes > 0).all(axis=1, keepdims=True)
    sizes = np.where(common, sizes, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(common, counts[:, 0] / sizes, 0.0)
        share = sizes / sizes.sum(axis=2, keepdims=True)
        together = sizes.sum(axis=1) / sizes.sum(axis=(1, 2))[:, None]
    mix = ((share[:, 0] - share[:, 1]) * (recall[:, 0] + recall[:, 1]) / 2).sum(axis=1)
    rate = ((recall[:, 0] - recall[:, 1]) * (share[:, 0] + share[:, 1]) / 2).sum(axis=1)
    standardised = (together * (recall[:, 0] - recall[:, 1])).sum(axis=1)
    return np.stack([mix + rate, mix, rate, standardised], axis=1)


def mantel_haenszel(right: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> OddsRatio:
    """Return the Mantel–Haenszel odds ratio of being right in two groups, with the CMH and Breslow–Day tests.

    Odds ratio: Mantel & Haenszel (1959), J. Natl. Cancer Inst. 22:719, with the variance of Robins, Breslow & Greenland
    (1986), Biometrics 42:311, eq. 3. Test of equal odds: Cochran (1954), Biometrics 10:417, and Mantel & Haenszel. Test
    of one odds ratio for all strata: Breslow & Day (1980), Statistical Methods in Cancer Research I, eq. 4.30, without
    Tarone's correction.

    Args:
        right: images classified correctly, shape (2, S): first and second group in each of S strata.
        n: images, shape (2, S).
        confidence: two-sided level, in (0, 1).

    Example:
        >>> kidney = mantel_haenszel([[81, 192], [234, 55]], [[87, 263], [270, 80]])
        >>> round(kidney.pooled.value, 6), round(kidney.statistic, 6), round(kidney.equal_statistic, 6)
        (1.446847, 2.433856, 0.968446)
    """
    successes, sizes = np.asarray(right, dtype=np.float64), np.asarray(n, dtype=np.float64)
    kept = (sizes > 0).all(axis=0)
    successes, sizes = successes[:, kept], sizes[:, kept]
    strata, images = int(kept.sum()), int(sizes.sum())
    (a, c), (b, d) = successes, sizes - successes
    crude = _crude(float(a.sum()), float(b.sum()), float(c.sum()), float(d.sum()))
    total = a + b + c + d
    r, s = _odds_parts(np.stack([a, b, c, d], axis=1))
    big = total > 1
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    spread = float((margins[big] / (total[big] ** 2 * (total[big] - 1))).sum())
    if strata == 0 or spread == 0:
        return _no_odds(crude, NO_OUTCOMES if strata else NO_STRATUM, images, strata)
    statistic = float((a - (a + b) * (a + c) / total).sum() ** 2 / spread)
    p = float(chdtrc(1, statistic))
    if r.sum() == 0 or s.sum() == 0:
        pooled = Estimate(None, None, None, n=images, note=ONE_SIDED)
        return OddsRatio(crude, pooled, p, statistic, None, None, strata)
    ratio = float(r.sum() / s.sum())
    p_, q_ = (a + d) / total, (b + c) / total
    variance = (
        (p_ * r).sum() / (2 * r.sum() ** 2)
        + (p_ * s + q_ * r).sum() / (2 * r.sum() * s.sum())
        + (q_ * s).sum() / (2 * s.sum() ** 2)
    )
    half = normal_quantile(confidence) * math.sqrt(variance)
    pooled = Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half), n=images)
    equal, equal_p = _breslow_day(np.stack([a, b, c, d]), ratio)
    return OddsRatio(crude, pooled, p, statistic, equal_p, equal, strata)


def clustered_mantel_haenszel(
    right: Mask, units: Units, *, side: Ints, stratum: Ints, confidence: float = CONFIDENCE
) -> OddsRatio:
    """Return `mantel_haenszel` of weighted or clustered images.

    The Mantel–Haenszel odds ratio of the weighted counts, with the cluster `jackknife` variance of its logarithm.
    Student's t replaces the interval of Robins, Breslow & Greenland and Cochran's test. The Breslow–Day test assumes
    independent images and is omitted.

    `right` is whether each image is classified correctly, `side` its group (0 = the first, 1 = the second) and
    `stratum` its stratum, at least 0, each of shape (N,); `units` has their weights and clusters. The odds ratio is
    undefined where it depends on one cluster. `statistic` is the square of t.
    """
    kept = units.weight > 0
    right, side, units = right[kept], side[kept], units.take(kept)
    stratum = np.unique(stratum[kept], return_inverse=True)[1].ravel()
    outcome = side * 2 + ~right  # a, b of the first group, c, d of the second
    table = np.bincount(stratum * 4 + outcome, weights=units.weight).astype(np.float64)
    table = np.append(table, np.zeros(-len(table) % 4)).reshape(-1, 4)
    kept = (table[:, :2].sum(axis=1) > 0) & (table[:, 2:].sum(axis=1) > 0)
    inside = kept[stratum]
    images, strata = int(inside.sum()), int(kept.sum())
    crude = _crude(*table[kept].sum(axis=0).tolist())

    r, s = _odds_parts(table)
    if strata == 0 or r.sum() == 0 or s.sum() == 0:
        return _no_odds(crude, NO_OUTCOMES if strata else NO_STRATUM, images, strata)
    units = units.take(inside)
    if units.clusters < 2:
        return _no_odds(crude, "all images are of one cluster", images, strata)
    log_odds = math.log(r.sum() / s.sum())
    without = _log_odds_without(table, stratum[inside], outcome[inside], units)
    variance = float(((without - log_odds) ** 2).sum()) * (len(without) - 1) / len(without)
    df = difference_df(right[inside], side[inside], units)
    if not np.isfinite(variance):
        return _no_odds(crude, "not enough data for an interval: it rests on one cluster", images, strata)
    found = student_estimate(log_odds, variance, df, n=images, confidence=confidence)
    if found.low is None or found.high is None:
        return _no_odds(crude, found.note, images, strata)
    if found.high - log_odds > math.log(MOST_FACTOR):
        return _no_odds(crude, TOO_FEW, images, strata)
    low, high = math.exp(found.low), math.exp(found.high)
    p = cluster_test(log_odds, variance, df)
    return OddsRatio(
        crude, Estimate(math.exp(log_odds), low, high, n=images), p, log_odds**2 / variance, None, None, strata
    )


def _log_odds_without(table: Floats, stratum: Ints, outcome: Ints, units: Units) -> Floats:
    """Return the log of the pooled odds ratio of weights (S, 4) without each cluster, shape (M,)."""
    places, where = np.unique(units.numbered().unit * len(table) + stratum, return_inverse=True)
    own = np.bincount(where.ravel() * 4 + outcome, weights=units.weight, minlength=4 * len(places)).reshape(-1, 4)
    cluster, at = places // len(table), places % len(table)
    left = np.where(table[at] - own > 1e-12 * table[at], table[at] - own, 0.0)
    sums = []
    for every, kept in zip(_odds_parts(table), _odds_parts(left), strict=True):
        remains = every.sum() - np.bincount(cluster, weights=every[at] - kept)
        sums.append(np.where(remains > 1e-12 * every.sum(), remains, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(sums[0] / sums[1]))


def _odds_parts(table: Floats) -> tuple[Floats, Floats]:
    """Return numerator and denominator of the Mantel–Haenszel odds ratio in each stratum, of counts (S, 4)."""
    a, b, c, d = table.T
    total = np.maximum(table.sum(axis=1), 1e-300)
    return a * d / total, b * c / total


def _no_odds(crude: float | None, note: str, images: int, strata: int) -> OddsRatio:
    return OddsRatio(crude, Estimate(None, None, None, n=images, note=note), None, None, None, None, strata)


def _crude(a: float, b: float, c: float, d: float) -> float | None:
    return None if b * c == 0 else a * d / (b * c)


def _breslow_day(table: Floats, ratio: float) -> tuple[float | None, float | None]:
    """Return χ² and p-value over the strata (4, S) without an empty margin; None with fewer than two of them."""
    a, b, c, d = table[:, ((table[0] + table[2]) > 0) & ((table[1] + table[3]) > 0)]
    if len(a) < 2:
        return None, None
    first, second, rights = a + b, c + d, a + c
    # The expected count solves e (second − rights + e) = ratio (rights − e)(first − e).
    square, linear, constant = 1 - ratio, second - rights + ratio * (rights + first), -ratio * rights * first
    if abs(square) < 1e-9:
        expected = -constant / linear
    else:
        root = np.sqrt(linear**2 - 4 * square * constant)
        low, high = np.maximum(0.0, rights - second), np.minimum(rights, first)
        one = (-linear + root) / (2 * square)
        expected = np.where((one >= low - 1e-9) & (one <= high + 1e-9), one, (-linear - root) / (2 * square))
    e = expected
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = 1 / (1 / e + 1 / (rights - e) + 1 / (first - e) + 1 / (second - rights + e))
    statistic = float(((a - e) ** 2 / variance).sum())
    return statistic, float(chdtrc(len(a) - 1, statistic))
