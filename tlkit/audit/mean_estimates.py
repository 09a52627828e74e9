"""Means of groups, such as the mean absolute error, with tests against the complement: single images or clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.estimators import SamplingDesign, Sides, row_members_of, unit_sums
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.stats.cluster_sampling import student_estimate
from tlkit.stats.dependent_samples import Moments, cluster_moments, cluster_test
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import GapTest
from tlkit.stats.number_scores import log_scale
from tlkit.stats.power import POWER, detectable_difference, whole_number


@dataclass(frozen=True)
class MeanEstimates:
    """One mean of all groups and of their complements.

    Means and variances are `cluster_moments`; an image that is in no cluster is one of its own, for which the variance
    is s²/n.

    Attributes:
        images: images of each row, then of each complement, shape (2 (G + 1),).
        moments: means and covariance, in the same order.
        tolerance: the largest difference from the complement that is tolerated, in the unit of the mean.
        of_losses: whether the numbers are losses of at least 0, whose mean has its interval on the log scale.
        of_shares: whether the numbers are shares from 0 to 1, whose mean has its interval there.
    """

    images: Ints
    moments: Moments
    tolerance: float
    of_losses: bool = False
    of_shares: bool = False

    @property
    def rows(self) -> int:
        """How many rows there are, G + 1."""
        return len(self.images) // 2

    @property
    def n(self) -> Ints:
        """Images of each row, shape (G + 1,)."""
        return self.images[: self.rows]

    @property
    def complement_n(self) -> Ints:
        """Images of each complement, shape (G + 1,)."""
        return self.images[self.rows :]

    @property
    def n_eff(self) -> Floats:
        """Clusters of each row, shape (G + 1,); 0 where there is only one, whose variance is unknown."""
        return self._clusters[: self.rows]

    @property
    def sides(self) -> Sides:
        """Mean and clusters of each row, then of its complement, each of shape (G + 1,)."""
        mean = np.nan_to_num(self.moments.rate)
        return mean[: self.rows], self._clusters[: self.rows], mean[self.rows :], self._clusters[self.rows :]

    @property
    def _clusters(self) -> Floats:
        return np.where(self.moments.clusters < 2, 0, self.moments.clusters).astype(np.float64)

    @property
    def p(self) -> Callable[[int], float | None]:
        """The test of row i: a call returns its p-value against the complement, by Student's t on the clusters."""
        return lambda i: cluster_test(self._gap(i), *self._variance(i), unit=self._unit)

    @property
    def gap(self) -> Callable[[Mask], GapTest | None]:
        """There is no test of the largest gap of means."""
        return lambda _: None

    def estimate(self, i: int, confidence: float, *, least: int) -> Estimate:
        """Return the mean of row i with Student's t interval; undefined with fewer than `least` images."""
        n = int(self.n[i])
        if n == 0:
            return Estimate(None, None, None, n=0, note="no images")
        if n < least:
            return Estimate(None, None, None, n=n, note=f"n = {n}, fewer than {least}")
        if self.moments.clusters[i] < 2:
            why = "n = 1, which has no spread" if n == 1 else f"n = {n}, but all images are of one cluster"
            return Estimate(None, None, None, n=n, note=why)
        moments = self.moments
        found = student_estimate(
            float(moments.rate[i]),
            float(moments.covariance[i, i]),
            float(moments.rate_df[i]),
            n=n,
            confidence=confidence,
            lowest=0.0 if self.of_shares and not self.of_losses else -math.inf,
            highest=1.0 if self.of_shares and not self.of_losses else math.inf,
            unit=self._unit,
        )
        if not self.of_losses:
            return found
        found = log_scale(found)
        return replace(found, high=min(1.0, found.high)) if self.of_shares and found.high is not None else found

    def difference(self, i: int, confidence: float) -> Estimate:
        """Return the mean of row i minus that of the complement, with Student's t interval."""
        n = int(self.images[i] + self.images[i + self.rows])
        return student_estimate(self._gap(i), *self._variance(i), n=n, confidence=confidence, unit=self._unit)

    def detectable(self, i: int, alpha: float) -> float | None:
        """Return the smallest gap that row i could have shown with 80 % power; see `detectable_difference`."""
        variance, df = self._variance(i)
        return detectable_difference(variance, alpha=alpha) if df > 0 and variance > 0 else None

    def needed(self, i: int, *, alpha: float, least: int) -> tuple[int, bool] | None:
        """Return how many images to add to row i to detect the tolerance, and whether the complement must grow, too.

        The variance of a mean falls with the number of images. Where the complement alone is too uncertain, both sides
        grow until each holds half of the variance that is allowed. None where nothing is missing, nothing is known, or
        more is needed than `MOST_IMAGES`.
        """
        covariance, n = self.moments.covariance, int(self.n[i])
        own, other = float(covariance[i, i]), float(covariance[i + self.rows, i + self.rows])
        if not (self.tolerance > 0 and math.isfinite(own) and math.isfinite(other)):
            return (least - n, False) if 0 < n < least else None
        allowed = (self.tolerance / _z(alpha)) ** 2
        both = other >= allowed
        room = allowed / 2 if both else allowed - other
        size = whole_number(n * own / room) if room > 0 else None
        if size is None:  # a tolerance of almost 0: more than can be stated
            return None
        more = max(size - n, least - n)
        return (more, both) if more > 0 else None

    @property
    def _unit(self) -> float:
        """The size of the means, by which the variance of one is judged to be 0."""
        return float(np.abs(np.nan_to_num(self.moments.rate)).max(initial=0.0))

    def _gap(self, i: int) -> float:
        return float(self.moments.rate[i] - self.moments.rate[i + self.rows])

    def _variance(self, i: int) -> tuple[float, float]:
        """Return variance and degrees of freedom of the difference of row i: the fewer of the two sides."""
        j = i + self.rows
        return self.moments.variance_of_difference(i, j), float(min(self.moments.df[i], self.moments.df[j]))


def mean_estimates(
    membership: GroupMembership,
    design: SamplingDesign | None,
    *,
    numerator: Floats,
    denominator: Floats,
    tolerance: float,
    of_losses: bool = False,
    of_shares: bool = False,
) -> MeanEstimates:
    """Return the means of all groups and of their complements.

    Args:
        membership: the groups of the N images.
        design: weights and clusters; None = independent images of equal weight. Matched sets count as clusters.
        numerator: the number of each image, shape (N,).
        denominator: how much it counts, shape (N,), mostly 1.
        tolerance: the largest difference from the complement that is tolerated, in the unit of the mean.
        of_losses: whether the numbers are losses of at least 0.
        of_shares: whether the numbers are shares from 0 to 1.
    """
    code, members = membership.row_code, row_members_of(membership)
    units = (design or SamplingDesign()).units(len(code))
    counted = (denominator > 0) & (units.weight > 0)
    sums, totals = (
        unit_sums(units.unit, code, units.weight * values, counted, members) for values in (numerator, denominator)
    )
    images = np.bincount(code[counted], minlength=len(members)) @ members
    kept = totals.any(axis=1)
    moments = cluster_moments(sums[kept], totals[kept])
    return MeanEstimates(images.round().astype(np.int64), moments, tolerance, of_losses, of_shares)


def _z(alpha: float) -> float:
    return float(ndtri(1 - alpha / 2) + ndtri(POWER))
