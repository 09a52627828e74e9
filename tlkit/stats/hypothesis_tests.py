"""Tests of counts: Fisher, Pearson's χ², McNemar, Cochran–Armitage, and a permutation test of the largest gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaln, chdtrc, ndtr

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import DRAWS, SEED

EXACT_LIMIT = 20_000  # number of tables up to which all are enumerated


@dataclass(frozen=True)
class GapTest:
    """The largest gap among groups and its distribution under the null hypothesis of independence.

    Attributes:
        gap: largest minus smallest rate, in [0, 1].
        expected: mean of that gap under the null hypothesis.
        p: probability of a gap at least as large under the null hypothesis.
        exact: True = all tables were enumerated, False = tables were drawn at random.
    """

    gap: float
    expected: float
    p: float
    exact: bool


@dataclass(frozen=True)
class OmnibusTest:
    """Test of the null hypothesis that all groups have the same rate.

    Attributes:
        statistic: Pearson's χ².
        df: groups minus 1.
        p: p-value.
        method: "chi-square" where every expected count is at least 5, else "permutation"; "Rao-Scott" with weights or
            clusters.
    """

    statistic: float
    df: int
    p: float
    method: Literal["chi-square", "permutation", "Rao-Scott"]


@dataclass(frozen=True)
class McNemarTest:
    """Test of the null hypothesis that two models have the same accuracy on the same images.

    Attributes:
        p: exact two-sided p-value.
        smallest_p: the smallest p-value that this number of discordant pairs can give.
    """

    p: float
    smallest_p: float


@dataclass(frozen=True)
class TrendTest:
    """Test of the null hypothesis that a rate does not change along ordered groups.

    Attributes:
        z: standard normal statistic; negative = the rate falls with the score.
        p: two-sided p-value.
    """

    z: float
    p: float


def fisher_exact(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """Return the two-sided p-value of Fisher's exact test of equal rates.

    Fisher (1935), J. R. Stat. Soc. 98:39. The two-sided p-value sums the tables that are at most as probable as the
    observed one, as R and scipy do.

    Args:
        k1: successes of the first group.
        n1: size of the first group.
        k2: successes of the second group.
        n2: size of the second group.

    Returns:
        The p-value, or None where a margin of the table is 0: an empty group, only successes or only failures.

    Example:
        >>> round(fisher_exact(9, 10, 3, 10), 6)
        0.019767
    """
    if 0 in (n1, n2, k1 + k2, n1 + n2 - k1 - k2):
        return None
    (n1, k1), (n2, k2) = sorted([(n1, k1), (n2, k2)])  # swapping the groups changes no bit
    pmf = hypergeometric_pmf(n1, k1 + k2, n1 + n2)
    return min(1.0, float(pmf[pmf <= pmf[k1] * (1 + 1e-7)].sum()))


def max_gap(
    k: npt.ArrayLike, n: npt.ArrayLike, *, member: npt.ArrayLike | None = None, draws: int = DRAWS, seed: int = SEED
) -> GapTest | None:
    """Return a permutation test of the largest gap among groups.

    The largest of many differences is above 0 under the null hypothesis too, and its bootstrap interval excludes 0 even
    then. A permutation of the outcomes keeps the number of successes, so the counts of the groups are multivariate
    hypergeometric. All tables are enumerated where there are at most 20,000, else tables are drawn. The p-value of
    drawn tables is (1 + as large or larger) / (1 + draws): Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9:39.

    Args:
        k: successes of each group, shape (G,), or of each pattern of groups, shape (P,).
        n: sizes of the groups or patterns, shape (G,) or (P,); empty ones are ignored.
        member: which groups the images of a pattern belong to, shape (P, G), where groups overlap, else None.
        draws: number of random tables.
        seed: seed of the random tables. The result does not depend on the order of the groups.

    Returns:
        The test, or None with fewer than two groups.

    Example:
        >>> test = max_gap([5, 3, 1], [5, 5, 5])
        >>> round(test.gap, 3), round(test.expected, 6), round(test.p, 6), test.exact
        (0.8, 0.374625, 0.065934, True)
    """
    successes, sizes, belongs = _groups(k, n, member)
    in_group = sizes @ belongs if belongs is not None else sizes
    if np.count_nonzero(in_group) < 2:
        return None
    if len(sizes) == 1:  # every image is in all of the groups
        return GapTest(0.0, 0.0, 1.0, exact=True)
    rates = (successes if belongs is None else successes @ belongs) / in_group
    gap = float(rates.max() - rates.min())
    tables, weight, exact = _null_tables(sizes, int(successes.sum()), draws, seed)
    gaps = np.ptp((tables if belongs is None else tables @ belongs) / in_group, axis=1)
    return GapTest(gap, float(gaps @ weight), _null_p(gaps >= gap - 1e-12, weight, exact), exact)


def omnibus(k: npt.ArrayLike, n: npt.ArrayLike, *, draws: int = DRAWS, seed: int = SEED) -> OmnibusTest | None:
    """Return Pearson's χ² test that all groups have the same rate.

    χ² with G − 1 degrees of freedom (Pearson 1900, Philosophical Magazine 50:157) where every expected count is at
    least 5 (Cochran 1954, Biometrics 10:417), else a permutation test of the same statistic.

    Arguments as in `max_gap`.

    Returns:
        The test, or None with fewer than two groups, only successes or only failures.

    Example:
        >>> test = omnibus([2276, 900, 360, 258, 46], [2484, 974, 412, 336, 64])
        >>> round(test.statistic, 4), test.method
        (104.5685, 'chi-square')
    """
    successes, sizes, _ = _groups(k, n)
    total = int(successes.sum())
    if len(sizes) < 2 or total in (0, int(sizes.sum())):
        return None
    share = total / int(sizes.sum())
    expected = sizes * share

    def chi_square(counts: Ints) -> Floats:
        return np.asarray(((counts - expected) ** 2 / (expected * (1 - share))).sum(axis=-1))

    statistic = float(chi_square(successes))
    df = len(sizes) - 1
    if min(expected.min(), (sizes - expected).min()) >= 5:
        return OmnibusTest(statistic, df, float(chdtrc(df, statistic)), "chi-square")
    tables, weight, exact = _null_tables(sizes, total, draws, seed)
    p = _null_p(chi_square(tables) >= statistic * (1 - 1e-12), weight, exact)
    return OmnibusTest(statistic, df, p, "permutation")


def mcnemar(b: int, c: int) -> McNemarTest | None:
    """Return the exact McNemar test of paired outcomes.

    McNemar (1947), Psychometrika 12:153, in its exact binomial form. With fewer than 6 discordant pairs no outcome can
    reach p < 0.05: see `smallest_p`.

    Args:
        b: pairs that only the first got right.
        c: pairs that only the second got right.

    Returns:
        The test, or None where no pair is discordant.

    Example:
        >>> round(mcnemar(12, 3).p, 6), mcnemar(5, 0).smallest_p
        (0.035156, 0.0625)
    """
    if b + c == 0:
        return None
    return McNemarTest(min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5))), math.ldexp(1.0, 1 - b - c))


def cochran_armitage(k: npt.ArrayLike, n: npt.ArrayLike, scores: Sequence[float] | None = None) -> TrendTest | None:
    """Return the Cochran–Armitage test for a linear trend of rates along ordered groups.

    Cochran (1954), Biometrics 10:417; Armitage (1955), Biometrics 11:375. It does not detect a U shape: use
    it together with `omnibus`.

    Args:
        k: successes of each group in their order, shape (G,).
        n: sizes of the groups, shape (G,); empty groups are ignored.
        scores: score of each group, shape (G,), ties allowed; default: 0, 1, 2 …

    Returns:
        The test, or None with fewer than two different scores, only successes or only failures.

    Example:
        >>> test = cochran_armitage([166, 164, 159, 155, 152], [172] * 5)
        >>> round(test.z, 4), round(test.p, 6)
        (-3.3993, 0.000676)
    """
    sizes = np.asarray(n, dtype=np.float64)
    successes = np.asarray(k, dtype=np.float64)
    score = np.asarray(range(len(sizes)) if scores is None else scores, dtype=np.float64)
    kept = sizes > 0
    sizes, successes, score = sizes[kept], successes[kept], score[kept]
    if len(np.unique(score)) < 2 or successes.sum() in (0, sizes.sum()):
        return None
    share = successes.sum() / sizes.sum()
    centred = score - (sizes @ score) / sizes.sum()
    z = float(centred @ successes / math.sqrt(share * (1 - share) * (sizes @ centred**2)))
    return TrendTest(z, float(2 * ndtr(-abs(z))))


def log_choose(n: npt.ArrayLike, k: npt.ArrayLike) -> Floats:
    """Return the natural logarithm of the binomial coefficients n over k, in the common shape."""
    total, chosen = np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64)
    return np.asarray(-np.log1p(total) - betaln(total - chosen + 1.0, chosen + 1.0))


def hypergeometric_pmf(drawn: int, good: int, total: int) -> Floats:
    """Return the probability of 0…drawn successes among `drawn` of `total` items, `good` of them successes.

    Returns:
        Shape (drawn + 1,).
    """
    pmf = np.zeros(drawn + 1)
    k = np.arange(max(0, drawn - (total - good)), min(drawn, good) + 1)
    pmf[k] = np.exp(log_choose(good, k) + log_choose(total - good, drawn - k) - log_choose(total, drawn))
    return pmf


def _groups(k: npt.ArrayLike, n: npt.ArrayLike, member: npt.ArrayLike | None = None) -> tuple[Ints, Ints, Ints | None]:
    """Return the counts of the groups that are not empty, in an order that does not depend on their names."""
    successes, sizes = np.asarray(k, dtype=np.int64), np.asarray(n, dtype=np.int64)
    belongs = None if member is None else np.asarray(member, dtype=np.int64)
    kept = sizes > 0 if belongs is None else (sizes > 0) & belongs.any(axis=1)
    if belongs is not None:
        belongs = belongs[kept]
        belongs = belongs[:, belongs.any(axis=0)]
    successes, sizes = successes[kept], sizes[kept]
    order = np.lexsort((successes, sizes))
    return successes[order], sizes[order], None if belongs is None else belongs[order]


def _null_p(as_extreme: Mask, weight: Floats, exact: bool) -> float:
    """Return the p-value from which tables are at least as extreme as the observed one, shape (B,)."""
    return min(1.0, float(weight[as_extreme].sum() if exact else (1 + as_extreme.sum()) / (1 + len(as_extreme))))


def _null_tables(sizes: Ints, total: int, draws: int, seed: int) -> tuple[Ints, Floats, bool]:
    """Return tables (B, G) with `total` successes under independence, their probabilities, and if they are all."""
    ways = [min(int(size), total) + 1 for size in sizes[:-1]]  # the last, largest group has the remaining successes
    if math.prod(ways) > EXACT_LIMIT:
        generator = np.random.default_rng(seed)
        tables = generator.multivariate_hypergeometric(sizes, total, size=draws, method="marginals")
        return tables.astype(np.int64), np.full(draws, 1.0 / draws), False
    first = np.indices(ways).reshape(len(ways), -1).T
    last = total - first.sum(axis=1)
    possible = (last >= 0) & (last <= sizes[-1])
    tables = np.column_stack([first, last])[possible].astype(np.int64)
    log_weight = log_choose(sizes, tables).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    return tables, weight / weight.sum(), True
