"""`SweepFolder`: the files and locks of a sweep below runs/."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.disk import write_text
from tlkit.errors import RunError
from tlkit.output_files import require_writable
from tlkit.recipe import plain_values
from tlkit.recipe.sweep_file import SweepFile
from tlkit.runs.directory import MARKER
from tlkit.runs.lock import HAS_LOCKS, file_lock, is_locked

FORMAT_VERSION = 1
DEFAULT = "default"
"""Name of the run of the default recipe."""
MAY_CHANGE = ("trials",)
"""Settings that a sweep may change when it goes on."""


@dataclass(frozen=True)
class SweepFolder:
    """A folder that holds the runs of a sweep, and below `sweep/` what belongs to all of them.

    Attributes:
        path: such as runs/insects-sweep.
    """

    path: Path

    @property
    def sweep(self) -> Path:
        """The folder of the journal and the results."""
        return self.path / "sweep"

    @property
    def journal(self) -> Path:
        """Optuna's journal."""
        return self.sweep / "journal.log"

    @property
    def settings(self) -> Path:
        """The settings of the sweep, with its default recipe."""
        return self.sweep / "sweep.json"

    @property
    def best_recipe(self) -> Path:
        """The recipe of the winner."""
        return self.sweep / "best_recipe.yaml"

    @property
    def result(self) -> Path:
        """The result as JSON."""
        return self.sweep / "result.json"

    def run_name(self, row: int) -> str:
        """Return the name of a trial's run; `row` is its number in the table."""
        return f"trial-{row:04d}"

    def open(self, file: SweepFile) -> None:
        """Make the folder, or check that it holds this sweep.

        Raises:
            RunError: the folder holds something else, or a sweep with other settings.
        """
        if (self.path / MARKER).is_file():
            raise RunError(f"{self.path} is a run. Choose another name for the sweep.")
        if self.path.exists() and not self.sweep.is_dir() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunError(f"{self.path} exists and is no sweep, so it is left alone. Choose another name.")
        require_writable({"the sweep": self.settings})
        self.sweep.mkdir(parents=True, exist_ok=True)
        wanted = identity(file)
        with self.locked():
            if not self.settings.is_file():
                write_text(self.settings, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
                return
            stored = _read(self.settings)
        changed = [name for name in wanted if name not in MAY_CHANGE and stored.get(name) != wanted[name]]
        if changed:
            raise RunError(
                f"{self.path} holds a sweep with another {' and '.join(changed)}. "
                "Choose another name, or delete that folder."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the sweep while the block runs; waits for other processes, whose blocks are short."""
        with file_lock(self.sweep / ".sweep.lock", wait=True):
            yield

    @contextmanager
    def default_locked(self) -> Iterator[None]:
        """Lock the run of the default recipe while the block runs; waits until another process has made it."""
        with file_lock(self.sweep / ".default.lock", wait=True):
            yield

    @contextmanager
    def trial_locked(self, number: int) -> Iterator[None]:
        """Lock a trial for the process that works on it.

        Raises:
            BlockingIOError: another process works on it.
        """
        with file_lock(self._trial_lock(number), wait=False):
            yield

    def is_worked_on(self, number: int) -> bool:
        """Return whether a process works on a trial; without file locks (Windows) every begun trial counts so."""
        return is_locked(self._trial_lock(number)) is not False

    def mend_journal(self) -> None:
        """Remove what a killed process has left of a write: half a line, and Optuna's lock. Called while locked.

        Optuna 5.0 cannot read a journal with half a line, and waits 30 seconds for a lock that nobody holds.
        """
        if not HAS_LOCKS or not self.journal.is_file():
            return
        self.journal.with_name(self.journal.name + ".lock").unlink(missing_ok=True)
        with self.journal.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)

    def _trial_lock(self, number: int) -> Path:
        return self.sweep / f".trial-{number:04d}.lock"


def identity(file: SweepFile) -> dict[str, Any]:
    """Return what makes a sweep another one: its settings and its default recipe, as JSON."""
    settings = file.settings.model_dump(mode="json", exclude={"name", "sweep_version", "recipe"})
    values: dict[str, Any] = json.loads(
        json.dumps({"format_version": FORMAT_VERSION, **settings, "recipe": plain_values(file.recipe)})
    )
    return values


def _read(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise RunError(f"{path} is damaged. Restore it, or delete its sweep and begin anew.")
    return values
