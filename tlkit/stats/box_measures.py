"""Figures of boxes with the influence of every image on them, for comparisons of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.stats.box_matching import MIN_SCORE, THRESHOLDS, Matches, average_precisions, found_objects, match_boxes
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.measured import Measured, ScoreFacts, ratio_of, undefined

BOX_FIGURES: Mapping[str, ScoreFacts] = {
    "average_precision": ScoreFacts("AP"),
    "average_precision_50": ScoreFacts("AP50"),
    "average_precision_75": ScoreFacts("AP75"),
    "recall": ScoreFacts("recall"),
}
"""Figures of boxes, the one that models are compared by first."""
OF_ONE_CATEGORY: Mapping[str, ScoreFacts] = {
    "average_precision": ScoreFacts("average precision"),
    "recall": ScoreFacts("recall"),
}
NOTHING = "no true boxes"


@dataclass(frozen=True, eq=False, repr=False)
class MatchedBoxes(DetectionPredictions):
    """Boxes with their matches, which all figures of them share.

    Attributes:
        matches: from `match_boxes`.
    """

    matches: Matches

    @classmethod
    def of(cls, boxes: DetectionPredictions) -> MatchedBoxes:
        """Return the boxes with their matches.

        Raises:
            MissingExtraError: pycocotools is not installed.
        """
        if isinstance(boxes, MatchedBoxes):
            return boxes
        return cls(boxes.categories, boxes.images, boxes.truth, boxes.found, match_boxes(boxes))

    def take(self, rows: Mask | Ints) -> MatchedBoxes:
        """Return some of the images, each once, with their matches: boxes match within an image."""
        taken = super().take(rows)
        new = [_places(self.rows_of(boxes, rows)) for boxes in (self.truth, self.found)]
        of_truth, of_found = new[0], new[1]
        own = of_found[self.matches.kept] >= 0
        match = np.append(of_truth, -1)[self.matches.match[:, own]]  # position -1 finds -1
        return replace(taken, matches=Matches(of_found[self.matches.kept[own]], match))


def _places(held: Mask) -> Ints:
    """Return the position of each box that is held among those, -1 for the others."""
    return np.where(held, np.cumsum(held) - 1, -1)


def measure_boxes(table: DetectionPredictions, name: str, units: Units | None) -> Measured:
    """Return a figure of boxes, equal to that of `evaluate_detection`, with the influence of every image on it.

    Recall is a ratio, of objects found to objects. The influence of an image on average precision is the derivative by
    the image's weight of the area under the precision that `precision_influence` describes, its mean over overlaps and
    categories.

    Args:
        table: true and predicted boxes; `MatchedBoxes` saves matching them again.
        name: one of `BOX_FIGURES`, or `average_precision:CATEGORY` or `recall:CATEGORY`.
        units: weights, above 0, and clusters; None = independent images of equal weight.
    """
    boxes = MatchedBoxes.of(table)
    weight = np.ones(len(boxes)) if units is None else units.weight
    kind, colon, category = name.partition(":")
    some = [boxes.categories.index(category)] if colon else list(range(len(boxes.categories)))
    if kind == "recall":
        return ratio_of(*objects_of_images(boxes, some), weight, nothing=NOTHING)
    overlaps = {"average_precision_50": [0], "average_precision_75": [int(np.argmin(np.abs(THRESHOLDS - 0.75)))]}.get(
        kind, list(range(len(THRESHOLDS)))
    )
    found = average_precisions(boxes, boxes.matches, weight[None], categories=some, overlaps=overlaps)
    values = found[0][:, overlaps].mean(axis=1)
    defined = [place for place in some if np.isfinite(values[place])]
    if not defined:
        return undefined(len(boxes), NOTHING)
    influence = np.mean(
        [precision_influence(boxes, weight, category=place, overlap=t) for place in defined for t in overlaps], axis=0
    )
    shown = objects_of_images(boxes, defined)[1] > 0
    many = int(shown.sum()) if units is None else units.take(shown).clusters
    why = "" if many > 1 else "all objects are in one image" if units is None else "all objects are in one cluster"
    return Measured(float(values[defined].mean()), influence, df=max(many - 1, 0), why=why)


def objects_of_images(boxes: MatchedBoxes, categories: Sequence[int] | None = None) -> tuple[Floats, Floats]:
    """Return how many objects of each image are found, and how many there are, shape (N,); crowds are none.

    Args:
        boxes: with their matches.
        categories: positions of the categories that count; None = all.
    """
    real = ~boxes.truth.crowd
    if categories is not None:
        real = real & np.isin(boxes.truth.category, categories)
    hit = found_objects(boxes, boxes.matches, min_score=MIN_SCORE)
    found, every = (
        np.bincount(boxes.truth.image[rows], minlength=len(boxes)).astype(np.float64) for rows in (real & hit, real)
    )
    return found, every


def precision_influence(boxes: MatchedBoxes, weight: Floats, *, category: int, overlap: int) -> Floats:
    """Return the influence of each image on the average precision of a category at an overlap, shape (N,).

    With the predictions in the order of their scores, R(k) and F(k) are the weighted numbers of right and wrong ones
    among the first k, and T is that of the objects. The area is Σ w(j) P(j) / T over the right predictions j, where
    P(j) = max over k ≥ j of R(k) / (R(k) + F(k)); COCO takes the same at 101 recalls. Where k(j) attains the maximum,
    it stays there for small changes of the weights (envelope theorem), so the derivative of P(j) is that of the
    precision at k(j). The influence is W times the derivative by the weight of the image, W = Σ w (infinitesimal
    jackknife: Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6). The influences sum to 0.

    Args:
        boxes: with their matches.
        weight: of each image, above 0, shape (N,).
        category: position of the category, which has true boxes.
        overlap: position of the overlap in `THRESHOLDS`.
    """
    n, kept = len(boxes), boxes.matches.kept
    own = boxes.truth.image[~boxes.truth.crowd & (boxes.truth.category == category)]
    objects = np.bincount(own, minlength=n).astype(np.float64)
    total = float(weight @ objects)
    rows = np.flatnonzero(boxes.found.category[kept] == category)
    rows = rows[np.argsort(-boxes.found.value[kept[rows]], kind="stable")]
    if not len(rows):
        return np.zeros(n)
    match, image = boxes.matches.match[overlap, rows], boxes.found.image[kept[rows]]
    ignored = np.append(boxes.truth.crowd, False)[match]  # position -1 finds False
    is_right, is_wrong = (match >= 0) & ~ignored, match < 0
    right, wrong = np.cumsum(weight[image] * is_right), np.cumsum(weight[image] * is_wrong)
    counted = np.maximum(right + wrong, np.spacing(1))
    precision = right / counted
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.where(precision >= highest, np.arange(len(rows)), len(rows))
    attained = np.minimum.accumulate(place[::-1])[::-1]
    resting = np.bincount(attained, weights=weight[image] * is_right, minlength=len(rows)) / counted**2
    gain = highest + np.cumsum((resting * wrong)[::-1])[::-1]  # of one more right prediction at this place
    loss = np.cumsum((resting * right)[::-1])[::-1]
    area = float((weight[image] * is_right) @ highest) / total
    of_rows = np.bincount(image, weights=is_right * gain - is_wrong * loss, minlength=n)
    return np.asarray((of_rows - area * objects) * (float(weight.sum()) / total))
