"""The steps of `fit` that need torch: prepare, embed or train, predict, evaluate, audit, explain, report.

`run_training` opens the run directory and records how the run ends. `_run_steps` is the sequence of steps, and the
functions below it stand in the order of the steps. Each takes the results of earlier steps as values and returns its
own, which is then written to the run directory. Of what a fit has written it reads only the best epochs' checkpoints.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.audit.audit import Audit
from tlkit.audit.error_examples import failing_group_images
from tlkit.audit.explanation import Explanation
from tlkit.csv_files import csv_text
from tlkit.data.dataset_source import LoadedDataset
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.disk import DISK_FULL_ERRNOS, cache_folder, failed_path
from tlkit.errors import RunError
from tlkit.evaluation import Evaluation
from tlkit.features.activations import Activations
from tlkit.features.features import Features
from tlkit.features.heads import Head
from tlkit.inference.feature_leaks import add_feature_leaks
from tlkit.inference.predictor import Predictor
from tlkit.inference.recipe_features import CachedFeatures, predicted_splits
from tlkit.inference.stored_model import store_model
from tlkit.inference.task_predictor import AnyTaskPredictions, task_predictor
from tlkit.models.cuts import Cut
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.network import Network
from tlkit.predictions import DetectionPredictions, Predictions
from tlkit.preflight.recipe_queries import can_use_cache, head_kind
from tlkit.recipe import Recipe, dump_recipe
from tlkit.render.report import RunContents, write_report
from tlkit.render.report.task_page import write_task_report
from tlkit.runs import RunDirectory, store_judgements
from tlkit.runs.assess_split import chose_epoch, warn_trained_on
from tlkit.runs.lifecycle import replaced_run
from tlkit.runs.run import Run
from tlkit.runs.run_log import FitDisplay
from tlkit.runs.run_pages import notes_of, read_attribution, report_images
from tlkit.runs.run_tables import history_of, kept_epochs
from tlkit.runs.task_pages import task_contents
from tlkit.samples import Samples
from tlkit.tracking import Tracker, create_tracker
from tlkit.training.cached_features import FeatureBatches, cached_features, threads_for
from tlkit.training.calibration import fit_run_scaling
from tlkit.training.callbacks import GracefulStop
from tlkit.training.checkpoints import find_start
from tlkit.training.distributed import release_ranks
from tlkit.training.environment import environment_of
from tlkit.training.judge_split import Judged, explained, judge_split, warn_of_optimism
from tlkit.training.predict_splits import predict_split, split_samples
from tlkit.training.prefix_batches import PrefixBatches, prefix_batches
from tlkit.training.prepare import OpenedModel, Prepared, prepare
from tlkit.training.resume import origin_of, require_same_processes
from tlkit.training.sklearn_heads import fit_recipe_head, fit_task_head
from tlkit.training.task_steps import judge_task, with_rule
from tlkit.training.tracked_results import grouped, track_data, track_model, track_report, track_split
from tlkit.training.tracked_task import track_task, track_task_report
from tlkit.training.trainer import Outcome, load_best, train
from tlkit.uncertainty.confidence_report import assess_confidence
from tlkit.uncertainty.val_scores import store_val_scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedModel:
    """The result of training.

    Attributes:
        outcome: "finished", or "interrupted" by Ctrl-C or SIGTERM.
        network: the network with its best weights, as it is stored.
        card: its classes, preprocessing and origin.
        head: a scikit-learn head; None for the linear head trained by gradient descent.
        history: one row of metrics per epoch; empty where no epoch has ended.
        activations: returns the cached activations of a split and their cut, or None; None where there are no cuts.
    """

    outcome: Outcome
    network: Network
    card: ModelFacts
    head: Head | None
    history: pd.DataFrame
    activations: Callable[[Samples], tuple[Features | Activations, Cut] | None] | None = None


@dataclass(frozen=True)
class Inputs:
    """What is known before training: versions, data and weights; images that leak; the attribution of the images."""

    environment: Mapping[str, Any]
    leaks: pd.DataFrame
    attribution: str | None


def run_training(
    recipe: Recipe, path: Path, dataset: LoadedDataset, *, model: OpenedModel | None, resume: bool, shown: FitDisplay
) -> Run:
    """Run a recipe on its dataset in a new run directory, or in one that is resumed, and return the run.

    The caller holds the lock of the directory. Without a model it is opened here.

    Raises:
        TlkitError: the weights or the device are not available, or the run cannot be resumed.
        SystemExit: SIGTERM has ended training; the run is stored.
    """
    if can_use_cache(recipe):
        release_ranks()  # training on cached features needs one process
    prepared, stop = prepare(recipe, dataset=dataset, model=model), GracefulStop()
    with nullcontext() if resume else replaced_run(path):
        directory = RunDirectory.open(path) if resume else RunDirectory.create(path)
        shown.log.open(directory.log)
        if resume:
            require_same_processes(directory, prepared)
        with _status_recorded(directory):
            outcome = _run_steps(directory, prepared, stop, resume=resume, shown=shown)
        directory.set_status(outcome)
    stop.pass_on()
    return Run(directory)


def _run_steps(
    directory: RunDirectory, prepared: Prepared, stop: GracefulStop, *, resume: bool, shown: FitDisplay
) -> Outcome:
    """Run the steps after `prepare`, and return how training ended."""
    recipe, samples = prepared.recipe, prepared.data.samples
    resumed = resume and directory.environment.is_file()
    inputs = _known_inputs(prepared, before=directory.read_environment() if resumed else None)
    _write_inputs(directory, prepared, inputs)

    features = cached_features(prepared, resumed_engine=inputs.environment.get("features"), progress=shown.on_features)
    if features is not None:
        inputs = _with_features(inputs, prepared, features)
        directory.write_json(directory.environment, inputs.environment)
        _write_table(directory, directory.leaks, inputs.leaks)

    with _open_tracker(directory, recipe, inputs.environment) as tracker:
        track_data(tracker, inputs.environment, samples)
        trained = _train(directory, prepared, features, tracker, stop, resume=resume, shown=shown)
        inputs = _with_changes(inputs, prepared.data.changed_images)
        directory.write_json(directory.environment, inputs.environment)
        if recipe.task != "multiclass":
            _finish_task(directory, prepared, inputs, trained, features=features, tracker=tracker, shown=shown)
            return trained.outcome
        trained = _calibrated(trained, prepared, features)
        store_model(directory.model, trained.network, trained.card, trained.head)

        predictions = _predict(trained, prepared, features)
        inputs = _with_changes(inputs, prepared.data.changed_images)
        directory.write_json(directory.environment, inputs.environment)
        _replace_predictions(directory, predictions)
        store_val_scores(directory.model, predictions.get("val"), chose_epoch=chose_epoch("val", trained.history))

        judged = [
            judge_split(recipe, split, one, inputs.leaks, level=logging.DEBUG if place else logging.INFO)
            for place, (split, one) in enumerate(predictions.items())
        ]
        warn_trained_on(judged[0].split, recipe.name)
        _store(directory, directory.evaluation, {one.split: one.evaluation for one in judged})
        _store(directory, directory.audit, {one.split: one.audit for one in judged})
        shown.log.add_results(judged[0].evaluation, judged[0].audit)
        warn_of_optimism(trained.card.head, judged[0])
        for one in judged:
            figures = one.predictions, one.evaluation, one.audit
            track_split(tracker, one.split, *figures, section=recipe.tracking, root=samples.root)

        if recipe.report.enabled:
            reported = explained(recipe, judged[0], samples.split("train"))
            _store(directory, directory.explanation, {reported.split: reported.explanation})
            contents = _report_contents(prepared, inputs, trained, reported, val=predictions.get("val"))
            kept = kept_epochs(directory, trained.history, monitor=recipe.train.monitor)
            contents = replace(contents, kept_epochs=kept)
            write_report(directory.report, contents)
            track_report(tracker, directory.path, contents)
        chosen = "val" in predictions or trained.head is not None
        track_model(tracker, directory.model, trained.card.to_dict(), inputs.environment, best=chosen)
    return trained.outcome


def _finish_task(
    directory: RunDirectory,
    prepared: Prepared,
    inputs: Inputs,
    trained: TrainedModel,
    *,
    features: CachedFeatures | None,
    tracker: Tracker,
    shown: FitDisplay,
) -> None:
    """Run the steps after training of another task than one class: predict, judge, report and track."""
    recipe, network, card = prepared.recipe, trained.network, trained.card
    tta, activations, parts = recipe.evaluate.tta, trained.activations, dict(split_samples(prepared))
    given: Mapping[str, Any] = {"device": prepared.device, "folder": directory.masks}
    predictor: Any = task_predictor(network, card, **given)  # of whichever task, with predictions of that task
    first: dict[str, AnyTaskPredictions] = {}
    if "val" in parts:
        val = predict_split(predictor, prepared, parts["val"], features=features, activations=activations, tta=tta)
        card = with_rule(card, val, recipe)
        predictor = task_predictor(network, card, **given)
        first = {"val": predictor.with_rule(val)}
    store_model(directory.model, network, card, None)
    predictions: dict[str, AnyTaskPredictions] = {
        split: first[split]
        if split in first
        else predict_split(predictor, prepared, part, features=features, activations=activations, tta=tta)
        for split, part in parts.items()
    }
    inputs = _with_changes(inputs, prepared.data.changed_images)
    directory.write_json(directory.environment, inputs.environment)
    _replace_predictions(directory, predictions)
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
    track_model(tracker, directory.model, card.to_dict(), inputs.environment, best="val" in predictions)


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
            path = Path(failed_path(error) or directory.path)
            elsewhere = " or set TLKIT_CACHE to a folder on another disk," if cache_folder() in path.parents else ""
            raise RunError(
                f"{path} cannot be written: {error.strerror}. What was saved before is kept. "
                f"Free some space on that disk,{elsewhere} then continue with --resume."
            ) from error
        raise


def _known_inputs(prepared: Prepared, *, before: Mapping[str, Any] | None) -> Inputs:
    """Return what is known before training; `before` is the environment of a resumed run's last attempt."""
    leaks = prepared.data.dataset.leaks
    assert leaks is not None, "the dataset of a fit is checked"
    return Inputs(
        environment_of(prepared, before=before),
        leaks.table.assign(dropped="yes" if prepared.recipe.data.on_leak == "drop" else ""),
        read_attribution(prepared.data.samples.root / "ATTRIBUTION.txt"),
    )


def _with_features(inputs: Inputs, prepared: Prepared, features: CachedFeatures) -> Inputs:
    """Return the inputs with the origin of the features, and with leaks found by them unless an image lacks them."""
    data, section = prepared.data, prepared.recipe.data
    environment = {**inputs.environment, "features": features.plain.made_by.to_dict()}
    if len(features.plain) < len(data.samples):
        return replace(inputs, environment=environment)
    leaks = add_feature_leaks(
        data.samples,
        features.plain,
        inputs.leaks,
        on_leak=section.on_leak,
        gray_thumbnails=data.dataset.gray_thumbnails,
        decode_options=DecodeOptions.of(section),
    )
    return replace(inputs, environment=environment, leaks=leaks)


def _with_changes(inputs: Inputs, paths: Sequence[str]) -> Inputs:
    """Return the inputs with the images that were read with another content than that in `split.csv`."""
    changed = sorted({*inputs.environment.get("changed_images", ()), *paths})
    return replace(inputs, environment={**inputs.environment, "changed_images": changed}) if changed else inputs


def _write_inputs(directory: RunDirectory, prepared: Prepared, inputs: Inputs) -> None:
    """Write the recipe, the environment, the split, the excluded images, the leaks and the attribution."""
    data = prepared.data
    directory.write_text(directory.recipe, dump_recipe(prepared.recipe))
    data.samples.to_csv(directory.split)
    _write_table(directory, directory.excluded, pd.DataFrame(data.dataset.excluded, columns=["path", "reason"]))
    if inputs.attribution is not None:
        directory.write_text(directory.attribution, inputs.attribution)
    directory.write_json(directory.environment, inputs.environment)
    _write_table(directory, directory.leaks, inputs.leaks)
    _write_table(directory, directory.alike, data.dataset.alike)


def _open_tracker(directory: RunDirectory, recipe: Recipe, environment: Mapping[str, Any]) -> Tracker:
    """Return the recipe's tracker, which is a context."""
    config = {**recipe.model_dump(mode="json"), "environment": environment}
    return create_tracker(grouped(recipe.tracking, recipe), name=recipe.name, run_dir=directory.path, config=config)


def _train(
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
    return TrainedModel(outcome, classifier.plain_network(), classifier.card(), head, history, activations)


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


def _calibrated(trained: TrainedModel, prepared: Prepared, features: CachedFeatures | None) -> TrainedModel:
    """Return the model with its logits rescaled as the recipe wants it; the scaling is fitted on val."""
    method = prepared.recipe.evaluate.calibrate
    if trained.head is not None or method == "none" or "val" not in predicted_splits(prepared.data.samples):
        return trained
    predictor, samples = Predictor(trained.network, trained.card, device=prepared.device), prepared.data.samples
    val = predict_split(
        predictor, prepared, samples.split("val"), features=features, activations=trained.activations, tta="none"
    )
    scaling = fit_run_scaling(val, method=method)
    trained.network.calibrate(scaling)
    return replace(trained, card=replace(trained.card, calibration=scaling))


def _predict(trained: TrainedModel, prepared: Prepared, features: CachedFeatures | None) -> dict[str, Predictions]:
    """Return the predictions for test and val by split, or for train if the run has no test and no val."""
    predictor, tta = Predictor(trained.network, trained.card, device=prepared.device), prepared.recipe.evaluate.tta
    return {
        split: predict_split(predictor, prepared, part, features=features, activations=trained.activations, tta=tta)
        for split, part in split_samples(prepared)
    }


def _replace_predictions(directory: RunDirectory, predictions: Mapping[str, Predictions | AnyTaskPredictions]) -> None:
    """Write the predictions, and delete the results that belong to earlier ones."""
    results = (directory.evaluation, directory.audit, directory.explanation, directory.slices, directory.neighbors)
    for path in (*results, directory.repair):
        path.unlink(missing_ok=True)
    for split, predicted in predictions.items():
        directory.predictions(split).parent.mkdir(exist_ok=True)
        predicted.to_parquet(directory.predictions(split))
        if isinstance(predicted, DetectionPredictions):
            for file, values in zip(directory.boxes(split), predicted.coco(), strict=True):
                directory.write_text(file, json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def _store(directory: RunDirectory, file: Path, results: Mapping[str, Evaluation | Audit | Explanation | None]) -> None:
    """Store results by split, if there are any."""
    found = {split: result.to_dict() for split, result in results.items() if result is not None}
    if found:
        store_judgements(directory, file, found)


def _report_contents(
    prepared: Prepared, inputs: Inputs, trained: TrainedModel, judged: Judged, *, val: Predictions | None
) -> RunContents:
    """Return what the report shows of one split; `Run.report` gathers the same from the run's files."""
    recipe, samples, predictions, audit = prepared.recipe, prepared.data.samples, judged.predictions, judged.audit
    examples = failing_group_images(predictions, audit) if audit else ()
    return RunContents(
        title=recipe.report.title or recipe.name,
        recipe_text=dump_recipe(recipe),
        environment=inputs.environment,
        counts=samples.counts(),
        split=judged.split,
        evaluation=judged.evaluation,
        audit=audit,
        history=trained.history,
        explanation=judged.explanation,
        confidence=assess_confidence(
            predictions,
            val=val if judged.split != "val" else None,
            scaling=trained.card.calibration,
            confidence=recipe.evaluate.confidence,
            tolerance=recipe.audit.tolerance,
            cluster_by=recipe.audit.pair_by or recipe.audit.cluster_by,
            chose_epoch=chose_epoch("val", trained.history),
        ),
        images=report_images(predictions, examples, None, root=samples.root, most=recipe.report.thumbnails),
        group_columns=predictions.group_columns,
        excluded=prepared.data.dataset.excluded,
        leaks=inputs.leaks[inputs.leaks["split"] == judged.split],
        notes=notes_of(inputs.environment, trained.card.head, interrupted=trained.outcome == "interrupted"),
        attribution=inputs.attribution,
        chose_epoch=chose_epoch(judged.split, trained.history),
    )


def _write_table(directory: RunDirectory, path: Path, table: pd.DataFrame) -> None:
    directory.write_text(path, csv_text(table))
