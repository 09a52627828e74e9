"""The steps of `fit` that need torch: prepare, embed or train, predict, evaluate and audit, report.

`run_training` opens the run directory and records how the run ends. `_run_steps` is the sequence of steps, and the
functions below it stand in the order of the steps. Each takes the results of earlier steps as values and returns its
own, which is then written to the run directory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.data.dataset_source import LoadedDataset
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.disk import DISK_FULL_ERRNOS
from tlkit.errors import RunError
from tlkit.evaluation import Evaluation
from tlkit.evaluation.evaluation_result import MAIN_FIGURES
from tlkit.features.heads import Head
from tlkit.inference.feature_leaks import add_feature_leaks
from tlkit.inference.predictor import Predictor
from tlkit.inference.recipe_features import CachedFeatures, predicted_splits
from tlkit.inference.stored_model import store_model
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.network import Network
from tlkit.predictions import Predictions
from tlkit.preflight.recipe_queries import can_use_cache, head_kind
from tlkit.recipe import Recipe, dump_recipe
from tlkit.runs import RunDirectory
from tlkit.runs.assess_split import audit_split, evaluate_split
from tlkit.runs.lifecycle import replaced_run
from tlkit.runs.run import Run
from tlkit.tracking import Tracker, create_tracker
from tlkit.training.cached_features import FeatureBatches, cached_features, threads_for
from tlkit.training.callbacks import GracefulStop
from tlkit.training.checkpoints import find_start
from tlkit.training.distributed import release_ranks
from tlkit.training.environment import describe_environment, environment_with_changes
from tlkit.training.prepare import Prepared, prepare
from tlkit.training.resume import origin_of, require_same_processes
from tlkit.training.sklearn_heads import fit_recipe_head
from tlkit.training.trainer import Outcome, load_best, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """The result of training.

    Attributes:
        outcome: "finished", or "interrupted" by Ctrl-C or SIGTERM.
        network: the network with its best weights, as it is stored.
        card: its classes, preprocessing and origin.
        head: a scikit-learn head; None for the linear head trained by gradient descent.
    """

    outcome: Outcome
    network: Network
    card: ModelFacts
    head: Head | None


def run_training(recipe: Recipe, path: Path, dataset: LoadedDataset, *, resume: bool, progress: bool) -> Run:
    """Run a recipe on its dataset in a new run directory, or in one that is resumed, and return the run.

    The caller holds the lock of the directory.

    Raises:
        TlkitError: the weights or the device are not available, or the run cannot be resumed.
        SystemExit: SIGTERM has ended training; the run is stored.
    """
    if can_use_cache(recipe):
        release_ranks()  # training on cached features needs one process
    prepared, stop = prepare(recipe, dataset=dataset), GracefulStop()
    with nullcontext() if resume else replaced_run(path):
        directory = RunDirectory.open(path) if resume else RunDirectory.create(path)
        if resume:
            require_same_processes(directory, prepared)
        with _status_recorded(directory):
            outcome = _run_steps(directory, prepared, stop, resume=resume, progress=progress)
        directory.set_status(outcome)
    stop.pass_on()
    return Run(directory)


def _run_steps(
    directory: RunDirectory, prepared: Prepared, stop: GracefulStop, *, resume: bool, progress: bool
) -> Outcome:
    """Run the steps after `prepare`, and return how training ended."""
    recipe = prepared.recipe
    _write_inputs(directory, prepared)
    environment = _environment(directory, prepared, resume=resume)
    directory.write_json(directory.environment, environment)
    leaks = _known_leaks(prepared)
    _write_table(directory, directory.leaks, leaks)

    features = cached_features(prepared, resumed_engine=environment.get("features"))
    if features is not None:
        environment = {**environment, "features": features.plain.made_by.to_dict()}
        directory.write_json(directory.environment, environment)
        leaks = _with_feature_leaks(leaks, prepared, features)
        _write_table(directory, directory.leaks, leaks)

    with _open_tracker(directory, recipe, environment) as tracker:
        trained = _train(directory, prepared, features, tracker, stop, resume=resume, progress=progress)
        if trained.outcome == "interrupted":
            directory.set_status(trained.outcome)  # the report states it
        store_model(directory.model, trained.network, trained.card, trained.head)

        _delete_old_results(directory)
        predictions = _predict(trained, prepared, features)
        for split, predicted in predictions.items():
            directory.predictions(split).parent.mkdir(exist_ok=True)
            predicted.to_parquet(directory.predictions(split))

        evaluations = _evaluate_and_audit(directory, recipe, predictions, leaks)
        _track_results(tracker, predictions, evaluations)
        if recipe.report.enabled:
            Run(directory).report()
        tracker.log_model(directory.model, metadata=trained.card.to_dict())
    return trained.outcome


@contextmanager
def _status_recorded(directory: RunDirectory) -> Iterator[None]:
    """Record that a run is running, and that it failed or was interrupted if the block raises.

    Raises:
        RunError: the disk or the quota is full.
    """
    directory.set_status("running")
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # the error of the block is the one to report
            directory.set_status("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
            raise RunError(
                f"{directory.path} cannot be written: {error.strerror}. What was saved before is kept. "
                "Free some space, then continue with --resume."
            ) from error
        raise


def _write_inputs(directory: RunDirectory, prepared: Prepared) -> None:
    """Write the recipe, the split, the excluded images and the attribution of the images."""
    data = prepared.data
    directory.write_text(directory.recipe, dump_recipe(prepared.recipe))
    data.samples.to_csv(directory.split)
    _write_table(directory, directory.excluded, pd.DataFrame(data.excluded, columns=["path", "reason"]))
    attribution = data.samples.root / "ATTRIBUTION.txt"
    if attribution.is_file():
        directory.write_text(directory.attribution, attribution.read_text(encoding="utf-8", errors="replace"))


def _environment(directory: RunDirectory, prepared: Prepared, *, resume: bool) -> dict[str, Any]:
    """Return the environment of the run; on resume with its changes and the engine record of the first attempt."""
    now = describe_environment(
        prepared.data.samples,
        weights=prepared.classifier.source.weights,
        device=prepared.device,
        precision=prepared.precision,
        processes=prepared.world.size,
        excluded=len(prepared.data.excluded),
        sources=_input_files(prepared.recipe),
    )
    if not resume or not directory.environment.is_file():
        return now
    before = directory.read_json(directory.environment)
    features = {"features": before["features"]} if "features" in before else {}
    return {**environment_with_changes(before, now), **features}


def _input_files(recipe: Recipe) -> list[Path]:
    """Return the files that list images, labels or splits."""
    data = recipe.data
    labels = (data.label_corrections,) if isinstance(data.label_corrections, str) else data.label_corrections
    return [Path(file) for file in (data.manifest, data.split, data.quarantine, *labels) if file is not None]


def _known_leaks(prepared: Prepared) -> pd.DataFrame:
    """Return the leaks that the check of the images has found, as `Run.leaks` gives them."""
    leaks = prepared.data.leaks
    assert leaks is not None, "the dataset of a fit is checked"
    return leaks.table.assign(dropped="yes" if prepared.recipe.data.on_leak == "drop" else "")


def _with_feature_leaks(leaks: pd.DataFrame, prepared: Prepared, features: CachedFeatures) -> pd.DataFrame:
    """Return the known leaks plus those found by features; unchanged if any image lacks features."""
    data, section = prepared.data, prepared.recipe.data
    if len(features.plain) < len(data.samples):
        return leaks
    return add_feature_leaks(
        data.samples,
        features.plain,
        leaks,
        on_leak=section.on_leak,
        gray_thumbnails=data.dataset.gray_thumbnails,
        decode_options=DecodeOptions.of(section),
    )


def _open_tracker(
    directory: RunDirectory, recipe: Recipe, environment: Mapping[str, Any]
) -> AbstractContextManager[Tracker]:
    """Return the recipe's tracker as a context."""
    section = recipe.tracking
    return create_tracker(
        kind=section.kind,
        mode=section.mode,
        project=section.project,
        entity=section.entity,
        tags=section.tags,
        log_model=section.log_model,
        name=recipe.name,
        run_dir=directory.path,
        config={**recipe.model_dump(mode="json"), "environment": environment},
    )


def _train(
    directory: RunDirectory,
    prepared: Prepared,
    features: CachedFeatures | None,
    tracker: Tracker,
    stop: GracefulStop,
    *,
    resume: bool,
    progress: bool,
) -> TrainedModel:
    """Train on pixels or on cached features, or fit a scikit-learn head; return the best model.

    If training raises, the best weights so far are stored first.
    """
    classifier = prepared.classifier
    outcome: Outcome
    try:
        if head_kind(prepared.recipe) == "linear":
            batches = prepared.data if features is None else FeatureBatches(prepared, features)
            with threads_for(prepared, features):
                outcome = train(directory, prepared, tracker, stop, batches=batches, resume=resume, progress=progress)
            head = None
        else:
            assert features is not None, "the recipe's checks refuse such a head on pixels"
            outcome, head = "finished", fit_recipe_head(prepared, features.plain)
    except BaseException:
        _store_best_so_far(directory, prepared)
        raise
    return TrainedModel(outcome, classifier.plain_network(), classifier.card(), head)


def _store_best_so_far(directory: RunDirectory, prepared: Prepared) -> None:
    """Store the best weights of a run that ends with an error, if an epoch has ended."""
    try:
        start = find_start(directory.checkpoints, origin=origin_of(prepared))
        if start is None or start.best is None:
            return
        load_best(prepared, start.best)
        save_artifact(directory.model, prepared.classifier.plain_network().state_dict(), prepared.classifier.card())
        logger.warning("The best weights so far are in %s; --resume continues the run.", directory.model)
    except Exception as error:  # the error that ends the run is the one to report
        logger.warning("The weights could not be stored (%s); they are in %s.", error, directory.checkpoints)


def _delete_old_results(directory: RunDirectory) -> None:
    """Delete the results that belong to earlier predictions."""
    results = (directory.evaluation, directory.audit, directory.explanation, directory.slices, directory.neighbors)
    for path in results:
        path.unlink(missing_ok=True)


def _predict(trained: TrainedModel, prepared: Prepared, features: CachedFeatures | None) -> dict[str, Predictions]:
    """Return the predictions for test and val by split, or for train if the run has no test and no val."""
    predictor = Predictor(trained.network, trained.card, device=prepared.device)
    section, tta = prepared.recipe.data, prepared.recipe.evaluate.tta
    if tta != "none":
        logger.info("Test-time augmentation %s: each prediction is the mean over the views of its image.", tta)
    predictions = {}
    for split in predicted_splits(prepared.data.samples):
        samples = prepared.data.samples.split(split)
        if features is not None and tta == "none":
            predictions[split] = predictor.predict_features(features.plain, samples)
        else:
            predictions[split] = predictor.predict_samples(
                samples,
                batch_size=section.batch_size,
                num_workers=section.num_workers,
                decode_options=DecodeOptions.of(section),
                tta=tta,
            )
    return predictions


def _evaluate_and_audit(
    directory: RunDirectory, recipe: Recipe, predictions: Mapping[str, Predictions], leaks: pd.DataFrame
) -> dict[str, Evaluation]:
    """Evaluate and audit the predictions, store both results, and return the evaluations by split."""
    evaluations = {}
    for split, predicted in predictions.items():
        evaluations[split] = evaluate_split(directory, split, predicted, settings=recipe.evaluate, leaks=leaks)
        if recipe.audit.by:
            audit_split(directory, split, predicted, recipe=recipe)
    return evaluations


def _track_results(
    tracker: Tracker, predictions: Mapping[str, Predictions], evaluations: Mapping[str, Evaluation]
) -> None:
    """Log accuracies, predictions and confusion matrix of each split."""
    for split, evaluation in evaluations.items():
        tracker.log_summary({f"{split}/{name}": getattr(evaluation, name).value for name in MAIN_FIGURES})
        tracker.log_predictions(_tracked(predictions[split]), name=f"{split}/predictions")
        tracker.log_confusion(evaluation.confusion, evaluation.classes, name=f"{split}/confusion_matrix")


def _tracked(predictions: Predictions) -> pd.DataFrame:
    """Return the labelled predictions without group columns, which a tracker must not get."""
    names, known = predictions.classes, predictions.labelled
    return pd.DataFrame(
        {
            "path": known.path,
            "true": [names[i] for i in known.y_true],
            "predicted": [names[i] for i in known.y_pred],
            "confidence": known.confidence,
            "correct": known.correct,
        }
    )


def _write_table(directory: RunDirectory, path: Path, table: pd.DataFrame) -> None:
    directory.write_text(path, table.to_csv(index=False, lineterminator="\n"))
