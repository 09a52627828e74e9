"""Rates of images that are weighted, clustered (bursts, subjects) or matched: variances, effective sizes, tests."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr, stdtrit

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, DRAWS, SEED
from tlkit.stats.hypothesis_tests import GapTest, hypergeometric_pmf

EXACT_IMAGES = 2_000  # matched images up to which the stratified test is exact


@dataclass(frozen=True)
class Moments:
    """Rates of clustered images with their covariance.

    Attributes:
        rate: shape (S,), NaN where a denominator is 0.
        covariance: of the rates, shape (S, S), NaN where a rate is undefined or has a single cluster.
        clusters: clusters with a denominator above 0, shape (S,).
        df: degrees of freedom of each variance, shape (S,): clusters − 1 for clusters of equal size, fewer for unequal
            ones; 0 with one cluster.
        rate_df: degrees of freedom for the interval of one rate, shape (S,): fewer than `df` where a few clusters
            contribute most of the variance, as they do where errors are rare and clustered.
    """

    rate: Floats
    covariance: Floats
    clusters: Ints
    df: Floats
    rate_df: Floats

    def variance_of_difference(self, one: int, two: int) -> float:
        """Return the variance of rate `one` minus rate `two`; NaN where either has a single cluster."""
        covariance = self.covariance
        return float(covariance[one, one] + covariance[two, two] - 2 * covariance[one, two])

    @property
    def correlation(self) -> Floats:
        """Correlation of the rates, shape (S, S); 0 where one does not vary or its variance is unknown."""
        covariance = np.nan_to_num(self.covariance)
        deviation = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation = np.nan_to_num(covariance / np.outer(deviation, deviation))
        np.fill_diagonal(correlation, 1.0)
        return np.asarray(np.clip(correlation, -1.0, 1.0))


def design_effect(size: float, correlation: float) -> float:
    """Return the design effect of clusters of equal size: 1 + (m − 1)ρ.

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
    """Return rates and their covariance in cluster sampling.

    The linearised ratio estimator, which is the closed form of the cluster bootstrap: Cov = Σ z zᵀ with
    z = (a − p b)/Σb (Cochran 1977, Sampling Techniques, section 3.12; Woodruff 1971, J. Am. Stat. Assoc. 66:411). The
    residual of a cluster with share w is divided by √(1 − w): the bias-reduced linearisation ("CR2") of Bell &
    McCaffrey (2002), Survey Methodology 28:169, with their Satterthwaite degrees of freedom, which here are
    1/(Σw² + (Σs)² − Σs²) with s = w²/(1 − w). For clusters of equal size: Σ z zᵀ · M/(M − 1) and M − 1.

    These hold for normal residuals. The variance of M values with excess kurtosis κ has the variance
    σ⁴(2/(M − 1) + κ/M) (Mood, Graybill & Boes 1974, Introduction to the Theory of Statistics, p. 229), which
    corresponds to 2/(2/(M − 1) + κ/M) degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2:110): `rate_df`,
    with the κ of the residuals where it is above 0.

    Args:
        numerator: a, shape (M, S): sums over M clusters, for S rates.
        denominator: b, shape (M, S).
    """
    a, b = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    total = b.sum(axis=0)
    clusters = np.count_nonzero(b, axis=0).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, share = a.sum(axis=0) / total, b / total
        others = np.where(share < 1, 1 - share, np.nan)  # a rate of one cluster has no variance
        z = (a - rate * b) / total / np.sqrt(others)
        s = share**2 / others
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
    confidence: float = CONFIDENCE,
) -> Floats:
    """Return the effective sample size of rates: p(1 − p)/Var, at most the number of images, shape (S,).

    Korn & Graubard (1998), Survey Methodology 24:193, with their factor (t of n − 1 over t of the variance's
    degrees of freedom)² for the uncertainty of the variance. Where the variance is 0 (every image right), each cluster
    counts as one image.

    Args:
        rate: shape (S,).
        variance: of the rates, shape (S,).
        images: denominators, shape (S,).
        clusters: numbers of clusters, shape (S,).
        df: degrees of freedom of the variances, shape (S,); None = without that factor.
        confidence: two-sided level of the intervals that use the size, in (0, 1).
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


def score_test(k1: float, n1: float, k2: float, n2: float) -> float | None:
    """Return the two-sided p-value of the score test of two equal rates, for effective counts.

    z = (p₁ − p₂)/√(p(1 − p)(1/n₁ + 1/n₂)) with the pooled rate p, without continuity correction: Fleiss, Levin & Paik
    (2003), Statistical Methods for Rates and Proportions, chapter 3.

    Args:
        k1: successes of the first sample; may be fractional.
        n1: effective size of the first sample.
        k2: successes of the second sample.
        n2: effective size of the second sample.

    Returns:
        The p-value, or None where a margin is 0.
    """
    if min(n1, n2) <= 0 or not 1e-12 < (k1 + k2) / (n1 + n2) < 1 - 1e-12:
        return None
    pooled = (k1 + k2) / (n1 + n2)
    z = (k1 / n1 - k2 / n2) / math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    return float(2 * ndtr(-abs(z)))


def cluster_test(difference: float, variance: float, df: float, *, unit: float = 1.0) -> float | None:
    """Return the two-sided p-value of Student's t test that a difference is 0.

    Args:
        difference: of two rates.
        variance: of the difference, from `cluster_moments`.
        df: degrees of freedom, the fewer of the two rates'.
        unit: size of the numbers that the difference is of, 1 for rates; see `student_estimate`.

    Returns:
        The p-value, or None where the variance is 0 or unknown.
    """
    if not (df > 0 and variance > 1e-15 * unit * unit):
        return None
    return float(2 * stdtr(df, -abs(difference) / math.sqrt(variance)))


def at_least_t(
    low: float, high: float, *, difference: float, variance: float, df: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return an interval of a difference that is at least as wide as Student's t interval at each end.

    Intervals of correlated rates depend on their correlation, which few clusters estimate poorly: with 2 shared
    clusters it is always −1 or 1, and the coverage of 95 % intervals falls to 81 %. With the ends of Student's t the
    coverage is 93 % or more, from 2 clusters on (benchmarks/audit_false_alarms.py).

    Args:
        low: lower end.
        high: upper end.
        difference: of the two rates, in [-1, 1].
        variance: of the difference, from `cluster_moments`; where it is unknown, the interval is unchanged.
        df: degrees of freedom of the variance.
        confidence: two-sided level, in (0, 1).
    """
    if not (df > 0 and variance > 0):
        return low, high
    half = float(stdtrit(df, 0.5 + confidence / 2.0)) * math.sqrt(variance)
    return max(-1.0, min(low, difference - half)), min(1.0, max(high, difference + half))


def stratified_exact(k: npt.ArrayLike, n: npt.ArrayLike, k_all: npt.ArrayLike, n_all: npt.ArrayLike) -> float | None:
    """Return the two-sided p-value of the exact Mantel–Haenszel test that group and outcome are independent in strata.

    The exact conditional test (Mehta, Patel & Gray 1985, J. Am. Stat. Assoc. 80:969): the group's successes are a sum
    of hypergeometric counts, and the p-value sums the outcomes that are at most as probable as the observed one. With
    strata of one image of the group and one of its complement it is McNemar's exact test. Above 2,000 images of the
    group, the normal approximation of Mantel & Haenszel (1959), J. Natl. Cancer Inst. 22:719.

    Args:
        k: successes of the group in each stratum, shape (M,).
        n: images of the group in each stratum, shape (M,).
        k_all: successes of all images in each stratum, shape (M,).
        n_all: all images in each stratum, shape (M,).

    Returns:
        The p-value, or None where no stratum is informative.

    Example:
        >>> one, both = [1] * 12 + [0] * 3, [1] * 15
        >>> round(stratified_exact(one, both, both, [2] * 15), 6)
        0.035156
    """
    own, size, total, images = (np.asarray(values, dtype=np.int64) for values in (k, n, k_all, n_all))
    informative = (size > 0) & (size < images) & (total > 0) & (total < images)
    if not informative.any():
        return None
    own, size, total, images = own[informative], size[informative], total[informative], images[informative]
    if size.sum() > EXACT_IMAGES:
        mean = size * total / images
        variance = mean * (images - total) * (images - size) / (images * (images - 1))
        return float(2 * ndtr(-abs(own.sum() - mean.sum()) / math.sqrt(variance.sum())))
    pmf = np.ones(1)
    for (drawn, good, among), times in Counter(
        zip(size.tolist(), total.tolist(), images.tolist(), strict=True)
    ).items():
        one = hypergeometric_pmf(drawn, good, among)
        for _ in range(times):
            pmf = np.convolve(pmf, one)
    return min(1.0, float(pmf[pmf <= pmf[own.sum()] * (1 + 1e-7)].sum()))


def max_gap_normal(
    rates: npt.ArrayLike,
    sizes: npt.ArrayLike,
    correlation: npt.ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> GapTest | None:
    """Return a Monte Carlo test of the largest gap among rates of weighted or clustered images.

    Under the null hypothesis the rates are normal around their common mean, with the variances p(1 − p)/n_eff and their
    correlation; the p-value is (1 + as large or larger) / (1 + draws) (Phipson & Smyth 2010, Stat. Appl. Genet. Mol.
    Biol. 9:39). The result does not depend on the order of independent groups. `max_gap` permutes independent images.

    Args:
        rates: shape (G,).
        sizes: effective sizes, shape (G,), above 0.
        correlation: of the rates, shape (G, G); default: independent.
        draws: number of random draws.
        seed: seed of the draws.

    Returns:
        The test, or None with fewer than two groups.
    """
    rate, n = np.asarray(rates, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if len(rate) < 2:
        return None
    order = np.lexsort((rate, n))
    rate, n = rate[order], n[order]
    mean = min(float(rate @ n / n.sum()), 1.0)  # rounding of weights may exceed 1
    spread = np.sqrt(mean * (1 - mean) / n)
    drawn = np.random.default_rng(seed).standard_normal((draws, len(rate)))
    if correlation is not None:
        values, vectors = np.linalg.eigh(np.asarray(correlation, dtype=np.float64)[np.ix_(order, order)])
        drawn = drawn @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    gaps = np.ptp(drawn * spread, axis=1)
    gap = float(np.ptp(rate))
    return GapTest(gap, float(gaps.mean()), float((1 + (gaps >= gap - 1e-12).sum()) / (1 + draws)), exact=False)
