"""Checkpoints: written atomically, each with its sha256, and always with an earlier one to fall back to.

`epoch-0003.ckpt` is the end of epoch 3, `epoch-0004-batch-000120.ckpt` a point within epoch 4. Names sort in the order
of training. A checkpoint holds the optimizer and the weights that training changes. Of frozen weights it holds the
sha256 alone, and it loads only onto weights with that sha256. With a frozen backbone it has a few kilobytes.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import torch

from tlkit.disk import atomic_file, failed_path, write_text
from tlkit.errors import RunError, TlkitError, reason_of
from tlkit.lightning import Checkpoint, CheckpointIO, pl
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.stored_values import DAMAGES
from tlkit.training.callbacks import GracefulStop, MetricsRecorder, StopRequested
from tlkit.training.hashed_file import HashedFile
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
PATTERN = "epoch-*.ckpt"


@dataclass(frozen=True, eq=False)
class FrozenWeights:
    """The tensors of a classifier that training does not change; by default none.

    Attributes:
        tensors: by name in the classifier's state dict.
        digest: sha256 (hex) of those of the network; see `tensors_digest`.
    """

    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    digest: str = tensors_digest({})

    @classmethod
    def of(cls, prepared: Prepared) -> FrozenWeights:
        """Return the frozen tensors of a run's classifier and of its moving average.

        Several processes receive their weights from rank 0 after a checkpoint is loaded, so none counts as frozen.
        """
        if prepared.world.size > 1:
            return cls()
        tensors = prepared.classifier.frozen_tensors()
        own = {name: tensor for name, tensor in tensors.items() if name.startswith("network.")}
        return cls(tensors, tensors_digest(own))  # the average's are copies

    def removed(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a classifier's state dict without the frozen tensors."""
        return {name: tensor for name, tensor in state.items() if name not in self.tensors}

    def completed(self, checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return a checkpoint with the frozen tensors in its state dict, after `require`."""
        self.require(checkpoint, path)
        return {**checkpoint, "state_dict": {**self.tensors, **checkpoint["state_dict"]}}

    def require(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Check that a checkpoint was trained on these frozen weights.

        Raises:
            RunError: it was trained on others; the message names `path`.
        """
        written = checkpoint["tlkit"]["frozen_weights"]
        if written != self.digest:
            raise RunError(
                f"{path} holds only the weights that training changes, and the frozen ones of this model are not those "
                f"that it was trained on: their sha256 is {self.digest[:12]} instead of {written[:12]}. Use the "
                "model.weights that the run was started with, or start a new run under another name."
            )


class DurableCheckpointIO(CheckpointIO):
    """Reads and writes checkpoints: atomic writes, and no pickled code.

    A checkpoint is written under another name in the same folder, synced to the disk, and then renamed. Its sha256 is
    in `NAME.sha256`, which `sha256sum --check` reads. Lightning's own class writes to `$TMPDIR` and moves.

    Args:
        frozen: the weights that the run's checkpoints leave out; a loaded checkpoint is completed with them.
    """

    def __init__(self, frozen: FrozenWeights) -> None:
        self._frozen = frozen

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            RunError: it cannot be written, for example on a full disk; the files before it are untouched.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as partial:
                with partial.open("wb") as file:
                    hashed = HashedFile(file)
                    torch.save(checkpoint, cast(BinaryIO, hashed))
                    hashed.finish()
                write_text(digest_path(path), f"{hashed.digest.hexdigest()}  {path.name}\n")
        except OSError as error:
            raise RunError(
                f"{failed_path(error) or path} cannot be written: {error.strerror or error}. The checkpoints before it "
                "are kept. Free some space, then continue with --resume."
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return a checkpoint; only tensors and plain values are read, whatever `weights_only` says.

        Raises:
            RunError: it was trained on other frozen weights.
        """
        return self._frozen.completed(read_checkpoint(Path(path), map_location=map_location or "cpu"), Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint and its digest."""
        Path(path).unlink(missing_ok=True)
        digest_path(Path(path)).unlink(missing_ok=True)


class KeepCheckpoints(Checkpoint):
    """Keeps the newest checkpoint, the one before it, and the best epochs that each of the two refers to.

    Attributes:
        folder: where the checkpoints are.
        started: whether training has started, after a checkpoint was restored.
        best: file name of the best epoch's checkpoint; "" before the first epoch ends.
        ranked: file names and figures of the `best_epochs` best epochs, best first; empty without a monitor.
    """

    def __init__(
        self,
        folder: Path,
        *,
        origin: str,
        frozen: FrozenWeights,
        monitor: str | None,
        mode: Literal["min", "max"],
        every_steps: int | None,
        stop: GracefulStop,
        best_epochs: int = 1,
    ) -> None:
        """Make the callback.

        Without a monitor the last epoch is the best. `every_steps` are the optimizer steps between checkpoints within
        an epoch; None writes at the end of epochs only. Where `stop` ends training, a checkpoint is written.
        """
        self.folder = folder
        self.best = ""
        self._origin, self._monitor, self._mode, self._every = origin, monitor, mode, every_steps
        self._frozen, self._stop = frozen, stop
        self.ranked: list[tuple[str, float]] = []
        self._best_epochs = best_epochs
        self.started = False
        self._needed: list[set[str]] = []  # files that the newest two checkpoints need, older first

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the checkpoint that the run is resumed from until there are two newer ones."""
        self.started = True
        if trainer.ckpt_path:
            self._needed = [{Path(trainer.ckpt_path).name, *self._best}]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a checkpoint within the epoch where one is due; never while gradients accumulate.

        Raises:
            StopRequested: training was asked to stop. Lightning calls this callback last, after all others.
        """
        stops = self._stops(trainer)
        due = stops or (self._every and trainer.global_step % self._every == 0)
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if due and whole_step and not trainer.is_last_batch:
            self._save(trainer, f"epoch-{trainer.current_epoch + 1:04d}-batch-{batch_idx + 1:06d}.ckpt")
        if stops and not trainer.is_last_batch:
            raise StopRequested

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a checkpoint of the whole epoch, and rank it.

        Raises:
            StopRequested: training was asked to stop at the epoch's last batch or during its validation.
        """
        name = f"epoch-{trainer.current_epoch + 1:04d}.ckpt"
        value = math.nan if self._monitor is None else float(trainer.callback_metrics[self._monitor])
        if not math.isnan(value):
            sign = 1 if self._mode == "min" else -1
            self.ranked = sorted([*self.ranked, (name, value)], key=lambda one: sign * one[1])[: self._best_epochs]
        if self.ranked:
            self.best = self.ranked[0][0]
        elif self._monitor is None or not self.best:
            self.best = name
        self._save(trainer, name)
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0) and self._stops(trainer):
            raise StopRequested

    def state_dict(self) -> dict[str, Any]:
        """Return the best epochs so far."""
        return {"best": self.best, "ranked": self.ranked}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best epochs of the run that is resumed."""
        self.best, self.ranked = state_dict["best"], list(state_dict["ranked"])

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remove the frozen weights, and add their sha256 and the run's origin."""
        checkpoint["state_dict"] = self._frozen.removed(checkpoint["state_dict"])
        checkpoint["tlkit"] = {
            "format_version": FORMAT_VERSION,
            "origin": self._origin,
            "frozen_weights": self._frozen.digest,
        }

    @property
    def _best(self) -> set[str]:
        return {self.best, *(name for name, _ in self.ranked)}

    def _stops(self, trainer: pl.Trainer) -> bool:
        """Return whether any process was asked to stop; all stop at the same batch."""
        return bool(trainer.strategy.reduce_boolean_decision(self._stop.requested, all=False))

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / name)
        self._needed = [*self._needed[-1:], {name, *self._best}]
        if trainer.is_global_zero:
            for path in self.folder.glob(PATTERN):
                if not any(path.name in names for names in self._needed):
                    trainer.strategy.checkpoint_io.remove_checkpoint(path)


@dataclass(frozen=True)
class Start:
    """The checkpoint that a run is resumed from.

    Attributes:
        path: the checkpoint.
        best: the best epoch's checkpoint; None before the first epoch has ended.
        stopped_early: whether early stopping has ended training.
        position: epoch and batch, such as "batch 3 of epoch 2".
        rows: the metrics of the epochs that have ended.
        ranked: file names and monitored figures of the best epochs, best first.
    """

    path: Path
    best: Path | None
    stopped_early: bool
    position: str
    rows: tuple[Mapping[str, float], ...]
    ranked: tuple[tuple[str, float], ...]


def find_start(folder: Path, *, origin: str) -> Start | None:
    """Return a run's newest usable checkpoint; later batches are trained again, to the same bits.

    A checkpoint is usable if its sha256 is right, if this run wrote it, and if the checkpoint of the best epoch that it
    refers to is usable, too. Any other is named in the log.

    Raises:
        RunError: a checkpoint has another format than this version of tlkit writes, or every sound one belongs to
            other inputs, such as other initial weights.
    """
    foreign: _ForeignError | None = None
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            start = _start_at(path, _read_own(path, origin=origin))
            if start.best is not None and start.best != path:
                _read_own(start.best, origin=origin)
            return start
        except _UnusableError as error:
            logger.warning("%s Looking for an earlier checkpoint.", error)
            foreign = error if isinstance(error, _ForeignError) else foreign
    if foreign is not None:
        raise RunError(
            f"{foreign} Put the initial weights and images of the run back, or start it again with --overwrite."
        )
    return None


def _start_at(path: Path, checkpoint: Mapping[str, Any]) -> Start:
    """Return what a checkpoint of this run says about where training stood."""
    try:
        states = checkpoint["callbacks"]
        keeper = states[KeepCheckpoints.__qualname__]
        best = path.with_name(keeper["best"]) if keeper["best"] else None
        batch = path.stem.partition("-batch-")[2]
        position = (f"batch {int(batch)} of " if batch else "") + f"epoch {checkpoint['epoch'] + 1}"
        stopped = any(one.get("stopped_epoch", 0) > 0 for key, one in states.items() if key.startswith("EarlyStopping"))
        rows = states[MetricsRecorder.__qualname__]["rows"] if best is not None else ()
        for row in rows:
            _ = int(row["epoch"]), [float(figure) for figure in row.values()]
        _require_training_state(checkpoint)
        ranked = tuple((str(name), float(figure)) for name, figure in keeper["ranked"])
        return Start(path, best, stopped, position, tuple(rows), ranked)
    except DAMAGES as error:
        raise _UnusableError(f"{path} lacks what tlkit writes ({type(error).__name__}: {error}).") from error


def _require_training_state(checkpoint: Mapping[str, Any]) -> None:
    """Check that a checkpoint holds weights, the position of the loops, and the state of optimizer and schedule.

    Raises:
        ValueError: it does not; Lightning continues without what a checkpoint lacks.
    """
    tensors = [*checkpoint["state_dict"].values()]
    if not tensors or not all(isinstance(one, torch.Tensor) for one in tensors):
        raise ValueError("state_dict holds something else than tensors")
    if not checkpoint["loops"]["fit_loop"]:
        raise ValueError("the position of the loops is missing")
    for name in ("optimizer_states", "lr_schedulers"):
        if not checkpoint[name] or not all(isinstance(one, dict) and one for one in checkpoint[name]):
            raise ValueError(f"{name} is empty")


@contextmanager
def naming_checkpoint(path: Path | None, *, restored: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Name the checkpoint in an error of a block that restores it; None = the block restores none.

    Args:
        path: the checkpoint.
        restored: whether the block has restored it, so that an error has another cause.

    Raises:
        RunError: it holds something else than the model, its optimizer or Lightning need.
    """
    try:
        yield
    except (*DAMAGES, RuntimeError) as error:
        other_cause = isinstance(error, TlkitError | torch.OutOfMemoryError) or restored()
        if path is None or other_cause:
            raise
        raise RunError(
            f"{path} does not fit this run ({type(error).__name__}: {reason_of(error)[:200]}). Delete it, and "
            "--resume continues from the checkpoint before it; or start again with --overwrite."
        ) from error


def read_whole(path: Path, *, origin: str, frozen: FrozenWeights) -> dict[str, Any] | None:
    """Return a checkpoint of a run, without the frozen weights; None where it is missing, damaged or another run's.

    Raises:
        RunError: it has another format than this version of tlkit writes, or was trained on other frozen weights.
    """
    try:
        checkpoint = _read_own(path, origin=origin)
        frozen.require(checkpoint, path)
        return checkpoint
    except _UnusableError as error:
        logger.warning("%s It is left out.", error)
        return None


def read_checkpoint(path: Path, *, map_location: Any = "cpu") -> dict[str, Any]:
    """Return the tensors and plain values of a checkpoint."""
    checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
    return checkpoint


def digest_path(path: Path) -> Path:
    """Return the file that holds a checkpoint's sha256."""
    return path.with_name(f"{path.name}.sha256")


class _UnusableError(Exception):
    """A checkpoint is missing, damaged or another run's; the message says which and why."""


class _ForeignError(_UnusableError):
    """A sound checkpoint was written for other inputs: another recipe, other images or initial weights."""


def _read_own(path: Path, *, origin: str) -> dict[str, Any]:
    """Return a checkpoint of this run, after its sha256 is checked."""
    try:
        noted = digest_path(path).read_text(encoding="utf-8").split()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, UnicodeDecodeError) as error:
        raise _UnusableError(f"{path} cannot be checked ({getattr(error, 'strerror', None) or error}).") from None
    if noted[:1] != [digest]:
        raise _UnusableError(f"{path} is damaged: its sha256 is not the one in {digest_path(path).name}.")
    try:
        checkpoint = read_checkpoint(path)
        version, written_for = int(checkpoint["tlkit"]["format_version"]), checkpoint["tlkit"]["origin"]
    except Exception as error:  # torch raises a different kind for every damage
        raise _UnusableError(f"{path} is not a checkpoint of tlkit ({type(error).__name__}).") from error
    if version != FORMAT_VERSION:
        by = "an earlier" if version < FORMAT_VERSION else "a newer"
        raise RunError(
            f"{path} was written by {by} tlkit, in format {version} of checkpoints; this one reads format "
            f"{FORMAT_VERSION}. Continue the run with the tlkit that started it, or start it again with --overwrite."
        )
    if written_for != origin:
        raise _ForeignError(f"{path} belongs to another run: its recipe, images or weights are others.")
    return checkpoint
