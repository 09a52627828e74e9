"""Rates of groups with effective sample sizes and tests: independent, weighted, clustered or matched images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.dependent_samples import (
    Moments,
    cluster_moments,
    cluster_test,
    effective_size,
    max_gap_normal,
    score_test,
    stratified_exact,
)
from tlkit.stats.hypothesis_tests import GapTest, fisher_exact, max_gap

Sides = tuple[Floats, Floats, Floats, Floats]

FEW_CLUSTERS = 10
"""With fewer clusters, how much they differ is not known well enough to say how many more are needed."""


@dataclass(frozen=True)
class RateEstimates:
    """One rate of all groups and of their complements.

    Arrays have one entry per row: the G groups, then the images with a missing value. Effective counts are
    those of an independent sample with the same variance; for independent images they are the counts.

    Attributes:
        n: images in the denominator, shape (G + 1,).
        complement_n: images in the denominator of the complement, shape (G + 1,).
        k_eff: effective numerators, shape (G + 1,).
        n_eff: effective denominators, shape (G + 1,).
        rate_n: effective denominators of the rates' own intervals, shape (G + 1,): less than `n_eff` if few
            clusters hold most errors.
        sides: effective counts k, n of the group and k, n of the complement in the comparison, each of shape (G + 1,).
        correlation: correlation of the group's rate and that of the complement, shape (G + 1,).
        among: correlation of the groups' rates, shape (G, G); None = independent.
        p: p-value of row i against the complement.
        difference_variance: call f(i, None) for row i minus its complement, f(i, j) for row i minus row j; returns
            (variance, degrees of freedom). (nan, 0) for independent images, whose intervals need neither.
        gap: call gap(mask), shape (G,); tests the largest gap among the groups where the mask is True.
        clusters: clusters of each row, shape (G + 1,); None where images are independent.
        per_cluster: effective images that one more cluster of a row adds, shape (G + 1,), from 1 to its images: as in
            the row itself; with fewer than 10 clusters as in the complement; where that has fewer, too, 1. None where
            images are independent.
    """

    n: Ints
    complement_n: Ints
    k_eff: Floats
    n_eff: Floats
    rate_n: Floats
    sides: Sides
    correlation: Floats
    among: Floats | None
    p: Callable[[int], float | None]
    difference_variance: Callable[[int, int | None], tuple[float, float]]
    gap: Callable[[Mask], GapTest | None]
    clusters: Ints | None = None
    per_cluster: Floats | None = None


@dataclass(frozen=True)
class SamplingDesign:
    """The sampling design of the labelled images: weights, clusters, matched sets.

    Attributes:
        weights: one per image, shape (N,), at least 0; None = all alike.
        unit: cluster or matched set of each image, shape (N,), in 0…M-1; None = independent images.
        paired: whether the units are matched sets, within which a group is compared with the complement.
    """

    weights: Floats | None = None
    unit: Ints | None = None
    paired: bool = False

    def units(self, n: int) -> Units:
        """Return weight and cluster of each of the n images; a matched set is a cluster, else an image is its own."""
        weight = np.ones(n) if self.weights is None else self.weights
        return Units(weight, np.arange(n) if self.unit is None else self.unit)

    def take(self, rows: Mask | Ints) -> SamplingDesign:
        """Return the design of some of the images."""
        unit = None if self.unit is None else np.unique(self.unit[rows], return_inverse=True)[1].astype(np.int64)
        return SamplingDesign(None if self.weights is None else self.weights[rows], unit, self.paired)


def independent_estimates(membership: GroupMembership, *, k: Ints, n: Ints, options: AuditOptions) -> RateEstimates:
    """Return the rates of independent images from counts; tests: Fisher's, and permutations for the largest gap.

    Args:
        membership: the groups.
        k: numerators of the patterns, shape (P + 1,), the last entry for the images with a missing value.
        n: denominators of the patterns, shape (P + 1,).
        options: number and seed of the permutations for the largest gap.
    """
    own_k, own_n = membership.aggregate(k), membership.aggregate(n)
    is_group = np.arange(len(own_n)) < len(own_n) - 1
    complement_k = k[:-1].sum() - np.where(is_group, own_k, 0)
    complement_n = n[:-1].sum() - np.where(is_group, own_n, 0)
    member = membership.member

    def p(i: int) -> float | None:
        return fisher_exact(int(own_k[i]), int(own_n[i]), int(complement_k[i]), int(complement_n[i]))

    def gap(shown: Mask) -> GapTest | None:
        if member is None:
            return max_gap(k[:-1][shown], n[:-1][shown], draws=options.draws, seed=options.seed)
        return max_gap(k[:-1], n[:-1], member=member[:, shown], draws=options.draws, seed=options.seed)

    among = None
    if member is not None:  # groups that share images rise and fall together
        both = member.T.astype(np.float64) @ (n[:-1, None] * member)
        size = np.sqrt(np.maximum(np.diagonal(both), 1.0))
        among = both / np.outer(size, size)
    floats = tuple(np.asarray(counts, dtype=np.float64) for counts in (own_k, own_n, complement_k, complement_n))
    sides = (floats[0], floats[1], floats[2], floats[3])
    return RateEstimates(
        own_n, complement_n, sides[0], sides[1], sides[1], sides, np.zeros(len(own_n)), among, p, _no_variance, gap
    )


def designed_estimates(
    membership: GroupMembership, design: SamplingDesign | None, *, counts: Mask, base: Mask, options: AuditOptions
) -> RateEstimates:
    """Return the rates of images that may be weighted, clustered or matched.

    Args:
        membership: the groups of the N images.
        design: weights, clusters or matched sets; None = independent images of equal weight.
        counts: whether an image counts in the numerator, shape (N,).
        base: whether it counts in the denominator, shape (N,).
        options: level of the intervals, number and seed of the random draws for the largest gap.
    """
    code = membership.row_code
    if design is None:
        k, n = (np.bincount(code[part], minlength=membership.patterns + 1) for part in (base & counts, base))
        return independent_estimates(membership, k=k, n=n, options=options)
    assert design.weights is None or not design.paired, "weights and matched sets cannot be combined"
    weights, row_members = np.ones(len(code)) if design.weights is None else design.weights, row_members_of(membership)
    images = _totals(code, np.ones(len(code)), base, row_members).round().astype(np.int64)
    if design.unit is None:
        rates = _weighted(code, weights, counts=counts, base=base, row_members=row_members)
        compared = _compare_weighted(rates)
    else:
        successes, totals = (
            unit_sums(design.unit, code, values, base, row_members) for values in (weights * counts, weights)
        )
        rates = _clustered(successes, totals, images, options.confidence)
        compared = _compare_clusters(rates)
        if design.paired:
            compared = _compare_matched(successes, totals, images, options.confidence, among_groups=compared)
    rows = len(images) // 2
    among = None if rates.shared is None else rates.shared[: rows - 1, : rows - 1]

    def gap(shown: Mask) -> GapTest | None:
        seen = np.flatnonzero(shown)
        if np.any(rates.size[seen] <= 0):
            return None
        together = None if among is None else among[np.ix_(seen, seen)]
        return max_gap_normal(rates.rate[seen], rates.size[seen], together, draws=options.draws, seed=options.seed)

    return RateEstimates(
        images[:rows],
        images[rows:],
        rates.k_eff[:rows],
        rates.size[:rows],
        rates.rate_size[:rows],
        compared.sides,
        compared.correlation,
        among,
        compared.p,
        compared.difference_variance,
        gap,
        None if rates.moments is None else rates.moments.clusters[:rows],
        None if rates.moments is None else _per_cluster(rates.moments, images),
    )


@dataclass(frozen=True)
class _Rates:
    """The rates of each row, then of each complement: arrays of 2 · (G + 1).

    Attributes:
        rate: 0 where there is no image.
        size: effective sizes, for comparisons.
        rate_size: effective sizes, for the interval of a rate by itself.
        moments: of the clusters; None without any.
        shared: correlation of the rates, a matrix; None where they are independent.
    """

    rate: Floats
    size: Floats
    rate_size: Floats
    moments: Moments | None = None
    shared: Floats | None = None

    @property
    def rows(self) -> int:
        """How many rows there are, G + 1."""
        return len(self.rate) // 2

    @property
    def k_eff(self) -> Floats:
        """Effective numerators."""
        return self.rate * self.size

    @property
    def sides(self) -> Sides:
        """Effective k and n of each row, then of its complement."""
        rows = self.rows
        return self.k_eff[:rows], self.size[:rows], self.k_eff[rows:], self.size[rows:]


@dataclass(frozen=True)
class _Comparison:
    """How each row compares with the complement; the attributes are those of `RateEstimates`."""

    sides: Sides
    correlation: Floats
    p: Callable[[int], float | None]
    difference_variance: Callable[[int, int | None], tuple[float, float]]


def _weighted(code: Ints, weights: Floats, *, counts: Mask, base: Mask, row_members: Floats) -> _Rates:
    successes, totals = _totals(code, weights, base & counts, row_members), _totals(code, weights, base, row_members)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.nan_to_num(successes / totals)
        size = np.where(
            totals > 0, totals**2 / _totals(code, weights**2, base, row_members), 0.0
        )  # Kish's effective size
    return _Rates(rate, size, size)


def _clustered(successes: Floats, totals: Floats, images: Ints, confidence: float) -> _Rates:
    moments = cluster_moments(successes, totals)
    variance, clusters = np.diagonal(moments.covariance), moments.clusters
    size, rate_size = (
        effective_size(moments.rate, variance, images=images, clusters=clusters, df=df, confidence=confidence)
        for df in (moments.df, moments.rate_df)
    )
    size[clusters < 2] = rate_size[clusters < 2] = 0.0  # the variance is unknown with one cluster
    return _Rates(np.nan_to_num(moments.rate), size, rate_size, moments, moments.correlation)


def _per_cluster(moments: Moments, images: Ints) -> Floats:
    """Return the effective images that one more cluster of each row adds, shape (G + 1,), at least 1."""
    variance, clusters, rows = np.diagonal(moments.covariance), moments.clusters, len(images) // 2
    size = effective_size(moments.rate, variance, images=images, clusters=clusters)
    each = np.where(clusters >= FEW_CLUSTERS, np.maximum(size / np.maximum(clusters, 1), 1.0), 1.0)
    return np.where(clusters[:rows] >= FEW_CLUSTERS, each[:rows], each[rows:])


def _compare_weighted(rates: _Rates) -> _Comparison:
    """Compare weighted images, which are independent: by the score test on the effective counts."""
    sides = rates.sides
    return _Comparison(sides, np.zeros(rates.rows), lambda i: score_test(*(side[i] for side in sides)), _no_variance)


def _compare_clusters(rates: _Rates) -> _Comparison:
    """Compare clusters by the cluster-robust t test; also by the score test where a rate is 0 or 1."""
    moments, shared, rate, rows, sides = rates.moments, rates.shared, rates.rate, rates.rows, rates.sides
    assert moments is not None and shared is not None

    def p(i: int) -> float | None:
        tests = [cluster_test(float(rate[i] - rate[i + rows]), *difference_variance(i, None))]
        # If a side's rate is 0 or 1, its cluster variance is 0; take the larger of both p-values.
        if not 0 < rate[i] < 1 or not 0 < rate[i + rows] < 1:
            tests.append(score_test(*(side[i] for side in sides)))
        return None if None in tests else max(one for one in tests if one is not None)

    def difference_variance(i: int, other: int | None) -> tuple[float, float]:
        j = i + rows if other is None else other
        return moments.variance_of_difference(i, j), float(min(moments.df[i], moments.df[j]))

    return _Comparison(sides, shared[np.arange(rows), np.arange(rows) + rows], p, difference_variance)


def _compare_matched(
    successes: Floats, totals: Floats, images: Ints, confidence: float, *, among_groups: _Comparison
) -> _Comparison:
    """Compare within matched sets: by the exact stratified test. Two groups are compared like clusters."""
    rows = len(images) // 2
    sides, correlation, matched = _matched_sides(successes, totals, images, confidence)

    def p(i: int) -> float | None:
        j = i + rows
        return stratified_exact(
            successes[:, i], totals[:, i], successes[:, i] + successes[:, j], totals[:, i] + totals[:, j]
        )

    def difference_variance(i: int, other: int | None) -> tuple[float, float]:
        return (
            among_groups.difference_variance(i, other)
            if other is not None
            else (float(matched[0, i]), float(matched[1, i]))
        )

    return _Comparison(sides, correlation, p, difference_variance)


def _totals(code: Ints, values: Floats, where: Mask, row_members: Floats) -> Floats:
    """Return the sum of the values for every column of `row_members`."""
    return np.asarray(np.bincount(code[where], weights=values[where], minlength=len(row_members)) @ row_members)


def row_members_of(membership: GroupMembership) -> Floats:
    """Return a 0/1 matrix, shape (P + 1, 2 · (G + 1)).

    The first G + 1 columns select the patterns of each row, the others those of its complement.
    """
    member = np.eye(membership.patterns, dtype=np.bool_) if membership.member is None else membership.member
    # last row: images with a missing value
    belongs = np.zeros((membership.patterns + 1, member.shape[1] + 1), dtype=np.float64)
    belongs[:-1, :-1], belongs[-1, -1] = member, 1.0
    against = np.zeros_like(belongs)
    against[:-1] = 1.0
    against[:-1, :-1] -= member
    return np.hstack([belongs, against])


def unit_sums(unit: Ints, code: Ints, values: Floats, where: Mask, row_members: Floats) -> Floats:
    """Return the sum of the values in each unit for every column of `row_members`, shape (M, columns)."""
    units, patterns = int(unit.max(initial=-1)) + 1, len(row_members)
    flat = unit[where] * patterns + code[where]
    summed = np.bincount(flat, weights=values[where], minlength=units * patterns)
    return np.asarray(summed.reshape(units, patterns) @ row_members)


def _no_variance(_i: int, _other: int | None) -> tuple[float, float]:
    return float("nan"), 0.0


def _matched_sides(a: Floats, b: Floats, images: Ints, confidence: float) -> tuple[Sides, Floats, Floats]:
    """Return effective counts of each row and its complement within the units that have both, and their correlation.

    The correlation carries Newcombe's continuity correction (1998, Statistics in Medicine 17:2635, method 10). Third
    come variance and degrees of freedom of the mean difference, (2, rows), where a unit has several images of a side.
    """
    rows = b.shape[1] // 2
    sides = np.zeros((4, rows))
    correlation, difference_variance = np.zeros(rows), np.stack([np.full(rows, np.nan), np.zeros(rows)])
    for i in range(rows):
        both = (b[:, i] > 0) & (b[:, i + rows] > 0)
        units = int(both.sum())
        if units < 2:
            continue
        x, z = a[both, i] / b[both, i], a[both, i + rows] / b[both, i + rows]
        several = bool((b[both][:, [i, i + rows]] > 1).any())
        rate = np.array([x.mean(), z.mean()])
        variance = np.array([x.var(ddof=int(several)), z.var(ddof=int(several))]) / units
        size = effective_size(
            rate,
            variance,
            images=images[[i, i + rows]],
            clusters=np.array([units, units]),
            df=np.array([units - 1, units - 1]) if several else None,
            confidence=confidence,
        )
        sides[:, i] = rate[0] * size[0], size[0], rate[1] * size[1], size[1]
        covariance = float(np.cov(x, z, ddof=0)[0, 1])
        if covariance > 0:
            covariance = max(covariance - 1 / (2 * units), 0.0)
        scale = float(x.std() * z.std())
        correlation[i] = np.clip(covariance / scale, -1.0, 1.0) if scale > 1e-12 else 0.0
        if several:
            difference_variance[:, i] = (x - z).var(ddof=1) / units, units - 1
    return (sides[0], sides[1], sides[2], sides[3]), correlation, difference_variance
