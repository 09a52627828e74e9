"""Evaluates and audits one split of a run of several labels, grades, numbers masks or boxes. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkit.audit.detection_audit import audit_detection
from tlkit.audit.mask_audit import audit_masks
from tlkit.audit.multilabel_audit import audit_multilabel
from tlkit.audit.number_audit import audit_numbers
from tlkit.audit.options import AuditOptions
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.choices import TrainedTask
from tlkit.errors import RunError
from tlkit.evaluation.detection import evaluate_detection
from tlkit.evaluation.evaluate_masks import evaluate_masks
from tlkit.evaluation.evaluate_numbers import evaluate_numbers
from tlkit.evaluation.label_thresholds import LabelThresholds
from tlkit.evaluation.multilabel import evaluate_multilabel
from tlkit.evaluation.task_figures import TaskEvaluation
from tlkit.predictions import (
    DetectionPredictions,
    MaskPredictions,
    MultilabelPredictions,
    read_boxes,
    read_masks,
    read_multilabel,
    read_numbers,
)
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.recipe import Recipe
from tlkit.runs.run_options import options_of_recipe
from tlkit.tables import Column, Table
from tlkit.uncertainty.number_intervals import IntervalRule


def read_task_predictions(path: Path, task: TrainedTask, *, grades: Sequence[str] | None = None) -> TaskPredictions:
    """Return the predictions in a file of a run, or in one of another tool.

    Args:
        path: the file.
        task: multilabel, ordinal or regression.
        grades: names of the grades of a file that does not say them, from the lowest on.

    Raises:
        PredictionsError: the file is damaged or of another task.
    """
    if task == "multilabel":
        return read_multilabel(path)
    if task == "segmentation":
        return read_masks(path)
    if task == "detection":
        return read_boxes(path)
    return read_numbers(path, task="ordinal" if task == "ordinal" else "regression", grades=grades)


def evaluate_task_split(predictions: TaskPredictions, recipe: Recipe) -> TaskEvaluation:
    """Return the figures of a split; their intervals allow for the clusters or matched sets of the audit."""
    units = recipe.audit.pair_by or recipe.audit.cluster_by
    cluster_by = units if units in predictions.groups.columns else None
    confidence = recipe.evaluate.confidence
    if isinstance(predictions, MultilabelPredictions):
        return evaluate_multilabel(predictions, confidence=confidence, cluster_by=cluster_by)
    if isinstance(predictions, MaskPredictions):
        return evaluate_masks(predictions, confidence=confidence, cluster_by=cluster_by)
    if isinstance(predictions, DetectionPredictions):
        return evaluate_detection(predictions, confidence=confidence, cluster_by=cluster_by, seed=recipe.seed)
    return evaluate_numbers(predictions, confidence=confidence, cluster_by=cluster_by, seed=recipe.seed)


def audit_task_split(
    predictions: TaskPredictions,
    recipe: Recipe,
    *,
    options: AuditOptions | None = None,
    mean_tolerance: float | None = None,
    level: int = logging.INFO,
) -> TaskAudit:
    """Return the audit of a split.

    Args:
        predictions: of the split.
        recipe: of the run.
        options: in place of the recipe's.
        mean_tolerance: largest tolerated difference of mean errors; see `audit_numbers`.
        level: of the log lines; those of a second split of one run would repeat the first's.
    """
    options = options or options_of_recipe(recipe)
    if isinstance(predictions, MultilabelPredictions):
        return audit_multilabel(predictions, options, level=level)
    if isinstance(predictions, MaskPredictions):
        return audit_masks(predictions, options, level=level)
    if isinstance(predictions, DetectionPredictions):
        return audit_detection(predictions, options, level=level)
    return audit_numbers(predictions, options, mean_tolerance=mean_tolerance, level=level)


def rule_tables(rule: Mapping[str, Any]) -> tuple[Table, ...]:
    """Return the tables of what val chose, as the stored model holds it: thresholds by label, or intervals.

    Raises:
        RunError: the rule is damaged.
    """
    try:
        if "thresholds" in rule:
            return LabelThresholds.from_dict(rule["thresholds"]).tables()
        if "intervals" in rule:
            return (_interval_table(IntervalRule.from_dict(rule["intervals"])),)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"The rule of the stored model is damaged ({error}). Restore model.json or fit again."
        ) from error
    return ()


def _interval_table(rule: IntervalRule) -> Table:
    rows = (("coverage", rule.coverage), ("margin", rule.margin), ("images of val", float(rule.images)))
    return Table(
        "intervals",
        "Intervals calibrated on val (split conformal): the prediction ± a margin"
        if rule.method == "absolute_residual"
        else "Intervals calibrated on val (CQR): the network's own quantiles, moved out by a margin",
        (Column("name", ""), Column("value", "value", "significant")),
        tuple((name, value) for name, value in rows if value != float("inf")),
    )
