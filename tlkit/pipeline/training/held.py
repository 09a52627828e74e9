"""Checkpoints of a head on cached features: its epochs take moments, so that most of them need never reach the disk."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tlkit.errors import RunError
from tlkit.pipeline.training.checkpoints import DurableCheckpointIO

logger = logging.getLogger(__name__)

HOLD_S = 10.0
"""A checkpoint that comes sooner after the last one that was written is held. A kill loses what came since that one: so
long, and an epoch more, at most."""


class HeldCheckpointIO(DurableCheckpointIO):
    """Hold a checkpoint in memory where another was written a moment before, and write it later if it is still wanted.

    A checkpoint holds the whole network, so that nothing else is needed to load it. After each epoch of milliseconds,
    writing the backbone, which never changes, would take most of the time: 1.2 GB for ViT-L/16.

    Args:
        constant: how the names of tensors begin that training does not change; they are not copied.
    """

    def __init__(self, constant: Sequence[str]) -> None:
        self._constant = tuple(constant)
        self._held: dict[Path, dict[str, Any]] = {}
        self._superseded: set[Path] = set()
        self._written = -HOLD_S

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Hold a checkpoint, or write it and all that are held.

        Raises:
            RunError: it cannot be written, for example on a full disk; what was there before is untouched.
        """
        self._held[Path(path)] = self._copied(checkpoint)
        if time.monotonic() - self._written >= HOLD_S:
            self.write_held()

    def remove_checkpoint(self, path: str | Path) -> None:
        """Let go of a checkpoint, or delete it and its digest: while others are held, only once those are written."""
        if self._held.pop(Path(path), None) is not None:
            return
        if self._held:
            self._superseded.add(Path(path))
        else:
            super().remove_checkpoint(path)

    def checkpoints(self, folder: Path) -> list[Path]:
        """Return the checkpoints of a folder, also those that are held."""
        return sorted({*super().checkpoints(folder), *(path for path in self._held if path.parent == folder)})

    @contextmanager
    def kept(self) -> Iterator[None]:
        """See to it that all that is held then is on the disk when the block ends, however it ends."""
        try:
            yield
        except BaseException:
            try:
                self.write_held()
            except RunError as error:  # what ended training matters more
                logger.warning("%s", error)
            raise
        self.write_held()

    def write_held(self) -> None:
        """Write what is held, the oldest first, and then delete what it supersedes.

        Raises:
            RunError: one cannot be written.
        """
        for path in sorted(self._held):
            super().save_checkpoint(self._held[path], path)
            del self._held[path]
        for path in self._superseded:
            super().remove_checkpoint(path)
        self._superseded.clear()
        self._written = time.monotonic()

    def _copied(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        state = checkpoint["state_dict"]
        constant = {name: value for name, value in state.items() if name.startswith(self._constant)}
        rest = {key: value for key, value in checkpoint.items() if key != "state_dict"}
        moving = {name: value for name, value in state.items() if name not in constant}
        return {**copy.deepcopy(rest), "state_dict": {**constant, **copy.deepcopy(moving)}}
