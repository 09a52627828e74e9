"""One metric of predictions with the influence of every image on it, for comparisons of models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.arrays import Floats
from tlkit.evaluation.evaluation import true_class_rank
from tlkit.evaluation.score_names import SAME_AS, facts_of, own_name
from tlkit.predictions import Predictions
from tlkit.stats.area_intervals import mean_area
from tlkit.stats.brier import brier_losses
from tlkit.stats.calibration import log_losses
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.confusion_scores import (
    CONFUSION_SCORES,
    margins_of_rows,
    score_influences,
    scores_of_margins,
    why_undefined,
)
from tlkit.stats.measured import Measured
from tlkit.stats.one_vs_rest import AREA_KINDS


def measure(labelled: Predictions, name: str, units: Units | None = None) -> Measured:
    """Return a metric of labelled predictions with the influence of every image.

    Args:
        labelled: images with labels; with probabilities where the metric needs them.
        name: of a metric, as `tlkit.evaluation.score_names.facts_of` takes them.
        units: weights, above 0, and clusters; None = independent images of equal weight.

    Raises:
        PredictionsError: there is no such metric.
    """
    name = own_name(name, labelled.classes)
    facts_of(name, labelled.classes)
    name, kind, label = SAME_AS.get(name, name), *name.partition(":")[::2]
    if kind in AREA_KINDS:
        codes = range(len(labelled.classes)) if not label else [labelled.classes.index(label)]
        return _mean_area(labelled, AREA_KINDS.index(kind), codes, units)
    w = np.ones(len(labelled)) if units is None else units.weight
    if label:
        return _of_class(labelled, kind, labelled.classes.index(label), w)
    if name in CONFUSION_SCORES:
        margins = margins_of_rows(labelled.y_true, labelled.y_pred, len(labelled.classes), w)
        place = CONFUSION_SCORES.index(name)
        value = float(scores_of_margins(margins)[0, place])
        if np.isnan(value):
            return _undefined(labelled, why_undefined(name, margins))
        return Measured(value, score_influences(labelled.y_true, labelled.y_pred, margins)[:, place])
    return _mean(_numbers(labelled, name), w)


def _numbers(labelled: Predictions, name: str) -> Floats:
    """Return the numbers of the images whose mean is the metric."""
    if name == "accuracy":
        return labelled.correct.astype(np.float64)
    assert labelled.proba is not None, "the metric needs probabilities"
    if name == "log_loss":
        return log_losses(labelled.proba, labelled.y_true)
    if name == "brier":
        return brier_losses(labelled.proba, labelled.y_true)
    return np.asarray(true_class_rank(labelled) < int(name.removeprefix("top_")), dtype=np.float64)


def _undefined(labelled: Predictions, why: str) -> Measured:
    return Measured(None, np.zeros(len(labelled)), why=why)


def _mean(values: Floats, weight: Floats) -> Measured:
    mean = float(np.average(values, weights=weight))
    return Measured(mean, values - mean)


def _of_class(labelled: Predictions, kind: str, code: int, weight: Floats) -> Measured:
    """Return recall, precision or F1 of one class.

    The influence of a ratio Σa/Σb is W (a − ratio · b)/Σb.
    """
    own, guessed = labelled.y_true == code, labelled.y_pred == code
    hit = (own & guessed).astype(np.float64)
    top, below = {
        "recall": (hit, own.astype(np.float64)),
        "precision": (hit, guessed.astype(np.float64)),
        "f1": (2 * hit, own.astype(np.float64) + guessed),
    }[kind]
    total = float(weight @ below)
    if kind != "precision" and not own.any():
        return _undefined(labelled, "no images of this class")
    if total == 0:
        return _undefined(labelled, "never predicted")
    value = float(weight @ top) / total
    return Measured(value, (top - value * below) * (float(weight.sum()) / total))


def _mean_area(labelled: Predictions, kind: int, codes: Sequence[int], units: Units | None) -> Measured:
    """Return the mean area of some classes, each against all others."""
    assert labelled.proba is not None, "the metric needs probabilities"
    proba, own = labelled.proba, [labelled.y_true == code for code in codes]
    columns = ((np.ascontiguousarray(proba[:, code]), mine, None) for code, mine in zip(codes, own, strict=True))
    found = mean_area(kind, columns, len(labelled), units)
    if found is not None:
        return found
    if len(codes) > 1:
        return _undefined(labelled, "all images are of one class")
    return _undefined(labelled, f"no images of {'this class' if not own[0].any() else 'other classes'}")
