"""`train_model`: trains on pixels or on cached features, or fits a scikit-learn head, and returns the best model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from tlkit.features.activations import Activations
from tlkit.features.features import Features
from tlkit.features.heads import Head
from tlkit.inference.predictor import Predictor
from tlkit.inference.recipe_features import CachedFeatures, predicted_splits
from tlkit.models.cuts import Cut
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.network import Network
from tlkit.preflight.recipe_queries import head_kind
from tlkit.runs import RunDirectory
from tlkit.runs.run_log import FitDisplay
from tlkit.runs.run_tables import history_of
from tlkit.samples import Samples
from tlkit.tracking import Tracker
from tlkit.training.cached_features import FeatureBatches, threads_for
from tlkit.training.callbacks import GracefulStop
from tlkit.training.fit_calibration import fit_run_scaling
from tlkit.training.predict_splits import predict_split
from tlkit.training.prefix_batches import PrefixBatches, prefix_batches
from tlkit.training.prepare import Prepared
from tlkit.training.resume import origin_of
from tlkit.training.sklearn_heads import fit_recipe_head, fit_task_head
from tlkit.training.start_checkpoint import find_start
from tlkit.training.trainer import Outcome, load_best, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """The result of training.

    Attributes:
        outcome: "finished", or "interrupted" by Ctrl-C or SIGTERM.
        network: the network with its best weights, as it is stored.
        facts: its classes, preprocessing and origin.
        head: a scikit-learn head; None for the linear head trained by gradient descent.
        history: one row of metrics per epoch; empty where no epoch has ended.
        activations: returns the cached activations of a split and their cut, or None; None where there are no cuts.
    """

    outcome: Outcome
    network: Network
    facts: ModelFacts
    head: Head | None
    history: pd.DataFrame
    activations: Callable[[Samples], tuple[Features | Activations, Cut] | None] | None = None


def train_model(
    directory: RunDirectory,
    prepared: Prepared,
    features: CachedFeatures | None,
    tracker: Tracker,
    stop: GracefulStop,
    *,
    resume: bool,
    shown: FitDisplay,
) -> TrainedModel:
    """Train on pixels or on cached features, or fit a scikit-learn head; return the best model.

    If training raises, the best weights so far are stored first.
    """
    classifier = prepared.classifier
    outcome: Outcome
    try:
        if head_kind(prepared.recipe) == "linear":
            batches = (
                FeatureBatches(prepared, features)
                if features is not None
                else prefix_batches(directory, prepared, resume=resume) or prepared.data
            )
            with threads_for(prepared, features):
                outcome, history = train(
                    directory, prepared, tracker, stop, batches=batches, resume=resume, shown=shown
                )
            head, activations = None, batches.predicted if isinstance(batches, PrefixBatches) else None
        else:
            assert features is not None, "the recipe's checks refuse such a head on pixels"
            outcome, head, history, activations = "finished", None, history_of(()), None
            if prepared.recipe.task == "multiclass":
                head = fit_recipe_head(prepared, features.plain)
            else:
                fit_task_head(prepared, features.plain)
    except BaseException:
        _store_best_so_far(directory, prepared)
        raise
    return TrainedModel(outcome, classifier.plain_network(), classifier.facts(), head, history, activations)


def _store_best_so_far(directory: RunDirectory, prepared: Prepared) -> None:
    """Store the best weights of a run that ends with an error, if an epoch has ended."""
    try:
        start = find_start(directory.checkpoints, origin=origin_of(prepared))
        if start is None or start.best is None:
            return
        load_best(prepared, start.best)
        save_artifact(directory.model, prepared.classifier.plain_network().state_dict(), prepared.classifier.facts())
        logger.warning("The best weights so far are in %s; --resume continues the run.", directory.model)
    except Exception as error:  # the error that ends the run is the one to report
        logger.warning("The weights could not be stored (%s); they are in %s.", error, directory.checkpoints)


def calibrated(trained: TrainedModel, prepared: Prepared, features: CachedFeatures | None) -> TrainedModel:
    """Return the model with its logits scaled by the recipe's `evaluate.calibrate`; the scaling is fitted on val."""
    method = prepared.recipe.evaluate.calibrate
    if trained.head is not None or method == "none" or "val" not in predicted_splits(prepared.data.samples):
        return trained
    predictor, samples = Predictor(trained.network, trained.facts, device=prepared.device), prepared.data.samples
    val = predict_split(
        predictor, prepared, samples.split("val"), features=features, activations=trained.activations, tta="none"
    )
    scaling = fit_run_scaling(val, method=method)
    trained.network.calibrate(scaling)
    return replace(trained, facts=replace(trained.facts, calibration=scaling))
