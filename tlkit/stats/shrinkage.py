"""Many groups: empirical Bayes shrinkage of rates, heterogeneity, and the effective size of a weighted sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaincinv, betaln, chdtrc, expit, logit

from tlkit.arrays import Floats
from tlkit.choices import CONFIDENCE

MOST_STRENGTH = 1e6  # upper bound of the prior's strength a + b; above half of it, the groups show no heterogeneity


@dataclass(frozen=True)
class ShrunkRates:
    """Empirical Bayes rates of groups, shrunk towards their common mean.

    Attributes:
        mean: common mean μ, in [0, 1].
        correlation: intra-group correlation ρ, in [0, 1]: 0 = the groups do not differ, and all rates equal the mean.
        a: first parameter of the Beta prior, μs with s = 1/ρ − 1; None at ρ = 0.
        b: second parameter, (1 − μ)s; None at ρ = 0.
        rate: posterior means, shape (G,).
        low: lower ends of the credible intervals, shape (G,).
        high: upper ends of the credible intervals, shape (G,).
    """

    mean: float
    correlation: float
    a: float | None
    b: float | None
    rate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Heterogeneity:
    """Differences between groups beyond sampling variance.

    Attributes:
        q: Cochran's Q.
        p: p-value of Q, χ² with G − 1 degrees of freedom.
        i_squared: share of the variance that is between groups, in [0, 1].
        tau_squared: variance between the groups (DerSimonian–Laird), at least 0.
    """

    q: float
    p: float
    i_squared: float
    tau_squared: float


def shrink(
    k: npt.ArrayLike,
    n: npt.ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    method: Literal["moments", "likelihood"] = "moments",
) -> ShrunkRates | None:
    """Return the rates of groups, shrunk towards the common mean (empirical Bayes, beta-binomial).

    Moments with weights n: Kleinman (1973), J. Am. Stat. Assoc. 68:46. Maximum likelihood: Griffiths (1973), Biometrics
    29:637. The posterior of a group is Beta(k + a, n − k + b). Show it together with the raw rate, never alone: it
    hides harm to a real minority.

    Args:
        k: successes of each group, shape (G,).
        n: sizes of the groups, shape (G,); the posterior of an empty group is the prior.
        confidence: level of the credible intervals, in (0, 1).
        method: estimator of the prior's mean and strength.

    Returns:
        The shrunk rates, or None with fewer than two groups that are not empty. Where the groups differ by no more than
        sampling variance, every rate is the mean and every interval that of the pooled data.

    Example:
        >>> shrunk = shrink([2276, 900, 360, 258, 46], [2484, 974, 412, 336, 64])
        >>> shrunk.rate.round(4).tolist()
        [0.9161, 0.9234, 0.8752, 0.7767, 0.7682]
    """
    successes, sizes = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    kept = sizes > 0
    if kept.sum() < 2:
        return None
    estimate = _by_moments if method == "moments" else _by_likelihood
    mean, correlation = estimate(successes[kept], sizes[kept])
    tail = (1 - confidence) / 2
    if correlation <= 0:  # pooled, with Jeffreys' prior for the interval
        one = np.ones(len(sizes))
        a_all, b_all = successes.sum() + 0.5, (sizes - successes).sum() + 0.5
        low, high = float(betaincinv(a_all, b_all, tail)), float(betaincinv(a_all, b_all, 1 - tail))
        return ShrunkRates(mean, 0.0, None, None, one * mean, one * min(low, mean), one * max(high, mean))
    strength = max(1 / correlation - 1, 1e-9)
    a, b = mean * strength, (1 - mean) * strength
    a_post, b_post = successes + a, sizes - successes + b
    low, high = betaincinv(a_post, b_post, tail), betaincinv(a_post, b_post, 1 - tail)
    return ShrunkRates(mean, correlation, a, b, a_post / (a_post + b_post), low, high)


def _by_moments(k: Floats, n: Floats) -> tuple[float, float]:
    """Return mean and intra-group correlation by moments; at most 0 if the rates vary no more than by chance."""
    rates = k / n
    weight = n / n.sum()
    mean = float(weight @ rates)
    spread = float(weight @ (rates - mean) ** 2)
    noise = float((weight * (1 - weight) / n).sum())
    binomial = mean * (1 - mean)
    room = binomial * (float((weight * (1 - weight)).sum()) - noise)
    return mean, min(1.0, (spread - binomial * noise) / room) if room > 0 else 0.0


def _by_likelihood(k: Floats, n: Floats) -> tuple[float, float]:
    """Return mean and intra-group correlation of maximum beta-binomial likelihood; 0 where there is no maximum."""
    pooled = float(k.sum() / n.sum())
    if pooled in (0.0, 1.0):
        return pooled, 0.0

    def loss(at: Floats) -> float:
        strength = np.exp(at[1])
        a, b = expit(at[0]) * strength, expit(-at[0]) * strength
        return -float((betaln(k + a, n - k + b) - betaln(a, b)).sum())

    bounds = [(logit(pooled) - 10, logit(pooled) + 10), (np.log(1e-6), np.log(MOST_STRENGTH))]
    found = minimize(loss, [logit(pooled), np.log(10.0)], method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    strength = float(np.exp(found.x[1]))
    if strength > MOST_STRENGTH / 2:
        return pooled, 0.0
    return float(expit(found.x[0])), 1 / (1 + strength)


def spread_beyond_noise(k: npt.ArrayLike, n: npt.ArrayLike) -> float | None:
    """Return the variance between groups: variance of the rates minus the mean sampling variance.

    S² of the rates with G − 1, minus the mean of p(1 − p)/(n − 1), each an unbiased estimate: Lum, Zhang & Bower
    (2022), FAccT. At most 0 = no variance between groups beyond sampling.

    Args:
        k: successes of each group, shape (G,).
        n: sizes of the groups, shape (G,); groups with fewer than 2 images are ignored.

    Returns:
        The variance, which may be negative, or None with fewer than two groups.

    Example:
        >>> round(spread_beyond_noise([10, 9, 8, 7], [10] * 4), 6)
        0.003889
    """
    successes, sizes = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    kept = sizes >= 2
    if kept.sum() < 2:
        return None
    rates = successes[kept] / sizes[kept]
    return float(rates.var(ddof=1) - (rates * (1 - rates) / (sizes[kept] - 1)).mean())


def heterogeneity(value: npt.ArrayLike, variance: npt.ArrayLike) -> Heterogeneity | None:
    """Return Cochran's Q, I² and the variance between groups of independent estimates with known variances.

    DerSimonian & Laird (1986), Controlled Clinical Trials 7:177; I²: Higgins & Thompson (2002), Statistics in
    Medicine 21:1539.

    Args:
        value: one estimate per group, shape (G,).
        variance: sampling variance of each estimate, shape (G,), above 0.

    Returns:
        The measures, or None with fewer than two groups.

    Raises:
        ValueError: a variance is not above 0.
    """
    values, variances = np.asarray(value, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    if not (variances > 0).all():
        raise ValueError("Every variance must be above 0. A rate of 0 or 1 has none: leave it out or add a half first.")
    df = len(values) - 1
    if df < 1:
        return None
    weight = 1 / variances
    mean = (weight @ values) / weight.sum()
    q = float(weight @ (values - mean) ** 2)
    scale = float(weight.sum() - (weight**2).sum() / weight.sum())
    i_squared = max(0.0, 1 - df / q) if q > 0 else 0.0
    return Heterogeneity(q, float(chdtrc(df, q)), i_squared, max(0.0, (q - df) / scale))


def kish_n(weights: npt.ArrayLike) -> float:
    """Return the effective size of a weighted sample: (Σw)² / Σw².

    Kish (1965), Survey Sampling, section 11.7.

    Args:
        weights: one per image, shape (N,), finite, at least 0, not all 0.

    Returns:
        A number between 1 and N; N where all weights are equal.

    Raises:
        ValueError: a weight is negative or not finite, or all are 0.

    Example:
        >>> round(kish_n([1, 1, 1, 1, 10]), 6)
        1.884615
    """
    w = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise ValueError("Weights must be finite and at least 0, and not all 0.")
    return float(w.sum() ** 2 / (w**2).sum())
