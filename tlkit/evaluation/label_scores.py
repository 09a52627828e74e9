"""Figures of several labels for each image, with intervals: F1, average precision, exact matches, Hamming loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkit.arrays import Floats, Mask
from tlkit.evaluation.clustered_figures import clustered_rate
from tlkit.predictions import MultilabelPredictions
from tlkit.stats.area_intervals import area_counts, area_estimate, moderated
from tlkit.stats.cluster_sampling import Units, kurtosis_df
from tlkit.stats.dependent_samples import at_least_t
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import bounded_estimate, spread_of
from tlkit.stats.intervals import wilson
from tlkit.stats.one_vs_rest import areas

NO_LABEL = "no images with this label"
NEVER_PREDICTED = "never predicted"


@dataclass(frozen=True)
class LabelRates:
    """Precision, recall and F1 of one label.

    Attributes:
        support: images with the label.
        known: images of which it is known whether they have it.
        precision: undefined where the label is never predicted.
        recall: undefined without images with the label.
        f1: likewise.
    """

    support: int
    known: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


def rate_of(counts: Mask, base: Mask, units: Units | None, confidence: float, *, nothing: str) -> Estimate:
    """Return the share of the images in `base` that count: Wilson's interval, or that of `clustered_rate`.

    Args:
        counts: shape (N,).
        base: shape (N,).
        units: weights and clusters; None = independent images.
        confidence: two-sided level, in (0, 1).
        nothing: why it is undefined without images.
    """
    n = int(base.sum())
    if units is None or n == 0:
        return wilson(int((counts & base).sum()), n, confidence, nothing=nothing)
    return clustered_rate(counts[base], units.take(base), confidence)


def label_rates(found: MultilabelPredictions, units: Units | None, confidence: float) -> tuple[LabelRates, ...]:
    """Return precision, recall and F1 of each label.

    F1 = 2r / (1 + r) with r = TP / (TP + FP + FN), a rate of the images that have the label or are given it; its
    interval is mapped the same way, as in `tlkit.evaluation.class_intervals`.
    """
    rows = []
    for column in range(len(found.labels)):
        known, called = found.known[:, column], found.y_pred[:, column]
        truly = found.y_true[:, column] == 1
        called = called & known
        f1 = Estimate(None, None, None, n=int((truly | called).sum()), note=NO_LABEL)
        if truly.any():
            f1 = _as_f1(rate_of(truly & called, truly | called, units, confidence, nothing=NO_LABEL))
        rows.append(
            LabelRates(
                support=int(truly.sum()),
                known=int(known.sum()),
                precision=rate_of(truly, called, units, confidence, nothing=NEVER_PREDICTED),
                recall=rate_of(called, truly, units, confidence, nothing=NO_LABEL),
                f1=f1,
            )
        )
    return tuple(rows)


def ratio_score(
    numerator: Floats, denominator: Floats, units: Units | None, *, confidence: float, nothing: str, note: str = ""
) -> Estimate:
    """Return Σ numerators / Σ denominators over the images, a score in [0, 1], with the interval of its influences.

    The influence of an image is (a − R b) / mean of b: the linearised ratio (Woodruff 1971, J. Am. Stat. Assoc.
    66:411). An image is the unit, however many labels it has. Only the k units with a denominator tell its variance,
    which has a factor k/(k − 1) and k − 1 degrees of freedom at most (Cochran 1977, Sampling Techniques, 5A.14).

    Args:
        numerator: a of each image, shape (N,).
        denominator: b of each image, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
        nothing: why it is undefined where all denominators are 0.
        note: of the estimate.
    """
    weight = np.ones(len(numerator)) if units is None else units.weight
    total = float(weight @ denominator)
    held = int(np.count_nonzero((denominator > 0) & (weight > 0)))
    if total <= 0:
        return Estimate(None, None, None, n=0, note=nothing)
    value = float(weight @ numerator) / total
    if units is not None and (why := units.why_unknown):
        return Estimate(value, None, None, n=held, note=f"no interval: {why}")
    influence = (numerator - value * denominator) * (float(weight.sum()) / total)
    least = held if units is None else units.take(denominator > 0).clusters
    spread = spread_of(influence, units, most_df=max(least - 1, 1))
    if least > 1:
        every = len(numerator) if units is None else units.clusters
        spread = replace(spread, variance=spread.variance * least / (least - 1) * (every - 1) / every)
    size = held if units is None else units.take(denominator > 0).effective
    return bounded_estimate(value, spread, n=held, least=size, confidence=confidence, note=note)


def micro_average_precision(found: MultilabelPredictions, units: Units | None, confidence: float) -> Estimate:
    """Return average precision over all pairs of image and label, with an image as the unit.

    The influences of an image's pairs are summed; see `tlkit.stats.one_vs_rest.areas`.
    """
    assert found.proba is not None, "a ranking needs probabilities"
    known, n = found.known, len(found)
    image = np.broadcast_to(np.arange(n)[:, None], known.shape)[known]
    weight = None if units is None else units.weight[image]
    truly = found.y_true[known] == 1
    ranked = areas(found.proba[known], truly, weight)
    if ranked is None:
        return Estimate(None, None, None, n=n, note="no image has a label" if not truly.any() else "no negatives")
    if units is not None and (why := units.why_unknown):
        return Estimate(ranked[1].value, None, None, n=n, note=f"no interval: {why}")
    own = Units(np.ones(len(image)), image) if units is None else Units(units.weight[image], units.unit[image])
    counts = area_counts(ranked[1], own, truly, ~truly)
    part = moderated(ranked[1], own, positives=counts[0], negatives=counts[1])
    return area_estimate(
        "average_precision", ranked[1].value, [part], part.spread, n=n, size=sum(counts), confidence=confidence
    )


def macro_f1(
    found: MultilabelPredictions, rates: Sequence[LabelRates], units: Units | None, confidence: float
) -> Estimate:
    """Return the mean F1 over the labels that have images.

    The intervals of the labels are combined with the correlation of their F1s, since one image has several labels:
    √(Σ ρᵢⱼ δᵢ δⱼ) of the distances δ (Zou & Donner 2008, Statistics in Medicine 27:1693), and at least Student's t
    interval of the linearised mean.
    """
    present = [place for place, one in enumerate(rates) if one.support]
    size, n = len(rates), len(found)
    if not present:
        return Estimate(None, None, None, n=n, note="no image has a label")
    values = np.array([_value(rates[place].f1) for place in present])
    value = float(values.mean())
    note = "" if len(present) == size else f"{len(present)} of {size} labels"
    if units is not None and (why := units.why_unknown):
        return Estimate(value, None, None, n=n, note=f"no interval: {why}")
    sums = _unit_influences(found, present, values, units)
    deviation = np.sqrt((sums**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.nan_to_num((sums.T @ sums) / np.outer(deviation, deviation))
    np.fill_diagonal(correlation, 1.0)
    low = values - [0.0 if rates[place].f1.low is None else rates[place].f1.low for place in present]
    high = np.array([1.0 if rates[place].f1.high is None else rates[place].f1.high for place in present]) - values
    down, up = (math.sqrt(max(float(d @ correlation @ d), 0.0)) / len(present) for d in (low, high))
    mean, units_n = sums.mean(axis=1), len(sums)
    variance = float(mean @ mean) * units_n / max(units_n - 1, 1)
    ends = at_least_t(
        max(0.0, value - down),
        min(1.0, value + up),
        difference=value,
        variance=variance,
        df=kurtosis_df(units_n - 1, mean),
        confidence=confidence,
    )
    return Estimate(value, max(0.0, ends[0]), ends[1], n=n, note=note)


def _unit_influences(
    found: MultilabelPredictions, columns: Sequence[int], values: Floats, units: Units | None
) -> Floats:
    """Return the influence of each cluster on each label's F1, shape (M, C), whose column sums are the errors."""
    known = found.known[:, columns]
    truly, called = (found.y_true[:, columns] == 1), found.y_pred[:, columns] & known
    both = truly.astype(np.float64) + called
    weight = np.ones(len(found)) if units is None else units.weight
    influence = weight[:, None] * (2.0 * (truly & called) - values * both) / (weight @ both)
    if units is None:
        return np.asarray(influence)
    numbered = units.numbered()
    kept = numbered.unit >= 0
    sums = np.zeros((units.clusters, len(columns)))
    np.add.at(sums, numbered.unit[kept], influence[kept])
    return sums


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None, "the label has images"
    return estimate.value


def _as_f1(rate: Estimate) -> Estimate:
    def f1(ratio: float | None) -> float | None:
        return None if ratio is None else 2 * ratio / (1 + ratio)

    return replace(rate, value=f1(rate.value), low=f1(rate.low), high=f1(rate.high))
