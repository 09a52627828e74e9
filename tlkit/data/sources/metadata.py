"""Group columns from a CSV file keyed by path."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tlkit.data.sources.delimited_files import read_table, relative_path, require_file
from tlkit.data.sources.list_options import ListOptions
from tlkit.errors import DataError, first_few
from tlkit.parquet_tables import is_parquet_folder
from tlkit.samples import PATH, RESERVED_COLUMNS, Samples
from tlkit.spelling import match_paths, path_key

logger = logging.getLogger(__name__)

MOST_VALUES = 50
"""A column with more different values looks like an identifier or a measurement."""
TAKEN = (*RESERVED_COLUMNS, "y_true", "y_pred", "index")
"""Names that a group column cannot have, because tlkit's own tables use them."""


def add_metadata(
    samples: Samples, metadata: str | Path, *, groups: Sequence[str], options: ListOptions = ListOptions()
) -> Samples:
    """Return the samples with group columns taken from a CSV or Parquet file; with no columns it is only checked.

    Args:
        samples: the images.
        metadata: a CSV file (UTF-8, commas) with a column `path`, relative to `samples.root`, and the group columns.
            It is searched below `samples.root`, then below the working directory.
        groups: names of the columns. Values are text, one spelling for each; an empty field is a missing value (NA).
        options: how the file is read.

    Raises:
        DataError: the file or a column is missing, no path matches an image, or a path has two different rows.
    """
    file = _find(samples.root, Path(metadata))
    _check_names(file, groups)
    table = read_table(file, columns=(PATH, *groups), what="metadata file", names=options.names)
    values = {name: options.values(table[name], what=f"{name} of {file}") for name in groups}
    listed = [relative_path(path, samples.root) for path in table[PATH]]
    found_as = match_paths(listed, samples.table[PATH].tolist())
    keys_of_rows = [found_as.get(path, path_key(path)) for path in listed]
    table = table.assign(key=keys_of_rows, **values)[["key", *groups]].drop_duplicates()
    twice = table["key"][table["key"].duplicated()].unique()
    if len(twice):
        raise DataError(
            f"{file} has rows that contradict each other for the same path ({len(twice)}): {first_few(list(twice))}. "
            f"Keep one row per path, or make {', '.join(groups)} agree."
        )
    keys = samples.table[PATH].tolist()
    known = set(table["key"])
    matched = sum(key in known for key in keys)
    if not matched:
        raise DataError(
            f"None of the {len(known)} paths in {file} is an image of {samples.root}. "
            f"The file has {table['key'].iloc[0] if len(table) else 'no rows'}, the folder has {keys[0]}; "
            "paths must be relative to the folder."
        )
    found = table.set_index("key").reindex(keys)
    columns = {name: found[name].mask(found[name] == "").to_numpy(dtype=object) for name in groups}
    carried = samples.table.assign(
        **{name: pd.Series(values, index=samples.table.index, dtype="str") for name, values in columns.items()}
    )
    what = ", ".join(groups) or "no column"
    logger.info("Read %s from %s, which has rows of %d of %d images.", what, file, matched, len(keys))
    if without := [key for key in keys if key not in known]:
        logger.warning("Images without a row in %s (%d): %s.", file, len(without), first_few(without))
    if unused := sorted(known - set(keys)):
        logger.warning("Rows of %s that belong to no image (%d): %s.", file, len(unused), first_few(unused))
    return Samples(samples.root, samples.classes, carried)


def group_names(samples: Samples, metadata: str | Path, *, options: ListOptions = ListOptions()) -> list[str]:
    """Return the columns of a metadata file that do not look like identifiers or measurements.

    Args:
        samples: the images.
        metadata: as for `add_metadata`.
        options: how the file is read.

    Raises:
        DataError: the file cannot be read, or has no column `path`.
    """
    file = _find(samples.root, Path(metadata))
    table = read_table(file, columns=(PATH,), what="metadata file", names=options.names)
    names = [name for name in table.columns if name not in TAKEN and not name.startswith("proba_")]
    few = [name for name in names if table[name].nunique() <= min(MOST_VALUES, len(table) / 2)]
    if left_out := [name for name in names if name not in few]:
        logger.info("%s: columns that look like identifiers are left out: %s.", file, first_few(left_out))
    return few


def _find(root: Path, metadata: Path) -> Path:
    below = root / metadata  # an absolute path stays itself
    for file in (below, metadata):
        if file.is_file() or is_parquet_folder(file):
            return file
    require_file(below, what="metadata file", hint="Its path is taken relative to the folder of images.")
    return below


def _check_names(file: Path, groups: Sequence[str]) -> None:
    problems = [
        f"{name!r} cannot be a group column: tlkit's own tables use that name. Rename it in {file}."
        for name in groups
        if name in TAKEN or name.startswith("proba_")
    ]
    if len(set(groups)) < len(groups):
        problems.append(f"A group column is named twice: {', '.join(groups)}.")
    if problems:
        raise DataError(*problems)
