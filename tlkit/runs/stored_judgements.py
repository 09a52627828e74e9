"""Stores evaluations, audits and other results of a run: one JSON file per kind, with one entry per split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tlkit.runs.directory import REMEDY, RunDirectory
from tlkit.runs.lock import judgement_lock

T = TypeVar("T")

logger = logging.getLogger(__name__)


def stored_result(
    directory: RunDirectory, file: Path, split: str, build: Callable[[Mapping[str, Any]], T], *, remedy: str = REMEDY
) -> T | None:
    """Return one split's stored result, made by `build` from its values; None if there is none.

    Raises:
        RunError: the file is damaged; the message ends with `remedy`.
    """
    stored = directory.read_json(file, remedy=remedy).get(split) if file.is_file() else None
    return None if stored is None else directory.read_result(file, build, stored, remedy=remedy)


def stored_results(
    directory: RunDirectory, file: Path, build: Callable[[Mapping[str, Any]], T], *, remedy: str = REMEDY
) -> dict[str, T]:
    """Return all stored results of a file, by split or name; empty if there is none.

    Raises:
        RunError: the file is damaged; the message ends with `remedy`.
    """
    stored = directory.read_json(file, remedy=remedy) if file.is_file() else {}
    return {name: directory.read_result(file, build, values, remedy=remedy) for name, values in stored.items()}


def store_judgements(
    directory: RunDirectory, file: Path, results: Mapping[str, Mapping[str, Any]], *, most: int | None = None
) -> None:
    """Store results by split or name; a lock protects the other results of the file from concurrent writes.

    Args:
        directory: of the run.
        file: one of its files.
        results: what to store.
        most: keep at most so many, those that were stored last.
    """
    try:
        with judgement_lock(directory.path):
            stored = directory.read_json(file) if file.is_file() else {}
            if most is not None:
                others = [entry for entry in stored.items() if entry[0] not in results]
                stored = dict(others[max(0, len(others) + len(results) - most) :])
            directory.write_json(file, {**stored, **results})
    except OSError as error:
        logger.warning("%s is not stored: %s.", file, error.strerror or error)
