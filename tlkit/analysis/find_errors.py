"""`find_errors`: the errors of a run, or of any table of predictions, that one can act on. Needs no torch."""

from __future__ import annotations

import numpy as np

from tlkit.analysis.error_report import ClassErrors, ConfusedPair, ErrorReport
from tlkit.arrays import Mask
from tlkit.audit.error_examples import group_images
from tlkit.choices import CONFIDENCE
from tlkit.errors import DataError, PredictionsError, did_you_mean
from tlkit.evaluation.clustered_figures import clustered_rate, units_of
from tlkit.predictions import Predictions
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.run import Run
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson, wilson_bounds

MOST_IMAGES = 60
MOST_PER_CLASS = 8
MOST_PAIRS = 50


def find_errors(
    source: Run | Predictions,
    *,
    split: str | None = None,
    most: int = MOST_IMAGES,
    most_per_class: int = MOST_PER_CLASS,
    cluster_by: str | None = None,
    confidence: float | None = None,
) -> ErrorReport:
    """Return the wrong images with the highest loss, the most confused pairs of classes, and the errors of each class.

    The loss is −ln of the probability of the true class. Of a pair of classes, the rate is the share of the images of
    the one that are taken for the other, with Wilson's interval at the level 1 − α/m for m ordered pairs (Bonferroni):
    the pairs at the top are chosen for their rates, so an interval for one pair alone would be too low too often.

    Args:
        source: a run, or predictions with labels.
        split: of a run: test by default, or val where there is no test split.
        most: at most so many images.
        most_per_class: at most so many images of each class.
        cluster_by: group column of clusters, such as the subject; default: the recipe's `audit.cluster_by`, or none.
        confidence: two-sided level of the intervals, in (0, 1); default: the recipe's, or 0.95.

    Raises:
        TlkitError: the run has no such split, no image is labelled, or there is no such column.

    Example:
        >>> predictions = Predictions.build(
        ...     classes=["cat", "dog"], path=["a.jpg", "b.jpg", "c.jpg"], y_true=["cat", "dog", "dog"],
        ...     proba=[[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]])
        >>> [image.path for image in find_errors(predictions).images]
        ['c.jpg', 'b.jpg']
    """
    if most < 1 or most_per_class < 1:
        raise DataError(f"most is {most} and most_per_class is {most_per_class}. Use 1 or more.")
    if isinstance(source, Run):
        split = source.judged_split(split)
        warn_trained_on(split, source.directory.name)
        predictions, name = source.predictions(split), f"{source.directory.name}, {split}"
        confidence = source.recipe.evaluate.confidence if confidence is None else confidence
        cluster_by = cluster_by or source.recipe.audit.cluster_by
    elif split is not None:
        raise PredictionsError(f"A table of predictions has no splits. Got split={split!r}.")
    else:
        predictions, name = source, "predictions"
    confidence = CONFIDENCE if confidence is None else confidence
    known = predictions.labelled
    if not len(known):
        raise PredictionsError("No image has a label, so that no error is known. Join labels with --groups FILE.")
    units = _units(known, cluster_by)
    every = np.ones(len(known), dtype=np.bool_)
    worst = group_images(known, every, complement=~every, by="", group="", most=most)
    pairs, tried = _pairs(known, units, confidence)
    return ErrorReport(
        name=name,
        n=len(known),
        errors=worst.errors,
        rate=_rate(every, ~known.correct, units, confidence),
        images=worst.wrong,
        close=worst.close,
        pairs=pairs,
        pairs_tried=tried,
        classes=_classes(known, units, confidence, most_per_class),
        clusters=cluster_by or "",
        confidence=confidence,
    )


def _units(known: Predictions, cluster_by: str | None) -> Units | None:
    if cluster_by is None:
        return None
    if cluster_by not in known.group_columns:
        raise PredictionsError(
            f"There is no column {cluster_by!r} of clusters.{did_you_mean(cluster_by, known.group_columns)} There are "
            f"{', '.join(known.group_columns) or 'none'}."
        )
    return units_of(known.groups, cluster_by)


def _rate(inside: Mask, counted: Mask, units: Units | None, confidence: float) -> Estimate:
    """Return the share of the images inside that are counted, allowing for clusters."""
    if units is not None and inside.any():
        return clustered_rate(counted[inside], units.take(inside), confidence)
    return wilson(int((counted & inside).sum()), int(inside.sum()), confidence)


def _pairs(known: Predictions, units: Units | None, confidence: float) -> tuple[tuple[ConfusedPair, ...], int]:
    """Return the confused pairs, the highest lower end first, and how many there could be."""
    classes = len(known.classes)
    table = np.bincount(known.y_true * classes + known.y_pred, minlength=classes**2).reshape(classes, classes)
    totals = table.sum(axis=1)
    tried = int((totals > 0).sum()) * (classes - 1)
    level = 1 - (1 - confidence) / max(1, tried)
    np.fill_diagonal(table, 0)
    pairs = np.argwhere(table)
    k, n = table[pairs[:, 0], pairs[:, 1]], totals[pairs[:, 0]]
    low, _ = wilson_bounds(k, n, level)
    found = []
    for place in np.lexsort((pairs[:, 1], pairs[:, 0], -k / n, -low))[:MOST_PAIRS].tolist():
        t, p = pairs[place].tolist()
        inside = np.asarray(known.y_true == t)
        rate = _rate(inside, inside & (known.y_pred == p), units, level)
        found.append(ConfusedPair(known.classes[t], known.classes[p], int(k[place]), int(n[place]), rate))
    return tuple(found), tried


def _classes(known: Predictions, units: Units | None, confidence: float, most: int) -> tuple[ClassErrors, ...]:
    found = []
    for code, name in enumerate(known.classes):
        inside = np.asarray(known.y_true == code)
        if not inside.any():
            continue
        images = group_images(known, inside, complement=~inside, by="", group=name, most=most)
        rate = _rate(inside, ~known.correct, units, confidence)
        found.append(ClassErrors(name, images.n, images.errors, rate, images.wrong))
    return tuple(sorted(found, key=lambda one: (-one.errors / one.n, one.name)))
