"""Group columns from a CSV file keyed by path."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tlkit.data.sources.delimited_files import read_table, relative_path, require_file
from tlkit.data.sources.entries import Entries, Entry
from tlkit.errors import DataError, first_few
from tlkit.samples import PATH, RESERVED_COLUMNS, Samples

logger = logging.getLogger(__name__)

TAKEN = (*RESERVED_COLUMNS, "y_true", "y_pred", "index")
"""Names that a group column cannot have, because tlkit's own tables use them."""


def add_metadata(samples: Samples, metadata: str | Path, *, groups: Sequence[str]) -> Samples:
    """Return the samples with group columns taken from a CSV file.

    Args:
        samples: the images.
        metadata: a CSV file (UTF-8, commas) with a column `path`, relative to `samples.root`, and the group columns.
            It is searched below `samples.root`, then below the working directory.
        groups: names of the columns. Values are kept as text; an empty field is a missing value (NA).

    Raises:
        DataError: the file or a column is missing, no path matches an image, or a path has two different rows.
    """
    return join_metadata(samples, metadata, groups=groups)[0]


def join_metadata(samples: Samples, metadata: str | Path, *, groups: Sequence[str]) -> tuple[Samples, Entries]:
    """Return what `add_metadata` returns, and the count of the file's rows: read are those that belong to an image."""
    file = find_metadata(samples.root, Path(metadata))
    _check_names(file, groups)
    table = read_table(file, columns=(PATH, *groups), what="metadata file")
    table = table.assign(key=[_key(path, samples.root) for path in table[PATH]])[["key", *groups]]
    repeats = table.duplicated()
    skipped = [Entry("repeated", f"row {row}", table.loc[row, "key"]) for row in table.index[repeats]]
    table = table[~repeats]
    twice = table["key"][table["key"].duplicated()].unique()
    if len(twice):
        raise DataError(
            f"{file} has rows that contradict each other for the same path ({len(twice)}): {first_few(list(twice))}. "
            f"Keep one row per path, or make {', '.join(groups)} agree."
        )
    keys = [_key(path, samples.root) for path in samples.paths]
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
    logger.info("Read %s from %s for %d of %d images.", ", ".join(groups), file, matched, len(keys))
    if without := [key for key in keys if key not in known]:
        logger.warning("Images without a row in %s (%d): %s.", file, len(without), first_few(without))
    if unused := sorted(known - set(keys)):
        logger.warning("Rows of %s that belong to no image (%d): %s.", file, len(unused), first_few(unused))
    if skipped:
        logger.info("Rows of %s that repeat another (%d): %s.", file, len(skipped), first_few(skipped))
    skipped += [Entry("no-image", key) for key in unused]
    return Samples(samples.root, samples.classes, carried), Entries(read=len(table) - len(unused), skipped=(*skipped,))


def find_metadata(root: Path, metadata: Path) -> Path:
    """Return the file below the folder of images, or the one below the working directory.

    Raises:
        DataError: there is neither.
    """
    below = root / metadata  # an absolute path stays itself
    if below.is_file():
        if metadata.is_file() and not metadata.samefile(below):
            logger.warning("There are two files %s: %s is read, %s is not.", metadata, below, metadata.resolve())
        return below
    if metadata.is_file():
        return metadata
    place = "" if below == metadata else f"It is looked for as {below} and, from the working directory, as {metadata}."
    require_file(metadata if metadata.is_dir() else below, what="metadata file", hint=place)
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


def _key(path: str, root: Path) -> str:
    """Return a path in the form in which paths are compared: relative, "/"-separated, NFC."""
    return relative_path(unicodedata.normalize("NFC", path), root)
