"""Confidence intervals of a rate, of a difference of two rates and of their ratio, from counts.

The `*_bounds` functions take and return arrays, one entry per group, with NaN where a denominator is 0. The others take
scalar counts and return an `Estimate`, which is undefined where a denominator is 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtri

from tlkit.arrays import Floats
from tlkit.choices import CONFIDENCE
from tlkit.stats.estimate import Estimate

Bounds = tuple[Floats, Floats]


def tail_of(confidence: float) -> float:
    """Return the probability beyond each end of a two-sided interval: 0.025 for a confidence of 0.95.

    Raises:
        ValueError: `confidence` is not between 0 and 1, both excluded.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be above 0 and below 1, for example 0.95. Got {confidence} instead.")
    return (1.0 - confidence) / 2.0


def normal_quantile(confidence: float) -> float:
    """Return z of a two-sided interval: 1.96 for a confidence of 0.95.

    Raises:
        ValueError: `confidence` is not between 0 and 1, both excluded.
    """
    return float(ndtri(1.0 - tail_of(confidence)))


def wilson_bounds(k: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Bounds:
    """Return the Wilson score interval of many rates k/n at once.

    Wilson (1927), J. Am. Stat. Assoc. 22:209; Brown, Cai & DasGupta (2001), Statistical Science 16:101, eq. 4. Unlike
    the Wald and the percentile bootstrap interval it does not collapse to a point at k = 0 or k = n.

    Args:
        k: counts of successes, any shape, 0 ≤ k ≤ n; may be fractional (weighted counts with an effective n).
        n: denominators, same shape.
        confidence: two-sided level, in (0, 1).

    Returns:
        Lower and upper ends in [0, 1], in the common shape. NaN where n is 0; exactly 0 at k = 0 and exactly 1 at
        k = n.

    Raises:
        ValueError: a count is negative, above its denominator or not finite; `confidence` is not in (0, 1).

    Example:
        >>> low, high = wilson_bounds([0, 10], [10, 10])
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.0, 0.722], [0.278, 1.0])
    """
    successes, trials = _checked(k, n)
    z = normal_quantile(confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = successes / trials
        centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
        half = z / (1 + z**2 / trials) * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    return _exact_ends(centre - half, centre + half, successes, trials)


def clopper_pearson_bounds(k: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Bounds:
    """Return the Clopper–Pearson interval of many rates k/n at once.

    Its coverage is guaranteed, so it is wider than Wilson's. Clopper & Pearson (1934), Biometrika 26:404, as quantiles
    of the Beta distribution: Brown, Cai & DasGupta (2001), Statistical Science 16:101, section 4.2.1. Arguments, result
    and errors are those of `wilson_bounds`.
    """
    successes, trials = _checked(k, n)
    tail = tail_of(confidence)
    failures = trials - successes
    low = betaincinv(np.maximum(successes, 1e-300), failures + 1, tail)
    high = betaincinv(successes + 1, np.maximum(failures, 1e-300), 1.0 - tail)
    return _exact_ends(low, high, successes, trials)


def jeffreys_bounds(k: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Bounds:
    """Return Jeffreys's interval of many rates k/n at once.

    Its ends are quantiles of Beta(k + ½, n − k + ½), but 0 at k = 0 and 1 at k = n. Near 0 and 1 it is narrower than
    Wilson's. Brown, Cai & DasGupta (2001), Statistical Science 16:101, section 3.1.2. Arguments, result and errors are
    those of `wilson_bounds`.
    """
    successes, trials = _checked(k, n)
    tail = tail_of(confidence)
    low, high = (betaincinv(successes + 0.5, trials - successes + 0.5, share) for share in (tail, 1.0 - tail))
    return _exact_ends(low, high, successes, trials)


def newcombe_bounds(
    k1: npt.ArrayLike,
    n1: npt.ArrayLike,
    k2: npt.ArrayLike,
    n2: npt.ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    correlation: npt.ArrayLike = 0.0,
    guaranteed: bool = False,
) -> Bounds:
    """Return the interval of many differences k1/n1 − k2/n2 of two rates.

    d ± √(δ₁² − 2ρδ₁δ₂ + δ₂²), where δ is the distance of a rate to the end of its own interval. Independent rates:
    Newcombe (1998), Statistics in Medicine 17:873, method 10. Correlated rates: Newcombe (1998), Statistics in Medicine
    17:2635, method 10; Zou & Donner (2008), Statistics in Medicine 27:1693. Independent samples must not overlap:
    compare a group with its complement, not with the whole that contains it.

    Args:
        k1: successes of the first sample, any shape; may be fractional, with an effective n.
        n1: denominators of the first sample.
        k2: successes of the second sample.
        n2: denominators of the second sample.
        confidence: two-sided level, in (0, 1).
        correlation: correlation ρ of the two rates, in [-1, 1].
        guaranteed: combine Clopper–Pearson intervals instead of Wilson's.

    Returns:
        Lower and upper ends in [-1, 1], in the common shape; NaN where a denominator is 0.

    Raises:
        ValueError: a count is negative, above its denominator or not finite; `confidence` is not in (0, 1).
    """
    bounds = clopper_pearson_bounds if guaranteed else wilson_bounds
    low1, high1 = bounds(k1, n1, confidence)
    low2, high2 = bounds(k2, n2, confidence)
    rho = np.asarray(correlation, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate1 = np.asarray(k1, dtype=np.float64) / np.asarray(n1, dtype=np.float64)
        rate2 = np.asarray(k2, dtype=np.float64) / np.asarray(n2, dtype=np.float64)

    def combined(one: Floats, two: Floats) -> Floats:
        return np.sqrt(np.maximum(one**2 - 2 * rho * one * two + two**2, 0.0))

    low = rate1 - rate2 - combined(rate1 - low1, high2 - rate2)
    high = rate1 - rate2 + combined(high1 - rate1, rate2 - low2)
    return np.maximum(low, -1.0), np.minimum(high, 1.0)


def wilson(k: int, n: int, confidence: float = CONFIDENCE, *, nothing: str = "no images") -> Estimate:
    """Return the rate k/n with its Wilson interval; see `wilson_bounds`.

    Args:
        k: number of successes, 0 ≤ k ≤ n.
        n: denominator.
        confidence: two-sided level, in (0, 1).
        nothing: note of the undefined rate, where n is 0.

    Raises:
        ValueError: a count is negative or above its denominator.

    Example:
        >>> wilson(10, 10).format()
        '1.000 [0.722, 1.000]'
        >>> wilson(0, 0, nothing="no positives").format()
        'undefined (no positives)'
    """
    return _rate(k, n, wilson_bounds(k, n, confidence), nothing)


def clopper_pearson(k: int, n: int, confidence: float = CONFIDENCE, *, nothing: str = "no images") -> Estimate:
    """Return the rate k/n with its Clopper–Pearson interval, as `wilson` does; see `clopper_pearson_bounds`."""
    return _rate(k, n, clopper_pearson_bounds(k, n, confidence), nothing)


def newcombe(
    k1: int, n1: int, k2: int, n2: int, confidence: float = CONFIDENCE, *, nothing: str = "no images on one side"
) -> Estimate:
    """Return the difference k1/n1 − k2/n2 of independent rates with Newcombe's interval; see `newcombe_bounds`.

    Arguments and errors are those of `newcombe_bounds`, of one difference; `nothing` is the note where a denominator is
    0. The `n` of the result is n1 + n2.

    Example:
        >>> newcombe(56, 70, 48, 80).format()
        '0.200 [0.052, 0.334]'
    """
    low, high = newcombe_bounds(k1, n1, k2, n2, confidence)
    if n1 == 0 or n2 == 0:
        return Estimate(None, None, None, n=int(n1 + n2), note=nothing)
    return Estimate(k1 / n1 - k2 / n2, float(low), float(high), n=int(n1 + n2))


def ratio_log(k1: float, n1: float, k2: float, n2: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return the ratio (k1/n1) / (k2/n2) with its log interval.

    Katz, Baptista, Azen & Pike (1978), Biometrics 34:469, method C: the log of the ratio has the variance
    1/k1 − 1/n1 + 1/k2 − 1/n2. Where that interval is undefined (k1 = 0) or collapses to a point (both rates 1), the
    ends are those of `ratio_score_bounds`. Where the second rate is 0 or undefined, there is no ratio.

    Args:
        k1: successes of the first sample; may be fractional, with an effective n.
        n1: denominator of the first sample.
        k2: successes of the second sample, which does not overlap the first.
        n2: denominator of the second sample.
        confidence: two-sided level, in (0, 1).

    Returns:
        The ratio, at least 0; its `n` is n1 + n2.

    Raises:
        ValueError: a count is negative or above its denominator.

    Example:
        >>> ratio_log(56, 70, 48, 80).format()
        '1.333 [1.077, 1.651]'
        >>> ratio_log(10, 10, 0, 20).format()
        'undefined (the rate it is divided by is 0)'
        >>> ratio_log(5, 5, 2, 2).format()
        '1.000 [0.566, 2.921]'
    """
    _checked(k1, n1)
    _checked(k2, n2)
    z = normal_quantile(confidence)
    n = int(n1 + n2)
    if n1 == 0 or n2 == 0:
        return Estimate(None, None, None, n=n, note="no images on one side")
    if k2 == 0:
        return Estimate(None, None, None, n=n, note="the rate it is divided by is 0")
    ratio = (k1 / n1) / (k2 / n2)
    half = math.inf if k1 == 0 else z * math.sqrt(max(1 / k1 - 1 / n1 + 1 / k2 - 1 / n2, 0.0))
    if half == 0 or half > math.log(1e9):  # k is a fraction of an image: nearly all weight is elsewhere
        return Estimate(ratio, *ratio_score_bounds(k1, n1, k2, n2, confidence), n=n)
    return Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half), n=n)


def ratio_score_bounds(
    k1: float, n1: float, k2: float, n2: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the score interval of the ratio (k1/n1) / (k2/n2), which never collapses to a point.

    It holds all ratios φ that the score test does not reject: (k1/n1 − φ k2/n2)² ≤ z² (p1 q1/n1 + φ² p2 q2/n2), with
    p1 = φ p2 and p2 the maximum likelihood estimate under φ. Koopman (1984), Biometrics 40:513; Miettinen & Nurminen
    (1985), Statistics in Medicine 4:213, without their factor N/(N − 1).

    Arguments as in `ratio_log`, with `n1` and `k2` above 0.

    Returns:
        Lower and upper end, at least 0; exactly 0 at k1 = 0.

    Raises:
        ValueError: a count is negative or above its denominator, or k2 is 0.
    """
    _checked(k1, n1)
    _checked(k2, n2)
    if not (n1 > 0 and k2 > 0):
        raise ValueError(f"A ratio needs a denominator above 0. Got {k1:g} of {n1:g} over {k2:g} of {n2:g} instead.")
    limit, ratio = normal_quantile(confidence) ** 2, (k1 / n1) / (k2 / n2)

    def beyond(log_phi: float) -> float:
        phi = math.exp(log_phi)
        a, b, c = (n1 + n2) * phi, (n1 + k2) * phi + n2 + k1, k1 + k2
        p2 = min(2 * c / (b + math.sqrt(max(b * b - 4 * a * c, 0.0))), 1.0)  # the smaller root
        p1 = min(phi * p2, 1.0)
        variance = p1 * (1 - p1) / n1 + phi**2 * p2 * (1 - p2) / n2
        return (k1 / n1 - phi * k2 / n2) ** 2 - limit * variance

    start = math.log(ratio) if ratio > 0 else -30.0
    low, high = start - 1e-9, start + 1e-9  # where both rates are 1, the ratio itself is a spurious root
    while k1 > 0 and beyond(low) <= 0:
        low -= 1.0
    while beyond(high) <= 0:
        high += 1.0
    return (
        0.0 if k1 == 0 else math.exp(brentq(beyond, low, low + 1.0, xtol=1e-12)),
        math.exp(brentq(beyond, high - 1.0, high, xtol=1e-12)),
    )


def _checked(k: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return both as float64 arrays of one shape; raise ValueError for impossible counts."""
    successes, trials = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    ok = np.isfinite(successes) & np.isfinite(trials) & (successes >= 0) & (successes <= trials)
    if not ok.all():
        where = np.flatnonzero(~ok.ravel())[0]
        raise ValueError(
            "A count must be finite, at least 0 and at most its denominator. "
            f"Got {successes.ravel()[where]:g} of {trials.ravel()[where]:g} instead."
        )
    return successes, trials


def _exact_ends(low: Floats, high: Floats, successes: Floats, trials: Floats) -> Bounds:
    """Clip to [0, 1], without rounding error at k = 0 and k = n, and NaN where there are no trials."""
    low = np.where(successes == 0, 0.0, np.clip(low, 0.0, 1.0))
    high = np.where(successes == trials, 1.0, np.clip(high, 0.0, 1.0))
    return np.where(trials == 0, np.nan, low), np.where(trials == 0, np.nan, high)


def _rate(k: int, n: int, bounds: Bounds, nothing: str) -> Estimate:
    if n == 0:
        return Estimate(None, None, None, n=0, note=nothing)
    return Estimate(k / n, float(bounds[0]), float(bounds[1]), n=int(n))
