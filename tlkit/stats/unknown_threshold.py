"""The threshold beyond which an image is called unknown: from in-distribution validation scores alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import tail_of


@dataclass(frozen=True)
class UnknownThreshold:
    """A threshold of a score; images above it are called unknown.

    Attributes:
        value: the threshold; None where there are too few validation images.
        wanted: rate of false alarms that it is for, in (0, 1).
        false_alarms: expected rate of false alarms among new in-distribution images, and the range in which the rate of
            this threshold lies, given the validation images, at the level of confidence.
        n: validation images, or clusters, behind it.
    """

    value: float | None
    wanted: float
    false_alarms: Estimate
    n: int


def unknown_threshold(
    scores: Floats, *, wanted: float, unit: Ints | None = None, confidence: float = CONFIDENCE
) -> UnknownThreshold:
    """Return the split-conformal threshold: the ⌈(n + 1)(1 − α)⌉-th smallest of n validation scores.

    A new image from the same source scores above it with a probability of at most α, whatever the distribution of the
    scores (Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World, section 4.1; for outliers: Bates,
    Candès, Lei, Romano & Sesia 2023, Annals of Statistics 51:149, section 2.1). Given the validation images, the rate
    has a Beta(n + 1 − k, k) distribution for k the rank (Vovk 2012, ACML, proposition 2a; ties make it smaller).

    Of each cluster one image counts, the first: images of a cluster are not exchangeable with a new image's.

    Args:
        scores: of in-distribution images that nothing was fitted to, shape (N,), higher = more foreign.
        wanted: rate of false alarms α, in (0, 1).
        unit: cluster of each image, shape (N,); None = independent images.
        confidence: two-sided level of the range, in (0, 1).

    Example:
        >>> found = unknown_threshold(np.arange(99.0), wanted=0.05)
        >>> found.value, found.false_alarms.format()
        (94.0, '0.050 [0.017, 0.100]')
        >>> unknown_threshold(np.arange(18.0), wanted=0.05).false_alarms.note
        'not enough data: 18 validation images, and a rate of 0.05 takes 19'
    """
    kept = scores if unit is None else scores[np.unique(unit, return_index=True)[1]]
    n = len(kept)
    rank = math.ceil((n + 1) * (1 - wanted) - 1e-9)
    if rank > n:
        needed = math.ceil(1 / wanted - 1 - 1e-9)
        what = "images" if unit is None else "clusters"
        note = f"not enough data: {n} validation {what}, and a rate of {wanted:.3g} takes {needed}"
        return UnknownThreshold(None, wanted, Estimate(None, None, None, n=n, note=note), n)
    tail = tail_of(confidence)
    low, high = (float(betaincinv(n + 1 - rank, rank, p)) for p in (tail, 1 - tail))
    value = float(np.sort(kept)[rank - 1])
    return UnknownThreshold(value, wanted, Estimate((n + 1 - rank) / (n + 1), low, high, n=n), n)
