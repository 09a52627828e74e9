"""Two groups compared within strata: the split of a gap into mix and rate, and odds ratios across strata."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from tlkit.stats.bootstrap import Counts, bootstrap_replicates, percentile_estimate
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile

Floats = npt.NDArray[np.float64]


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


def _split(counts: npt.NDArray[np.int64]) -> Floats:
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
