"""Reads a run's CSV files: metrics by epoch, excluded images, leaks. A missing file gives an empty table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from tlkit.csv_files import unquoted_table
from tlkit.runs.directory import RunDirectory

LEAK_COLUMNS = ("path", "split", "duplicate_of", "duplicate_split", "how", "dropped")


def read_history(directory: RunDirectory) -> pd.DataFrame:
    """Return one row of metrics per epoch."""
    path = directory.metrics
    return pd.read_csv(path) if path.is_file() and path.stat().st_size else history_of(())


def history_of(rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return the table of the metrics of each epoch."""
    return pd.DataFrame(list(rows) or {"epoch": []})


def read_excluded(directory: RunDirectory) -> list[tuple[str, str]]:
    """Return path and reason of each image that could not be read."""
    path = directory.excluded
    if not path.is_file():
        return []
    rows = unquoted_table(pd.read_csv(path, dtype=str, keep_default_na=False))
    return list(rows.itertuples(index=False, name=None))


def read_leaks(directory: RunDirectory) -> pd.DataFrame:
    """Return the images of val and test that have duplicates in an earlier split."""
    path = directory.leaks
    if not path.is_file():
        return pd.DataFrame(columns=list(LEAK_COLUMNS), dtype="str")
    return unquoted_table(pd.read_csv(path, dtype="str", keep_default_na=False)[list(LEAK_COLUMNS)])
