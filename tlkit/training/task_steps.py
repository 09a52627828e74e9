"""The steps of a fit of several labels, grades or numbers that follow its training: predict and judge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from tlkit.audit.task_audit_result import TaskAudit
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.evaluation.label_thresholds import choose_thresholds
from tlkit.evaluation.task_figures import TaskEvaluation, task_sentences
from tlkit.features.activations import Activations
from tlkit.features.features import Features
from tlkit.inference.recipe_features import CachedFeatures, predicted_splits
from tlkit.inference.task_predictor import TaskPredictions, TaskPredictor
from tlkit.models.cuts import Cut
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.predictions import MultilabelPredictions
from tlkit.recipe import Recipe
from tlkit.runs.task_judgement import audit_task_split, evaluate_task_split
from tlkit.samples import Samples
from tlkit.training.prepare import Prepared
from tlkit.uncertainty.number_intervals import calibrate_intervals

logger = logging.getLogger(__name__)

ActivationsOf = Callable[[Samples], tuple[Features | Activations, Cut] | None]


def with_rule(
    network: Network,
    card: ModelFacts,
    prepared: Prepared,
    features: CachedFeatures | None,
    activations: ActivationsOf | None,
) -> ModelFacts:
    """Return the card with what val chooses: a threshold for each label, or the margin of intervals; else as it is.

    Test has no part in it.
    """
    samples, recipe = prepared.data.samples, prepared.recipe
    if "val" not in predicted_splits(samples):
        return card
    val = _predict_split(
        TaskPredictor(network, card, device=prepared.device), prepared, features, activations, samples.split("val")
    )
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


def predict_task(
    network: Network,
    card: ModelFacts,
    prepared: Prepared,
    features: CachedFeatures | None,
    activations: ActivationsOf | None,
) -> dict[str, TaskPredictions]:
    """Return the predictions for test and val by split, or for train if the run has no test and no val."""
    predictor, samples = TaskPredictor(network, card, device=prepared.device), prepared.data.samples
    section = prepared.recipe.data
    if prepared.recipe.evaluate.tta != "none":
        logger.info(
            "Test-time augmentation %s: each prediction is the mean over the views of its image.",
            prepared.recipe.evaluate.tta,
        )
    only_split = {section.group_by or ""} - {*section.groups}
    return {
        split: _predict_split(
            predictor, prepared, features, activations, samples.split(split).without_columns(only_split)
        )
        for split in predicted_splits(samples)
    }


def _predict_split(
    predictor: TaskPredictor,
    prepared: Prepared,
    features: CachedFeatures | None,
    activations: ActivationsOf | None,
    samples: Samples,
) -> TaskPredictions:
    """Return the predictions for samples, from features or activations where there are any."""
    section, tta = prepared.recipe.data, prepared.recipe.evaluate.tta
    if tta == "none" and features is not None:
        return predictor.predict_features(features.plain, samples)
    if tta == "none" and activations is not None and (found := activations(samples)) is not None:
        return predictor.predict_features(found[0], samples, cut=found[1])
    return predictor.predict_samples(
        samples,
        batch_size=section.batch_size,
        num_workers=section.num_workers,
        decode_options=DecodeOptions.of(section),
        tta=tta,
        on_changed=prepared.data.add_changed,
    )


def judge_task(
    recipe: Recipe, predictions: Mapping[str, TaskPredictions]
) -> dict[str, tuple[TaskEvaluation, TaskAudit | None]]:
    """Return evaluation and audit of each split; no audit without `audit.by`. The first split's figures are logged."""
    judged = {
        split: (evaluate_task_split(one, recipe), audit_task_split(one, recipe) if recipe.audit.by else None)
        for split, one in predictions.items()
    }
    first = next(iter(judged))
    for sentence in task_sentences(judged[first][0], split=first):
        logger.info("%s", sentence)
    if (audit := judged[first][1]) is not None:
        logger.info("Audit by %s: %s.", ", ".join(audit.settings.by), audit.verdict)
    return judged
