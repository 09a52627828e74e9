"""Training itself: the trainer, what watches it, and the best weights at the end."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.errors import first_few
from tlkit.lightning import pl
from tlkit.models.training_step import NotFiniteError
from tlkit.runs import RunDirectory
from tlkit.tracking import NullTracker, Tracker
from tlkit.training.callbacks import (
    EarlyStoppingInLastPhase,
    GracefulStop,
    LastBatch,
    MetricsRecorder,
    ProgressBar,
    StopRequested,
    track,
)
from tlkit.training.checkpoints import (
    DurableCheckpointIO,
    FrozenWeights,
    KeepCheckpoints,
    Start,
    find_start,
    read_checkpoint,
)
from tlkit.training.compute_format import ComputeFormat, applied_compute_format, choose_compute_format
from tlkit.training.distributed import Task, gather_objects, leading, release_ranks, trainer_arguments
from tlkit.training.model_soup import average_best_epochs
from tlkit.training.prepare import Prepared
from tlkit.training.resume import origin_of
from tlkit.training.worst_group_metric import WorstGroup, watch_worst_group

logger = logging.getLogger(__name__)

Outcome = Literal["finished", "interrupted"]


def train(
    directory: RunDirectory,
    prepared: Prepared,
    tracker: Tracker,
    stop: GracefulStop,
    *,
    batches: pl.LightningDataModule,
    resume: bool,
    progress: bool,
) -> Outcome:
    """Train, and leave the best weights in the classifier.

    Args:
        directory: where metrics and checkpoints go.
        prepared: the recipe, made concrete.
        tracker: gets the metrics, too.
        stop: hears Ctrl-C and SIGTERM while training goes on, and tells afterwards which it was.
        batches: images or their features, with the rows of the split's samples as `index`.
        resume: continue from the newest checkpoint that can be used.
        progress: draw a progress bar on stderr.

    Raises:
        NotFiniteError: the loss or a gradient is not a finite number; epoch, batch and files are named.
        RunError: a checkpoint cannot be written, or belongs on other frozen weights.
    """
    origin, world = origin_of(prepared), prepared.world
    start = _find_start(directory, origin=origin) if resume else None
    for row in start.rows if start is not None else ():
        track(tracker, row)  # a tracker's new record holds the whole history
    if start is not None and start.stopped_early:
        logger.info("Training had stopped early; there is nothing left to train.")
        if world.size > 1:
            release_ranks()
        load_best(prepared, start.best)
        _average(directory, prepared, tracker, batches=batches, ranked=start.ranked)
        return "finished"
    from_pixels = isinstance(batches, ImageFolderDataModule)
    speed = choose_compute_format(directory, prepared, resume=resume, from_pixels=from_pixels)
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
        speed,
        watch_worst_group(prepared.recipe, prepared.data.samples),
    )
    training = _Training(directory, prepared, tracker, stop, batches, task.worst, progress)
    with leading(world, task):
        outcome, keeper = training.run(origin=origin, checkpoint=task.checkpoint, speed=speed)
    load_best(prepared, directory.checkpoints / keeper.best if keeper.best else None)
    if outcome == "finished":
        _average(directory, prepared, tracker, batches=batches, ranked=keeper.ranked)
    return outcome


def train_nonzero_rank(task: Task, prepared: Prepared) -> None:
    """Train beside rank 0, and write nothing.

    Args:
        task: what rank 0 has sent.
        prepared: the recipe, made concrete for this rank.
    """
    directory, stop = RunDirectory(task.folder), GracefulStop()
    training = _Training(directory, prepared, NullTracker(), stop, prepared.data, task.worst, progress=False)
    training.run(origin=task.origin, checkpoint=task.checkpoint, speed=task.speed)


@dataclass(frozen=True)
class _Training:
    """One process's part in training."""

    directory: RunDirectory
    prepared: Prepared
    tracker: Tracker
    stop: GracefulStop
    batches: pl.LightningDataModule
    worst: WorstGroup | None
    progress: bool

    def run(self, *, origin: str, checkpoint: Path | None, speed: ComputeFormat) -> tuple[Outcome, KeepCheckpoints]:
        """Train; return how it ended, and what has kept the checkpoints."""
        prepared, classifier, stop = self.prepared, self.prepared.classifier, self.stop
        last_batch, frozen = LastBatch(), FrozenWeights.of(prepared)
        keeper = _keeper(self.directory, prepared, origin=origin, frozen=frozen, stop=stop)
        callbacks: list[pl.Callback] = [self.worst] if self.worst is not None else []
        callbacks += [stop, MetricsRecorder(self.directory, self.tracker), last_batch, keeper]
        callbacks += _early_stopping(prepared)
        if self.progress:
            callbacks.append(ProgressBar())
        outcome: Outcome = "finished"
        # a copy, because nothing public makes a sharded or compiled module plain again
        trained = copy.deepcopy(classifier) if prepared.sharded or speed.compiled else classifier
        files = DurableCheckpointIO(frozen)
        with _quiet_lightning(), stop.listening(), applied_compute_format(trained, speed, device=prepared.device):
            trainer = _trainer(self.directory, prepared, callbacks, files, progress=self.progress)
            try:
                trainer.fit(
                    trained,
                    datamodule=self.batches,
                    ckpt_path=str(checkpoint) if checkpoint else None,
                    weights_only=True,
                )
            except SystemExit as error:  # what Lightning makes of the second Ctrl-C
                raise KeyboardInterrupt from error
            except StopRequested:
                outcome = "interrupted"
                logger.log(
                    logging.WARNING if prepared.world.rank == 0 else logging.DEBUG,
                    "Stopped in epoch %d of %d.",
                    trainer.current_epoch + 1,
                    prepared.recipe.train.epochs,
                )
            except NotFiniteError as error:
                index = np.concatenate(gather_objects(last_batch.index, prepared.world))
                files = prepared.data.samples.split("train").paths[index]
                raise error.naming(f" ({len(files)} images: {first_few(files.tolist())})") from None
            if trained is not classifier:
                whole = trainer.strategy.lightning_module_state_dict()
                if prepared.world.rank == 0:
                    classifier.load_state_dict(whole)
        return outcome, keeper


def load_best(prepared: Prepared, best: Path | None) -> None:
    """Load the best epoch's weights into the classifier; keep the last batch's where no epoch has ended.

    Raises:
        RunError: the checkpoint belongs on other frozen weights.
    """
    if best is None:
        logger.warning("No epoch has ended; the weights are those of the last batch.")
        return
    checkpoint = FrozenWeights.of(prepared).completed(read_checkpoint(best), best)
    prepared.classifier.load_state_dict(checkpoint["state_dict"])
    logger.info("Kept the weights of epoch %d.", checkpoint["epoch"] + 1)


def _average(
    directory: RunDirectory,
    prepared: Prepared,
    tracker: Tracker,
    *,
    batches: pl.LightningDataModule,
    ranked: Sequence[tuple[str, float]],
) -> None:
    """Average the best epochs where the recipe asks for it, and write down which."""
    if prepared.recipe.train.model_soup_size is None:
        return
    if not _has_val(prepared):
        logger.warning("There are no val images, so nothing can choose the epochs of a soup; there is none.")
        return
    soup = average_best_epochs(prepared, batches, directory.checkpoints, ranked)
    if soup is not None:
        directory.write_json(directory.soup, soup.to_dict())
        tracker.log_summary({f"soup/{soup.monitor}": soup.value, "soup/epochs": float(len(soup.epochs))})


def _find_start(directory: RunDirectory, *, origin: str) -> Start | None:
    start = find_start(directory.checkpoints, origin=origin)
    if start is None:
        logger.warning("%s has no checkpoint that can be used; training starts anew.", directory.path)
    else:
        logger.info("Resuming after %s, from %s.", start.words, start.path)
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
    return pl.Trainer(
        accelerator=prepared.device,
        **trainer_arguments(
            prepared.world, several_phases=len(prepared.classifier.phases) > 1, sharded=prepared.sharded
        ),
        precision=prepared.precision,
        max_epochs=settings.epochs,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        gradient_clip_val=settings.gradient_clip_val,
        callbacks=callbacks,
        plugins=[files],
        logger=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if _has_val(prepared) else 0,
        default_root_dir=directory.path,
        deterministic="warn",
    )


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
        ):
            warnings.filterwarnings("ignore", message=text)
        try:
            yield
        finally:
            speaker.setLevel(level)


def _keeper(
    directory: RunDirectory, prepared: Prepared, *, origin: str, frozen: FrozenWeights, stop: GracefulStop
) -> KeepCheckpoints:
    """Return what keeps the checkpoints; without validation the last epoch counts as the best."""
    settings = prepared.recipe.train
    return KeepCheckpoints(
        directory.checkpoints,
        origin=origin,
        frozen=frozen,
        monitor=settings.monitor if _has_val(prepared) else None,
        mode=_mode(settings.monitor),
        every_steps=settings.checkpoint_every,
        stop=stop,
        best_epochs=settings.model_soup_size or 1,
    )


def _early_stopping(prepared: Prepared) -> list[pl.Callback]:
    watched = prepared.recipe.train.early_stopping
    if watched is None:
        return []
    if not _has_val(prepared):
        logger.warning("There are no val images, so early stopping has nothing to watch; it is off.")
        return []
    return [
        EarlyStoppingInLastPhase(
            watched.monitor, patience=watched.patience, min_delta=watched.min_delta, mode=_mode(watched.monitor)
        )
    ]


def _has_val(prepared: Prepared) -> bool:
    return bool((prepared.data.samples.table["split"] == "val").any())


def _mode(monitor: str) -> Literal["min", "max"]:
    return "min" if monitor.endswith("loss") else "max"
