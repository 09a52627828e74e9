"""Finds a run or a stored model by what was given in its place: a `Run`, its folder, or the model's folder."""

from __future__ import annotations

from pathlib import Path

from tlkit.models.model_format import FACTS_FILE
from tlkit.runs.directory import MARKER, RunDirectory


def is_run(path: Path) -> bool:
    """Return whether a path is the folder of a run."""
    return (path / MARKER).is_file()


def folder_of_run(run: object) -> Path:
    """Return the folder of a run: that of a `Run`, or the path that is given in its place."""
    return Path(getattr(run, "path", run))  # type: ignore[arg-type]


def find_model(path: Path) -> Path:
    """Return the folder of a stored model: a run's, or the path itself where it is one.

    Raises:
        RunError: there is neither a run nor a model at the path.
    """
    of_run = path.name == "model" and (path.parent / MARKER).is_file()  # the run says what is missing
    return path if of_run or (path / FACTS_FILE).is_file() else RunDirectory.open(path).model
