"""Clusters and weights of the images that are judged: rates and means that allow for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tlkit.arrays import Floats, Mask
from tlkit.audit.groups.group_columns import By, columns_of
from tlkit.audit.options import AuditOptions
from tlkit.audit.sampling_design import design_problems
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import clustered_rate, with_weight
from tlkit.predictions import Predictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.means import clustered_mean, mean_estimate


def with_units(
    labelled: Predictions, *, by: By | Sequence[By] = (), cluster_by: str | None, weights: str | None
) -> tuple[Predictions, Units | None]:
    """Return the labelled images with a weight, and their weights and clusters; None = independent images.

    Args:
        labelled: images with labels.
        by: the group columns, which cannot be clusters or weights.
        cluster_by: column of the clusters.
        weights: column of the weights.

    Raises:
        PredictionsError: there is no such column, it is also a group column, or a weight is no number of at least 0.
    """
    if cluster_by is None and weights is None:
        return labelled, None
    options = AuditOptions(columns=tuple(columns_of(by)) if by else (), cluster_by=cluster_by, weights=weights)
    if problems := design_problems(labelled.groups, options):
        raise PredictionsError(*problems)
    return with_weight(labelled, cluster_by, weights)


def part_of(units: Units | None, rows: Mask) -> Units | None:
    """Return the weights and clusters of some images."""
    return None if units is None else units.take(rows)


def rate_of(right: Mask, units: Units | None, confidence: float, *, nothing: str = "no images") -> Estimate:
    """Return the share of images for which something holds, with Wilson's interval, of the clusters if there are any.

    Args:
        right: shape (N,).
        units: weights and clusters; None = independent images.
        confidence: two-sided level, in (0, 1).
        nothing: note of the undefined rate, where N is 0.
    """
    if units is None or not len(right):
        return wilson(int(right.sum()), len(right), confidence, nothing=nothing)
    return clustered_rate(right, units, confidence)


def mean_of(
    values: Floats, units: Units | None, confidence: float, *, lowest: float = 0.0, highest: float = math.inf
) -> Estimate:
    """Return the mean of one number per image with its interval; see `mean_estimate` and `clustered_mean`."""
    if units is None:
        return mean_estimate(values, confidence, lowest=lowest, highest=highest)
    found = clustered_mean(values, units, confidence, lowest=lowest, highest=highest)
    if found.value is not None:
        return found
    value = float(np.average(values, weights=units.weight)) if units.weight.any() else None
    return Estimate(value, None, None, n=found.n, note=f"no interval: {found.note}")


def sampling_note(cluster_by: str | None, clusters: int | None, weights: str | None) -> tuple[str, ...]:
    """Return what intervals allow for, as a sentence of a table; empty for independent images of equal weight."""
    parts = []
    if cluster_by is not None:
        parts.append(f"{clusters or 0:,} clusters of {cluster_by}")
    if weights is not None:
        parts.append(f"the weights in {weights}")
    return (f"Intervals allow for {' and '.join(parts)}.",) if parts else ()
