"""Figures of an evaluation whose images are in clusters, such as subjects or bursts: their intervals are wider."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Protocol, Self, TypeVar

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions import Predictions
from tlkit.stats.cluster_sampling import Units, kurtosis_df, scaled_weights
from tlkit.stats.confusion_scores import margins_of_rows
from tlkit.stats.dependent_samples import at_least_t, cluster_moments, effective_size
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds
from tlkit.stats.means import clustered_mean_of_rates, mover_distances
from tlkit.tables import counted

logger = logging.getLogger(__name__)


class Sampled(Protocol):
    """Predictions of any task: images with group columns, of which some can be taken."""

    @property
    def groups(self) -> pd.DataFrame: ...  # noqa: D102

    def take(self, rows: Mask) -> Self: ...  # noqa: D102


P = TypeVar("P", bound=Sampled)


def with_weight(images: P, cluster_by: str | None, weights: str | None) -> tuple[P, Units | None]:
    """Return the images whose weight is above 0, and their weights and clusters; None = independent images.

    Args:
        images: predictions.
        cluster_by: group column of the clusters; None = independent images.
        weights: that of the weights, numbers of at least 0; None = 1 each.

    Raises:
        PredictionsError: a weight is no number of at least 0.
    """
    if cluster_by is None and weights is None:
        return images, None
    units = units_of(images.groups, cluster_by, weights)
    held = units.weight > 0
    if not held.all():
        logger.info("%d of %d images have the weight 0 and are left out.", (~held).sum(), len(held))
        images, units = images.take(held), units.take(held)
    return images, units


def units_of(groups: pd.DataFrame, cluster_by: str | None, weights: str | None = None) -> Units:
    """Return clusters and weights of images; an image without a cluster is a cluster of its own.

    Args:
        groups: group columns of the images, shape (N, G).
        cluster_by: that of the clusters; None = independent images.
        weights: that of the weights, numbers of at least 0; None = 1 each.

    Raises:
        PredictionsError: a weight is no number of at least 0.
    """
    unit = np.arange(len(groups), dtype=np.int64)
    if cluster_by is not None:
        unit, names = pd.factorize(groups[cluster_by])
        unit = np.asarray(unit, dtype=np.int64)
        alone = np.flatnonzero(unit < 0)
        unit[alone] = len(names) + np.arange(len(alone))
    return Units(np.ones(len(unit)) if weights is None else _weights(groups[weights], weights), unit)


def _weights(values: pd.Series[str], column: str) -> Floats:
    """Return the weights of a column of text, scaled: no figure depends on their scale."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.isfinite(numbers) & (numbers >= 0))
    if wrong.any():
        seen = ["missing" if pd.isna(value) else repr(str(value)) for value in values[wrong]]
        raise PredictionsError(
            f"The weights in {column} must be numbers of at least 0, but {counted(int(wrong.sum()), 'image')} "
            f"{'has' if wrong.sum() == 1 else 'have'} another value: {first_few(seen)}."
        )
    if not numbers.any():
        raise PredictionsError(f"Every weight in {column} is 0. Give at least one image a weight above 0.")
    return scaled_weights(numbers)


def clustered_rate(right: Mask, units: Units, confidence: float) -> Estimate:
    """Return the share of images that are right, with Wilson's interval at the effective size of the clusters.

    It is the audit's accuracy over all images. There is no interval where all images are of one cluster.

    Args:
        right: shape (N,), N of at least 1.
        units: clusters of the images.
        confidence: two-sided level, in (0, 1).
    """
    n = len(right)
    if why := units.why_unknown:
        return Estimate(float(np.average(right, weights=units.weight)), None, None, n=n, note=f"no interval: {why}")
    rate, size = effective_rate(right, units, confidence)
    low, high = wilson_bounds(rate * size, size, confidence)
    return Estimate(rate, float(low), float(high), n=n)


def effective_rate(right: Mask, units: Units, confidence: float) -> tuple[float, float]:
    """Return the share of images that are right, and how many independent images it is worth (`effective_size`).

    Args:
        right: shape (N,).
        units: at least two clusters.
        confidence: two-sided level of the interval that uses the size, in (0, 1).
    """
    place, n = np.zeros(len(right), dtype=np.int64), len(right)
    moments = cluster_moments(units.summed(place, 1, right), units.summed(place, 1))
    size = effective_size(
        moments.rate,
        np.diagonal(moments.covariance),
        images=[n],
        clusters=moments.clusters,
        df=moments.rate_df,
        confidence=confidence,
    )
    return min(float(moments.rate[0]), 1.0), float(size[0])


def clustered_classes(
    labelled: Predictions, units: Units, confidence: float
) -> Iterator[tuple[Estimate | None, Estimate | None, Estimate | None]]:
    """Yield precision, recall and F1 of each class; None where the class is not predicted, or has no images.

    F1 = 2r / (1 + r) with r = TP / (TP + FP + FN), as in `tlkit.evaluation.class_intervals`: r is a rate of the images
    that are of the class or predicted as it.
    """
    truly, guessed = _rows_by_class(labelled.y_true, labelled), _rows_by_class(labelled.y_pred, labelled)
    for own, predicted in zip(truly, guessed, strict=True):
        rates = [
            clustered_rate(labelled.correct[rows], units.take(rows), confidence) if len(rows) else None
            for rows in (predicted, own, np.union1d(own, predicted))
        ]
        precision, recall, f1 = rates
        yield precision, recall, None if f1 is None or recall is None else _as_f1(f1)


def clustered_macro(
    labelled: Predictions, confusion: Ints, units: Units, confidence: float
) -> tuple[Estimate, Estimate]:
    """Return balanced accuracy and macro-F1, means over the classes that have images, with their intervals.

    Balanced accuracy is `clustered_mean_of_rates`. The interval of macro-F1 combines those of the classes as in
    `macro_estimates`, and is at least as wide as Student's t interval of its linearisation: an image of class i
    predicted as j changes the sum of F1s by [i = j] · 2/bᵢ − Fᵢ/bᵢ − Fⱼ/bⱼ, with bᵢ = 2·TPᵢ + FPᵢ + FNᵢ.
    """
    margins = margins_of_rows(labelled.y_true, labelled.y_pred, len(confusion), units.weight)
    support, predicted, right = margins.support[0], margins.predicted[0], margins.right[0]
    present, n = support > 0, len(labelled)
    count = int(present.sum())
    recall = right[present] / support[present]
    balanced = clustered_mean_of_rates(
        units.summed(labelled.y_true, len(support), labelled.correct),
        units.summed(labelled.y_true, len(support)),
        images=confusion.sum(axis=1),
        confidence=confidence,
    )
    both = np.where(support + predicted > 0, support + predicted, 1.0)
    f1 = np.where(present, 2 * right / both, 0.0)
    note = "" if present.all() else f"{count} of {len(present)} classes present"
    macro_f1 = Estimate(float(f1[present].mean()), None, None, n=n, note=f"no interval: {units.why_unknown}")
    estimates = [f1 for _, _, f1 in clustered_classes(labelled, units, confidence) if f1 is not None]
    if not units.why_unknown:
        low, high = (np.array([_end(one, end) for one in estimates]) for end in ("low", "high"))
        down, up = (math.sqrt(2) * one for one in mover_distances(f1[present], low, high))
        cost = np.where(present, f1 / both, 0.0)
        gain = np.where(labelled.correct, 2 * present[labelled.y_true] / both[labelled.y_true], 0.0)
        effect = (gain - cost[labelled.y_true] - cost[labelled.y_pred]) / count
        residual = units.summed(np.zeros(n, dtype=np.int64), 1, effect)[:, 0]  # the weights are in it
        clusters, value = len(residual), float(f1[present].mean())
        variance = float((residual**2).sum()) * clusters / (clusters - 1)
        df = kurtosis_df(clusters - 1, residual)
        ends = at_least_t(
            max(0.0, value - down),
            min(1.0, value + up),
            difference=value,
            variance=variance,
            df=df,
            confidence=confidence,
        )
        macro_f1 = Estimate(value, max(0.0, ends[0]), ends[1], n=n, note=note)
    return _with_value(balanced, float(recall.mean())), macro_f1


def _end(estimate: Estimate, end: str) -> float:
    """Return one end of an interval; that of the whole range where the class is one cluster."""
    found = estimate.low if end == "low" else estimate.high
    return (0.0 if end == "low" else 1.0) if found is None else found


def _rows_by_class(codes: Ints, labelled: Predictions) -> list[Ints]:
    """Return the rows of each class, in order."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(labelled.classes) + 1))
    return [order[first:last] for first, last in pairwise(starts)]


def _as_f1(rate: Estimate) -> Estimate:
    def f1(ratio: float | None) -> float | None:
        return None if ratio is None else 2 * ratio / (1 + ratio)

    return replace(rate, value=f1(rate.value), low=f1(rate.low), high=f1(rate.high))


def _with_value(estimate: Estimate, value: float) -> Estimate:
    """Return the estimate, with its value where clusters are too few for an interval."""
    if estimate.value is not None:
        return estimate
    return Estimate(value, None, None, n=estimate.n, note=f"no interval: {estimate.note}")
