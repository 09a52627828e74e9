"""Two groups compared within strata: the split of a gap into mix and rate, and odds ratios across strata."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from tlkit.stats.bootstrap import Counts, bootstrap_replicates, percentile_estimate
from tlkit.stats.cluster_sampling import MOST_FACTOR, TOO_FEW, Units, difference_df, jackknife, student_estimate
from tlkit.stats.dependent_samples import cluster_test
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile, wilson_bounds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class GapSplit:
    """A gap between two groups' accuracies, split into what their classes explain and what is left.

    All of it is about the classes that both groups have.

    Attributes:
        gap: accuracy of the first group minus that of the second, in [-1, 1].
        mix: the part that is due to the groups having other classes, easy or hard.
        rate: the part that is due to the same classes being recognised at other rates; mix + rate = gap.
        standardised: the gap if both had the classes in the shares of all images together.
        common: classes that both groups have.
        only_one: classes that only one of the groups has, which are left out.
        left_out: images of those classes.
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
    """The odds of being right in one group over another, pooled across strata.

    Attributes:
        crude: the odds ratio without strata; None where it is undefined.
        pooled: the Mantel–Haenszel odds ratio with its interval; undefined where no stratum has what it takes.
        p: Cochran–Mantel–Haenszel p-value that the odds are equal in every stratum; None = no test.
        statistic: its χ² with one degree of freedom, without continuity correction.
        equal_p: Breslow–Day p-value that the odds ratio is the same in every stratum; None = no test.
        equal_statistic: its χ², degrees of freedom = strata used − 1.
        strata: strata in which both groups have images.
    """

    crude: float | None
    pooled: Estimate
    p: float | None
    statistic: float | None
    equal_p: float | None
    equal_statistic: float | None
    strata: int


def split_gap(
    right: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    replicates: int = 1000,
) -> GapSplit:
    """Split the gap between two groups' accuracies into class mix and rate, with bootstrap intervals.

    Kitagawa (1955), J. Am. Stat. Assoc. 50:1168: gap = Σ (w₁ − w₂)(r₁ + r₂)/2 [mix] + Σ (r₁ − r₂)(w₁ + w₂)/2 [rate],
    where w are a group's shares of the classes and r its recalls. The standardised gap is Σ w (r₁ − r₂), w the shares
    in both groups together. The images are resampled by their counts (`tlkit.stats.bootstrap`). A class that only one
    group has cannot be compared: it is left out, also in each resample.

    Args:
        right: images recognised, shape (2, C): first and second group.
        n: images, shape (2, C).
        rng: source of randomness.
        confidence: two-sided level, in (0, 1).
        replicates: number of resamples.

    Example:
        >>> split = split_gap([[855, 60], [95, 540]], [[900, 100], [100, 900]], rng=np.random.default_rng(0))
        >>> round(split.gap.value, 3), round(split.mix.value, 3), abs(round(split.rate.value, 3))
        (0.28, 0.28, 0.0)
    """
    successes, sizes = np.asarray(right, dtype=np.int64), np.asarray(n, dtype=np.int64)
    common = (sizes > 0).all(axis=0)
    only_one = (sizes > 0).any(axis=0) & ~common
    left_out = int(sizes[:, only_one].sum())
    successes, sizes = successes[:, common], sizes[:, common]
    cells = np.stack([successes, sizes - successes]).ravel()  # (2 outcomes · 2 groups · C)
    images, shape = int(sizes.sum()), (2, 2, int(common.sum()))
    if images == 0:
        nothing = Estimate(None, None, None, n=0, note="no class in common")
        return GapSplit(nothing, nothing, nothing, nothing, 0, int(only_one.sum()), left_out)

    def statistic(counts: Counts) -> Floats:
        return _split(counts.reshape(-1, *shape))

    values = statistic(cells[None])[0]
    drawn = bootstrap_replicates(cells, statistic, rng=rng, replicates=replicates)
    gap, mix, rate, standardised = (
        percentile_estimate(float(values[i]), drawn[:, i], n=images, confidence=confidence) for i in range(4)
    )
    return GapSplit(gap, mix, rate, standardised, shape[2], int(only_one.sum()), left_out)


def clustered_split(
    right: Mask, units: Units, *, side: Ints, kind: Ints, kinds: int, confidence: float = 0.95
) -> GapSplit:
    """Split a gap as `split_gap` does, where images are weighted or in clusters.

    Each cluster is left out in turn (`jackknife`), and a class that a group then lacks is left out with it; the
    intervals are Student's t. A group that is always right, or never, seems to be known for sure: its clusters count as
    images, whose Wilson interval widens that of the gap (MOVER, as in `mean_of_rates`).

    Args:
        right: whether each image is recognised, shape (N,).
        units: weights and clusters of the images.
        side: 0 = of the first group, 1 = of the second, shape (N,).
        kind: class of each image, shape (N,), in 0…kinds-1.
        kinds: number of classes, C.
        confidence: two-sided level, in (0, 1).
    """
    sizes = np.bincount(side * kinds + kind, weights=units.weight > 0, minlength=2 * kinds).reshape(2, kinds)
    common: Mask = np.asarray((sizes > 0).all(axis=0))
    only_one = (sizes > 0).any(axis=0) & ~common
    counted = int(common.sum()), int(only_one.sum()), int(sizes[:, only_one].sum())
    inside = common[kind] & (units.weight > 0)
    right, side, kind, units = right[inside], side[inside], kind[inside], units.take(inside)
    images = len(kind)
    if not images:
        nothing = Estimate(None, None, None, n=0, note="no class in common")
        return GapSplit(nothing, nothing, nothing, nothing, *counted)
    df = difference_df(right, side, units)
    place = ((~right).astype(np.int64) * 2 + side) * kinds + kind
    table = units.summed(place, 4 * kinds)
    value, moved = jackknife(table, lambda sums: _split(sums.reshape(-1, 2, 2, kinds)))
    variance = (moved**2).sum(axis=0)
    down, up = _unseen(table.reshape(-1, 2, 2, kinds).sum(axis=3), confidence)

    def estimate(i: int, low: float, high: float) -> Estimate:
        found = student_estimate(float(value[i]), float(variance[i]), df, n=images, confidence=confidence)
        if found.low is None or found.high is None:
            return found
        half = found.high - float(value[i])
        ends = float(value[i]) - math.hypot(half, low), float(value[i]) + math.hypot(half, high)
        return Estimate(float(value[i]), max(-1.0, ends[0]), min(1.0, ends[1]), n=images)

    # Of one class there is no mix, whatever the sample.
    mix = Estimate(0.0, 0.0, 0.0, n=images) if counted[0] == 1 else estimate(1, 0.0, 0.0)
    return GapSplit(estimate(0, down, up), mix, estimate(2, down, up), estimate(3, down, up), *counted)


def _unseen(sums: Floats, confidence: float) -> tuple[float, float]:
    """Return how much farther down, and up, the gap of two groups may lie where one of them does not vary.

    Args:
        sums: weight of the images by cluster, outcome (right first) and group, shape (M, 2, 2).
        confidence: two-sided level, in (0, 1).
    """
    down = up = 0.0
    for group in (0, 1):
        good, bad = sums[:, :, group].sum(axis=0)
        if good > 0 and bad > 0:
            continue
        clusters = int(np.count_nonzero(sums[:, :, group].sum(axis=1)))
        reach = 1.0 - float(wilson_bounds(clusters, clusters, confidence)[0])
        if (bad == 0) == (group == 0):  # the first may be worse, or the second better, than it seems
            down = math.hypot(down, reach)
        else:
            up = math.hypot(up, reach)
    return down, up


def _split(counts: npt.NDArray[np.int64] | Floats) -> Floats:
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


def pooled_odds(right: npt.ArrayLike, n: npt.ArrayLike, confidence: float = 0.95) -> OddsRatio:
    """Compare the odds of being right in two groups, within strata.

    Pooled: Mantel & Haenszel (1959), J. Natl. Cancer Inst. 22:719, with the variance of Robins, Breslow & Greenland
    (1986), Biometrics 42:311, eq. 3. Test: Cochran (1954) and Mantel & Haenszel. Whether one odds ratio fits all
    strata: Breslow & Day (1980), Statistical Methods in Cancer Research I, eq. 4.30, without Tarone's correction.

    Args:
        right: images recognised, shape (2, S): first and second group in each of S strata.
        n: images, shape (2, S).
        confidence: two-sided level, in (0, 1).

    Example:
        >>> kidney = pooled_odds([[81, 192], [234, 55]], [[87, 263], [270, 80]])
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
    r, s = a * d / total, b * c / total
    if strata == 0 or r.sum() == 0 or s.sum() == 0:
        note = "both groups share no stratum" if strata == 0 else "no two outcomes to compare in any stratum"
        return OddsRatio(crude, Estimate(None, None, None, n=images, note=note), None, None, None, None, strata)
    ratio = float(r.sum() / s.sum())
    p_, q_ = (a + d) / total, (b + c) / total
    variance = (
        (p_ * r).sum() / (2 * r.sum() ** 2)
        + (p_ * s + q_ * r).sum() / (2 * r.sum() * s.sum())
        + (q_ * s).sum() / (2 * s.sum() ** 2)
    )
    half = normal_quantile(confidence) * math.sqrt(variance)
    pooled = Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half), n=images)
    big = total > 1
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    spread = float((margins[big] / (total[big] ** 2 * (total[big] - 1))).sum())
    statistic = float((a - (a + b) * (a + c) / total).sum() ** 2 / spread)
    equal, equal_p = _breslow_day(np.stack([a, b, c, d]), ratio)
    return OddsRatio(crude, pooled, float(chdtrc(1, statistic)), statistic, equal_p, equal, strata)


def clustered_odds(right: Mask, units: Units, *, side: Ints, stratum: Ints, confidence: float = 0.95) -> OddsRatio:
    """Compare odds within strata as `pooled_odds` does, where images are weighted or in clusters.

    The odds ratio is Mantel and Haenszel's of the weighted counts; each cluster is left out in turn (`jackknife`) for
    the variance of its logarithm, whose Student's t gives interval and test in place of Robins, Breslow & Greenland's
    and Cochran's. Breslow and Day's test knows no clusters, so there is none.

    Args:
        right: whether each image is recognised, shape (N,).
        units: weights and clusters of the images.
        side: 0 = of the first group, 1 = of the second, shape (N,).
        stratum: of each image, shape (N,), at least 0.
        confidence: two-sided level, in (0, 1).

    Returns:
        The odds ratio; its interval and test are undefined where all that tells lies in one cluster. `statistic` is the
        square of t.
    """
    heavy = units.weight > 0
    right, side, units = right[heavy], side[heavy], units.take(heavy)
    stratum = np.unique(stratum[heavy], return_inverse=True)[1].ravel()
    outcome = side * 2 + ~right  # a, b of the first group, c, d of the second
    table = np.bincount(stratum * 4 + outcome, weights=units.weight).astype(np.float64)
    table = np.append(table, np.zeros(-len(table) % 4)).reshape(-1, 4)
    kept = (table[:, :2].sum(axis=1) > 0) & (table[:, 2:].sum(axis=1) > 0)
    inside = kept[stratum]
    images, strata = int(inside.sum()), int(kept.sum())
    crude = _crude(*table[kept].sum(axis=0).tolist())

    def undefined(note: str) -> OddsRatio:
        return OddsRatio(crude, Estimate(None, None, None, n=images, note=note), None, None, None, None, strata)

    r, s = _odds_parts(table)
    if strata == 0 or r.sum() == 0 or s.sum() == 0:
        return undefined("both groups share no stratum" if strata == 0 else "no two outcomes to compare in any stratum")
    units = units.take(inside)
    if units.clusters < 2:
        return undefined("all images are of one cluster")
    log_odds = math.log(r.sum() / s.sum())
    without = _log_odds_without(table, stratum[inside], outcome[inside], units)
    variance = float(((without - log_odds) ** 2).sum()) * (len(without) - 1) / len(without)
    df = difference_df(right[inside], side[inside], units)
    if not np.isfinite(variance):
        return undefined("not enough data for an interval: it rests on one cluster")
    found = student_estimate(log_odds, variance, df, n=images, confidence=confidence)
    if found.low is None or found.high is None:
        return undefined(found.note)
    if found.high - log_odds > math.log(MOST_FACTOR):
        return undefined(TOO_FEW)
    low, high = math.exp(found.low), math.exp(found.high)
    p = cluster_test(log_odds, variance, df)
    return OddsRatio(
        crude, Estimate(math.exp(log_odds), low, high, n=images), p, log_odds**2 / variance, None, None, strata
    )


def _log_odds_without(table: Floats, stratum: Ints, outcome: Ints, units: Units) -> Floats:
    """Return the log of the pooled odds ratio without each cluster, shape (M,); it touches the strata that it is in.

    Args:
        table: weight of the images by stratum and outcome, shape (S, 4).
        stratum: of each image, shape (N,).
        outcome: of each image, shape (N,), in 0…3.
        units: weights and clusters of the images.
    """
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
    """Return the numerator and denominator of Mantel and Haenszel's odds ratio in each stratum, of counts (S, 4)."""
    a, b, c, d = table.T
    total = np.maximum(table.sum(axis=1), 1e-300)
    return a * d / total, b * c / total


def _crude(a: float, b: float, c: float, d: float) -> float | None:
    return None if b * c == 0 else a * d / (b * c)


def _breslow_day(table: Floats, ratio: float) -> tuple[float | None, float | None]:
    """Return the statistic and p-value over the strata whose margins leave room, None with fewer than two."""
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
