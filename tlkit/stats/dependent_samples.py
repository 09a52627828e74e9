"""Samples that are not independent images: weighted, in clusters (bursts, subjects), or matched in pairs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr, stdtr, stdtrit

from tlkit.stats.hypothesis_tests import GapTest
from tlkit.stats.intervals import Bounds, clopper_pearson_bounds, wilson_bounds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXACT_IMAGES = 2_000  # matched images up to which the stratified test is exact


@dataclass(frozen=True)
class Moments:
    """Rates that were counted cluster by cluster.

    Attributes:
        rate: shape (S,), NaN where a denominator is 0.
        covariance: of the rates, shape (S, S), NaN where there is no rate or only one cluster.
        clusters: clusters with a denominator above 0, shape (S,).
        df: degrees of freedom of each variance, shape (S,): the clusters − 1 where all are of one size, fewer where
            some are larger; 0 with one cluster.
        rate_df: the same for the interval of one rate, shape (S,): still fewer where a few clusters bring most of what
            varies, as they do where errors are rare and come in clumps.
    """

    rate: Floats
    covariance: Floats
    clusters: Ints
    df: Floats
    rate_df: Floats

    def variance_of_difference(self, one: int, two: int) -> float:
        """Return the variance of rate `one` minus rate `two`; NaN where either has only one cluster."""
        covariance = self.covariance
        return float(covariance[one, one] + covariance[two, two] - 2 * covariance[one, two])


def design_effect(size: float, correlation: float) -> float:
    """Return how many times more images clusters of one size need than independent images: 1 + (m − 1)ρ.

    Kish (1965), Survey Sampling, section 5.4.

    Args:
        size: images per cluster, m.
        correlation: intra-cluster correlation ρ.

    Example:
        >>> deff = design_effect(5, 0.6)
        >>> round(deff, 3), round(860 / deff, 1)
        (3.4, 252.9)
    """
    return 1.0 + (size - 1.0) * correlation


def cluster_moments(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Moments:
    """Return rates and how they vary together when whole clusters are drawn anew.

    The closed form of the cluster bootstrap: the linearised ratio estimator, Cov = Σ z zᵀ with z = (a − p b)/Σb
    (Cochran 1977, Sampling Techniques, section 3.12; Woodruff 1971, J. Am. Stat. Assoc. 66:411). A cluster of share w
    pulls its rate towards itself, so its residual is divided by √(1 − w): the bias-reduced linearisation ("CR2") of
    Bell & McCaffrey (2002), Survey Methodology 28:169, with their Satterthwaite degrees of freedom, which here are
    1/(Σw² + (Σs)² − Σs²) with s = w²/(1 − w). For clusters of one size it is Σ z zᵀ · M/(M − 1) and M − 1.

    Those hold for residuals that are normal. The variance of M values of excess kurtosis κ itself varies by
    σ⁴(2/(M − 1) + κ/M) (Mood, Graybill & Boes 1974, Introduction to the Theory of Statistics, p. 229), as if it had
    2/(2/(M − 1) + κ/M) degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2:110): `rate_df`, with the κ of the
    residuals where it is above 0.

    Args:
        numerator: a, shape (M, S): what counts in each cluster, for S rates.
        denominator: b, shape (M, S): what it is a share of.
    """
    a, b = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    total = b.sum(axis=0)
    clusters = np.count_nonzero(b, axis=0).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, share = a.sum(axis=0) / total, b / total
        alone = np.where(share < 1, 1 - share, np.nan)  # a rate of one cluster has no variance
        z = (a - rate * b) / total / np.sqrt(alone)
        s = share**2 / alone
        df = 1 / ((share**2).sum(axis=0) + s.sum(axis=0) ** 2 - (s**2).sum(axis=0))
        excess = np.nan_to_num(clusters * (z**4).sum(axis=0) / (z**2).sum(axis=0) ** 2 - 3)
        rate_df = 2 / (2 / df + np.maximum(excess, 0) / clusters)
    return Moments(rate, z.T @ z, clusters, np.nan_to_num(df), np.nan_to_num(rate_df))


def effective_size(
    rate: Floats,
    variance: Floats,
    *,
    images: npt.ArrayLike,
    clusters: npt.ArrayLike,
    df: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> Floats:
    """Return the size of an independent sample with the same variance: p(1 − p)/Var, at most the number of images.

    Korn & Graubard (1998), Survey Methodology 24:193, with their factor (t of n − 1 over t of the variance's degrees of
    freedom)²: the variance among few clusters is itself hardly known. Where nothing varies (every image right), the
    variance says nothing, and every cluster counts as one image.

    Args:
        rate: shape (S,).
        variance: of the rates, shape (S,).
        images: denominators, shape (S,).
        clusters: clusters that they come from, shape (S,).
        df: degrees of freedom of the variances, shape (S,); None = without that factor.
        confidence: two-sided level of the intervals that rest on it, in (0, 1).
    """
    n, m = np.asarray(images, dtype=np.float64), np.asarray(clusters, dtype=np.float64)
    binomial = rate * (1 - rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        few: float | Floats = 1.0
        if df is not None:
            tail, known = 0.5 + confidence / 2.0, np.maximum(np.asarray(df, dtype=np.float64), 1.0)
            few = np.asarray(stdtrit(np.maximum(n - 1, 1.0), tail) / stdtrit(known, tail)) ** 2
        size = np.where((variance > 1e-15) & (binomial > 0), binomial / variance * few, m)
    return np.where(n > 0, np.minimum(size, n), 0.0)


def correlated_bounds(
    k1: npt.ArrayLike,
    n1: npt.ArrayLike,
    k2: npt.ArrayLike,
    n2: npt.ArrayLike,
    *,
    correlation: npt.ArrayLike = 0.0,
    confidence: float = 0.95,
    guaranteed: bool = False,
) -> Bounds:
    """Return the interval of many differences k1/n1 − k2/n2 of rates that may be correlated.

    d ± √(δ₁² − 2ρδ₁δ₂ + δ₂²) from the distances δ of the single rates to the ends of their intervals: Newcombe (1998),
    Statistics in Medicine 17:2635, method 10; Zou & Donner (2008), Statistics in Medicine 27:1693. At ρ = 0 it is
    `newcombe_bounds`.

    Args:
        k1: successes of the first sample, any shape; may be fractional, with an effective n.
        n1: denominators of the first sample.
        k2: successes of the second sample.
        n2: denominators of the second sample.
        correlation: correlation of the two rates, in [-1, 1].
        confidence: two-sided level, in (0, 1).
        guaranteed: take the ends of Clopper and Pearson in place of Wilson's.

    Returns:
        Lower and upper ends in [-1, 1]; NaN where a denominator is 0.
    """
    bounds = clopper_pearson_bounds if guaranteed else wilson_bounds
    low1, high1 = bounds(k1, n1, confidence)
    low2, high2 = bounds(k2, n2, confidence)
    rho = np.asarray(correlation, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate1 = np.asarray(k1, dtype=np.float64) / np.asarray(n1, dtype=np.float64)
        rate2 = np.asarray(k2, dtype=np.float64) / np.asarray(n2, dtype=np.float64)

    def reach(one: Floats, two: Floats) -> Floats:
        return np.sqrt(np.maximum(one**2 - 2 * rho * one * two + two**2, 0.0))

    low = rate1 - rate2 - reach(rate1 - low1, high2 - rate2)
    high = rate1 - rate2 + reach(high1 - rate1, rate2 - low2)
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def score_test(k1: float, n1: float, k2: float, n2: float) -> float | None:
    """Return the two-sided p-value of the score test that two rates are equal, for effective, fractional counts.

    Args:
        k1: successes of the first sample, may be fractional.
        n1: its effective size.
        k2: successes of the second sample.
        n2: its effective size.

    Returns:
        The p-value, or None where a margin is 0.
    """
    if min(n1, n2) <= 0 or not 1e-12 < (k1 + k2) / (n1 + n2) < 1 - 1e-12:
        return None
    pooled = (k1 + k2) / (n1 + n2)
    z = (k1 / n1 - k2 / n2) / math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    return float(2 * ndtr(-abs(z)))


def cluster_test(difference: float, variance: float, df: float) -> float | None:
    """Return the two-sided p-value of a difference by Student's t.

    Args:
        difference: of two rates.
        variance: of the difference, from `cluster_moments`.
        df: degrees of freedom; of two sides the fewer, since the variance of that side is known least.

    Returns:
        The p-value, or None where nothing varies or there is one cluster only.
    """
    if not (df > 0 and variance > 1e-15):
        return None
    return float(2 * stdtr(df, -abs(difference) / math.sqrt(variance)))


def at_least_t(
    low: float, high: float, *, difference: float, variance: float, df: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return an interval of a difference, each end moved out to that of Student's t where the latter reaches farther.

    Intervals of correlated rates trust their correlation, which a handful of clusters does not know: with 2 clusters
    that both sides share it is always −1 or 1, and intervals of 95 % may hold the truth in 81 % of cases. With the ends
    of t they hold it in 93 % or more, from 2 clusters on (benchmarks/audit_false_alarms.py).

    Args:
        low: lower end.
        high: upper end.
        difference: of the two rates, in [-1, 1].
        variance: of the difference, from `cluster_moments`; where it is not known, the interval stays.
        df: its degrees of freedom.
        confidence: two-sided level, in (0, 1).
    """
    if not (df > 0 and variance > 0):
        return low, high
    half = float(stdtrit(df, 0.5 + confidence / 2.0)) * math.sqrt(variance)
    return max(-1.0, min(low, difference - half)), min(1.0, max(high, difference + half))


def stratified_exact(k: npt.ArrayLike, n: npt.ArrayLike, k_all: npt.ArrayLike, n_all: npt.ArrayLike) -> float | None:
    """Return the two-sided p-value that within every stratum group and outcome have nothing to do with each other.

    The exact conditional test of Mantel and Haenszel (Mehta, Patel & Gray 1985, J. Am. Stat. Assoc. 80:969): the
    group's successes are a sum of hypergeometric counts; all outcomes that are no likelier than the one seen are added.
    With strata of one image of the group and one of the other it is McNemar's exact test. Above 2,000 images of the
    group, the normal approximation.

    Args:
        k: successes of the group in each stratum, shape (M,).
        n: images of the group in each stratum, shape (M,).
        k_all: successes of all images in each stratum, shape (M,).
        n_all: all images in each stratum, shape (M,).

    Returns:
        The p-value, or None where no stratum could tell.

    Example:
        >>> one, both = [1] * 12 + [0] * 3, [1] * 15
        >>> round(stratified_exact(one, both, both, [2] * 15), 6)
        0.035156
    """
    own, size, total, images = (np.asarray(values, dtype=np.int64) for values in (k, n, k_all, n_all))
    telling = (size > 0) & (size < images) & (total > 0) & (total < images)
    if not telling.any():
        return None
    own, size, total, images = own[telling], size[telling], total[telling], images[telling]
    if size.sum() > EXACT_IMAGES:
        mean = size * total / images
        variance = mean * (images - total) * (images - size) / (images * (images - 1))
        return float(2 * ndtr(-abs(own.sum() - mean.sum()) / math.sqrt(variance.sum())))
    pmf = np.ones(1)
    for (drawn, good, among), times in Counter(
        zip(size.tolist(), total.tolist(), images.tolist(), strict=True)
    ).items():
        one = _hypergeometric(drawn, good, among)
        for _ in range(times):
            pmf = np.convolve(pmf, one)
    seen = pmf[own.sum()]
    return min(1.0, float(pmf[pmf <= seen * (1 + 1e-7)].sum()))


def max_gap_normal(
    rates: npt.ArrayLike,
    sizes: npt.ArrayLike,
    correlation: npt.ArrayLike | None = None,
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> GapTest | None:
    """Compare the largest gap among rates with what chance gives, where images cannot be dealt anew one by one.

    The rates are drawn from a normal distribution around their common mean, with the variance p(1 − p)/n_eff and their
    correlation; the result does not depend on the order of the groups where they are independent.

    Args:
        rates: shape (G,).
        sizes: effective sizes, shape (G,), above 0.
        correlation: of the rates, shape (G, G); default: independent.
        draws: number of random draws.
        seed: their seed.

    Returns:
        The test, or None with fewer than two groups.
    """
    rate, n = np.asarray(rates, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if len(rate) < 2:
        return None
    order = np.lexsort((rate, n))
    rate, n = rate[order], n[order]
    mean = min(float(rate @ n / n.sum()), 1.0)  # weights may take it beyond by rounding
    spread = np.sqrt(mean * (1 - mean) / n)
    drawn = np.random.default_rng(seed).standard_normal((draws, len(rate)))
    if correlation is not None:
        values, vectors = np.linalg.eigh(np.asarray(correlation, dtype=np.float64)[np.ix_(order, order)])
        drawn = drawn @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    gaps = np.ptp(drawn * spread, axis=1)
    gap = float(np.ptp(rate))
    return GapTest(gap, float(gaps.mean()), float((1 + (gaps >= gap - 1e-12).sum()) / (1 + draws)), exact=False)


def _hypergeometric(drawn: int, good: int, among: int) -> Floats:
    """Return the chance of 0…drawn successes among so many drawn, shape (drawn + 1,)."""
    k = np.arange(drawn + 1)
    possible = (k <= good) & (drawn - k <= among - good)

    def log_choose(n: int | Ints, r: Ints) -> Floats:
        return np.asarray(gammaln(np.asarray(n) + 1.0) - gammaln(r + 1.0) - gammaln(np.asarray(n) - r + 1.0))

    pmf = np.zeros(drawn + 1)
    inside = k[possible]
    pmf[possible] = np.exp(
        log_choose(good, inside) + log_choose(among - good, drawn - inside) - log_choose(among, np.array(drawn))
    )
    return pmf
