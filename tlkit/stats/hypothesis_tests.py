"""Tests of counts: two groups, many groups, ordered groups, paired outcomes; None where there is no test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, gammaln, ndtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXACT_LIMIT = 20_000  # tables that are enumerated rather than drawn


@dataclass(frozen=True)
class GapTest:
    """The largest gap among groups, beside what chance alone would give.

    Attributes:
        gap: largest minus smallest rate, in [0, 1].
        expected: mean of that gap where group and outcome have nothing to do with each other.
        p: chance of a gap at least as large under that hypothesis.
        exact: whether all tables were enumerated, rather than drawn.
    """

    gap: float
    expected: float
    p: float
    exact: bool


@dataclass(frozen=True)
class OmnibusTest:
    """Whether any of the groups differs from the others.

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
    """Whether two models, or two versions of each image, differ on the same images.

    Attributes:
        p: exact two-sided p-value.
        smallest_p: the smallest p-value that so many discordant pairs can give at all.
    """

    p: float
    smallest_p: float


@dataclass(frozen=True)
class TrendTest:
    """Whether a rate rises or falls along ordered groups.

    Attributes:
        z: standard normal statistic; negative = the rate falls with the score.
        p: two-sided p-value.
    """

    z: float
    p: float


def fisher_exact(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """Return the two-sided p-value of Fisher's exact test that two rates are equal.

    Fisher (1935), J. R. Stat. Soc. 98:39; two-sided by adding all tables that are no likelier than the one seen,
    as R and scipy do.

    Args:
        k1: successes of the first group.
        n1: size of the first group.
        k2: successes of the second group.
        n2: size of the second group.

    Returns:
        The p-value, or None where a margin of the table is 0: an empty group, or nothing but successes or
        failures.

    Example:
        >>> round(fisher_exact(9, 10, 3, 10), 6)
        0.019767
    """
    if 0 in (n1, n2, k1 + k2, n1 + n2 - k1 - k2):
        return None
    (n1, k1), (n2, k2) = sorted([(n1, k1), (n2, k2)])  # the same to the last bit from either side
    low, high = max(0, k1 + k2 - n2), min(n1, k1 + k2)
    log_p = _log_choose(n1, np.arange(low, high + 1)) + _log_choose(n2, k1 + k2 - np.arange(low, high + 1))
    log_p -= float(_log_choose(n1 + n2, np.array(k1 + k2)))
    seen = log_p[k1 - low]
    return min(1.0, float(np.exp(log_p[log_p <= seen + 1e-7]).sum()))


def max_gap(
    k: npt.ArrayLike, n: npt.ArrayLike, *, member: npt.ArrayLike | None = None, draws: int = 10_000, seed: int = 0
) -> GapTest | None:
    """Compare the largest gap among groups with the gaps that chance alone gives.

    The largest gap is the largest of many differences, so it is never 0 and its plain bootstrap interval
    excludes 0 even where nothing is there. Here the successes are dealt anew to the groups, their number kept
    (a permutation test: the counts are multivariate hypergeometric): all deals where there are few, random
    ones otherwise.

    Args:
        k: successes of each group, shape (G,), or of each pattern of groups, shape (P,).
        n: sizes of the groups or patterns, shape (G,) or (P,); empty ones take no part.
        member: which groups the images of a pattern belong to, shape (P, G), where images are in several groups, else
            None.
        draws: number of random deals.
        seed: seed of the random deals. The result does not depend on the order of the groups.

    Returns:
        The test, or None with fewer than two groups. A random p-value is (1 + as large or larger) / (1 +
        draws): Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9:39.

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
    dealt, weight, exact = _deals(sizes, int(successes.sum()), draws, seed)
    gaps = np.ptp((dealt if belongs is None else dealt @ belongs) / in_group, axis=1)
    as_large = gaps >= gap - 1e-12
    p = weight[as_large].sum() if exact else (1 + as_large.sum()) / (1 + len(gaps))
    return GapTest(gap, float(gaps @ weight), min(1.0, float(p)), exact)


def omnibus(k: npt.ArrayLike, n: npt.ArrayLike, *, draws: int = 10_000, seed: int = 0) -> OmnibusTest | None:
    """Test whether any group's rate differs from the others'.

    Pearson's χ² with G − 1 degrees of freedom where every expected count is at least 5 (Cochran 1954), else a
    permutation test of the same statistic.

    Args:
        k: successes of each group, shape (G,).
        n: sizes of the groups, shape (G,); empty groups take no part.
        draws: number of random deals of the permutation test.
        seed: its seed. The result does not depend on the order of the groups.

    Returns:
        The test, or None with fewer than two groups, or nothing but successes or failures.

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
    dealt, weight, exact = _deals(sizes, total, draws, seed)
    as_large = chi_square(dealt) >= statistic * (1 - 1e-12)
    p = weight[as_large].sum() if exact else (1 + as_large.sum()) / (1 + len(dealt))
    return OmnibusTest(statistic, df, min(1.0, float(p)), "permutation")


def mcnemar(b: int, c: int) -> McNemarTest | None:
    """Return the exact McNemar test of paired outcomes.

    McNemar (1947), Psychometrika 12:153; exact binomial form. With fewer than 6 discordant pairs no outcome
    can reach p < 0.05: see `smallest_p`.

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
    tail = sum(math.comb(b + c, i) for i in range(min(b, c) + 1))
    total = 2 ** (b + c)  # exact integers: no overflow, one rounding
    return McNemarTest(min(1.0, 2 * tail / total), min(1.0, 2 / total))


def trend(k: npt.ArrayLike, n: npt.ArrayLike, scores: Sequence[float] | None = None) -> TrendTest | None:
    """Return the Cochran–Armitage test for a linear trend of rates along ordered groups.

    Cochran (1954), Biometrics 10:417; Armitage (1955), Biometrics 11:375. It is blind to a U shape: read it
    beside `omnibus`.

    Args:
        k: successes of each group in their order, shape (G,).
        n: sizes of the groups, shape (G,); empty groups take no part.
        scores: position of each group, shape (G,), ties allowed; default: 0, 1, 2 …

    Returns:
        The test, or None with fewer than two different scores, or nothing but successes or failures.

    Example:
        >>> test = trend([166, 164, 159, 155, 152], [172] * 5)
        >>> round(test.z, 4), round(test.p, 6)
        (-3.3993, 0.000676)
    """
    sizes = np.asarray(n, dtype=np.float64)
    successes = np.asarray(k, dtype=np.float64)
    places = np.arange(len(sizes)) if scores is None else scores
    position = np.asarray(places, dtype=np.float64)
    kept = sizes > 0
    sizes, successes, position = sizes[kept], successes[kept], position[kept]
    if len(np.unique(position)) < 2 or successes.sum() in (0, sizes.sum()):
        return None
    share = successes.sum() / sizes.sum()
    centred = position - (sizes @ position) / sizes.sum()
    z = float(centred @ successes / math.sqrt(share * (1 - share) * (sizes @ centred**2)))
    return TrendTest(z, float(2 * ndtr(-abs(z))))


def _groups(k: npt.ArrayLike, n: npt.ArrayLike, member: npt.ArrayLike | None = None) -> tuple[Ints, Ints, Ints | None]:
    """Return the counts of the groups that are not empty, in an order that their names cannot change."""
    successes, sizes = np.asarray(k, dtype=np.int64), np.asarray(n, dtype=np.int64)
    belongs = None if member is None else np.asarray(member, dtype=np.int64)
    seen = sizes > 0 if belongs is None else (sizes > 0) & belongs.any(axis=1)
    if belongs is not None:
        belongs = belongs[seen]
        belongs = belongs[:, belongs.any(axis=0)]
    successes, sizes = successes[seen], sizes[seen]
    order = np.lexsort((successes, sizes))
    return successes[order], sizes[order], None if belongs is None else belongs[order]


def _deals(sizes: Ints, total: int, draws: int, seed: int) -> tuple[Ints, Floats, bool]:
    """Deal `total` successes to groups of the given sizes, smallest group first.

    Returns the counts (B, G), the weight of each deal (B,), adding up to 1, and whether these are all deals.
    """
    ways = [min(int(size), total) + 1 for size in sizes[:-1]]  # the last, largest group takes what is left
    if math.prod(ways) > EXACT_LIMIT:
        generator = np.random.default_rng(seed)
        dealt = generator.multivariate_hypergeometric(sizes, total, size=draws, method="marginals")
        return dealt.astype(np.int64), np.full(draws, 1.0 / draws), False
    first = np.indices(ways).reshape(len(ways), -1).T
    last = total - first.sum(axis=1)
    possible = (last >= 0) & (last <= sizes[-1])
    dealt = np.column_stack([first, last])[possible].astype(np.int64)
    log_weight = sum(_log_choose(int(size), dealt[:, g]) for g, size in enumerate(sizes))
    weight = np.exp(log_weight - np.max(log_weight))
    return dealt, weight / weight.sum(), True


def _log_choose(n: int, k: Ints) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
