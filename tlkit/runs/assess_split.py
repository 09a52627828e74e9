"""Evaluates one split of a run."""

from __future__ import annotations

import logging
from dataclasses import replace

import pandas as pd

from tlkit.evaluation import Evaluation, evaluate
from tlkit.evaluation.evaluation_tables import TRAINED_ON
from tlkit.predictions import Predictions
from tlkit.recipe import Recipe

logger = logging.getLogger(__name__)


def evaluate_split(split: str, predictions: Predictions, *, recipe: Recipe, leaks: pd.DataFrame) -> Evaluation:
    """Return the evaluation of one split of a run; its intervals allow for the clusters or matched sets of the audit.

    Args:
        split: the split.
        predictions: its predictions.
        recipe: of the run.
        leaks: the run's leaks, as `Run.leaks` gives them; the result also holds the figures without them.
    """
    settings, units = recipe.evaluate, recipe.audit.pair_by or recipe.audit.cluster_by
    found = evaluate(
        predictions,
        top_k=settings.top_k,
        confidence=settings.confidence,
        leaked=leaked_paths(leaks, split),
        cluster_by=units if units in predictions.group_columns else None,
    )
    return replace(found, trained_on=split == "train")


def warn_trained_on(split: str, run: str) -> None:
    """Warn where what is judged is the images that a run was trained on."""
    if split == "train":
        logger.warning("%s is judged on the train split. %s", run, TRAINED_ON.removeprefix("WARNING: "))


def leaked_paths(leaks: pd.DataFrame, split: str) -> list[str]:
    """Return the paths of a split's images with duplicates in an earlier split.

    Args:
        leaks: the run's leaks, as `Run.leaks` gives them.
        split: the split.
    """
    return leaks.loc[(leaks["split"] == split) & (leaks["dropped"] == ""), "path"].tolist()


def chose_epoch(split: str, history: pd.DataFrame) -> bool:
    """Return whether a split was used for model selection, given one row per epoch."""
    return split == "val" and len(history) > 1
