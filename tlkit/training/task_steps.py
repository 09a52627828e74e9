"""The steps of a fit of several labels, grades, numbers, masks or boxes that follow its training: predict and judge."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from tlkit.audit.task_audit_result import TaskAudit
from tlkit.evaluation.label_thresholds import choose_thresholds
from tlkit.evaluation.task_figures import TaskEvaluation, task_sentences
from tlkit.inference.task_predictor import AnyTaskPredictions
from tlkit.models.model_files import ModelFacts
from tlkit.predictions import DetectionPredictions, MaskPredictions, MultilabelPredictions
from tlkit.recipe import Recipe
from tlkit.runs.task_judgement import audit_task_split, evaluate_task_split
from tlkit.stats.task_measures import prepare
from tlkit.uncertainty.number_intervals import calibrate_intervals

logger = logging.getLogger(__name__)


def with_rule(card: ModelFacts, val: AnyTaskPredictions, recipe: Recipe) -> ModelFacts:
    """Return the card with what val chooses: thresholds of labels, or the margin of intervals; else nothing.

    Args:
        card: the facts of the model.
        val: its predictions for the val split, without a rule.
        recipe: of the fit.
    """
    if isinstance(val, MaskPredictions | DetectionPredictions):
        return card
    units = recipe.audit.pair_by or recipe.audit.cluster_by
    if isinstance(val, MultilabelPredictions):
        chosen = choose_thresholds(
            val,
            cluster_by=units if units in val.groups.columns else None,
            confidence=recipe.evaluate.confidence,
            seed=recipe.seed,
        )
        named = ", ".join(f"{name} {value:.2g}" for name, value in list(chosen.values.items())[:6])
        logger.info("Labels are predicted from the thresholds with the best F1 on val: %s.", named)
        return replace(card, rule={"thresholds": chosen.to_dict()})
    intervals = calibrate_intervals(val, coverage=recipe.evaluate.confidence)
    logger.info(
        "Intervals that hold the truth for %.0f %% of new images are calibrated on %d val images.",
        100 * intervals.coverage,
        intervals.images,
    )
    return replace(card, rule={"intervals": intervals.to_dict()})


def judge_task(
    recipe: Recipe, predictions: Mapping[str, AnyTaskPredictions]
) -> dict[str, tuple[TaskEvaluation, TaskAudit | None]]:
    """Return evaluation and audit of each split; no audit without `audit.by`. The first split's figures are logged."""
    judged = {}
    for place, (split, predicted) in enumerate(predictions.items()):
        one = prepare(predicted)
        level = logging.DEBUG if place else logging.INFO
        audit = audit_task_split(one, recipe, level=level) if recipe.audit.by else None
        judged[split] = (evaluate_task_split(one, recipe), audit)
    first = next(iter(judged))
    for sentence in task_sentences(judged[first][0], split=first):
        logger.info("%s", sentence)
    if (audit := judged[first][1]) is not None:
        logger.info("Audit by %s: %s.", ", ".join(audit.settings.by), audit.verdict)
    return judged
