"""The steps of `fit` that need torch: prepare, embed or train, predict, evaluate, audit, explain, report.

`run_training` opens the run directory and records how the run ends. `_run_steps` is the sequence of steps. Each takes
the results of earlier steps as values and returns its own, which is then written to the run directory. `run_inputs`
holds what is known before training, `train_model` the training, `task_steps` what follows it for other tasks than one
class for each image. Of what a fit has written it reads only the best epochs' checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlkit.audit.audit import Audit
from tlkit.audit.error_examples import failing_group_images
from tlkit.audit.explanation import Explanation
from tlkit.data.dataset_source import LoadedDataset
from tlkit.disk import DISK_FULL_ERRNOS, cache_folder, failed_path
from tlkit.errors import RunError, TlkitError
from tlkit.evaluation import Evaluation
from tlkit.inference.predictor import Predictor
from tlkit.inference.recipe_features import CachedFeatures
from tlkit.inference.stored_model import store_model
from tlkit.memory_errors import memory_problem
from tlkit.predictions import Predictions
from tlkit.preflight.recipe_queries import can_use_cache
from tlkit.recipe import Recipe, dump_recipe
from tlkit.render.report import RunContents, write_report
from tlkit.runs import RunDirectory, store_judgements
from tlkit.runs.assess_split import chose_epoch, warn_trained_on
from tlkit.runs.lifecycle import replaced_run
from tlkit.runs.run import Run
from tlkit.runs.run_log import FitDisplay
from tlkit.runs.run_pages import notes_of, report_images
from tlkit.runs.run_tables import kept_epochs
from tlkit.tracking import Tracker, create_tracker
from tlkit.training.cached_features import cached_features
from tlkit.training.callbacks import GracefulStop
from tlkit.training.distributed import release_ranks
from tlkit.training.judge_split import Judged, explained, judge_split, warn_of_optimism
from tlkit.training.predict_splits import predict_split, replace_predictions, split_samples
from tlkit.training.prepare import OpenedModel, Prepared, prepare
from tlkit.training.resume import require_same_processes
from tlkit.training.run_inputs import Inputs, known_inputs, with_changes, with_features, write_inputs, write_table
from tlkit.training.task_steps import finish_task
from tlkit.training.tracked_results import grouped, track_data, track_model, track_report, track_split
from tlkit.training.train_model import TrainedModel, calibrated, train_model
from tlkit.training.trainer import Outcome
from tlkit.uncertainty.confidence_report import assess_confidence
from tlkit.uncertainty.val_scores import store_val_scores


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
    inputs = known_inputs(prepared, before=directory.read_environment() if resumed else None)
    write_inputs(directory, prepared, inputs)

    features = cached_features(prepared, resumed_engine=inputs.environment.get("features"), progress=shown.on_features)
    if features is not None:
        inputs = with_features(inputs, prepared, features)
        directory.write_json(directory.environment, inputs.environment)
        write_table(directory, directory.leaks, inputs.leaks)

    with _open_tracker(directory, recipe, inputs.environment) as tracker:
        track_data(tracker, inputs.environment, samples)
        trained = train_model(directory, prepared, features, tracker, stop, resume=resume, shown=shown)
        inputs = with_changes(inputs, prepared.data.changed_images)
        directory.write_json(directory.environment, inputs.environment)
        if recipe.task != "multiclass":
            finish_task(directory, prepared, inputs, trained, features=features, tracker=tracker, shown=shown)
            return trained.outcome
        trained = calibrated(trained, prepared, features)
        store_model(directory.model, trained.network, trained.facts, trained.head)

        predictions = _predict(trained, prepared, features)
        inputs = with_changes(inputs, prepared.data.changed_images)
        directory.write_json(directory.environment, inputs.environment)
        replace_predictions(directory, predictions)
        store_val_scores(directory.model, predictions.get("val"), chose_epoch=chose_epoch("val", trained.history))

        judged = [
            judge_split(recipe, split, one, inputs.leaks, level=logging.DEBUG if place else logging.INFO)
            for place, (split, one) in enumerate(predictions.items())
        ]
        warn_trained_on(judged[0].split, recipe.name)
        _store(directory, directory.evaluation, {one.split: one.evaluation for one in judged})
        _store(directory, directory.audit, {one.split: one.audit for one in judged})
        shown.log.add_results(judged[0].evaluation, judged[0].audit)
        warn_of_optimism(trained.facts.head, judged[0])
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
        track_model(tracker, directory.model, trained.facts.to_dict(), inputs.environment, best=chosen)
    return trained.outcome


@contextmanager
def _status_recorded(directory: RunDirectory) -> Iterator[None]:
    """Record that a run is running, and that it failed or was interrupted if the block raises.

    Raises:
        RunError: the disk, the quota or the memory is full, or a process that loads images was killed.
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
        if not isinstance(error, TlkitError) and (problem := memory_problem(error)) is not None:
            raise RunError(
                f"{directory.path}: {problem} What was saved before is kept. Stop other programs, or load images in "
                "fewer processes, and continue: --resume data.num_workers=0. Or start a new run with smaller batches "
                "(data.batch_size; train.accumulate_grad_batches keeps the images of a step), train.grad_checkpointing "
                "or smaller images (data.image_size)."
            ) from error
        raise


def _open_tracker(directory: RunDirectory, recipe: Recipe, environment: Mapping[str, Any]) -> Tracker:
    """Return the recipe's tracker, which is a context."""
    config = {**recipe.model_dump(mode="json"), "environment": environment}
    return create_tracker(grouped(recipe.tracking, recipe), name=recipe.name, run_dir=directory.path, config=config)


def _predict(trained: TrainedModel, prepared: Prepared, features: CachedFeatures | None) -> dict[str, Predictions]:
    """Return the predictions for test and val by split, or for train if the run has no test and no val."""
    predictor, tta = Predictor(trained.network, trained.facts, device=prepared.device), prepared.recipe.evaluate.tta
    return {
        split: predict_split(predictor, prepared, part, features=features, activations=trained.activations, tta=tta)
        for split, part in split_samples(prepared)
    }


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
            scaling=trained.facts.calibration,
            confidence=recipe.evaluate.confidence,
            tolerance=recipe.audit.tolerance,
            cluster_by=recipe.audit.pair_by or recipe.audit.cluster_by,
            chose_epoch=chose_epoch("val", trained.history),
        ),
        images=report_images(predictions, examples, None, root=samples.root, most=recipe.report.thumbnails),
        group_columns=predictions.group_columns,
        excluded=prepared.data.dataset.excluded,
        leaks=inputs.leaks[inputs.leaks["split"] == judged.split],
        notes=notes_of(inputs.environment, trained.facts.head, interrupted=trained.outcome == "interrupted"),
        attribution=inputs.attribution,
        chose_epoch=chose_epoch(judged.split, trained.history),
    )
