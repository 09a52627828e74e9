"""`ConfidenceReport`: calibration, abstention and prediction sets of a model, as reports show them."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.choices import CONFIDENCE, TOLERANCE
from tlkit.predictions import Predictions
from tlkit.stats.logit_scaling import LogitScaling
from tlkit.uncertainty.abstention import assess_abstention
from tlkit.uncertainty.abstention_result import Abstention
from tlkit.uncertainty.assess_calibration import assess_calibration
from tlkit.uncertainty.assess_sets import assess_sets
from tlkit.uncertainty.calibration_result import Calibration
from tlkit.uncertainty.conformal_result import ConformalSets
from tlkit.uncertainty.val_scores import ValScores


@dataclass(frozen=True)
class ConfidenceReport:
    """Calibration, abstention and prediction sets over all images (by group: `assess_calibration` and its siblings).

    Attributes:
        calibration: how well confidence agrees with accuracy.
        abstention: what the model gains by not answering where it is unsure.
        sets: split-conformal sets (LAC, 95 %); None without validation predictions.
    """

    calibration: Calibration
    abstention: Abstention
    sets: ConformalSets | None = None


def assess_confidence(
    predictions: Predictions,
    *,
    val: Predictions | None,
    scaling: LogitScaling | None,
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
    cluster_by: str | None = None,
    chose_epoch: bool = False,
) -> ConfidenceReport | None:
    """Return calibration, abstention and prediction sets; None where there are no probabilities, or no labels.

    Args:
        predictions: the predictions to judge, after the scaling.
        val: validation predictions, from which thresholds are chosen; None where there are none but those to judge.
        scaling: the scaling of the logits that the model holds; None = none.
        confidence: two-sided level of the intervals, in (0, 1).
        tolerance: by how much the coverage of the sets may fall short of the wanted one, for their verdict.
        cluster_by: group column of the clusters; None, or a column that is not there = independent images.
        chose_epoch: whether the validation images also chose the epoch.
    """
    if not _has_both(predictions):
        return None
    scores = ValScores.of(val, chose_epoch=chose_epoch) if val is not None and _has_both(val) else None
    units = cluster_by if cluster_by in predictions.group_columns else None
    calibration = assess_calibration(
        predictions,
        scaling=scaling,
        scaled=scaling is not None,
        classwise=False,
        confidence=confidence,
        cluster_by=units,
    )
    sets = None
    if scores is not None:
        sets = assess_sets(predictions, scores, confidence=confidence, tolerance=tolerance, cluster_by=units)
    abstention = assess_abstention(predictions, scores, confidence=confidence, cluster_by=units)
    return ConfidenceReport(calibration, abstention, sets)


def _has_both(predictions: Predictions) -> bool:
    """Return whether predictions have probabilities and a label."""
    return predictions.proba is not None and bool((predictions.y_true >= 0).any())
