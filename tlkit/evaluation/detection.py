"""`evaluate_detection`: average precision of a detector with intervals, recall, and kinds of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE, SEED
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import with_weight
from tlkit.evaluation.design_columns import column_problems
from tlkit.evaluation.detection_tables import detection_tables
from tlkit.evaluation.label_scores import ratio_score
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.stats.bootstrap import percentile_estimate
from tlkit.stats.box_matching import MIN_SCORE, THRESHOLDS, Matches, average_precisions, found_objects
from tlkit.stats.box_measures import MatchedBoxes
from tlkit.stats.box_overlap import overlaps
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds
from tlkit.tables import Table, counted, to_html

REPLICATES = 200
BACKGROUND = 0.1
"""Overlap below which a prediction is on no object."""
ErrorKind = Literal["localization", "classification", "duplicate", "background", "both"]


@dataclass(frozen=True)
class CategoryResult:
    """The figures of one category.

    Attributes:
        name: category.
        boxes: true boxes that are no crowds.
        average_precision: mean over the overlaps 0.50 to 0.95; undefined without true boxes.
        recall: share of the true boxes found, at an overlap of 0.5, by predictions of the score stated.
    """

    name: str
    boxes: int
    average_precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class ErrorCount:
    """One kind of wrong prediction.

    Attributes:
        kind: localization = the right category, overlap 0.1 to 0.5; classification = overlap of 0.5 with an object of
            another category; duplicate = of an object that a better prediction has; background = overlap below 0.1 with
            every object; both = none of these: another category, overlap 0.1 to 0.5.
        boxes: how many predictions.
        share: their share of all predictions.
    """

    kind: ErrorKind
    boxes: int
    share: Estimate


@dataclass(frozen=True)
class DetectionEvaluation:
    """The figures of a detector, as `evaluate_detection` returns them.

    Attributes:
        categories: names.
        n: images.
        boxes: true boxes that are no crowds.
        predictions: predicted boxes that count: at most 100 of a category in an image.
        confidence: level of every interval.
        min_score: smallest score that counts in recall and errors.
        average_precision: mean over categories and the overlaps 0.50 to 0.95.
        average_precision_50: at an overlap of 0.5.
        average_precision_75: at an overlap of 0.75.
        recall: share of the true boxes found at an overlap of 0.5.
        per_category: one result for each category.
        errors: the kinds of wrong predictions.
        cluster_by: group column of the clusters; None = independent images.
        weights: group column of the images' weights; None = equal weights.
    """

    categories: tuple[str, ...]
    n: int
    boxes: int
    predictions: int
    confidence: float
    min_score: float
    average_precision: Estimate
    average_precision_50: Estimate
    average_precision_75: Estimate
    recall: Estimate
    per_category: tuple[CategoryResult, ...]
    errors: tuple[ErrorCount, ...]
    cluster_by: str | None = None
    weights: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of the figures, of the categories and of the errors."""
        return detection_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"task": "detection", **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DetectionEvaluation:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"DetectionEvaluation({counted(self.n, 'image')}, AP {self.average_precision.format()})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def evaluate_detection(
    boxes: DetectionPredictions,
    *,
    min_score: float = MIN_SCORE,
    confidence: float = CONFIDENCE,
    cluster_by: str | None = None,
    weights: str | None = None,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> DetectionEvaluation:
    """Return average precision, recall and kinds of errors of a detector, each with its interval.

    Average precision is that of COCO's evaluation; its interval holds the percentiles of the bootstrap of images, or of
    clusters. Kinds of errors are those of Bolya, Foley, Hays & Hoffman (2020), TIDE, ECCV, section 2.2.

    Args:
        boxes: true and predicted boxes.
        min_score: smallest score that counts in recall and errors.
        confidence: level of every interval, in (0, 1).
        cluster_by: group column of the clusters, such as the scene; images of one are resampled together.
        weights: group column of the images' weights, numbers of at least 0.
        replicates: number of resamples.
        seed: seed of the resamples.

    Raises:
        PredictionsError: there is no true box, a column is missing, or the level is out of its range.
        MissingExtraError: pycocotools is not installed.
    """
    problems = column_problems(boxes.groups, {"cluster_by": cluster_by, "weights": weights}, confidence=confidence)
    if not (~boxes.truth.crowd).any():
        problems.append("There is no true box that is not a crowd, so there is nothing to evaluate.")
    if problems:
        raise PredictionsError(*problems)
    matched, units = with_weight(MatchedBoxes.of(boxes), cluster_by, weights)
    boxes, matches, n = matched, matched.matches, len(matched)
    if not (~boxes.truth.crowd).any():
        raise PredictionsError(f"No image whose weight ({weights}) is above 0 has a true box that is not a crowd.")
    unit, weight = (np.arange(n), np.ones(n)) if units is None else (units.numbered().unit, units.weight)
    many = int(unit.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(many, np.full(many, 1 / many), size=replicates)[:, unit]
    values = average_precisions(boxes, matches, np.vstack([np.ones((1, n)), drawn]) * weight)  # (1 + B, K, T)

    def estimate(per_category: Floats, category: int | None = None) -> Estimate:
        with np.errstate(invalid="ignore"):
            means = np.array(
                [one[np.isfinite(one)].mean() if np.isfinite(one).any() else np.nan for one in per_category]
            )
        own = boxes.truth.image[~boxes.truth.crowd & _of(boxes.truth.category, category)]
        images = len(np.unique(own))
        found = percentile_estimate(float(means[0]), means[1:], n=images, confidence=confidence)
        if found.value is None:
            return Estimate(None, None, None, n=0, note="no true boxes")
        if units is not None and (why := units.why_unknown):
            return Estimate(found.value, None, None, n=images, note=f"no interval: {why}")
        if found.low is None or found.high is None or found.high - found.low > 1e-9:
            return found
        size = images if units is None else units.take(np.unique(own)).effective
        low, high = wilson_bounds(found.value * size, size, confidence)
        return Estimate(found.value, float(low), float(high), n=images)

    hit = found_objects(boxes, matches, min_score=min_score)
    return DetectionEvaluation(
        categories=boxes.categories,
        n=n,
        boxes=int((~boxes.truth.crowd).sum()),
        predictions=len(matches.kept),
        confidence=confidence,
        min_score=min_score,
        average_precision=estimate(values.mean(axis=2)),
        average_precision_50=estimate(values[:, :, 0]),
        average_precision_75=estimate(values[:, :, int(np.argmin(np.abs(THRESHOLDS - 0.75)))]),
        recall=_recall(boxes, hit, units, confidence),
        per_category=tuple(
            CategoryResult(
                name,
                int((~boxes.truth.crowd & (boxes.truth.category == place)).sum()),
                estimate(values[:, [place]].mean(axis=2), place),
                _recall(boxes, hit, units, confidence, category=place),
            )
            for place, name in enumerate(boxes.categories)
        ),
        errors=_errors(boxes, matches, units, min_score=min_score, confidence=confidence),
        cluster_by=cluster_by,
        weights=weights,
    )


def _of(category: Ints, place: int | None) -> Mask:
    return np.ones(len(category), dtype=np.bool_) if place is None else np.asarray(category == place)


def _recall(
    boxes: DetectionPredictions, hit: Mask, units: Units | None, confidence: float, *, category: int | None = None
) -> Estimate:
    base = ~boxes.truth.crowd & _of(boxes.truth.category, category)
    totals, right = (
        np.bincount(boxes.truth.image[rows], minlength=len(boxes)).astype(np.float64) for rows in (base, base & hit)
    )
    return ratio_score(right, totals, units, confidence=confidence, nothing="no true boxes")


def _errors(
    boxes: DetectionPredictions, matches: Matches, units: Units | None, *, min_score: float, confidence: float
) -> tuple[ErrorCount, ...]:
    counts = matches.kept[boxes.found.value[matches.kept] >= min_score]
    matched = dict(zip(matches.kept.tolist(), matches.match[0].tolist(), strict=True))
    kinds: dict[str, list[int]] = {kind: [] for kind in get_args(ErrorKind)}
    real = np.flatnonzero(~boxes.truth.crowd)
    for image in np.unique(boxes.found.image[counts]):
        here, truth = counts[boxes.found.image[counts] == image], real[boxes.truth.image[real] == image]
        overlap = overlaps(boxes.found.box[here], boxes.truth.box[truth], np.zeros(len(truth), dtype=np.bool_))
        used = np.isin(truth, [matched[int(one)] for one in here])
        for row, one in zip(overlap, here.tolist(), strict=True):
            if matched[one] < 0:
                same = boxes.truth.category[truth] == boxes.found.category[one]
                kinds[_kind(row, same, used)].append(int(image))
    totals = np.bincount(boxes.found.image[counts], minlength=len(boxes)).astype(np.float64)
    return tuple(
        ErrorCount(
            kind,
            len(kinds[kind]),
            ratio_score(
                np.bincount(np.array(kinds[kind], dtype=np.int64), minlength=len(boxes)).astype(np.float64),
                totals,
                units,
                confidence=confidence,
                nothing=f"no predictions of a score of {min_score:g}",
            ),
        )
        for kind in get_args(ErrorKind)
    )


def _kind(overlap: Floats, same: Mask, used: Mask) -> ErrorKind:
    def largest(rows: Mask) -> float:
        return float(overlap[rows].max(initial=0.0))

    least = float(THRESHOLDS[0])
    if BACKGROUND <= largest(same) < least:
        return "localization"
    if largest(~same) >= least:
        return "classification"
    if largest(same & used) >= least:
        return "duplicate"
    return "background" if float(overlap.max(initial=0.0)) < BACKGROUND else "both"
