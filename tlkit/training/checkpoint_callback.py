"""`KeepCheckpoints`: writes a checkpoint where one is due, and always keeps an earlier one to fall back to.

`epoch-0003.ckpt` is the end of epoch 3, `epoch-0004-batch-000120.ckpt` a point within epoch 4. Names sort in the order
of training.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from tlkit.lightning import Checkpoint, pl
from tlkit.training.callbacks import GracefulStop, StopRequested
from tlkit.training.checkpoint_files import FORMAT_VERSION, PATTERN, FrozenWeights


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
