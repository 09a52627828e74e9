"""Power: the gap that a sample can detect, the sample size for a gap, and the largest gap expected by chance."""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from tlkit.choices import ALPHA

POWER = 0.8  # of the tests that gaps and sizes are stated for
MOST_IMAGES = 10**12
"""Largest number of images that is stated as needed."""


def detectable_gap(n1: float, n2: float, p: float, *, power: float = POWER, alpha: float = ALPHA) -> float | None:
    """Return the smallest gap between two groups that a test detects with the given power.

    The second group's rate is p minus the gap where p is at least one half, else p plus the gap: towards one half,
    where the variance is larger. Two-sided test of two proportions, normal approximation without continuity
    correction: Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, chapter 4, solved for the
    gap.

    Args:
        n1: images of the first group.
        n2: images of the second group.
        p: rate of the first group, in [0, 1].
        power: power of the test, in (0, 1).
        alpha: two-sided level of the test, in (0, 1).

    Returns:
        The gap in (0, 1], or None where no gap is detected with that power, or a group is empty.

    Example:
        >>> round(detectable_gap(1000, 50, 0.95), 3)
        0.109
    """
    if n1 < 1 or n2 < 1:
        return None
    most = max(p, 1.0 - p)
    if _excess(most, n1, n2, p, power=power, alpha=alpha) < 0:
        return None
    # The excess is convex in the gap and at most 0 without one, so it has one root.
    return float(brentq(lambda gap: _excess(gap, n1, n2, p, power=power, alpha=alpha), 1e-15, most))


def images_needed(
    n1: float, p: float, *, gap: float, power: float = POWER, alpha: float = ALPHA, most: int = 10_000_000
) -> int | None:
    """Return the size of the second group at which `detectable_gap` is at most `gap`.

    Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, chapter 4, solved for n₂.

    Arguments as in `detectable_gap`; `gap` is the one to detect, in (0, 1], and `most` the largest size tried.

    Returns:
        Images of the second group, or None where no size up to `most` is enough, because the first group is too
        small.

    Example:
        >>> images_needed(1000, 0.95, gap=0.1)
        59
    """
    if n1 < 1 or not 0.0 < gap <= max(p, 1.0 - p) or _excess(gap, n1, most, p, power=power, alpha=alpha) < 0:
        return None
    sizes = range(1, most + 1)
    return sizes[bisect_left(sizes, 0.0, key=lambda n2: _excess(gap, n1, n2, p, power=power, alpha=alpha))]


def whole_number(value: float) -> int | None:
    """Return a number of images rounded up, or None where it is beyond `MOST_IMAGES`, as for a gap of almost 0.

    Example:
        >>> whole_number(41.2), whole_number(1e24), whole_number(float("inf"))
        (42, None, None)
    """
    return math.ceil(value) if value <= MOST_IMAGES else None


def images_per_group(p1: float, p2: float, *, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """Return the size of each of two equal groups at which a test detects the difference of p1 and p2.

    n = (z₁₋α/₂ + z_power)² (p₁q₁ + p₂q₂) / (p₁ − p₂)²: Fleiss, Levin & Paik (2003), Statistical Methods for Rates and
    Proportions, chapter 4, with the variance under the alternative throughout.

    `p1` and `p2` are the groups' rates, in [0, 1]; other arguments as in `detectable_gap`.

    Returns:
        Images per group, or None where the rates are equal, or so near that they are beyond `MOST_IMAGES`.

    Example:
        >>> images_per_group(0.95, 0.90)
        432
    """
    if (p1 - p2) ** 2 == 0:
        return None
    z = float(ndtri(1 - alpha / 2) + ndtri(power))
    size = whole_number(z**2 * (p1 * (1 - p1) + p2 * (1 - p2)) / (p1 - p2) ** 2)
    return None if size is None else max(1, size)


def images_to_resolve(
    variance: float, difference: float, *, fixed: float = 0.0, power: float = POWER, alpha: float = ALPHA
) -> int | None:
    """Return how many images a test needs to detect a difference of two models' scores on the same images.

    n = (z₁₋α/₂ + z_power)² σ²/δ²: Chow, Shao & Wang (2008), Sample Size Calculations in Clinical Research, section
    3.1.1, for a mean of one number per image, here the difference of the images' influences on the two scores. A part
    of the variance that images do not reduce, as that of seeds, is taken from δ²/(z + z)².

    Args:
        variance: σ², of one image.
        difference: δ, the difference to detect, not 0.
        fixed: variance of the difference that does not depend on the number of images.
        power: power of the test, in (0, 1).
        alpha: two-sided level of the test, in (0, 1).

    Returns:
        Number of images, or None where no number up to `MOST_IMAGES` is enough.

    Example:
        >>> images_to_resolve(0.1, 0.02)
        1963
    """
    left = (difference / float(ndtri(1 - alpha / 2) + ndtri(power))) ** 2 - fixed
    size = whole_number(variance / left) if left > 0 else None
    return None if size is None else max(1, size)


def detectable_difference(variance: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """Return the smallest difference that a test detects: (z₁₋α/₂ + z_power) · standard error.

    Chow, Shao & Wang (2008), Sample Size Calculations in Clinical Research, section 3.2.1.

    Args:
        variance: of the difference, at least 0.
        power: power of the test, in (0, 1).
        alpha: two-sided level of the test, in (0, 1).

    Example:
        >>> round(detectable_difference(0.0001), 4)
        0.028
    """
    return float(ndtri(1 - alpha / 2) + ndtri(power)) * math.sqrt(variance)


def normal_range(groups: int) -> float:
    """Return the expected range (largest minus smallest) of standard normal values: d₂ of control charts.

    Tippett (1925), Biometrika 17:364: the integral of 1 − Φ(x)^G − (1 − Φ(x))^G.

    Args:
        groups: number of values, at least 1.

    Example:
        >>> [round(normal_range(groups), 3) for groups in (2, 5, 10)]
        [1.128, 2.326, 3.078]
    """
    x = np.linspace(-10.0, 10.0, 4001)
    cdf = ndtr(x)
    return float(np.trapezoid(1.0 - cdf**groups - (1.0 - cdf) ** groups, x))


def null_gap(groups: int, n: int, p: float) -> float:
    """Return the approximate expected largest gap among groups of equal size with one true rate.

    `normal_range(groups)` times the standard error √(p(1 − p)/n) (Tippett 1925, Biometrika 17:364).
    `tlkit.stats.hypothesis_tests.max_gap` computes it for groups of any size without the normal approximation.

    Args:
        groups: number of groups.
        n: images per group, at least 1.
        p: rate of all groups, in [0, 1].

    Example:
        >>> round(null_gap(10, 100, 0.9), 4)
        0.0923
    """
    return normal_range(groups) * math.sqrt(p * (1.0 - p) / n)


def _excess(gap: float, n1: float, n2: float, p: float, *, power: float, alpha: float) -> float:
    """Return the gap minus the smallest gap that is detected with this power; at least 0 = the gap is detected."""
    q = p - gap if p >= 0.5 else p + gap
    pooled = (n1 * p + n2 * q) / (n1 + n2)
    under_null = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / n1 + 1 / n2))
    under_gap = math.sqrt(max(p * (1 - p), 0.0) / n1 + max(q * (1 - q), 0.0) / n2)
    return gap - float(ndtri(1 - alpha / 2)) * under_null - float(ndtri(power)) * under_gap
