"""`evaluate_masks`: intersection over union and Dice of predicted masks, with intervals by image."""

from __future__ import annotations

from collections.abc import Sequence

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
from tlkit.stats.mask_measures import mean_ratio


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
    left out of means, which say so; where one image alone shows a class, means have no interval. The image is the
    sampling unit of every interval, or the cluster of images.

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

    def mean(numerator: Floats, denominator: Floats) -> Estimate:
        return _mean_ratio(numerator, denominator, truly, units, names=found.classes, level=confidence)

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
        mean_iou=mean(right, union),
        mean_dice=mean(2 * right, both),
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


def _mean_ratio(
    numerator: Floats, denominator: Floats, truly: Floats, units: Units | None, *, names: Sequence[str], level: float
) -> Estimate:
    """Return the mean over the classes of Σ numerators / Σ denominators, with the interval of its influences.

    The influence of an image is the mean of its influences on the ratios, as in `mean_ratio`. An image that shows
    several classes counts once. There is no interval where one image alone shows a class.
    """
    n, size = numerator.shape
    found = mean_ratio(numerator, denominator, truly, units, names=names)
    assert found.value is not None, "a pixel has a known class"
    held = denominator if units is None else denominator[units.weight > 0]
    there = int((held > 0).any(axis=0).sum())
    note = "" if there == size else f"{there} of {size} classes"
    if why := ("" if units is None else units.why_unknown) or found.why:
        return Estimate(found.value, None, None, n=n, note="; ".join(filter(None, (note, f"no interval: {why}"))))
    spread = spread_of(found.influence, units, most_df=found.df)
    # Where nothing varies, as little is known as of the class that the fewest units show.
    return bounded_estimate(found.value, spread, n=n, least=found.df + 1, confidence=level, note=note)
