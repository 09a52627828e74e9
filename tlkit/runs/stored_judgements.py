"""Stores evaluations, audits and other results of a run: one JSON file per kind, with one entry per split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkit.runs.directory import RunDirectory
from tlkit.runs.lock import judgement_lock

logger = logging.getLogger(__name__)


def stored_judgement(directory: RunDirectory, file: Path, split: str) -> dict[str, Any] | None:
    """Return one split's stored result; None if there is none."""
    return directory.read_json(file).get(split) if file.is_file() else None


def store_judgements(directory: RunDirectory, file: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Store results by split; a lock protects the results of the other splits from concurrent writes."""
    try:
        with judgement_lock(directory.path):
            stored = directory.read_json(file) if file.is_file() else {}
            directory.write_json(file, {**stored, **results})
    except OSError as error:
        logger.warning("%s is not stored: %s.", file, error.strerror or error)
