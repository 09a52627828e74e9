"""Callbacks: metrics per epoch, progress bar, early stopping in the last phase, a graceful stop on Ctrl-C."""

from __future__ import annotations

import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.data.loading.batch import Batch
from tlkit.lightning import EarlyStopping, RichProgressBar, pl
from tlkit.models.classifier import Classifier
from tlkit.models.strategies.plan_phases import phase_at
from tlkit.runs import RunDirectory
from tlkit.runs.run_tables import history_of
from tlkit.tracking import Tracker
from tlkit.tracking.tracker import PHASE
from tlkit.training.launch import is_nonzero_rank
from tlkit.training.tracked_results import track

logger = logging.getLogger(__name__)

COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_mae",
    "val_iou",
    "val_worst_group_accuracy",
    "val_worst_group_accuracy_low",
    "val_worst_group_accuracy_high",
    "learning_rate",
)


class StopRequested(Exception):
    """Training was asked to stop; the weights so far are kept."""


class ProgressBar(RichProgressBar):
    """Lightning's progress bar on stderr, with epochs from 1, as in the log and `metrics.csv`."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def _get_train_description(self, current_epoch: int) -> str:  # Lightning 2.6 counts from 0
        text = f"Epoch {current_epoch + 1} of {self.trainer.max_epochs}"
        return f"{text:{len(self.validation_description)}}"


class MetricsRecorder(pl.Callback):
    """Writes one row of metrics per epoch, from 1, to `metrics.csv` and to the tracker.

    Its learning rate is that of the epoch's last batch. Checkpoints hold the rows, so that a resumed run neither
    repeats nor loses an epoch.
    """

    def __init__(self, directory: RunDirectory, tracker: Tracker) -> None:
        self.directory = directory
        self.tracker = tracker
        self.rows: list[dict[str, float]] = []
        self._rates: dict[
            str, float
        ] = {}  # of the current batch: at the end of an epoch the schedule has already moved on

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Delete the row of an epoch that ended just before the process was killed, and is trained again."""
        if trainer.is_global_zero:
            self._write()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Store the learning rates of the batch."""
        self._rates = group_rates(trainer.optimizers[0].param_groups)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch; of several ranks, rank 0 writes."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        values["learning_rate"] = max(self._rates.values(), default=math.nan)
        epoch = trainer.current_epoch + 1
        row = {"epoch": epoch, **{name: values[name] for name in COLUMNS if name in values}}
        row |= {f"learning_rate/{name}": rate for name, rate in self._rates.items()}
        if isinstance(pl_module, Classifier):
            row[PHASE] = 1 + pl_module.phases.index(phase_at(pl_module.phases, trainer.current_epoch))
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        self._write()
        track(self.tracker, row)
        logger.info("%s", epoch_line(row, epochs=trainer.max_epochs))
        logger.debug("Epoch %d: learning rate %.4g", epoch, row["learning_rate"])

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the run that is resumed."""
        self.rows = list(state_dict["rows"])

    def _write(self) -> None:
        file = self.directory.metrics
        if self.rows:
            self.directory.write_text(file, history_of(self.rows).to_csv(index=False, lineterminator="\n"))
        else:
            file.unlink(missing_ok=True)


class BatchWatch(pl.Callback):
    """Calls a function after each batch with the number of batches done and of all batches of the training."""

    def __init__(self, on_batch: Callable[[int, int], None]) -> None:
        self._on_batch = on_batch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch: epochs have equally many."""
        batches = int(trainer.num_training_batches)
        self._on_batch(trainer.current_epoch * batches + batch_idx + 1, (trainer.max_epochs or 1) * batches)


class EpochWatch(pl.Callback):
    """Calls a function with the row of each epoch, and stops the training where it returns True.

    It runs after the callback that writes checkpoints, so that training can be resumed after the epoch.
    """

    def __init__(self, recorder: MetricsRecorder, on_epoch: Callable[[Mapping[str, float]], bool]) -> None:
        self._recorder, self._on_epoch = recorder, on_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask the function about the last row."""
        if self._recorder.rows and self._on_epoch(self._recorder.rows[-1]):
            raise StopRequested


def epoch_line(row: Mapping[str, float], *, epochs: int | None) -> str:
    """Return the line on an epoch: its losses, its accuracy, and that of the worst group where it is watched.

    Example:
        >>> epoch_line({"epoch": 3, "train_loss": 0.015, "val_loss": 0.339, "val_accuracy": 0.9062}, epochs=10)
        'Epoch  3 of 10: loss 0.0150, val loss 0.3390, val accuracy 90.6 %'
    """
    width = len(str(epochs))
    parts = [
        f"{words} {row[name]:z.4f}" for name, words in (("train_loss", "loss"), ("val_loss", "val loss")) if name in row
    ]
    parts += [
        f"{words} {100 * row[name]:.1f} %"
        for name, words in (("val_accuracy", "val accuracy"), ("val_worst_group_accuracy", "worst group"))
        if name in row
    ]
    parts += [f"val MAE {row['val_mae']:.4g}"] if "val_mae" in row else []
    parts += [f"val IoU {row['val_iou']:.4f}"] if "val_iou" in row else []
    return f"Epoch {row['epoch']:{width}.0f} of {epochs}: {', '.join(parts)}"


def group_rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the highest learning rate of the optimizer's groups of each part, backbone and head.

    Example:
        >>> group_rates([{"name": "backbone x0.1", "lr": 1e-4}, {"name": "head x1, no decay", "lr": 1e-3}])
        {'backbone': 0.0001, 'head': 0.001}
    """
    rates: dict[str, float] = {}
    for group in groups:
        part = str(group.get("name", "all")).split()[0]
        rates[part] = max(float(group["lr"]), rates.get(part, 0.0))
    return rates


class LastBatch(pl.Callback):
    """Stores which images the current batch holds, so that an error can name them.

    Attributes:
        index: rows of the training split, shape (B,).
    """

    def __init__(self) -> None:
        self.index: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Store the rows of the batch."""
        self.index = batch.index.cpu().numpy()


class EarlyStoppingInLastPhase(EarlyStopping):
    """Early stopping in the last phase only: a probe that stops improving must not end the fine-tuning after it."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitored figure, in the last phase."""
        if _in_last_phase(trainer, pl_module):
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitored figure, in the last phase."""
        if _in_last_phase(trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)


def _in_last_phase(trainer: pl.Trainer, module: pl.LightningModule) -> bool:
    return not isinstance(module, Classifier) or trainer.current_epoch >= module.phases[-1].first_epoch


class GracefulStop(pl.Callback):
    """Receives Ctrl-C and SIGTERM during training; a second Ctrl-C ends it at once.

    `KeepCheckpoints` stops training after it has written a checkpoint: at the end of the batch, or, after the last
    batch of an epoch, at the end of its validation, so that no epoch is lost.

    Attributes:
        requested: whether training is to stop.
        terminated: whether SIGTERM was received, which is meant for the whole process.
    """

    def __init__(self) -> None:
        self.requested = False
        self.terminated = False
        self._listens = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace Lightning's handler of SIGTERM (2.6.6), which starts a collective, so that ranks deadlock."""
        if self._listens:
            signal.signal(signal.SIGTERM, self._handle)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle both signals within the block. Outside the main thread Python cannot, and nothing is changed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._handle)
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self) -> None:
        """Raise a received SIGTERM again, now that all is stored: it is meant for the whole process.

        Raises:
            SystemExit: the signal has no other handler; the exit code is the shell's, 128 + 15.
        """
        if not self.terminated:
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            raise SystemExit(128 + signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.terminated = self.terminated or number == signal.SIGTERM
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        logger.log(
            logging.DEBUG if is_nonzero_rank() else logging.WARNING,
            "Stopping at the end of this batch or validation; the weights so far are kept. Press Ctrl-C again to stop "
            "at once.",
        )
