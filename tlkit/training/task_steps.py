"""The steps after training of a fit of several labels, grades, numbers, masks or boxes: predict, judge, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tlkit.audit.task_audit_result import TaskAudit
from tlkit.evaluation.label_thresholds import choose_thresholds
from tlkit.evaluation.task_figures import TaskEvaluation, task_sentences
from tlkit.inference.recipe_features import CachedFeatures
from tlkit.inference.stored_model import store_model
from tlkit.inference.task_predictor import task_predictor
from tlkit.models.model_files import ModelFacts
from tlkit.predictions import DetectionPredictions, MaskPredictions, MultilabelPredictions
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.recipe import Recipe
from tlkit.render.report.task_page import write_task_report
from tlkit.runs import RunDirectory, store_judgements
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.run import Run
from tlkit.runs.run_log import FitDisplay
from tlkit.runs.task_judgement import audit_task_split, evaluate_task_split
from tlkit.runs.task_pages import task_contents
from tlkit.stats.task_measures import with_matches
from tlkit.tracking import Tracker
from tlkit.training.predict_splits import predict_split, replace_predictions, split_samples
from tlkit.training.prepare import Prepared
from tlkit.training.run_inputs import Inputs, with_changes
from tlkit.training.tracked_results import track_model
from tlkit.training.tracked_task import track_task, track_task_report
from tlkit.training.train_model import TrainedModel
from tlkit.uncertainty.number_intervals import calibrate_intervals

logger = logging.getLogger(__name__)


def finish_task(
    directory: RunDirectory,
    prepared: Prepared,
    inputs: Inputs,
    trained: TrainedModel,
    *,
    features: CachedFeatures | None,
    tracker: Tracker,
    shown: FitDisplay,
) -> None:
    """Run the steps after training: choose thresholds or intervals on val, predict, judge, report and track."""
    recipe, network, facts = prepared.recipe, trained.network, trained.facts
    tta, activations, parts = recipe.evaluate.tta, trained.activations, dict(split_samples(prepared))
    given: Mapping[str, Any] = {"device": prepared.device, "folder": directory.masks}
    predictor: Any = task_predictor(network, facts, **given)  # of whichever task, with predictions of that task
    first: dict[str, TaskPredictions] = {}
    if "val" in parts:
        val = predict_split(predictor, prepared, parts["val"], features=features, activations=activations, tta=tta)
        facts = with_rule(facts, val, recipe)
        predictor = task_predictor(network, facts, **given)
        first = {"val": predictor.with_rule(val)}
    store_model(directory.model, network, facts, None)
    predictions: dict[str, TaskPredictions] = {
        split: first[split]
        if split in first
        else predict_split(predictor, prepared, part, features=features, activations=activations, tta=tta)
        for split, part in parts.items()
    }
    inputs = with_changes(inputs, prepared.data.changed_images)
    directory.write_json(directory.environment, inputs.environment)
    replace_predictions(directory, predictions)
    judged = judge_task(recipe, predictions)
    split = next(iter(judged))
    warn_trained_on(split, recipe.name)
    store_judgements(directory, directory.evaluation, {name: one.to_dict() for name, (one, _) in judged.items()})
    audits = {name: one.to_dict() for name, (_, one) in judged.items() if one is not None}
    if audits:
        store_judgements(directory, directory.audit, audits)
    shown.log.add_results(*judged[split])
    for name, (evaluation, audit) in judged.items():
        track_task(tracker, name, predictions[name], evaluation, audit, log_audit=recipe.tracking.log_audit)
    if recipe.report.enabled:
        contents = task_contents(Run(directory), split)
        write_task_report(directory.report, contents)
        track_task_report(tracker, directory.path, contents)
    track_model(tracker, directory.model, facts.to_dict(), inputs.environment, best="val" in predictions)


def with_rule(facts: ModelFacts, val: TaskPredictions, recipe: Recipe) -> ModelFacts:
    """Return the facts with what val chooses: thresholds of labels, or the margin of intervals; else nothing.

    Args:
        facts: the facts of the model.
        val: its predictions for the val split, without a rule.
        recipe: of the fit.
    """
    if isinstance(val, MaskPredictions | DetectionPredictions):
        return facts
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
        return replace(facts, rule={"thresholds": chosen.to_dict()})
    intervals = calibrate_intervals(val, coverage=recipe.evaluate.confidence)
    logger.info(
        "Intervals that hold the truth for %.0f %% of new images are calibrated on %d val images.",
        100 * intervals.coverage,
        intervals.images,
    )
    return replace(facts, rule={"intervals": intervals.to_dict()})


def judge_task(
    recipe: Recipe, predictions: Mapping[str, TaskPredictions]
) -> dict[str, tuple[TaskEvaluation, TaskAudit | None]]:
    """Return evaluation and audit of each split; no audit without `audit.by`. The first split's figures are logged."""
    judged = {}
    for place, (split, predicted) in enumerate(predictions.items()):
        one = with_matches(predicted)
        level = logging.DEBUG if place else logging.INFO
        audit = audit_task_split(one, recipe, level=level) if recipe.audit.by else None
        judged[split] = (evaluate_task_split(one, recipe), audit)
    first = next(iter(judged))
    for sentence in task_sentences(judged[first][0], split=first):
        logger.info("%s", sentence)
    if (audit := judged[first][1]) is not None:
        logger.info("Audit by %s: %s.", ", ".join(audit.settings.by), audit.verdict)
    return judged
