"""Judges the predictions for one split within a fit: evaluation, audit, explanation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tlkit.audit.audit import Audit, audit_predictions
from tlkit.audit.explain import explain_predictions
from tlkit.audit.explanation import Explanation
from tlkit.evaluation import Evaluation
from tlkit.features.folds import optimism_note
from tlkit.predictions import Predictions
from tlkit.recipe import Recipe
from tlkit.runs.assess_split import evaluate_split
from tlkit.runs.run_options import options_of_recipe
from tlkit.samples import Samples
from tlkit.stats.estimate import Estimate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """The predictions for one split with their evaluation; audit and explanation where the recipe has an `audit.by`."""

    split: str
    predictions: Predictions
    evaluation: Evaluation
    audit: Audit | None
    explanation: Explanation | None = None


def judge_split(recipe: Recipe, split: str, predictions: Predictions, leaks: pd.DataFrame, *, level: int) -> Judged:
    """Return the predictions for a split with their evaluation and audit, which logs at a level."""
    logger.debug("The %s split is judged.", split)
    evaluation = evaluate_split(split, predictions, recipe=recipe, leaks=leaks)
    audit = audit_predictions(predictions, options_of_recipe(recipe), level=level) if recipe.audit.by else None
    return Judged(split, predictions, evaluation, audit)


def explained(recipe: Recipe, judged: Judged, trained: Samples) -> Judged:
    """Return what was judged with the explanation of its gaps, where the recipe has columns to audit by."""
    if not recipe.audit.by:
        return judged
    training = trained.groups if len(trained) else None
    found = explain_predictions(judged.predictions, options_of_recipe(recipe), training=training)
    return replace(judged, explanation=found)


def warn_of_optimism(head: Mapping[str, Any], judged: Judged) -> None:
    """Log where the out-of-fold accuracy of a scikit-learn head lies far above its accuracy on test."""
    stated = head.get("out_of_fold_accuracy")
    if stated and judged.split == "test":
        clean = judged.evaluation.without_leaks
        measured = judged.evaluation.accuracy if clean is None else clean.accuracy
        if note := optimism_note(Estimate.from_dict(stated), measured):
            logger.warning("%s", note)
