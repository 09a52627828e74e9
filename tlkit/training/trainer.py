"""Training: the Lightning trainer, its callbacks, and the best weights at the end."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.errors import first_few
from tlkit.lightning import pl
from tlkit.models.training_step import NotFiniteError
from tlkit.process_state import environment_without
from tlkit.runs import RunDirectory
from tlkit.runs.run_log import FitDisplay
from tlkit.runs.run_tables import history_of
from tlkit.tracking import NullTracker, Tracker
from tlkit.training.callbacks import (
    BatchWatch,
    EarlyStoppingInLastPhase,
    EpochWatch,
    GracefulStop,
    LastBatch,
    MetricsRecorder,
    ProgressBar,
    StopRequested,
)
from tlkit.training.checkpoint_callback import KeepCheckpoints
from tlkit.training.checkpoint_files import DurableCheckpointIO, FrozenWeights, read_checkpoint
from tlkit.training.compute_format import applied_compute_format, choose_compute_format
from tlkit.training.distributed import Task, gather_objects, leading, release_ranks, trainer_arguments
from tlkit.training.grad_checkpointing import GradCheckpointing
from tlkit.training.model_soup import average_best_epochs
from tlkit.training.prepare import Prepared
from tlkit.training.resume import origin_of
from tlkit.training.start_checkpoint import Start, find_start, naming_checkpoint
from tlkit.training.tracked_results import track
from tlkit.training.worst_group_metric import watch_worst_group

logger = logging.getLogger(__name__)

LIGHTNING_ARGUMENTS = "PL_TRAINER_"
"""Beginning of the environment variables from which Lightning takes arguments of a trainer that were not given."""

Outcome = Literal["finished", "interrupted"]


def train(
    directory: RunDirectory,
    prepared: Prepared,
    tracker: Tracker,
    stop: GracefulStop,
    *,
    batches: pl.LightningDataModule,
    resume: bool,
    shown: FitDisplay,
) -> tuple[Outcome, pd.DataFrame]:
    """Train, leave the best weights in the classifier; return how training ended, and the metrics of each epoch.

    Metrics and checkpoints go to the directory, metrics to the tracker, too. `batches` are images or their features,
    with the rows of the split's samples as `index`. `resume` continues from the newest usable checkpoint.

    Raises:
        NotFiniteError: the loss or a gradient is not a finite number; epoch, batch and files are named.
        RunError: a checkpoint cannot be written, or was trained on other frozen weights.
    """
    origin, world = origin_of(prepared), prepared.world
    start = _find_start(directory, origin=origin) if resume else None
    for row in start.rows if start is not None else ():
        track(tracker, row)  # the new record of a tracker holds the whole history
    if start is not None and start.stopped_early:
        logger.info("Training had stopped early; there is nothing left to train.")
        if world.size > 1:
            release_ranks()
        load_best(prepared, start.best)
        _average(directory, prepared, tracker, batches=batches, ranked=start.ranked)
        return "finished", history_of(start.rows)
    from_pixels = isinstance(batches, ImageFolderDataModule)
    task = Task(
        prepared.recipe,
        prepared.data.samples,
        dict(prepared.classifier.hparams),
        prepared.device,
        prepared.precision,
        prepared.steps_per_epoch,
        directory.path,
        origin,
        start.path if start else None,
        choose_compute_format(directory, prepared, resume=resume, from_pixels=from_pixels),
        prepared.data.dataset.sizes,
        watch_worst_group(prepared.recipe, prepared.data.samples),
    )
    with leading(world, task):
        outcome, keeper, history = _run_trainer(task, prepared, batches, tracker, stop, shown=shown)
    load_best(prepared, directory.checkpoints / keeper.best if keeper.best else None)
    if outcome == "finished":
        _average(directory, prepared, tracker, batches=batches, ranked=keeper.ranked)
    return outcome, history


def train_nonzero_rank(task: Task, prepared: Prepared) -> None:
    """Train as a rank other than 0, which writes nothing."""
    _run_trainer(task, prepared, prepared.data, NullTracker(), GracefulStop(), shown=None)


def _run_trainer(
    task: Task,
    prepared: Prepared,
    batches: pl.LightningDataModule,
    tracker: Tracker,
    stop: GracefulStop,
    *,
    shown: FitDisplay | None,
) -> tuple[Outcome, KeepCheckpoints, pd.DataFrame]:
    """Run one rank's trainer; return how training ended, what has kept the checkpoints, and the metrics by epoch."""
    directory, classifier, world = RunDirectory(task.folder), prepared.classifier, prepared.world
    last_batch, frozen, settings = LastBatch(), FrozenWeights.of(prepared), prepared.recipe.train
    keeper = KeepCheckpoints(
        directory.checkpoints,
        origin=task.origin,
        frozen=frozen,
        monitor=settings.monitor if _has_val(prepared) else None,
        mode=_mode(settings.monitor),
        every_steps=settings.checkpoint_every,
        stop=stop,
        best_epochs=settings.model_soup_size or 1,
    )
    recorder = MetricsRecorder(directory, tracker)
    callbacks: list[pl.Callback] = [task.worst] if task.worst is not None else []
    callbacks += [GradCheckpointing()] if settings.grad_checkpointing else []
    callbacks += [stop, recorder, last_batch, keeper, *_early_stopping(prepared)]
    progress = shown is not None and shown.progress
    callbacks += [ProgressBar()] if progress else []
    callbacks += [BatchWatch(shown.on_batch)] if shown is not None and shown.on_batch is not None else []
    callbacks += [EpochWatch(recorder, shown.on_epoch)] if shown is not None and shown.on_epoch is not None else []
    outcome: Outcome = "finished"
    # a copy, because nothing public makes a sharded or compiled module plain again
    trained = copy.deepcopy(classifier) if prepared.sharded or task.compute_format.compiled else classifier
    prepared.data.memory_format = task.compute_format.memory_format
    with (
        _quiet_lightning(),
        stop.listening(),
        applied_compute_format(trained, task.compute_format, device=prepared.device),
    ):
        trainer = _trainer(directory, prepared, callbacks, DurableCheckpointIO(frozen), progress=progress)
        try:
            checkpoint = str(task.checkpoint) if task.checkpoint else None
            with naming_checkpoint(task.checkpoint, restored=lambda: keeper.started):
                trainer.fit(trained, datamodule=batches, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as error:  # Lightning raises it for the second Ctrl-C
            raise KeyboardInterrupt from error
        except StopRequested:
            outcome = "interrupted"
            level = logging.WARNING if world.rank == 0 else logging.DEBUG
            logger.log(level, "Stopped in epoch %d of %d.", trainer.current_epoch + 1, settings.epochs)
        except NotFiniteError as error:
            index = np.concatenate(gather_objects(last_batch.index, world))
            files = prepared.data.samples.split("train").paths[index]
            raise error.naming(f" ({len(files)} images: {first_few(files.tolist())})") from None
        for paths in gather_objects(prepared.data.changed_images, world):
            prepared.data.add_changed(paths)
        if trained is not classifier:
            whole = trainer.strategy.lightning_module_state_dict()
            if world.rank == 0:
                classifier.load_state_dict(whole)
    return outcome, keeper, history_of(recorder.rows)


def load_best(prepared: Prepared, best: Path | None) -> None:
    """Load the best epoch's weights into the classifier; without a best epoch it keeps those of the last batch.

    Raises:
        RunError: the checkpoint was trained on other frozen weights.
    """
    if best is None:
        logger.warning("No epoch has ended; the weights are those of the last batch.")
        return
    checkpoint = FrozenWeights.of(prepared).completed(read_checkpoint(best), best)
    with naming_checkpoint(best):
        prepared.classifier.load_state_dict(checkpoint["state_dict"])
    why = f", the best by {prepared.recipe.train.monitor} (train.monitor)" if _has_val(prepared) else ""
    logger.info("Kept the weights of epoch %d%s.", checkpoint["epoch"] + 1, why)


def _average(
    directory: RunDirectory,
    prepared: Prepared,
    tracker: Tracker,
    *,
    batches: pl.LightningDataModule,
    ranked: Sequence[tuple[str, float]],
) -> None:
    """Average the best epochs where the recipe has a `model_soup_size`, and store which were used."""
    if prepared.recipe.train.model_soup_size is None:
        return
    if not _has_val(prepared):
        logger.warning("There are no val images to choose the epochs of a soup by; the model is not averaged.")
        return
    soup = average_best_epochs(prepared, batches, directory.checkpoints, ranked)
    if soup is not None:
        directory.write_json(directory.soup, soup.to_dict())
        tracker.log_summary({f"soup/{soup.monitor}": soup.value, "soup/epochs": float(len(soup.epochs))})


def _find_start(directory: RunDirectory, *, origin: str) -> Start | None:
    start = find_start(directory.checkpoints, origin=origin)
    if start is None:
        logger.warning("%s has no usable checkpoint; training starts again.", directory.path)
    else:
        logger.info("Resuming after %s, from %s.", start.position, start.path)
    return start


def _trainer(
    directory: RunDirectory,
    prepared: Prepared,
    callbacks: list[pl.Callback],
    files: DurableCheckpointIO,
    *,
    progress: bool,
) -> pl.Trainer:
    settings = prepared.recipe.train
    several_phases = len(prepared.classifier.phases) > 1
    arguments = trainer_arguments(prepared.world, several_phases=several_phases, sharded=prepared.sharded)
    _warn_of_variables()
    with environment_without(LIGHTNING_ARGUMENTS):
        return pl.Trainer(
            accelerator=prepared.device,
            **arguments | {"plugins": [files, *arguments["plugins"]]},
            precision=prepared.precision,
            max_epochs=settings.epochs,
            accumulate_grad_batches=settings.accumulate_grad_batches,
            gradient_clip_val=settings.gradient_clip_val,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if _has_val(prepared) else 0,
            default_root_dir=directory.path,
            deterministic="warn",
        )


def _warn_of_variables() -> None:
    """Warn of variables by which Lightning gives a trainer arguments: a recipe alone says how its run is trained."""
    if found := sorted(name for name in os.environ if name.startswith(LIGHTNING_ARGUMENTS)):
        logger.warning(
            "Not read, since the recipe alone says how a run is trained: %s. State such values in its section train.",
            first_few(found),
        )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide Lightning's info messages within the block, and those warnings that tlkit's own settings cause."""
    lightning = logging.getLogger("pytorch_lightning")
    level = lightning.level
    lightning.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for text in (
            r".*does not have many workers.*",  # the number is chosen, and logged
            r".*module\(s\) in eval mode at the start of training.*",  # of frozen modules; the phase table shows them
            r".*LeafSpec.*is deprecated.*",  # Lightning 2.6.6 with torch 2.13
            r".*number of training batches.*logging interval.*",
            r"You defined a `validation_step` but have no `val_dataloader`.*",  # the data module logs it
        ):
            warnings.filterwarnings("ignore", message=text)
        try:
            yield
        finally:
            lightning.setLevel(level)


def _early_stopping(prepared: Prepared) -> list[pl.Callback]:
    section = prepared.recipe.train.early_stopping
    if section is None:
        return []
    if not _has_val(prepared):
        logger.warning("There are no val images to monitor, so early stopping is off.")
        return []
    mode = _mode(section.monitor)
    return [
        EarlyStoppingInLastPhase(section.monitor, patience=section.patience, min_delta=section.min_delta, mode=mode)
    ]


def _has_val(prepared: Prepared) -> bool:
    return bool((prepared.data.samples.table["split"] == "val").any())


def _mode(monitor: str) -> Literal["min", "max"]:
    return "min" if monitor.endswith("loss") else "max"
