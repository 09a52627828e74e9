"""Models on their common images, with what a comparison of a metric needs of any task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import pandas as pd

from tlkit.arrays import Mask
from tlkit.choices import RESOLVED_DIFFERENCE
from tlkit.errors import PredictionsError, first_few
from tlkit.evaluation.common_images import common_images
from tlkit.evaluation.detection import evaluate_detection
from tlkit.evaluation.evaluate_masks import evaluate_masks
from tlkit.evaluation.evaluate_numbers import evaluate_numbers
from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.measure import measure
from tlkit.evaluation.multilabel import evaluate_multilabel
from tlkit.evaluation.score_names import HEADLINE, facts_of, own_name
from tlkit.evaluation.task_figures import TaskEvaluation, figure_of
from tlkit.predictions import (
    DetectionPredictions,
    MaskPredictions,
    MultilabelPredictions,
    NumberPredictions,
    Predictions,
)
from tlkit.predictions.common_task_images import common_task_images
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.measured import Measured, ScoreFacts
from tlkit.stats.task_measures import figures_of, measure_task, task_facts, with_matches

AnyTable = Predictions | TaskPredictions
ScoreOf = Callable[[AnyTable, float, str | None, str | None], Estimate]
"""Of a table, a level, a column of clusters and one of weights: the metric with its interval."""


@dataclass(frozen=True)
class ComparedModels:
    """Aligned predictions of one task and a metric of it.

    Attributes:
        tables: by the name of the model, all with the same images.
        left_out: images that not every model predicted.
        unlabelled: images of unknown truth, which are left out.
        metric: name of the metric.
        facts: what it is.
        measure: a call with a table, its weights and clusters returns its value with the images' influences.
        score: the metric with its own interval.
        right: whether each image is right, where the metric is the accuracy of classes; else None.
    """

    tables: dict[str, AnyTable]
    left_out: int
    unlabelled: int
    metric: str
    facts: ScoreFacts
    measure: Callable[[AnyTable, Units | None], Measured]
    score: ScoreOf
    right: Callable[[AnyTable], Mask] | None = None

    @property
    def groups(self) -> pd.DataFrame:
        """Group columns of the images, which all tables share."""
        return next(iter(self.tables.values())).groups

    def resolved(self, value: float | None) -> float:
        """Return the difference that images are counted for: 0.02, or 5 % of a value in the unit of numbers.

        Args:
            value: the metric of the first model.
        """
        table = next(iter(self.tables.values()))
        if isinstance(table, Predictions) or math.isfinite(self.facts.highest) or not value:
            return RESOLVED_DIFFERENCE
        return float(f"{0.05 * value:.2g}")


def compared_models(models: Mapping[str, AnyTable], metric: str | None) -> ComparedModels:
    """Return the models on their common images, with the metric; None = accuracy, or the main figure of the task.

    Raises:
        PredictionsError: the models are of different tasks, have no image in common, other classes or another truth;
            there is no such metric; or a model lacks the probabilities that it needs.
    """
    classes = {name: one for name, one in models.items() if isinstance(one, Predictions)}
    others = {name: one for name, one in models.items() if not isinstance(one, Predictions)}
    if classes and others:
        name, one = next(iter(others.items()))
        raise PredictionsError(
            f"{name} is of the task {one.task}, and {next(iter(classes))} of one class for each image. Compare models "
            "of one task."
        )
    found = _of_classes(classes, metric or "accuracy") if classes else _of_task(others, metric)
    lacking = [name for name, table in found.tables.items() if getattr(table, "proba", None) is None]
    if found.facts.needs_proba and lacking:
        raise PredictionsError(f"{found.facts.title} needs probabilities, which {first_few(lacking)} lacks.")
    return found


def _of_classes(models: Mapping[str, Predictions], metric: str) -> ComparedModels:
    common = common_images(models)
    classes = next(iter(common.predictions.values())).classes
    metric = own_name(metric, classes)
    facts = facts_of(metric, classes)
    digits = metric.removeprefix("top_")

    def score(table: AnyTable, confidence: float, cluster_by: str | None, weights: str | None) -> Estimate:
        found = evaluate(
            cast("Predictions", table),
            top_k=[int(digits)] if digits.isdecimal() else [1],
            confidence=confidence,
            cluster_by=cluster_by,
            weights=weights,
            metrics="headline" if metric in HEADLINE or digits.isdecimal() else "all",
        )
        return found.score(metric)

    return ComparedModels(
        tables=dict(common.predictions),
        left_out=common.left_out,
        unlabelled=common.unlabelled,
        metric=metric,
        facts=facts,
        measure=lambda table, units: measure(cast("Predictions", table), metric, units),
        score=score,
        right=(lambda table: cast("Predictions", table).correct) if metric == "accuracy" else None,
    )


def _of_task(models: Mapping[str, TaskPredictions], metric: str | None) -> ComparedModels:
    common = common_task_images(models)
    tables = {one: with_matches(table) for one, table in common.predictions.items()}
    first, *_ = tables.values()
    name = metric or next(
        one for one in figures_of(first) if all(one in figures_of(table) for table in tables.values())
    )

    def score(table: AnyTable, confidence: float, cluster_by: str | None, weights: str | None) -> Estimate:
        found: TaskEvaluation
        if isinstance(table, NumberPredictions):
            found = evaluate_numbers(table, confidence=confidence, cluster_by=cluster_by, weights=weights)
        elif isinstance(table, MaskPredictions):
            found = evaluate_masks(table, confidence=confidence, cluster_by=cluster_by, weights=weights)
        elif isinstance(table, DetectionPredictions):
            found = evaluate_detection(table, confidence=confidence, cluster_by=cluster_by, weights=weights)
        else:
            assert isinstance(table, MultilabelPredictions), "the tables are of one task"
            found = evaluate_multilabel(table, confidence=confidence, cluster_by=cluster_by, weights=weights)
        return figure_of(found, name)

    return ComparedModels(
        tables=dict(tables),
        left_out=common.left_out,
        unlabelled=common.unlabelled,
        metric=name,
        facts=task_facts(first, name),
        measure=lambda table, units: measure_task(cast("TaskPredictions", table), name, units),
        score=score,
    )
