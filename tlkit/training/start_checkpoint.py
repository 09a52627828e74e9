"""`find_start`: the checkpoint that a run is resumed from, after its file, its origin and its contents are checked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tlkit.errors import RunError, TlkitError, reason_of
from tlkit.memory_errors import memory_problem
from tlkit.stored_values import DAMAGES
from tlkit.training.callbacks import MetricsRecorder
from tlkit.training.checkpoint_callback import KeepCheckpoints
from tlkit.training.checkpoint_files import FORMAT_VERSION, PATTERN, FrozenWeights, digest_path, read_checkpoint

logger = logging.getLogger(__name__)


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
        other_cause = isinstance(error, TlkitError) or memory_problem(error) is not None or restored()
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
