"""`evaluate_masks`: intersection over union and Dice of predicted masks, with intervals by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Floats
from tlkit.choices import CONFIDENCE
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import with_weight
from tlkit.evaluation.design_columns import column_problems
from tlkit.evaluation.label_scores import ratio_score
from tlkit.evaluation.mask_result import MaskClassResult, MaskEvaluation
from tlkit.predictions.mask_predictions import MaskPredictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import bounded_estimate, spread_of


def evaluate_masks(
    predictions: MaskPredictions,
    *,
    confidence: float = CONFIDENCE,
    cluster_by: str | None = None,
    weights: str | None = None,
) -> MaskEvaluation:
    """Return the figures of predicted masks, each with its interval.

    IoU of a class is Σ intersections / Σ unions over the images (Everingham et al. 2010, "The PASCAL Visual Object
    Classes (VOC) Challenge", section 4.2), Dice 2 Σ intersections / Σ (truly + called). A class that no mask shows is
    left out of means, which say so. The image is the sampling unit of every interval, or the cluster of images.

    Args:
        predictions: with true masks.
        confidence: level of every interval, in (0, 1).
        cluster_by: group column of the clusters, such as the scene.
        weights: group column of the images' weights.

    Raises:
        PredictionsError: no pixel has a known class, a column is missing, or the level is out of its range.

    Example:
        >>> true, called = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
        >>> result = evaluate_masks(MaskPredictions.build(
        ...     classes=["road", "car"], path=["a", "b"], masks=[(true, called), (true, true)]))
        >>> round(result.mean_iou.value, 3), [round(one.iou.value, 3) for one in result.per_class]
        (0.775, [0.75, 0.8])
    """
    problems = column_problems(
        predictions.groups, {"cluster_by": cluster_by, "weights": weights}, confidence=confidence
    )
    if not predictions.known.any():
        problems.append(
            f"None of the {len(predictions)} true masks has a pixel of a known class, so there is nothing to evaluate."
        )
    if problems:
        raise PredictionsError(*problems)
    found, units = with_weight(predictions.labelled, cluster_by, weights)
    right, truly, called = (one.astype(np.float64) for one in found.sums)
    union, both, iou = truly + called - right, truly + called, found.image_iou
    shown = union > 0

    def ratio(numerator: Floats, denominator: Floats, nothing: str) -> Estimate:
        return ratio_score(numerator, denominator, units, confidence=confidence, nothing=nothing)

    classes = range(len(found.classes))
    nowhere = "no mask shows it"
    ious = [ratio(right[:, place], union[:, place], nowhere) for place in classes]
    dices = [ratio(2 * right[:, place], both[:, place], nowhere) for place in classes]
    means = np.nan_to_num(iou).sum(axis=1) / shown.sum(axis=1)
    counts = found.counts
    return MaskEvaluation(
        classes=found.classes,
        n=len(found),
        n_unlabelled=len(predictions) - len(predictions.labelled),
        confidence=confidence,
        mean_iou=_mean_ratio(_Ratios(right, union), units, confidence),
        mean_dice=_mean_ratio(_Ratios(2 * right, both), units, confidence),
        image_iou=ratio(means, np.ones(len(found)), ""),
        pixel_accuracy=ratio(right.sum(axis=1), truly.sum(axis=1), ""),
        per_class=tuple(
            MaskClassResult(
                name=name,
                images=int((truly[:, place] > 0).sum()),
                pixels=int(truly[:, place].sum()),
                iou=ious[place],
                dice=dices[place],
                image_iou=ratio(np.nan_to_num(iou[:, place]), shown[:, place].astype(np.float64), nowhere),
            )
            for place, name in enumerate(found.classes)
        ),
        confusion=tuple(tuple(row) for row in found.confusion.tolist()),
        undecided=int(counts.pixels[counts.predicted < 0].sum()),
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )


@dataclass(frozen=True, eq=False)
class _Ratios:
    """Numerators and denominators of the ratio of each class, by image, each of shape (N, C)."""

    numerator: Floats
    denominator: Floats


def _mean_ratio(ratios: _Ratios, units: Units | None, confidence: float) -> Estimate:
    """Return the mean over the classes of Σ numerators / Σ denominators, with the interval of its influences.

    The influence of an image is the mean of its influences on the ratios, (a − R b) / mean of b each: the linearised
    ratio (Woodruff 1971, J. Am. Stat. Assoc. 66:411). An image that shows several classes counts once.
    """
    n, size = ratios.numerator.shape
    weight = np.ones(n) if units is None else units.weight
    totals = weight @ ratios.denominator
    there = np.flatnonzero(totals > 0)
    values = (weight @ ratios.numerator)[there] / totals[there]
    value = float(values.mean())
    note = "" if len(there) == size else f"{len(there)} of {size} classes"
    if units is not None and (why := units.why_unknown):
        return Estimate(value, None, None, n=n, note=f"no interval: {why}")
    residuals = ratios.numerator[:, there] - values * ratios.denominator[:, there]
    influence = (residuals * (weight.sum() / totals[there])).mean(axis=1)
    least = n if units is None else units.clusters
    return bounded_estimate(value, spread_of(influence, units), n=n, least=least, confidence=confidence, note=note)
