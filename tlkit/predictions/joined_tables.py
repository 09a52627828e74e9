"""Tables of groups and labels that are joined to predictions by path."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import pandas as pd

from tlkit.errors import PredictionsError, first_few
from tlkit.parquet_tables import is_parquet_folder
from tlkit.predictions.prediction_files import read_csv_table, read_parquet_table
from tlkit.predictions.validation import PATH, Strings, repeated
from tlkit.spelling import match_paths, path_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JoinedTable:
    """A table of groups that was read.

    Attributes:
        source: its name, for messages.
        columns: its columns, indexed by path. Treat it as read-only.
    """

    source: str
    columns: pd.DataFrame


Joinable: TypeAlias = pd.DataFrame | Path | str | JoinedTable
"""A table of groups: a CSV or Parquet file, a DataFrame with `path`, or one that `read_joined` has read."""


def read_joined(table: Joinable) -> JoinedTable:
    """Return a table of groups; one that was read already stays as it is.

    Args:
        table: a CSV or Parquet file, a DataFrame, or the result of an earlier call.

    Raises:
        PredictionsError: the table cannot be read, lacks `path` or any other column, or repeats a path.
    """
    if isinstance(table, JoinedTable):
        return table
    if isinstance(table, pd.DataFrame):
        source, frame = "the table of groups", table.reset_index() if table.index.name == PATH else table
    else:
        file = Path(table)
        is_parquet = file.suffix.lower() == ".parquet" or is_parquet_folder(file)
        source, frame = str(table), read_parquet_table(file)[0] if is_parquet else read_csv_table(file)
    if PATH not in frame.columns:
        raise PredictionsError(
            f"{source} has no column 'path'. Its columns are: {first_few(list(frame.columns), most=20)}. "
            "Name the column that holds the image paths 'path'."
        )
    frame = frame.set_index(frame[PATH].astype(str)).drop(columns=PATH)
    problems = []
    if twice := repeated(frame.index.tolist()):
        problems.append(f"{source}: paths must differ, but these occur more than once: {first_few(twice)}.")
    if frame.shape[1] == 0:
        problems.append(f"{source} has no column except 'path', so there is no group to join.")
    if problems:
        raise PredictionsError(*problems)
    return JoinedTable(source, frame)


def with_known_paths(table: pd.DataFrame, paths: Strings, *, source: str) -> pd.DataFrame:
    """Return a table indexed by the paths of the predictions, where its own are other spellings of them.

    Args:
        table: a table indexed by path.
        paths: paths of the predictions, shape (N,).
        source: name of the table, for messages.

    Raises:
        PredictionsError: two of its paths are spellings of one.
    """
    named = match_paths(table.index, paths.tolist())
    if not named:  # the folders may differ
        named = {key: path_key(key) for key in table.index}
    table = table.set_axis([named.get(key, key) for key in table.index])
    if twice := repeated(table.index.tolist()):
        raise PredictionsError(f"{source}: paths must differ, but these occur more than once: {first_few(twice)}.")
    return table


def paths_in_table(paths: Strings, table: pd.DataFrame, *, source: str) -> Strings:
    """Return the paths under which a table may hold the images, shape (N,): as they are, or below a common folder.

    `tlkit predict` names images as they were given, such as "photos/val/ants/1.jpg", and a table of groups often names
    them below the folder of images, "val/ants/1.jpg". So that images of another folder do not match by chance, a folder
    counts only where all images, or all rows, match below it.

    Args:
        paths: paths of the predictions, shape (N,).
        table: a table from `with_known_paths`.
        source: its name, for messages.

    Raises:
        PredictionsError: no path matches.
    """
    keys = table.index.to_numpy(dtype=str)
    if np.isin(paths, keys).any():
        return paths
    paths = np.array([path_key(path) for path in paths.tolist()], dtype=str)
    for cut in range(1, _common_depth(paths) + 1):
        found = np.array([_below(path, cut) for path in paths], dtype=str)
        if _all_in(found, keys):
            logger.info("%s: its paths are taken to be below %s.", source, _head(paths, cut))
            return found
    for cut in range(1, _common_depth(keys) + 1):
        below = {_below(key, cut): str(key) for key in keys}
        found = np.array([below.get(path, path) for path in paths.tolist()], dtype=str)
        if _all_in(found, keys):
            logger.info("%s: the paths of the predictions are taken to be below %s.", source, _head(keys, cut))
            return found
    raise PredictionsError(
        f"{source}: none of the {len(paths)} paths of the predictions is in it. The predictions have "
        f"{first_few(paths.tolist(), most=2)}; it has {first_few(keys.tolist(), most=2)}. Make the paths alike."
    )


def _all_in(paths: Strings, keys: Strings) -> bool:
    """Return whether all paths are among the keys, or all keys among the paths."""
    return bool(np.isin(paths, keys).all() or np.isin(keys, paths).all())


def _common_depth(paths: Strings) -> int:
    """Return the number of folders that all paths begin with."""
    folders = [PurePosixPath(path).parent.parts for path in (min(paths), max(paths))] if len(paths) else [(), ()]
    return next((i for i, pair in enumerate(zip(*folders, strict=False)) if pair[0] != pair[1]), min(map(len, folders)))


def _below(path: str, depth: int) -> str:
    return "/".join(PurePosixPath(path).parts[depth:]) if depth else path


def _head(paths: Strings, depth: int) -> str:
    return str(PurePosixPath(*PurePosixPath(paths[0]).parts[:depth]))
