"""Intervals of scores from the influence of each image: independent, weighted or clustered images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from tlkit.arrays import Floats
from tlkit.choices import CONFIDENCE
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds

NO_VARIANCE = 1e-15


@dataclass(frozen=True)
class Spread:
    """Variance of a score, with its degrees of freedom.

    Attributes:
        variance: at least 0.
        df: degrees of freedom, at least 0.
    """

    variance: float
    df: float


def spread_of(
    influence: Floats, units: Units | None, *, most_df: float = np.inf, more_df: float = 0.0, corrected: bool = False
) -> Spread:
    """Return the variance of a score from the influences of the images.

    The sum over the clusters of the squared sums of w·influence/W, times M/(M − 1): the linearised variance in cluster
    sampling (Woodruff 1971, J. Am. Stat. Assoc. 66:411). Degrees of freedom: M − 1, fewer for excess kurtosis
    (`kurtosis_df`).

    Args:
        influence: shape (N,), with a weighted sum of 0.
        units: weights and clusters; None = independent images of equal weight.
        most_df: upper limit of the degrees of freedom.
        more_df: degrees of freedom to be added to those, where the variance is known otherwise, too.
        corrected: whether the influences hold a factor of their own for M − 1 instead of M, as those of AUROC do.
    """
    if units is None:
        sums = influence / len(influence)
    else:
        sums = units.summed(np.zeros(len(influence), dtype=np.int64), 1, influence)[:, 0] / units.weight.sum()
    count = len(sums)
    if count < 2:
        return Spread(np.nan, 0.0)
    squares = sums * sums
    total = float(squares.sum())
    excess = count * float(squares @ squares) / total**2 - 3 if total > 0 else 0.0
    df = 2 / (2 / (count - 1) + max(excess, 0.0) / count)  # as `kurtosis_df`
    return Spread(total * (1.0 if corrected else count / (count - 1)), min(df + more_df, most_df))


def bounded_estimate(
    value: float,
    spread: Spread,
    *,
    n: int,
    least: float,
    lowest: float = 0.0,
    bias: float = 0.0,
    confidence: float = CONFIDENCE,
    note: str = "",
) -> Estimate:
    """Return a score in [lowest, 1] with its interval: Wilson's, with an effective number of images and Student's t.

    With s the score's place between `lowest` and 1, the effective number is s(1 − s)/Var(s), that of independent images
    of which a share of s is right. For rates: Franco, Little, Louis & Slud (2019), Journal of Survey Statistics and
    Methodology 7:334. The interval stays in the range and allows for the skewness near its ends; on the log odds
    scale it is wider, and holds the truth more often than it says (decision 220). Where nothing varies, as at 1, the
    effective number is `least`.

    Args:
        value: the score.
        spread: its variance.
        n: images.
        least: images that the score rests on at least.
        lowest: the smallest value possible; the largest is 1.
        bias: by how much the value is too large on average: the interval is around the value without it, and reaches
            to the value at least.
        confidence: two-sided level, in (0, 1).
        note: of the estimate.
    """
    scale = 1.0 - lowest
    share = min(max((value - bias - lowest) / scale, 0.0), 1.0)
    if not (spread.variance > NO_VARIANCE and 1e-12 < share < 1 - 1e-12):
        low, high = (float(end) for end in wilson_bounds(share * least, least, confidence))
    else:
        t2 = float(stdtrit(max(spread.df, 1.0), 0.5 + confidence / 2.0)) ** 2
        per_image = spread.variance / scale**2 / (share * (1.0 - share))  # 1 over the effective number
        low, high = wilson_ends(share, per_image, t2)
    ends = lowest + scale * low, lowest + scale * high
    return Estimate(value, min(ends[0], value), max(ends[1], value), n=n, note=note)


def wilson_ends(share: float, per_image: float, t2: float) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a share of 1/`per_image` images, with the squared quantile t².

    Wilson (1927), J. Am. Stat. Assoc. 22:209.
    """
    shift = t2 * per_image
    centre = (share + shift / 2.0) / (1.0 + shift)
    half = math.sqrt(shift * (share * (1.0 - share) + shift / 4.0)) / (1.0 + shift)
    return centre - half, centre + half
