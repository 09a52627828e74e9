"""One metric of predictions with the influence of every image on it, for comparisons of models."""

from __future__ import annotations

import numpy as np

from tlkit.arrays import Floats
from tlkit.evaluation.evaluation import log_losses_of, true_class_rank
from tlkit.evaluation.score_names import SAME_AS, facts_of
from tlkit.predictions import Predictions
from tlkit.stats.brier import brier_losses
from tlkit.stats.confusion_scores import (
    CONFUSION_SCORES,
    margins_of_rows,
    score_influences,
    scores_of_margins,
    why_undefined,
)
from tlkit.stats.measured import Measured
from tlkit.stats.one_vs_rest import areas

AREAS = ("auroc", "average_precision")


def measure(labelled: Predictions, name: str, weight: Floats | None = None) -> Measured:
    """Return a metric of labelled predictions with the influence of every image.

    Args:
        labelled: images with labels; with probabilities where the metric needs them.
        name: of a metric, as `tlkit.evaluation.score_names.facts_of` takes them.
        weight: shape (N,), above 0; None = equal weights.

    Raises:
        PredictionsError: there is no such metric.
    """
    facts_of(name, labelled.classes)
    name, kind, label = SAME_AS.get(name, name), *name.partition(":")[::2]
    w = np.ones(len(labelled)) if weight is None else weight
    if label:
        return _of_class(labelled, kind, labelled.classes.index(label), w)
    if name in CONFUSION_SCORES:
        margins = margins_of_rows(labelled.y_true, labelled.y_pred, len(labelled.classes), w)
        place = CONFUSION_SCORES.index(name)
        value = float(scores_of_margins(margins)[0, place])
        if np.isnan(value):
            return _undefined(labelled, why_undefined(name, margins))
        return Measured(value, score_influences(labelled.y_true, labelled.y_pred, margins)[:, place])
    if name in AREAS:
        return _macro_area(labelled, AREAS.index(name), weight)
    return _mean(_numbers(labelled, name), w)


def _numbers(labelled: Predictions, name: str) -> Floats:
    """Return the numbers of the images whose mean is the metric."""
    if name == "accuracy":
        return labelled.correct.astype(np.float64)
    assert labelled.proba is not None, "the metric needs probabilities"
    if name == "log_loss":
        return log_losses_of(labelled)
    if name == "brier":
        return brier_losses(labelled.proba, labelled.y_true)
    return np.asarray(true_class_rank(labelled) < int(name.removeprefix("top_")), dtype=np.float64)


def _undefined(labelled: Predictions, why: str) -> Measured:
    return Measured(None, np.zeros(len(labelled)), why=why)


def _mean(values: Floats, weight: Floats) -> Measured:
    mean = float(np.average(values, weights=weight))
    return Measured(mean, values - mean)


def _of_class(labelled: Predictions, kind: str, code: int, weight: Floats) -> Measured:
    """Return recall, precision, F1, AUROC or average precision of one class.

    The influence of a ratio Σa/Σb is W (a − ratio · b)/Σb.
    """
    own, guessed = labelled.y_true == code, labelled.y_pred == code
    if kind in AREAS:
        assert labelled.proba is not None, "the metric needs probabilities"
        given = None if np.ptp(weight) == 0 else weight
        found = areas(np.ascontiguousarray(labelled.proba[:, code]), own, given)
        if found is None:
            return _undefined(labelled, f"no images of {'this class' if not own.any() else 'other classes'}")
        area = found[AREAS.index(kind)]
        return Measured(
            area.value, area.influence, area.variance_df, kind == "auroc", bias=area.bias, without_own=area.without_own
        )
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


def _macro_area(labelled: Predictions, kind: int, weight: Floats | None) -> Measured:
    assert labelled.proba is not None, "the metric needs probabilities"
    values, biases, summed, dfs = [], [], np.zeros(len(labelled)), []
    alone: Floats | None = np.zeros(len(labelled))
    for code in range(len(labelled.classes)):
        found = areas(np.ascontiguousarray(labelled.proba[:, code]), labelled.y_true == code, weight)
        if found is not None:
            values.append(found[kind].value)
            biases.append(found[kind].bias)
            summed += found[kind].influence
            other = found[kind].without_own
            alone = None if alone is None or other is None else alone + other
            dfs.append(found[kind].variance_df)
    if not values:
        return _undefined(labelled, "all images are of one class")
    count = len(values)
    return Measured(
        sum(values) / count,
        summed / count,
        float(min(dfs)),
        corrected=kind == 0,
        bias=sum(biases) / count,
        without_own=None if alone is None else alone / count,
    )
