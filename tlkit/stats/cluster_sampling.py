"""Cluster sampling: sums over clusters, the cluster jackknife, degrees of freedom and Student's t intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE
from tlkit.stats.bootstrap import CHUNK_CELLS
from tlkit.stats.estimate import Estimate

MOST_FACTOR = 1e3  # an interval of a ratio that reaches farther to each side is not shown
TOO_FEW = "not enough data for an interval: too few images or clusters"
NOTHING_VARIES = "not enough data for an interval: nothing varies"


def scaled_weights(weights: Floats) -> Floats:
    """Return weights times a power of two, with the largest from 1/2 to 1; nothing depends on their scale.

    The squares of very large or small weights are no numbers. One that is below 1e-100 of the largest is 0.

    Example:
        >>> scaled_weights(np.array([1e308, 5e307, 1.0])).round(3).tolist()
        [0.556, 0.278, 0.0]
    """
    _, exponent = np.frexp(weights.max(initial=0.0))
    scaled = np.ldexp(weights, -exponent)
    return np.where(scaled < 1e-100, 0.0, scaled)


@dataclass(frozen=True)
class Units:
    """Weights and clusters (primary sampling units) of images.

    Attributes:
        weight: shape (N,), at least 0.
        unit: cluster of each image, shape (N,), at least 0; a cluster of its own for each independent image.
    """

    weight: Floats
    unit: Ints

    def take(self, where: Ints | Mask) -> Units:
        """Return the weights and clusters of some images."""
        return Units(self.weight[where], self.unit[where])

    def numbered(self) -> Units:
        """Return the same with consecutive cluster numbers from 0; -1 for images with the weight 0."""
        present = self._weighted_units
        return Units(self.weight, np.where(self.weight > 0, (np.cumsum(present) - 1)[self.unit], -1))

    @property
    def clusters(self) -> int:
        """Number of clusters with a weight above 0."""
        return int(np.count_nonzero(self._weighted_units))

    @property
    def effective(self) -> float:
        """Effective number of clusters: (Σw)² / Σw² of their weights (Kish 1965, Survey Sampling, section 11.7)."""
        sums = np.bincount(self.unit, weights=self.weight)
        return float(sums.sum() ** 2 / (sums @ sums))

    @property
    def _weighted_units(self) -> Mask:
        """Whether each cluster number occurs with a weight above 0."""
        present = np.zeros(int(self.unit.max(initial=-1)) + 1, dtype=np.bool_)
        present[self.unit[self.weight > 0]] = True
        return present

    @property
    def why_unknown(self) -> str:
        """Why there is no estimate from these images; "" with two clusters or more."""
        if self.clusters >= 2:
            return ""
        n = len(self.unit)
        return f"n = {n}, but " + ("all images are of one cluster" if self.clusters else "no image has a weight")

    def summed(self, place: Ints, places: int, values: npt.ArrayLike = 1.0) -> Floats:
        """Return the weighted sums of values by cluster and category, shape (M, places), of M clusters with a weight.

        Args:
            place: category of each image, shape (N,), in 0…places-1.
            places: number of categories.
            values: shape (N,), or one value for all images.
        """
        numbered = self.numbered()
        kept = numbered.unit >= 0
        clusters = int(numbered.unit.max(initial=-1)) + 1
        weighted = (self.weight * np.asarray(values, dtype=np.float64))[kept]
        flat = np.bincount(numbered.unit[kept] * places + place[kept], weights=weighted, minlength=clusters * places)
        return np.asarray(flat.reshape(clusters, places))


def combined_df(denominator: npt.ArrayLike, variance: npt.ArrayLike) -> float:
    """Return the degrees of freedom of the variance of a sum of clustered rates or means.

    Bell & McCaffrey (2002), Survey Methodology 28:169, section 4: (tr G)²/tr G², where G is the matrix of the clusters'
    residuals under independent images. In closed form for the means of S kinds of image, with the share w of a cluster
    in a kind, r = w/√(1 − w) and the variance v of the kind's part of the sum: G has Σ v w on its diagonal and −Σ v r
    r′ off it. For one kind it equals `Moments.df`.

    Args:
        denominator: images, or their weight, of each cluster and kind, shape (M, S).
        variance: of each kind's part of the sum if images were independent, shape (S,).

    Returns:
        The degrees of freedom; 0 where a kind with a variance has a single cluster.
    """
    b, v = np.asarray(denominator, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    kept = v > 0
    b, v = b[:, kept], v[kept]
    if not kept.any() or np.any(np.count_nonzero(b, axis=0) < 2):
        return 0.0
    share = b / b.sum(axis=0)
    r = share / np.sqrt(1 - share)
    among = v @ (r.T @ r) ** 2 @ v - (((r**2) @ v) ** 2).sum()
    return float(v.sum() ** 2 / (((share @ v) ** 2).sum() + among))


def difference_df(right: Mask, side: Ints, units: Units) -> float:
    """Return the degrees of freedom of a comparison of two groups: those of the difference of their accuracies.

    `combined_df`, reduced by `kurtosis_df`.

    Args:
        right: whether each image is classified correctly, shape (N,).
        side: 0 = of the first group, 1 = of the second, shape (N,).
        units: weights and clusters of the images.
    """
    total, own = units.summed(side, 2), units.summed(side, 2, right)
    sums = total.sum(axis=0)
    if not (sums > 0).all():
        return 0.0
    # Under equal rates: the variance of a group without errors would be 0.
    independent = np.bincount(side, weights=units.weight**2, minlength=2) / sums**2
    residual = (own - own.sum(axis=0) / sums * total) / sums @ [1.0, -1.0]
    return kurtosis_df(combined_df(total, independent), residual)


def kurtosis_df(df: float, residual: npt.ArrayLike) -> float:
    """Return degrees of freedom reduced for the excess kurtosis of the clusters' residuals, as in `cluster_moments`.

    Args:
        df: degrees of freedom of a variance under normal residuals.
        residual: of each cluster, shape (M,).
    """
    z = np.asarray(residual, dtype=np.float64)
    if not (df > 0 and z.any()):
        return max(df, 0.0)
    excess = len(z) * float((z**4).sum()) / float((z**2).sum()) ** 2 - 3
    return 2 / (2 / df + max(excess, 0.0) / len(z))


def student_estimate(
    value: float,
    variance: float,
    df: float,
    *,
    n: int,
    confidence: float = CONFIDENCE,
    lowest: float = -np.inf,
    highest: float = np.inf,
    unit: float = 1.0,
) -> Estimate:
    """Return a value with Student's t interval, clipped to the possible range, or the reason why there is none.

    Student (1908), Biometrika 6:1: value ± t √variance.

    Args:
        value: the estimate.
        variance: of the estimate; NaN where it is unknown.
        df: degrees of freedom of the variance.
        n: images.
        confidence: two-sided level, in (0, 1).
        lowest: the smallest value possible.
        highest: the largest value possible.
        unit: size of the numbers that the value is made of, 1 for rates; a variance below 1e-15 of its square is none.
    """
    if not (df > 0 and np.isfinite(variance)):
        return Estimate(value, None, None, n=n, note=TOO_FEW)
    if variance <= 1e-15 * max(unit * unit, value * value):
        return Estimate(value, None, None, n=n, note=NOTHING_VARIES)
    half = float(stdtrit(df, 0.5 + confidence / 2.0)) * float(np.sqrt(variance))
    return Estimate(value, max(lowest, value - half), min(highest, value + half), n=n)


def jackknife(table: Floats, statistic: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """Return statistics of sums over clusters, and their changes when each cluster is left out.

    The sum of the squared changes times (M − 1)/M is the cluster jackknife variance ("CV3"): Efron & Tibshirani (1993),
    An Introduction to the Bootstrap, section 11.5; for few clusters of unequal size: MacKinnon, Nielsen & Webb (2023),
    Journal of Applied Econometrics 38:671.

    Args:
        table: weighted counts by cluster and cell, shape (M, cells), M of at least 2.
        statistic: takes sums of shape (B, cells), returns shape (B, S), NaN or infinite where undefined.

    Returns:
        The statistics, shape (S,), and the changes, shape (M, S), scaled so that their squares sum to the variance.
    """
    total, clusters = table.sum(axis=0), len(table)
    chunk = max(1, CHUNK_CELLS // max(1, table.shape[1]))
    parts = []
    for start in range(0, clusters, chunk):
        left = total - table[start : start + chunk]
        parts.append(statistic(np.where(left > 1e-12 * total, left, 0.0)))  # rounding residues are 0
    value = statistic(total[None])[0]
    return value, (np.concatenate(parts) - value) * np.sqrt((clusters - 1) / clusters)
