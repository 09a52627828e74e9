"""A recipe and its images become a run: what of `fit` needs torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import pandas as pd

from tlkit.data.duplicates import Pair
from tlkit.data.gather import Gathered
from tlkit.disk import FULL
from tlkit.errors import RunError
from tlkit.features.heads import Head
from tlkit.models.artifact import save_artifact
from tlkit.pipeline.inference.beside import FeaturesBeside
from tlkit.pipeline.inference.copies import with_leaks_by_features
from tlkit.pipeline.inference.devices import one_thread
from tlkit.pipeline.inference.predictor import Predictor
from tlkit.pipeline.inference.stored import store_model
from tlkit.pipeline.inference.wanted import CachedFeatures, predicted_splits
from tlkit.pipeline.judging.judge import Run
from tlkit.pipeline.starting.asked import can_use_cache, head_word
from tlkit.pipeline.starting.reopen import replacing
from tlkit.pipeline.training.cached import FeatureBatches, cached_features, threads_for
from tlkit.pipeline.training.callbacks import PoliteStop
from tlkit.pipeline.training.checkpoints import find_start
from tlkit.pipeline.training.distributed import release_ranks
from tlkit.pipeline.training.environment import describe_environment, with_changes
from tlkit.pipeline.training.heads import learn_head
from tlkit.pipeline.training.prepare import Prepared, prepare
from tlkit.pipeline.training.resume import origin_of, require_same_world
from tlkit.pipeline.training.train import Outcome, load_best, train
from tlkit.predictions import Predictions
from tlkit.recipe import Recipe, dump_recipe
from tlkit.runs import RunDirectory
from tlkit.tracking import Tracker, create_tracker

logger = logging.getLogger(__name__)


def carry_out(
    recipe: Recipe,
    path: Path,
    gathered: Gathered,
    *,
    resume: bool,
    progress: bool,
    beside: FeaturesBeside | None = None,
) -> Run:
    """Fit a recipe to its images, into a run directory that is free or that is to be resumed.

    Args:
        recipe: the recipe.
        path: the run directory; the caller holds its lock.
        gathered: the recipe's images.
        resume: continue the run that is there.
        progress: draw progress bars on stderr.
        beside: another process that makes the features meanwhile.

    Raises:
        TlkitError: the weights or the device cannot be had, or the run cannot be continued with these images.
        SystemExit: SIGTERM has ended training; the run is stored.
    """
    if can_use_cache(recipe):
        release_ranks()
    at_work = beside is not None and beside.at_work
    with one_thread() if at_work else nullcontext():  # the other process has the other cores
        backbone = None if beside is None else beside.backbone
        prepared, stop = prepare(recipe, gathered=gathered, backbone=backbone), PoliteStop()
    if beside is not None and at_work:
        import sklearn.metrics  # noqa: F401  needed later, and loaded while the other process is at work

        import tlkit.pipeline.judging.pages  # noqa: F401

        beside.wait()
    with nullcontext() if resume else replacing(path):
        directory = RunDirectory.open(path) if resume else RunDirectory.create(path)
        if resume:
            require_same_world(directory, prepared)
        with _recorded(directory):
            outcome = _fit_into(directory, prepared, stop, beside, resume=resume, progress=progress)
        directory.set_status(outcome)
    stop.pass_on()
    return Run(directory)


@contextmanager
def _recorded(directory: RunDirectory) -> Iterator[None]:
    """Record in a directory that a fit runs, and how it failed where it does; a full disk is told in words."""
    directory.set_status("running")
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # the error itself matters more
            directory.set_status("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        if isinstance(error, OSError) and error.errno in FULL:
            raise RunError(
                f"{directory.path} cannot be written: {error.strerror}. What was saved before is kept. "
                "Free some space, then continue with --resume."
            ) from error
        raise


def _fit_into(
    directory: RunDirectory,
    prepared: Prepared,
    stop: PoliteStop,
    beside: FeaturesBeside | None,
    *,
    resume: bool,
    progress: bool,
) -> Outcome:
    recipe, data = prepared.recipe, prepared.data
    directory.write_text(directory.recipe, dump_recipe(recipe))
    data.samples.to_csv(directory.split)
    set_aside = pd.DataFrame(data.set_aside, columns=["path", "reason"])
    directory.write_text(directory.set_aside, set_aside.to_csv(index=False, lineterminator="\n"))
    if data.leaks is not None:
        leaks = data.leaks.table.assign(dropped="yes" if recipe.data.on_leak == "drop" else "")
        directory.write_text(directory.leaks, leaks.to_csv(index=False, lineterminator="\n"))
    environment, cached = _note_environment(directory, prepared, resume=resume)
    looks = _gives_leaks_away(prepared, cached)
    if beside is not None and looks and recipe.data.on_leak != "error":
        beside.look_for_copies(data.samples, Run(directory).leaks)
    elif beside is not None:
        beside.end()  # it has nothing more to do
    if looks and recipe.data.on_leak == "error":
        _look_for_leaks(directory, prepared, cached)
    owed = data.samples.root / "ATTRIBUTION.txt"
    if owed.is_file():
        directory.write_text(directory.attribution, owed.read_text(encoding="utf-8", errors="replace"))
    section = recipe.tracking
    with create_tracker(
        kind=section.kind,
        mode=section.mode,
        project=section.project,
        entity=section.entity,
        tags=section.tags,
        log_model=section.log_model,
        name=recipe.name,
        run_dir=directory.path,
        config={**recipe.model_dump(mode="json"), "environment": environment},
    ) as tracker:
        try:
            outcome, head = _learn(directory, prepared, cached, tracker, stop, resume=resume, progress=progress)
        except BaseException:
            _salvage(directory, prepared)
            raise
        if outcome == "interrupted":
            directory.set_status(outcome)  # the report says so
        store_model(directory.model, prepared.classifier.plain_network(), prepared.classifier.card(), head)
        _predict(directory, prepared, cached)
        if looks and recipe.data.on_leak != "error":
            _look_for_leaks(directory, prepared, cached, pairs=None if beside is None else beside.copies())
        _judge(directory, recipe, tracker)
        tracker.log_model(directory.model, metadata=prepared.classifier.card().to_dict())
    return outcome


def _gives_leaks_away(prepared: Prepared, cached: CachedFeatures | None) -> bool:
    """Tell whether there are features of all images, and leaks are looked for."""
    return cached is not None and prepared.data.leaks is not None and len(cached.plain) >= len(prepared.data.samples)


def _look_for_leaks(
    directory: RunDirectory,
    prepared: Prepared,
    cached: CachedFeatures | None,
    *,
    pairs: Sequence[Pair] | None = None,
) -> None:
    """Add the leaks that features give away to those that are known."""
    assert cached is not None, "who asks has seen to it"
    known, section = Run(directory).leaks, prepared.recipe.data
    table = with_leaks_by_features(
        prepared.data.samples, cached.plain, known,
        on_leak=section.on_leak, looks=prepared.data.gathered.looks, max_pixels=section.max_pixels, pairs=pairs,
    )  # fmt: skip
    if len(table) > len(known):
        directory.write_text(directory.leaks, table.to_csv(index=False, lineterminator="\n"))


def _note_environment(
    directory: RunDirectory, prepared: Prepared, *, resume: bool
) -> tuple[dict[str, Any], CachedFeatures | None]:
    """Write down what the run is made with, and make the features that it trains on, if any, as it was begun."""
    environment = describe_environment(
        prepared.data.samples,
        weights=prepared.classifier.source.weights,
        device=prepared.device,
        precision=prepared.precision,
        processes=prepared.world.size,
        set_aside=len(prepared.data.set_aside),
        sources=_sources(prepared.recipe),
    )
    begun_with = None
    if resume and directory.environment.is_file():
        before = directory.read_json(directory.environment)
        environment, begun_with = with_changes(before, environment), before.get("features")
        if begun_with is not None:
            environment["features"] = begun_with
    directory.write_json(directory.environment, environment)
    cached = cached_features(prepared, begun_with=begun_with)
    if cached is not None:
        environment["features"] = cached.plain.made_by.to_dict()
        directory.write_json(directory.environment, environment)
    return environment, cached


def _sources(recipe: Recipe) -> list[Path]:
    """Return the files that say which images there are, what they show and how they are split."""
    data = recipe.data
    labels = (data.labels,) if isinstance(data.labels, str) else data.labels
    return [Path(file) for file in (data.manifest, data.split, data.quarantine, *labels) if file is not None]


def _learn(
    directory: RunDirectory,
    prepared: Prepared,
    cached: CachedFeatures | None,
    tracker: Tracker,
    stop: PoliteStop,
    *,
    resume: bool,
    progress: bool,
) -> tuple[Outcome, Head | None]:
    """Train, or fit the head that the recipe asks for; what was learnt is in the classifier afterwards."""
    if head_word(prepared.recipe) != "linear":
        assert cached is not None, "such a head contradicts what asks for pixels"
        return "finished", learn_head(prepared, cached.plain)
    batches = prepared.data if cached is None else FeatureBatches(prepared, cached)
    with threads_for(prepared, cached):
        return train(directory, prepared, tracker, stop, batches=batches, resume=resume, progress=progress), None


def _salvage(directory: RunDirectory, prepared: Prepared) -> None:
    """Store the best weights so far of a run that ends with an error, so that nothing learnt is lost."""
    start = find_start(directory.checkpoints, origin=origin_of(prepared))
    if start is None or start.best is None:
        return
    try:
        load_best(prepared, start.best)
        save_artifact(directory.model, prepared.classifier.plain_network().state_dict(), prepared.classifier.card())
        logger.warning("The best weights so far are in %s; --resume continues the run.", directory.model)
    except Exception as error:  # the error that ended the run is the one to report
        logger.warning("The weights could not be stored (%s); they are in %s.", error, directory.checkpoints)


def _predict(directory: RunDirectory, prepared: Prepared, cached: CachedFeatures | None) -> None:
    """Store the predictions for val and test; for train where there is neither. Judgements of older ones go."""
    judged = (directory.evaluation, directory.audit, directory.explanation, directory.slices, directory.neighbours)
    for path in judged:
        path.unlink(missing_ok=True)
    predictor = Predictor(prepared.classifier.plain_network(), prepared.classifier.card(), device=prepared.device)
    section, tta = prepared.recipe.data, prepared.recipe.evaluate.tta
    if tta != "none":
        logger.info("Test-time augmentation %s: each prediction is the mean over the views of its image.", tta)
    for split in predicted_splits(prepared.data.samples):
        samples = prepared.data.samples.split(split)
        if cached is not None and tta == "none":
            predictions = predictor.predict_features(cached.plain, samples)
        else:
            predictions = predictor.predict_samples(
                samples,
                batch_size=section.batch_size,
                num_workers=section.num_workers,
                max_pixels=section.max_pixels,
                tta=tta,
            )
        directory.predictions(split).parent.mkdir(exist_ok=True)
        predictions.to_parquet(directory.predictions(split))


def _judge(directory: RunDirectory, recipe: Recipe, tracker: Tracker) -> None:
    run = Run(directory)
    for split in directory.predicted_splits:
        evaluation = run.evaluate(split)
        if recipe.audit.by:
            run.audit(split=split)
        figures = {
            "accuracy": evaluation.accuracy,
            "balanced_accuracy": evaluation.balanced_accuracy,
            "macro_f1": evaluation.macro_f1,
        }
        tracker.log_summary({f"{split}/{name}": estimate.value for name, estimate in figures.items()})
        tracker.log_predictions(_tracked(run.predictions(split)), name=f"{split}/predictions")
        tracker.log_confusion(evaluation.confusion, evaluation.classes, name=f"{split}/confusion_matrix")
    if recipe.report.enabled:
        run.report()


def _tracked(predictions: Predictions) -> pd.DataFrame:
    """Return what a tracker may see of the predictions: no group columns."""
    names = list(predictions.classes)
    known = predictions.labelled
    return pd.DataFrame(
        {
            "path": known.path,
            "true": [names[i] for i in known.y_true],
            "predicted": [names[i] for i in known.y_pred],
            "confidence": known.confidence,
            "correct": known.correct,
        }
    )
