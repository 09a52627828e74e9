"""Paired comparison of two models on the same images: difference, sample size and detectable difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from tlkit.arrays import Mask
from tlkit.choices import ALPHA, CONFIDENCE
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.dependent_samples import at_least_t, cluster_moments, cluster_test, effective_size
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import newcombe_bounds
from tlkit.stats.power import POWER, whole_number


@dataclass(frozen=True)
class Pairs:
    """Counts of images by which of two models is right.

    Attributes:
        both: both models are right.
        first: only the first model is right.
        second: only the second model is right.
        neither: both models are wrong.
    """

    both: int
    first: int
    second: int
    neither: int

    @classmethod
    def from_correct(cls, first: Mask, second: Mask) -> Pairs:
        """Return the counts of two models, from whether each was right on each image, shape (N,)."""
        counts = np.bincount(2 * first.astype(np.int64) + second, minlength=4).tolist()
        return cls(both=counts[3], first=counts[2], second=counts[1], neither=counts[0])

    @property
    def n(self) -> int:
        """Number of images."""
        return self.both + self.first + self.second + self.neither

    @property
    def discordant(self) -> int:
        """Number of discordant pairs: images where one model is right and the other wrong."""
        return self.first + self.second


def paired_difference(pairs: Pairs, confidence: float = CONFIDENCE) -> Estimate:
    """Return the second model's accuracy minus the first's, on the same images, with Newcombe's interval.

    Newcombe (1998), Statistics in Medicine 17:2635, method 10: the two Wilson intervals, combined with the correlation
    φ of the pairs, whose numerator has a continuity correction (n/2, where it is positive).

    Args:
        pairs: counts by which model is right.
        confidence: two-sided level, in (0, 1).

    Returns:
        The difference in [-1, 1]; its `n` is the number of pairs. Undefined without pairs.

    Example:
        >>> paired_difference(Pairs(both=1, first=7, second=1, neither=12)).format()
        '-0.286 [-0.507, -0.026]'
    """
    a, b, c, d, n = pairs.both, pairs.second, pairs.first, pairs.neither, pairs.n
    if n == 0:
        return Estimate(None, None, None, n=0, note="no images in common")
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    product = a * d - b * c
    phi = (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins) if margins else 0.0
    low, high = newcombe_bounds(a + b, n, a + c, n, confidence, correlation=phi)
    return Estimate((b - c) / n, float(low), float(high), n=n)


def clustered_difference(
    first: Mask, second: Mask, units: Units, confidence: float = CONFIDENCE
) -> tuple[Estimate, float | None]:
    """Return `paired_difference` for weighted or clustered images, and its p-value.

    Newcombe's interval with effective sizes (`effective_size`) and the correlation of the two accuracies over the
    clusters, whose covariance has a continuity correction of half an effective image. It is at least as wide as
    Student's t interval of the clusters' differences, which is also the test (`cluster_moments`, `at_least_t`).

    `first` and `second` are whether each model is right on each image, shape (N,); `units` has the images' weights and
    clusters. The difference is undefined with a single cluster, and the p-value None where the variance is 0.
    """
    n = len(first)
    if why := units.why_unknown:
        return Estimate(None, None, None, n=n, note=why), None
    place = np.zeros(n, dtype=np.int64)
    total = np.repeat(units.summed(place, 1), 2, axis=1)
    moments = cluster_moments(np.hstack([units.summed(place, 1, right) for right in (second, first)]), total)
    variance = np.diagonal(moments.covariance)
    size = effective_size(
        moments.rate, variance, images=[n, n], clusters=moments.clusters, df=moments.df, confidence=confidence
    )
    covariance = float(moments.covariance[0, 1])
    if covariance > 0:
        covariance = max(covariance - 1 / (2 * float(size.min()) ** 2), 0.0)
    scale = math.sqrt(float(variance.prod()))
    correlation = min(1.0, max(-1.0, covariance / scale)) if scale > 0 else 0.0
    k = moments.rate * size
    low, high = newcombe_bounds(k[0], size[0], k[1], size[1], confidence, correlation=correlation)
    value, spread, df = float(moments.rate[0] - moments.rate[1]), moments.variance_of_difference(0, 1), moments.df[0]
    ends = at_least_t(float(low), float(high), difference=value, variance=spread, df=float(df), confidence=confidence)
    return Estimate(value, *ends, n=n), cluster_test(value, spread, float(df))


def pairs_needed(difference: float, discordant: float, *, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """Return the sample size of McNemar's test for a difference of this size.

    n = (z₁₋α/₂ √ψ + z_power √(ψ − δ²))² / δ²: Connor (1987), Biometrics 43:207.

    Args:
        difference: δ, the difference of the two accuracies, in [-1, 1].
        discordant: ψ, the share of discordant pairs, in [|δ|, 1].
        power: power of the test, in (0, 1).
        alpha: two-sided level of the test, in (0, 1).

    Returns:
        Number of pairs, or None where the difference is 0, or so small that they are beyond `MOST_IMAGES`.

    Example:
        >>> pairs_needed(0.4, 0.5)
        23
    """
    if difference**2 == 0:
        return None
    share = max(discordant, abs(difference))
    spread = float(ndtri(1 - alpha / 2)) * math.sqrt(share) + float(ndtri(power)) * math.sqrt(share - difference**2)
    size = whole_number((spread / difference) ** 2)
    return None if size is None else max(1, size)


def detectable_paired_difference(
    n: int, discordant: float, *, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """Return the smallest difference that McNemar's test detects with n pairs: `pairs_needed`, solved for δ.

    `n` is the number of pairs; other arguments as in `pairs_needed`.

    Returns:
        The difference in (0, discordant], or None where even the largest possible one is not detected.

    Example:
        >>> round(detectable_paired_difference(1000, 0.1), 4)
        0.028
    """
    if n == 0 or discordant <= 0:
        return None
    z, power_z = float(ndtri(1 - alpha / 2)), float(ndtri(power))

    def excess(difference: float) -> float:
        noise = z * math.sqrt(discordant) + power_z * math.sqrt(max(discordant - difference**2, 0.0))
        return difference * math.sqrt(n) - noise

    return float(brentq(excess, 0.0, discordant)) if excess(discordant) >= 0 else None
