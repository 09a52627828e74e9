"""Evaluates and audits one split of a run, and stores the results."""

from __future__ import annotations

import pandas as pd

from tlkit.audit.audit import Audit, audit_predictions
from tlkit.evaluation import Evaluation, evaluate
from tlkit.predictions import Predictions
from tlkit.recipe import EvaluateSection, Recipe
from tlkit.runs.directory import RunDirectory
from tlkit.runs.run_options import options_of_recipe
from tlkit.runs.stored_judgements import store_judgement


def evaluate_split(
    directory: RunDirectory, split: str, predictions: Predictions, *, settings: EvaluateSection, leaks: pd.DataFrame
) -> Evaluation:
    """Return the evaluation of one split of a run, and store it in `evaluation.json`.

    Args:
        directory: the run's directory.
        split: the split.
        predictions: its predictions.
        settings: the `evaluate` section of the run's recipe.
        leaks: the run's leaks, as `Run.leaks` gives them; the result also holds the figures without them.
    """
    result = evaluate(
        predictions, top_k=settings.top_k, confidence=settings.confidence, leaked=leaked_paths(leaks, split)
    )
    store_judgement(directory, directory.evaluation, split, result.to_dict())
    return result


def audit_split(directory: RunDirectory, split: str, predictions: Predictions, *, recipe: Recipe) -> Audit:
    """Return the audit of one split of a run by its recipe's columns, and store it in `audit.json`.

    Args:
        directory: the run's directory.
        split: the split.
        predictions: its predictions.
        recipe: the run's recipe; it names columns to audit by.

    Raises:
        PredictionsError: a column is missing in the predictions.
    """
    result = audit_predictions(predictions, options_of_recipe(recipe))
    store_judgement(directory, directory.audit, split, result.to_dict())
    return result


def leaked_paths(leaks: pd.DataFrame, split: str) -> list[str]:
    """Return the paths of a split's images with duplicates in an earlier split.

    Args:
        leaks: the run's leaks, as `Run.leaks` gives them.
        split: the split.
    """
    return leaks.loc[(leaks["split"] == split) & (leaks["dropped"] == ""), "path"].tolist()
