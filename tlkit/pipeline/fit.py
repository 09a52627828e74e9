"""The main verb: a recipe becomes a run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar

from tlkit.errors import RunError
from tlkit.models.artifact import save_artifact
from tlkit.pipeline.callbacks import MetricsRecorder, PoliteStop, StopRequested
from tlkit.pipeline.environment import describe_environment
from tlkit.pipeline.judge import Run
from tlkit.pipeline.plan import log_layers
from tlkit.pipeline.predictor import Predictor
from tlkit.pipeline.prepare import Prepared, prepare
from tlkit.pipeline.resume import checkpoint_to_resume, open_to_resume, replacing, require_same_data, stopped_early
from tlkit.predictions import Predictions
from tlkit.recipe import Recipe, dump_recipe, load_recipe
from tlkit.runs import RunDirectory, write_lock
from tlkit.tracking import Tracker, create_tracker

logger = logging.getLogger(__name__)

Outcome = Literal["finished", "interrupted"]


def fit(
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    runs_dir: str | Path = "runs",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    on_check: Callable[[int, int], None] | None = None,
) -> Run:
    """Fine-tune a backbone as a recipe says, predict, evaluate, audit and report.

    Args:
        recipe: a recipe file, or a recipe already loaded.
        overrides: changes to a recipe file: `{"train.epochs": 3}` or `["train.epochs=3"]`.
        runs_dir: folder that the run directory is made in, under the recipe's name.
        resume: continue a run that was stopped, from the end of its last finished epoch.
        overwrite: replace an earlier run of this name.
        progress: draw progress bars on stderr.
        on_check: called with (images checked, images in all) while the images are checked.

    Raises:
        TlkitError: the recipe, the data, the weights or the run directory cannot be used; nothing is lost.

    Example:
        >>> run = fit("recipes/quickstart.yaml", {"train.epochs": 3})  # doctest: +SKIP
        >>> run.evaluate().accuracy.format()  # doctest: +SKIP
        '0.885 [0.805, 0.936]'
    """
    if isinstance(recipe, Recipe):
        if overrides:
            raise RunError(
                "Overrides change a recipe file; this recipe is already loaded. Pass the file's path instead."
            )
    else:
        recipe = load_recipe(recipe, overrides)
    if resume and overwrite:
        raise RunError("--resume continues a run and --overwrite replaces it. Use one of them.")
    path = Path(runs_dir) / recipe.name
    if not resume:
        RunDirectory.require_free(path, overwrite=overwrite)
    with write_lock(path):
        if resume:
            directory = open_to_resume(path, recipe)
            if directory.status == "finished":
                logger.info("%s is finished; there is nothing to resume.", path)
                return Run(directory)
        prepared = prepare(recipe, progress=on_check)
        if resume:
            require_same_data(directory, prepared)
            return _run(directory, prepared, resume=True, progress=progress)
        with replacing(path):
            return _run(RunDirectory.create(path), prepared, resume=False, progress=progress)


def _run(directory: RunDirectory, prepared: Prepared, *, resume: bool, progress: bool) -> Run:
    """Fit into a directory, and record there how it went."""
    directory.set_status("running")
    try:
        outcome = _fit_into(directory, prepared, resume=resume, progress=progress)
    except BaseException as error:
        with suppress(OSError):  # the error itself matters more
            directory.set_status("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    directory.set_status(outcome)
    return Run(directory)


def _fit_into(directory: RunDirectory, prepared: Prepared, *, resume: bool, progress: bool) -> Outcome:
    recipe, data = prepared.recipe, prepared.data
    directory.write_text(directory.recipe, dump_recipe(recipe))
    data.samples.to_csv(directory.split)
    pd.DataFrame(data.set_aside, columns=["path", "reason"]).to_csv(directory.set_aside, index=False)
    environment = describe_environment(
        data.samples,
        weights=prepared.classifier.source.weights,
        device=prepared.device,
        precision=prepared.precision,
        set_aside=len(data.set_aside),
    )
    directory.write_json(directory.environment, environment)
    owed = Path(recipe.data.root) / "ATTRIBUTION.txt"
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
            outcome = _train(directory, prepared, tracker, resume=resume, progress=progress)
        except BaseException:
            _salvage(directory, prepared)
            raise
        if outcome == "interrupted":
            directory.set_status(outcome)  # the report says so
        card = prepared.classifier.card()
        save_artifact(directory.model, prepared.classifier.network.state_dict(), card)
        _predict(directory, prepared)
        _judge(directory, recipe, tracker)
        tracker.log_model(directory.model, metadata=card.to_dict())
    return outcome


def _train(directory: RunDirectory, prepared: Prepared, tracker: Tracker, *, resume: bool, progress: bool) -> Outcome:
    """Train, and leave the best weights in the classifier."""
    recipe, classifier = prepared.recipe, prepared.classifier
    log_layers(classifier.layers())
    stop = PoliteStop()
    best = _best_checkpoint(directory, prepared)
    callbacks: list[pl.Callback] = [MetricsRecorder(directory.metrics, tracker), stop, *best]
    if progress:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    start = checkpoint_to_resume(directory) if resume else None
    if start is not None and stopped_early(start):
        logger.info("Training had stopped early; there is nothing left to train.")
        _load_best(directory, prepared, has_val=True)
        return "finished"
    outcome: Outcome = "finished"
    with _quiet_lightning(), stop.listening():
        trainer = pl.Trainer(
            accelerator=prepared.device,
            devices=1,
            precision=prepared.precision,
            max_epochs=recipe.train.epochs,
            gradient_clip_val=recipe.train.gradient_clip,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if len(best) > 1 else 0,
            default_root_dir=directory.path,
            deterministic="warn",
        )
        classifier.to(memory_format=torch.channels_last)
        try:
            trainer.fit(
                classifier,
                datamodule=prepared.data,
                ckpt_path=str(start) if start else None,
                weights_only=True,
            )
        except SystemExit as error:  # what Lightning makes of the second Ctrl-C
            raise KeyboardInterrupt from error
        except StopRequested:
            outcome = "interrupted"
            logger.warning("Stopped in epoch %d of %d.", trainer.current_epoch + 1, recipe.train.epochs)
    _load_best(directory, prepared, has_val=len(best) > 1)
    return outcome


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep what Lightning says of itself out of the log while it trains; its warnings stay, but for those we cause."""
    speaker = logging.getLogger("pytorch_lightning")
    level = speaker.level
    speaker.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for text in (
            r".*does not have many workers.*",  # the number is chosen, and logged
            r".*module\(s\) in eval mode at the start of training.*",  # that is what frozen means; the table shows it
            r".*LeafSpec.*is deprecated.*",  # Lightning 2.6.6 with torch 2.13
            r".*number of training batches.*logging interval.*",
            r"You defined a `validation_step` but have no `val_dataloader`.*",  # the data module has said so
            r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run
        ):
            warnings.filterwarnings("ignore", message=text)
        try:
            yield
        finally:
            speaker.setLevel(level)


def _best_checkpoint(directory: RunDirectory, prepared: Prepared) -> list[pl.Callback]:
    """Return the callbacks that keep the last and the best epoch, and that stop early where the recipe asks for it."""
    train = prepared.recipe.train
    keep_last = ModelCheckpoint(
        directory.checkpoints, filename="last", save_top_k=1, monitor=None, every_n_epochs=1,
        enable_version_counter=False, save_on_train_epoch_end=True,
    )  # fmt: skip
    if not (prepared.data.samples.table["split"] == "val").any():
        if train.early_stopping:
            logger.warning("There are no val images, so early stopping has nothing to watch; it is off.")
        return [keep_last]
    keep_best = ModelCheckpoint(
        directory.checkpoints, filename="best", save_top_k=1, monitor=train.monitor, mode=_mode(train.monitor),
        enable_version_counter=False, save_on_train_epoch_end=True,
    )  # fmt: skip
    if not train.early_stopping:
        return [keep_best, keep_last]
    watched = train.early_stopping
    stopping = EarlyStopping(
        watched.monitor, patience=watched.patience, min_delta=watched.min_delta, mode=_mode(watched.monitor)
    )
    return [stopping, keep_best, keep_last]


def _mode(monitor: str) -> Literal["min", "max"]:
    return "min" if monitor.endswith("loss") else "max"


def _load_best(directory: RunDirectory, prepared: Prepared, *, has_val: bool) -> None:
    """Put the best epoch's weights into the classifier; the last epoch's where there is no validation."""
    path = directory.checkpoints / ("best.ckpt" if has_val else "last.ckpt")
    if not path.is_file():
        logger.warning("No epoch has ended; the weights are those of the last batch.")
        return
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    prepared.classifier.load_state_dict(checkpoint["state_dict"])
    logger.info("Kept the weights of epoch %d.", checkpoint["epoch"] + 1)


def _salvage(directory: RunDirectory, prepared: Prepared) -> None:
    """Store the best weights so far of a run that ends with an error, so that nothing learnt is lost."""
    if not any(directory.checkpoints.glob("*.ckpt")):
        return
    try:
        _load_best(directory, prepared, has_val=(directory.checkpoints / "best.ckpt").is_file())
        save_artifact(directory.model, prepared.classifier.network.state_dict(), prepared.classifier.card())
        logger.warning("The best weights so far are in %s; --resume continues the run.", directory.model)
    except Exception as error:  # the error that ended the run is the one to report
        logger.warning("The weights could not be stored (%s); they are in %s.", error, directory.checkpoints)


def _predict(directory: RunDirectory, prepared: Prepared) -> None:
    """Store the predictions for val and test; for train where there is neither. Judgements of older ones go."""
    for path in (directory.evaluation, directory.audit):
        path.unlink(missing_ok=True)
    predictor = Predictor(prepared.classifier.network, prepared.classifier.card(), device=prepared.device)
    samples, section = prepared.data.samples, prepared.recipe.data
    present = set(samples.table["split"])
    for split in [name for name in ("val", "test") if name in present] or ["train"]:
        predictions = predictor.predict_samples(
            samples.split(split),
            batch_size=section.batch_size,
            num_workers=section.num_workers,
            max_pixels=section.max_pixels,
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
