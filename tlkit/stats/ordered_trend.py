"""Rates along ordered groups: tests of trend, difference and nonlinearity, and the shape of the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, fdtrc, stdtr

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import SEED
from tlkit.stats.cluster_sampling import Units, combined_df, kurtosis_df
from tlkit.stats.dependent_samples import cluster_moments
from tlkit.stats.hypothesis_tests import OmnibusTest, TrendTest, cochran_armitage, omnibus

Shape = Literal["level", "rising", "falling", "U", "inverted U", "irregular"]


@dataclass(frozen=True)
class OrderedRates:
    """Shape and tests of a rate along ordered groups.

    Attributes:
        shape: rising or falling = monotone; U = down, then up; inverted U = up, then down; irregular = turns more than
            once; level = all equal.
        turn: position of the turning group for U and inverted U, else None.
        trend: Cochran–Armitage test of a linear trend.
        any: test that all groups have the same rate.
        bend_p: p-value of the null hypothesis that the rates are linear; small = the trend alone misleads. None with
            fewer than three groups.
    """

    shape: Shape
    turn: int | None
    trend: TrendTest
    any: OmnibusTest
    bend_p: float | None


def ordered_rates(k: npt.ArrayLike, n: npt.ArrayLike, *, seed: int = SEED) -> OrderedRates | None:
    """Return shape and tests of rates along ordered groups with equally spaced scores.

    Nonlinearity is Pearson's χ² of all groups minus the square of the Cochran–Armitage z, with G − 2 degrees of
    freedom: Armitage (1955), Biometrics 11:375, section 3.

    Args:
        k: successes of each group in their order, shape (G,).
        n: sizes of the groups, shape (G,); empty groups are ignored.
        seed: seed of the permutations, where groups are too small for χ².

    Returns:
        Shape and tests, or None with fewer than two groups, only successes or only failures.

    Example:
        >>> dip = ordered_rates([136, 109, 118, 115, 122], [148] * 5)
        >>> dip.shape, dip.turn, round(dip.bend_p, 4)
        ('irregular', None, 0.0012)
    """
    successes, sizes = np.asarray(k, dtype=np.int64), np.asarray(n, dtype=np.int64)
    kept = np.flatnonzero(sizes)
    successes, sizes = successes[kept], sizes[kept]
    line, test = cochran_armitage(successes, sizes), omnibus(successes, sizes, seed=seed)
    if line is None or test is None:
        return None
    steps = np.sign(successes[1:] * sizes[:-1] - successes[:-1] * sizes[1:])  # of integers: no rounding
    shape, turn = _shape(steps, successes / sizes)
    df = len(sizes) - 2
    bend = float(chdtrc(df, max(0.0, test.statistic - line.z**2))) if df > 0 else None
    return OrderedRates(shape, None if turn is None else int(kept[turn]), line, test, bend)


def clustered_ordered_rates(right: Mask, place: Ints, groups: int, units: Units) -> OrderedRates | None:
    """Return `ordered_rates` of weighted or clustered images.

    The trend is the Cochran–Armitage sum over its standard deviation by `cluster_moments`, a Student's t. Difference
    and nonlinearity are tested by Pearson's χ² around the mean and around the line, over its mean in such clusters,
    with Satterthwaite's degrees of freedom, as F: Rao & Scott (1984), Annals of Statistics 12:46, section 3; Thomas &
    Rao (1987), J. Am. Stat. Assoc. 82:630.

    `right` is whether each image is classified correctly, and `place` the position of its group, in 0…groups-1, each of
    shape (N,); `units` has their weights and clusters. None also where a group has a single cluster.
    """
    total, own = units.summed(place, groups), units.summed(place, groups, right)
    kept = np.flatnonzero(total.sum(axis=0) > 0)
    total, own = total[:, kept], own[:, kept]
    sizes, share = total.sum(axis=0), float(own.sum() / max(total.sum(), 1e-300))
    if len(kept) < 2 or not 1e-12 < share < 1 - 1e-12:
        return None
    moments = cluster_moments(own, total)
    if (moments.clusters < 2).any():
        return None
    rate, covariance = moments.rate, moments.covariance
    score = np.arange(len(kept)) - sizes @ np.arange(len(kept)) / sizes.sum()
    slope = sizes * score
    df = kurtosis_df(combined_df(total, slope**2 / sizes), (own - rate * total) @ score)  # under equal rates
    variance = float(slope @ covariance @ slope)
    if not (df > 0 and variance > 1e-15 * float(sizes.sum()) ** 2):
        return None
    z = float(slope @ rate) / np.sqrt(variance)
    line = TrendTest(float(z), float(2 * stdtr(df, -abs(z))))
    position = np.column_stack([np.ones(len(kept)), score])
    scale = sizes / (share * (1 - share))
    level, bend = (
        _rao_scott(rate, covariance, scale, position[:, :fixed], moments.df, clusters=len(total)) for fixed in (1, 2)
    )
    if level is None:
        return None
    any_ = OmnibusTest(level[0], len(kept) - 1, level[1], "Rao-Scott")
    steps = np.diff(rate)
    shape, turn = _shape(np.sign(np.where(np.abs(steps) > 1e-12, steps, 0.0)).astype(np.int64), rate)
    return OrderedRates(shape, None if turn is None else int(kept[turn]), line, any_, None if bend is None else bend[1])


def _rao_scott(
    rate: Floats, covariance: Floats, weight: Floats, fitted: Floats, df: Floats, *, clusters: int
) -> tuple[float, float] | None:
    """Return Pearson's χ² of rates (G,) around a fit (G, K) with its Rao–Scott correction, and its p-value."""
    groups, columns = fitted.shape
    if groups <= columns:
        return None
    scaled = weight[:, None] * fitted
    form = np.diag(weight) - scaled @ np.linalg.solve(fitted.T @ scaled, scaled.T)
    product = form @ covariance
    mean, square = float(np.trace(product)), float(np.trace(product @ product))
    if not (mean > 1e-12 and square > 0):
        return None
    # With the estimated variances and under equal rates: variances of few clusters are uncertain.
    parts = np.diagonal(form) * np.stack([np.diagonal(covariance), 1 / weight])
    known = min(float((parts.sum(axis=1) ** 2 / (parts**2 / np.maximum(df, 1e-9)).sum(axis=1)).min()), clusters - 1)
    first = min(mean**2 / square, groups - columns)
    ratio = float(rate @ form @ rate) / mean
    return ratio * (groups - columns), float(fdtrc(first, first * known, ratio))


def _shape(steps: Ints, rates: Floats) -> tuple[Shape, int | None]:
    """Return the shape of the rates given the signs of their steps, and the position of the turn of a U."""
    moves = [int(step) for step in steps if step != 0]
    if not moves:
        return "level", None
    turns = [i for i in range(1, len(moves)) if moves[i] != moves[i - 1]]
    if not turns:
        return ("rising" if moves[0] > 0 else "falling"), None
    if len(turns) > 1:
        return "irregular", None
    return ("U", int(rates.argmin())) if moves[0] < 0 else ("inverted U", int(rates.argmax()))
