"""Group columns from a CSV or Parquet file keyed by path."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tlkit.data.sources.delimited_files import read_table, read_with_blank_rows, relative_path, require_file
from tlkit.data.sources.entries import Entries, Entry
from tlkit.data.sources.list_options import ListOptions
from tlkit.errors import DataError, first_few
from tlkit.parquet_tables import is_parquet_folder
from tlkit.samples import PATH, RESERVED_COLUMNS, VOTES, Samples
from tlkit.spelling import match_paths, path_key

logger = logging.getLogger(__name__)

MOST_VALUES = 50
"""A column with more different values looks like an identifier or a measurement."""
TAKEN = (*RESERVED_COLUMNS, VOTES, "y_true", "y_pred", "index")
"""Names that a group column cannot have, because tlkit's own tables use them."""


def add_metadata(
    samples: Samples, metadata: str | Path, *, groups: Sequence[str], options: ListOptions = ListOptions()
) -> Samples:
    """Return the samples with group columns taken from a CSV or Parquet file; with no columns it is only checked.

    Args:
        samples: the images.
        metadata: a CSV file (UTF-8, commas) or a Parquet file with a column `path`, relative to `samples.root`, and the
            group columns. It is searched below `samples.root`, then below the working directory.
        groups: names of the columns. Values are text, one spelling for each; an empty field is a missing value (NA).
        options: how the file is read.

    Raises:
        DataError: the file or a column is missing, no path matches an image, or a path has two different rows.
    """
    return join_metadata(samples, metadata, groups=groups, options=options)[0]


def join_metadata(
    samples: Samples, metadata: str | Path, *, groups: Sequence[str], options: ListOptions = ListOptions()
) -> tuple[Samples, Entries]:
    """Return what `add_metadata` returns, and the count of the file's rows: read are those that belong to an image."""
    file = find_metadata(samples.root, Path(metadata))
    _check_names(file, groups)
    table, blank = read_with_blank_rows(file, columns=(PATH, *groups), what="metadata file", names=options.names)
    values = {name: options.values(table[name], what=f"{name} of {file}") for name in groups}
    keys = samples.table[PATH].tolist()
    table = table.assign(key=_keys(table[PATH], keys, samples.root), **values)[["key", *groups]]
    skipped = [Entry("blank-row", f"row {row}") for row in blank]
    nameless = [Entry("wrong-row", f"row {row}", "its path is empty") for row in table.index[table["key"] == ""]]
    table = table[table["key"] != ""]
    repeats = table.duplicated()
    repeated = [Entry("repeated", f"row {row}", table.loc[row, "key"]) for row in table.index[repeats]]
    table = table[~repeats]
    twice = table["key"][table["key"].duplicated()].unique()
    if len(twice):
        raise DataError(
            f"{file} has rows that contradict each other for the same path ({len(twice)}): {first_few(list(twice))}. "
            f"Keep one row per path, or make {', '.join(groups)} agree."
        )
    known = set(table["key"])
    matched = sum(key in known for key in keys)
    if not matched:
        example, image = next(iter(table["key"]), "no rows"), next(iter(keys), "no images")
        raise DataError(
            f"None of the {len(known)} paths in {file} is an image of {samples.root}. "
            f"The file has {example}, the folder has {image}; "
            "paths must be relative to the folder."
        )
    found = table.set_index("key").reindex(keys)
    columns = {name: found[name].mask(found[name] == "").to_numpy(dtype=object) for name in groups}
    carried = samples.table.assign(
        **{name: pd.Series(values, index=samples.table.index, dtype="str") for name, values in columns.items()}
    )
    what = ", ".join(groups) or "no column"
    level = logging.DEBUG if matched == len(keys) else logging.INFO
    logger.log(level, "Read %s from %s, which has rows of %d of %d images.", what, file, matched, len(keys))
    if without := [key for key in keys if key not in known]:
        logger.warning("Images without a row in %s (%d): %s.", file, len(without), first_few(without))
    if unused := sorted(known - set(keys)):
        logger.warning("Rows of %s that belong to no image (%d): %s.", file, len(unused), first_few(unused))
    if nameless:
        logger.warning("Rows of %s without a path (%d): %s.", file, len(nameless), first_few(nameless))
    if repeated:
        logger.info("Rows of %s that repeat another (%d): %s.", file, len(repeated), first_few(repeated))
    skipped += [*nameless, *repeated, *(Entry("no-image", key) for key in unused)]
    return samples.with_table(carried), Entries(read=len(table) - len(unused), skipped=(*skipped,))


def group_names(samples: Samples, metadata: str | Path, *, options: ListOptions = ListOptions()) -> list[str]:
    """Return the columns of a metadata file that do not look like identifiers or measurements.

    Args:
        samples: the images.
        metadata: as for `add_metadata`.
        options: how the file is read.

    Raises:
        DataError: the file cannot be read, or has no column `path`.
    """
    file = find_metadata(samples.root, Path(metadata))
    table = read_table(file, columns=(PATH,), what="metadata file", optional=None, names=options.names)
    names = [name for name in table.columns if name not in TAKEN and not name.startswith("proba_")]
    few = [name for name in names if table[name].nunique() <= min(MOST_VALUES, len(table) / 2)]
    if left_out := [name for name in names if name not in few]:
        logger.info("%s: columns that look like identifiers are left out: %s.", file, first_few(left_out))
    return few


def _keys(paths: pd.Series[str], known: Sequence[str], root: Path) -> list[str]:
    """Return for each path of a file the image that it names, or its plain form where it names none."""
    listed = [relative_path(path, root) for path in paths]
    found_as = match_paths(listed, known)
    return [found_as.get(path, path_key(path)) for path in listed]


def find_metadata(root: Path, metadata: Path) -> Path:
    """Return the file below the folder of images, or the one below the working directory.

    Raises:
        DataError: there is neither.
    """
    below = root / metadata  # an absolute path stays itself
    if _is_table(below):
        if _is_table(metadata) and not metadata.samefile(below):
            logger.warning("There are two files %s: %s is read, %s is not.", metadata, below, metadata.resolve())
        return below
    if _is_table(metadata):
        return metadata
    place = "" if below == metadata else f"It is looked for as {below} and, from the working directory, as {metadata}."
    require_file(metadata if metadata.is_dir() else below, what="metadata file", hint=place)
    return below


def _is_table(path: Path) -> bool:
    return path.is_file() or is_parquet_folder(path)


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
