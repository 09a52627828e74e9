"""Reads a run's CSV files: metrics by epoch, excluded images, leaks, pairs that are alike.

A missing file gives an empty table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from tlkit.data.sources.delimited_files import read_table
from tlkit.runs.directory import RunDirectory

EXCLUDED_COLUMNS = ("path", "reason")
LEAK_COLUMNS = ("path", "split", "duplicate_of", "duplicate_split", "how", "dropped")
ALIKE_COLUMNS = ("path", "other", "how", "is_copy")


def read_history(directory: RunDirectory) -> pd.DataFrame:
    """Return one row of metrics per epoch.

    Raises:
        TlkitError: the file is damaged, or a cell is not a number.
    """
    path = directory.metrics
    if not path.is_file() or not path.stat().st_size:
        return history_of(())
    table = read_table(path, columns=("epoch",), what="table of metrics", optional=None).reset_index(drop=True)
    with directory.damaged(path):
        return pd.DataFrame({name: pd.to_numeric(column) for name, column in table.replace("", float("nan")).items()})


def kept_epochs(directory: RunDirectory, history: pd.DataFrame, *, monitor: str) -> tuple[int, ...]:
    """Return the epochs whose weights a model has, as the column `epoch` names them; empty where that is not known.

    The first epoch with the best monitored figure, all epochs of a soup, or the last epoch where nothing was monitored.

    Args:
        directory: of the run.
        history: one row per epoch.
        monitor: `train.monitor` of the recipe.

    Raises:
        RunError: soup.json is damaged.
    """
    if history.empty:
        return ()
    if directory.soup.is_file():
        with directory.damaged(directory.soup):
            return tuple(sorted(int(epoch) for epoch in directory.read_json(directory.soup)["epochs"]))
    if monitor not in history.columns:
        return (int(history["epoch"].iloc[-1]),)
    known = history.dropna(subset=[monitor])
    ranked = known.sort_values(monitor, ascending=monitor.endswith("loss"), kind="stable")
    return tuple(int(epoch) for epoch in ranked["epoch"].head(1))


def history_of(rows: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Return the table of the metrics of each epoch; those of a tracker alone, whose names hold a "/", are left out."""
    return pd.DataFrame([{k: v for k, v in row.items() if "/" not in k} for row in rows] or {"epoch": []})


def read_excluded(directory: RunDirectory) -> list[tuple[str, str]]:
    """Return path and reason of each image that could not be read.

    Raises:
        DataError: the file is damaged or lacks a column.
    """
    path = directory.excluded
    if not path.is_file():
        return []
    rows = read_table(path, columns=EXCLUDED_COLUMNS, what="table of excluded images")
    return list(rows[list(EXCLUDED_COLUMNS)].itertuples(index=False, name=None))


def read_leaks(directory: RunDirectory) -> pd.DataFrame:
    """Return the images of val and test that have duplicates in an earlier split.

    Raises:
        DataError: the file is damaged or lacks a column.
    """
    path = directory.leaks
    if not path.is_file():
        return pd.DataFrame(columns=list(LEAK_COLUMNS), dtype="str")
    table = read_table(path, columns=LEAK_COLUMNS, what="table of leaks")
    return table[list(LEAK_COLUMNS)].reset_index(drop=True)


def read_alike(directory: RunDirectory) -> pd.DataFrame:
    """Return the pairs of images that are copies (`is_copy`) or near duplicates."""
    path = directory.alike
    if not path.is_file():
        return pd.DataFrame(columns=list(ALIKE_COLUMNS)).astype({"is_copy": bool})
    table = read_table(path, columns=ALIKE_COLUMNS, what="table of images that are alike")[list(ALIKE_COLUMNS)]
    return table.reset_index(drop=True).assign(is_copy=(table["is_copy"] == "True").to_numpy())
