"""`assess_calibration`: reliability and calibration errors, before and after scaling, by class and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.groups.group_columns import By
from tlkit.choices import CONFIDENCE, SEED
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import clustered_rate
from tlkit.evaluation.loss_figures import mean_loss, opposite
from tlkit.predictions import Predictions
from tlkit.stats.brier import brier_losses
from tlkit.stats.calibration import log_losses
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.clustered_reliability import clustered_calibration_errors
from tlkit.stats.logit_scaling import LogitScaling
from tlkit.stats.means import mean_by_outcome
from tlkit.stats.reliability import CalibrationError, ReliabilityBin, calibration_errors, reliability_bins
from tlkit.uncertainty.calibration_result import Calibration, CalibrationRow, ClassCalibration, ScaledPart
from tlkit.uncertainty.group_rows import GroupRows, fixed_columns, group_rows, probabilities_of, require_judgeable
from tlkit.uncertainty.sampling import part_of, with_units


def assess_calibration(
    predictions: Predictions,
    *,
    by: By | Sequence[By] = (),
    scaling: LogitScaling | None = None,
    scaled: bool = False,
    bins: int | None = None,
    classwise: bool = True,
    confidence: float = CONFIDENCE,
    cluster_by: str | None = None,
    weights: str | None = None,
    seed: int = SEED,
) -> Calibration:
    """Return how well confidence agrees with accuracy: overall, by class and by group.

    Confidence is the probability of the predicted class. Images without a label are left out.

    Args:
        predictions: with labels and probabilities.
        by: group columns, as `tlkit.audit_groups` takes them.
        scaling: a scaling fitted on other images; the result then compares before and after.
        scaled: whether the predictions already are those after the scaling, as a run's are.
        bins: number of bins of equal mass; default: at most 10, with about 20 images in each, or as many clustered
            images as 20 independent ones are worth.
        classwise: whether to assess the probability of each class, too.
        confidence: two-sided level of the intervals, in (0, 1).
        cluster_by: group column of the clusters, such as the subject or the burst: every interval allows for the
            correlation of images within a cluster, as the audit's do.
        weights: group column of numbers of at least 0 that weight the images in every figure.
        seed: seed of simulations and resamples.

    Raises:
        PredictionsError: there are no labels or no probabilities, a column is missing, an option is out of range, or
            the scaling is for another number of classes.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> sure = rng.uniform(0.5, 1, 400)
        >>> truth = (rng.random(400) > sure).astype(int)
        >>> predictions = Predictions.build(
        ...     classes=["a", "b"], path=list(map(str, range(400))), y_true=truth, proba=np.stack([sure, 1 - sure], 1))
        >>> assess_calibration(predictions).overall.error.p > 0.05  # chance explains the calibration error
        True
    """
    if not 0 < confidence < 1:
        raise PredictionsError(f"confidence must be above 0 and below 1, for example 0.95. Got {confidence} instead.")
    if bins is not None and bins < 1:
        raise PredictionsError(f"bins must be at least 1. Got {bins} instead.")
    labelled = require_judgeable(predictions, by)
    unlabelled = len(predictions) - len(labelled)
    labelled, units = with_units(labelled, by=by, cluster_by=cluster_by, weights=weights)
    if scaling is not None and len(scaling.scale) not in (1, len(labelled.classes)):
        raise PredictionsError(
            f"The scaling is for {len(scaling.scale)} classes, but the predictions have {len(labelled.classes)}."
        )
    columns = fixed_columns(labelled, by) if by else ()
    groups = list(group_rows(labelled, columns))
    parts: list[ScaledPart] = []
    after = before = labelled
    if scaling is not None:
        after, before = _after_and_before(labelled, scaling, scaled=scaled)

    def rows_of(one: Predictions) -> tuple[CalibrationRow, ...]:
        everything = np.ones(len(one), dtype=np.bool_)
        return (
            _row(one, GroupRows("", "", everything), units, bins=bins, confidence=confidence, seed=seed),
            *(_row(one, group, units, bins=bins, confidence=confidence, seed=seed) for group in groups),
        )

    rows = rows_of(labelled)
    if scaling is not None:
        changed = before.y_pred != after.y_pred
        fixed = changed & after.correct
        broken = changed & before.correct
        both = (rows_of(before), rows) if scaled else (rows, rows_of(after))
        masks = [np.ones(len(labelled), dtype=np.bool_), *(g.rows for g in groups)]
        parts = [
            ScaledPart(old, new, *(int((one & mask).sum()) for one in (changed, fixed, broken)))
            for old, new, mask in zip(*both, masks, strict=True)
        ]
    proba = probabilities_of(labelled)
    return Calibration(
        classes=labelled.classes,
        n=len(labelled),
        n_unlabelled=unlabelled,
        confidence=confidence,
        rows=rows,
        bins=_bins(_sure(labelled), labelled.correct, units, bins=bins, confidence=confidence),
        per_class=tuple(
            _class(name, proba[:, code], labelled.y_true == code, units, bins=bins, confidence=confidence, seed=seed)
            for code, name in enumerate(labelled.classes if classwise else ())
        ),
        scaling=scaling,
        scaled=scaled and scaling is not None,
        parts=tuple(parts),
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )


def _after_and_before(labelled: Predictions, scaling: LogitScaling, *, scaled: bool) -> tuple[Predictions, Predictions]:
    """Return the predictions after the scaling and before; the predicted class of the computed ones is argmax."""
    proba = probabilities_of(labelled)
    other = scaling.undo(proba) if scaled else scaling.apply(proba)
    guess: Ints = labelled.y_pred
    if scaling.method == "vector":  # a temperature changes no prediction, also where a threshold chose it
        guess = np.asarray(other.argmax(axis=1), dtype=np.int64)
    computed = replace(labelled, proba=other, y_pred=guess)
    return (labelled, computed) if scaled else (computed, labelled)


def _sure(predictions: Predictions) -> Floats:
    """Return the probability of the predicted class, shape (N,)."""
    return np.asarray(probabilities_of(predictions)[np.arange(len(predictions)), predictions.y_pred])


def _errors(
    sure: Floats, right: Mask, units: Units | None, *, bins: int | None, confidence: float, seed: int
) -> CalibrationError:
    if units is None:
        return calibration_errors(sure, right, bins=bins, level=confidence, seed=seed)
    return clustered_calibration_errors(sure, right, units, bins=bins, level=confidence, seed=seed)


def _bins(
    sure: Floats, right: Mask, units: Units | None, *, bins: int | None, confidence: float
) -> tuple[ReliabilityBin, ...]:
    """Return the reliability diagram; mean confidence and accuracy of a bin are weighted."""
    found = reliability_bins(sure, right, bins=bins, level=confidence)
    if units is None:
        return found
    rows = [(sure >= one.lowest) & (sure <= one.highest) for one in found]
    return tuple(
        replace(
            one,
            confidence=float(np.average(sure[inside], weights=units.weight[inside])),
            accuracy=clustered_rate(right[inside], units.take(inside), confidence),
        )
        for one, inside in zip(found, rows, strict=True)
    )


def _row(
    predictions: Predictions, group: GroupRows, units: Units | None, *, bins: int | None, confidence: float, seed: int
) -> CalibrationRow:
    part, own = predictions.take(group.rows), part_of(units, group.rows)
    sure, right = _sure(part), part.correct
    error = _errors(sure, right, own, bins=bins, confidence=confidence, seed=seed)
    proba, other = probabilities_of(part), opposite(part)
    return CalibrationRow(
        column=group.column,
        group=group.group,
        n=len(part),
        error=error,
        excess=mean_loss(part, sure - right, sure - ~right, own, confidence, lowest=-1.0, highest=1.0),
        log_loss=mean_loss(part, log_losses(proba, part.y_true), log_losses(proba, other), own, confidence),
        brier=mean_loss(part, _squares(proba, part.y_true), _squares(proba, other), own, confidence, highest=2.0),
    )


def _squares(proba: Floats, y_true: Ints) -> Floats:
    """Return the Brier score of each image summed over the classes, in [0, 2], shape (N,)."""
    return brier_losses(proba, y_true) * (2.0 if proba.shape[1] == 2 else 1.0)


def _class(
    name: str, proba: Floats, is_class: Mask, units: Units | None, *, bins: int | None, confidence: float, seed: int
) -> ClassCalibration:
    excess = mean_by_outcome(proba - is_class, is_class, proba - ~is_class, units, confidence, lowest=-1.0, highest=1.0)
    error = _errors(proba, is_class, units, bins=bins, confidence=confidence, seed=seed)
    return ClassCalibration(name, int(is_class.sum()), error, excess)
