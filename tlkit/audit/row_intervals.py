"""Intervals of the rate of a row, and of its difference from and ratio to the complement or another row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tlkit.arrays import Mask
from tlkit.audit.estimators import RateEstimates, SamplingDesign, designed_estimates
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.stats.dependent_samples import at_least_t
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import clopper_pearson_bounds, newcombe_bounds, ratio_log, wilson_bounds

_UNDEFINED = "not enough data: fewer than two clusters or matched sets, or no weight"


def rate_estimate(estimates: RateEstimates, i: int, *, confidence: float, guaranteed: bool = False) -> Estimate:
    """Return the rate of row i, which has images, with its interval; undefined for one cluster or no weight.

    Args:
        estimates: of weighted, clustered or independent images.
        i: position of the row.
        confidence: two-sided level, in (0, 1).
        guaranteed: take Clopper and Pearson's bounds instead of Wilson's.
    """
    n, size = int(estimates.n[i]), float(estimates.rate_n[i])
    k_eff, n_eff = float(estimates.k_eff[i]), float(estimates.n_eff[i])
    if n_eff <= 0:
        alone = estimates.clusters is not None and estimates.clusters[i] == 1
        why = "all images are of one cluster" if alone else "no image has a weight"
        return Estimate(None, None, None, n=n, note=f"n = {n}, but {why}")
    bounds = clopper_pearson_bounds if guaranteed else wilson_bounds
    low, high = bounds(k_eff * (size / n_eff), size, confidence)
    return Estimate(k_eff / n_eff, float(low), float(high), n=n)


def difference_estimate(
    estimates: RateEstimates, i: int, *, best: int | None = None, confidence: float, guaranteed: bool = False
) -> Estimate:
    """Return the rate of row i minus that of the complement, or of the group `best`, with its interval.

    Independent samples: Newcombe's method 10. Clusters, matched pairs and groups that share images: the same with the
    correlation of the two rates, and not narrower than Student's t on the clusters.

    Args:
        estimates: of weighted, clustered or independent images.
        i: position of the row.
        best: position of the group that it is compared with; None = the complement.
        confidence: two-sided level, in (0, 1).
        guaranteed: take Clopper and Pearson's bounds instead of Wilson's.

    Returns:
        The difference; undefined where a side is one cluster, has no weight, or no sets match.
    """
    k1, n1, k2, n2 = _sides(estimates, i, best)
    n = _compared_images(estimates, i, best)
    if min(n1, n2) <= 0:
        return Estimate(None, None, None, n=n, note=_UNDEFINED)
    if best is None:
        correlation = float(estimates.correlation[i])
    else:
        correlation = 0.0 if estimates.among is None else float(estimates.among[i, best])
    low, high = newcombe_bounds(k1, n1, k2, n2, confidence, correlation=correlation, guaranteed=guaranteed)
    difference = k1 / n1 - k2 / n2
    variance, df = estimates.difference_variance(i, best)
    ends = at_least_t(float(low), float(high), difference=difference, variance=variance, df=df, confidence=confidence)
    return Estimate(difference, *ends, n=n)


def ratio_estimate(
    estimates: RateEstimates, i: int, *, best: int | None = None, confidence: float, errors: bool = False
) -> Estimate:
    """Return the rate of row i over that of the complement, or of the group `best`; with `errors`, of 1 − rate.

    Its interval treats the two as independent, which is wider than needed for matched images. Other arguments as in
    `difference_estimate`.
    """
    k1, n1, k2, n2 = _sides(estimates, i, best)
    if errors:
        k1, k2 = max(n1 - k1, 0.0), max(n2 - k2, 0.0)
    return replace(ratio_log(k1, n1, k2, n2, confidence), n=_compared_images(estimates, i, best))


def overall_accuracy(right: Mask, design: SamplingDesign | None, options: AuditOptions) -> Estimate:
    """Return the accuracy over all labelled images, with weights and interval of the sampling design.

    Args:
        right: whether each image's class was found, shape (N,), N above 0.
        design: sampling design; None = independent images of equal weight. A matched set counts as a cluster.
        options: level and kind of the interval.
    """
    return overall_rate(right, np.ones(len(right), dtype=np.bool_), design, options)


def overall_rate(counts: Mask, base: Mask, design: SamplingDesign | None, options: AuditOptions) -> Estimate:
    """Return a rate over all images, with weights and interval of the sampling design.

    Args:
        counts: whether an image counts in the numerator, shape (N,).
        base: whether it counts in the denominator, shape (N,), somewhere True.
        design: sampling design; None = independent images of equal weight. A matched set counts as a cluster.
        options: level and kind of the interval.
    """
    everyone = GroupMembership((), ((),), np.zeros(len(base), dtype=np.int64))
    unmatched = None if design is None else replace(design, paired=False)
    estimates = designed_estimates(everyone, unmatched, counts=counts, base=base, options=options)
    return rate_estimate(estimates, 0, confidence=options.confidence, guaranteed=options.guaranteed)


def _sides(estimates: RateEstimates, i: int, best: int | None) -> tuple[float, float, float, float]:
    """Return effective k, n of row i, then of the group `best` or the complement."""
    if best is None:
        k1, n1, k2, n2 = (float(side[i]) for side in estimates.sides)
        return k1, n1, k2, n2
    k, n = estimates.k_eff, estimates.n_eff
    return float(k[i]), float(n[i]), float(k[best]), float(n[best])


def _compared_images(estimates: RateEstimates, i: int, best: int | None) -> int:
    """Return the images of row i and of the group `best` or the complement."""
    return int(estimates.n[i]) + int(estimates.complement_n[i] if best is None else estimates.n[best])
