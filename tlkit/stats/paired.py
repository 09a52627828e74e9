"""Two models, or two versions, on the same images: their difference, and what so many pairs could have shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tlkit.stats.cluster_sampling import Units
from tlkit.stats.dependent_samples import at_least_t, cluster_moments, cluster_test, correlated_bounds, effective_size
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Images that two models both predicted, counted by who was right.

    Attributes:
        both: right by both.
        first: right by the first model only.
        second: right by the second model only.
        neither: wrong by both.
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
        """All pairs."""
        return self.both + self.first + self.second + self.neither

    @property
    def discordant(self) -> int:
        """Pairs where one model is right and the other wrong: the only ones that a paired test uses."""
        return self.first + self.second


def paired_difference(pairs: Pairs, confidence: float = 0.95) -> Estimate:
    """Return the second model's accuracy minus the first's, on the same images, with Newcombe's interval.

    Newcombe (1998), Statistics in Medicine 17:2635, method 10: the two Wilson intervals, combined with the correlation
    φ of the pairs, whose numerator is corrected for continuity (by n/2, where it is positive).

    Args:
        pairs: the images, by who was right.
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
    one, two = wilson(a + b, n, confidence), wilson(a + c, n, confidence)  # the second model, the first
    assert one.value is not None and one.low is not None and one.high is not None
    assert two.value is not None and two.low is not None and two.high is not None
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    product = a * d - b * c
    phi = (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins) if margins else 0.0
    down1, up1, down2, up2 = one.value - one.low, one.high - one.value, two.value - two.low, two.high - two.value
    low = math.sqrt(max(down1**2 - 2 * phi * down1 * up2 + up2**2, 0.0))
    high = math.sqrt(max(up1**2 - 2 * phi * up1 * down2 + down2**2, 0.0))
    difference = (b - c) / n
    return Estimate(difference, max(difference - low, -1.0), min(difference + high, 1.0), n=n)


def clustered_difference(
    first: Mask, second: Mask, units: Units, confidence: float = 0.95
) -> tuple[Estimate, float | None]:
    """Return the second model's accuracy minus the first's where images are weighted or in clusters, and its p-value.

    As `paired_difference`, with effective sizes and the correlation of the two accuracies over the clusters, whose
    covariance is corrected for continuity by half an effective image; not narrower than Student's t on the clusters'
    differences, which is also the test (`cluster_moments`, `at_least_t`).

    Args:
        first: whether the first model is right, shape (N,).
        second: whether the second one is, shape (N,).
        units: weights and clusters of the images.
        confidence: two-sided level, in (0, 1).

    Returns:
        The difference in [-1, 1], undefined where all images are of one cluster, and the p-value, None where the
        clusters do not differ.
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
    low, high = correlated_bounds(k[0], size[0], k[1], size[1], correlation=correlation, confidence=confidence)
    value, spread, df = float(moments.rate[0] - moments.rate[1]), moments.variance_of_difference(0, 1), moments.df[0]
    ends = at_least_t(float(low), float(high), difference=value, variance=spread, df=float(df), confidence=confidence)
    return Estimate(value, *ends, n=n), cluster_test(value, spread, float(df))


def pairs_needed(difference: float, discordant: float, *, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Return how many pairs McNemar's test needs to find a difference of this size.

    n = (z₁₋α/₂ √ψ + z_power √(ψ − δ²))² / δ²: Connor (1987), Biometrics 43:207.

    Args:
        difference: δ, the difference of the two accuracies, in [-1, 1].
        discordant: ψ, the share of discordant pairs, in [|δ|, 1].
        power: chance to find it, in (0, 1).
        alpha: two-sided level of the test, in (0, 1).

    Returns:
        Pairs, or None where the difference is 0.

    Example:
        >>> pairs_needed(0.4, 0.5)
        23
    """
    if difference == 0:
        return None
    share = max(discordant, abs(difference))
    spread = float(ndtri(1 - alpha / 2)) * math.sqrt(share) + float(ndtri(power)) * math.sqrt(share - difference**2)
    return max(1, math.ceil((spread / difference) ** 2))


def detectable_difference(n: int, discordant: float, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """Return the smallest difference that so many pairs could have shown: `pairs_needed`, solved for the difference.

    Args:
        n: pairs.
        discordant: share of discordant pairs, in [0, 1].
        power: chance to find it, in (0, 1).
        alpha: two-sided level of the test, in (0, 1).

    Returns:
        The difference in (0, discordant], or None where even the largest possible one would not be found.

    Example:
        >>> round(detectable_difference(1000, 0.1), 4)
        0.028
    """
    if n == 0 or discordant <= 0:
        return None
    most = float(discordant)
    if (pairs_needed(most, discordant, power=power, alpha=alpha) or 0) > n:
        return None
    z, power_z = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        wanted = z * math.sqrt(discordant) + power_z * math.sqrt(max(discordant - middle**2, 0.0))
        low, high = (low, middle) if middle * math.sqrt(n) >= wanted else (middle, high)
    return high
