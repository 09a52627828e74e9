"""CSV and Parquet tables read as text, with line numbers for error messages."""

from __future__ import annotations

import csv
import logging
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.csv_files import unquoted, unquoted_table
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.input_files import refuse_pipe
from tlkit.parquet_tables import is_parquet_folder, parquet_columns, read_parquet, require_parquet_bounds
from tlkit.predictions.validation import as_text
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT
from tlkit.spelling import normal_form

logger = logging.getLogger(__name__)

MOST_COLUMNS = 10_000
"""Most columns that are read of a table."""
MOST_HEADER = 65_536
"""Most characters of the first line that are searched for another separator."""
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "upright bars"}
SUFFIXES = (".csv", ".parquet")
OPTIONAL = (PATH, LABEL, SPLIT, DIGEST, "quarantine", "decision")
"""Columns that are read where a file has them; others are read only where they are required."""
MAPPED = (PATH, LABEL, SPLIT)
"""The columns that can have another name in a file."""


def read_table(
    file: Path,
    *,
    columns: Sequence[str],
    what: str,
    hint: str = "",
    optional: Sequence[str] | None = OPTIONAL,
    names: Mapping[str, str] = MappingProxyType({}),
) -> pd.DataFrame:
    """Return a table as text, without blank rows; an empty field is "".

    Args:
        file: a CSV file (UTF-8, commas), or a Parquet file (or folder of parts) where the name ends in .parquet.
        columns: columns that it must have.
        what: kind of table, for messages: "list of images".
        hint: how to make such a file, for the message that it does not exist.
        optional: columns that are read where the file has them; None = all that have a name.
        names: the file's own name of a column, where it is another: {"path": "image"}. One that a file lacks is
            not renamed where the file has the column under tlkit's name.

    Returns:
        The required and the optional columns, under tlkit's names. The index is the line in a CSV file (the header is
        line 1), or the row in a Parquet file, from 1.

    Raises:
        DataError: the file is missing or no such table, a column is missing or repeated, more than `MOST_COLUMNS` would
            be read, or rows have more or fewer fields than there are columns.
    """
    return read_with_blank_rows(file, columns=columns, what=what, hint=hint, optional=optional, names=names)[0]


def read_with_blank_rows(
    file: Path,
    *,
    columns: Sequence[str],
    what: str,
    hint: str = "",
    optional: Sequence[str] | None = OPTIONAL,
    names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[pd.DataFrame, list[int]]:
    """Return what `read_table` returns, and the lines of a CSV file or rows of a Parquet file that are blank.

    A line of a CSV file without a separator is no row.
    """
    require_file(file, what=what, hint=hint)
    read = _read_parquet if is_parquet(file) else _read_csv
    return read(file, columns, optional, names)


def is_parquet(file: Path) -> bool:
    """Return whether a path names a Parquet file, or a folder of the parts of one."""
    return file.suffix.lower() == ".parquet" or is_parquet_folder(file)


def require_file(file: Path, *, what: str, hint: str = "") -> None:
    """Check that a file exists, or a folder of the parts of a Parquet table.

    Raises:
        DataError: it is missing, or another folder.
    """
    if is_parquet_folder(file):
        return
    if file.is_dir():
        raise DataError(f"The {what} {file} is a folder. Name a file in it.")
    refuse_pipe(file, what=f"The {what}", error=DataError)
    if not file.is_file():
        known = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError(f"The {what} {file} does not exist.{did_you_mean(file.name, known)} {hint}".rstrip())


def relative_path(path: str, root: Path) -> str:
    """Return a listed path relative to the root and "/"-separated; one that leads elsewhere stays absolute."""
    text = path.strip().replace("\\", "/")
    if text.startswith("/"):
        text = text.removeprefix(root.resolve().as_posix() + "/").removeprefix(root.absolute().as_posix() + "/")
    return posixpath.normpath(text) if text else ""


def _own_names(
    found: Iterable[str], file: Path, required: Sequence[str], optional: Sequence[str] | None, names: Mapping[str, str]
) -> list[str]:
    """Return the columns of a file under tlkit's names, "" for one that is left out.

    Raises:
        DataError: a required column is missing, one occurs twice, or too many would be read; the message recognizes
            other separators.
    """
    columns = [unquoted(normal_form(str(name))) for name in found]
    present = set(columns)
    own = {theirs: name for name, theirs in names.items() if theirs in present}
    renamed = [own.get(name, "" if name in own.values() else name) for name in columns]
    one = columns[0] if len(columns) == 1 else ""
    split_by = next((name for mark, name in OTHER_SEPARATORS.items() if mark in one), None)
    problems = []
    counts = Counter(renamed)
    lacking = [name for name in dict.fromkeys(required) if name not in counts]
    for name in lacking[:1] if split_by else lacking:
        wanted = names.get(name, name)
        if split_by:
            hint = f" It seems to be separated by {split_by}; use commas."
        elif name in MAPPED and wanted.casefold() not in {column.casefold() for column in columns}:
            hint = f" Name the one that is meant: data.columns.{name}=COLUMN (--column {name}=COLUMN)."
        else:
            hint = did_you_mean(wanted, columns)
        problems.append(f"{file} has no column {wanted!r}. It has {first_few(columns, most=50)}.{hint}")
    twice = [name for name, count in counts.items() if name and count > 1]
    if twice:
        problems.append(f"{file} has columns of the same name: {first_few(twice)}. Rename or remove one of each.")
    if problems:
        raise DataError(*problems)
    for name, theirs in names.items():
        if name in required and name != PATH and name in present and theirs not in present:
            logger.warning(
                "%s has no column %r, which data.columns.%s names, so its column %r is read.%s",
                *(file, theirs, name, name, did_you_mean(theirs, [column for column in columns if column != name])),
            )
    kept = counts.keys() if optional is None else counts.keys() & {*required, *optional}
    if len(kept) > MOST_COLUMNS:
        raise DataError(f"{file} has {len(kept):,} columns, more than {MOST_COLUMNS:,}. Keep those that you name.")
    return [name if name in kept else "" for name in renamed]


def _quoted_separator(file: Path) -> str:
    """Return what to do where the first line has quoted names with another separator between them; else nothing."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as opened:
        found = re.match(r'\s*"[^"]*"\s*([;\t|])', opened.readline(MOST_HEADER))
    return f" It seems to be separated by {OTHER_SEPARATORS[found[1]]}; use commas." if found else ""


def _read_csv(
    file: Path, required: Sequence[str], optional: Sequence[str] | None, own: Mapping[str, str]
) -> tuple[pd.DataFrame, list[int]]:
    lines: list[int] = []
    blank: list[int] = []
    columns: dict[str, list[str]] = {}
    uneven: list[tuple[int, int]] = []
    start = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            header = next(reader, [])
            if not header:
                raise DataError(f"{file} is empty. It should be a CSV table that begins with the names of its columns.")
            names = _own_names(header, file, required, optional, own)
            columns = {name: [] for name in names if name}
            places = [(place, name) for place, name in enumerate(names) if name]
            start = reader.line_num + 1
            for fields in reader:
                if len(fields) == len(names) and any(fields):
                    lines.append(start)
                    for place, name in places:
                        columns[name].append(fields[place])
                elif any(fields):
                    uneven.append((start, len(fields)))
                elif fields:
                    blank.append(start)
                start = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{file}:{start}  is no CSV row: {error}.{_quoted_separator(file)}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
    if uneven:
        line, field_count = uneven[0]
        more = f" In all {len(uneven)}: {first_few([str(line) for line, _ in uneven])}." if len(uneven) > 1 else ""
        raise DataError(
            f"{file}:{line}  {field_count} fields under {len(names)} column names. Is a comma or a quote missing "
            f"or too many?{more}"
        )
    return unquoted_table(pd.DataFrame(columns, index=lines, dtype="str")), blank


def _read_parquet(
    file: Path, required: Sequence[str], optional: Sequence[str] | None, own: Mapping[str, str]
) -> tuple[pd.DataFrame, list[int]]:
    try:
        require_parquet_bounds(file)
        found = parquet_columns(file)
    except Exception as error:  # pyarrow raises various errors on damaged files
        raise _damaged(file, error) from error
    names = dict(zip(found, _own_names(found, file, required, optional, own), strict=True))
    try:
        plain, refused = read_parquet(file, needed=lambda name: bool(names[name]))
        read = plain.to_pandas(ignore_metadata=True, integer_object_nulls=True)
        table = pd.DataFrame({names[name]: as_text(read[name]).fillna("").astype("str") for name in read.columns})
        blank = _blank_rows(file, table)
        table = table.set_axis(range(1, len(table) + 1))[~blank]
    except Exception as error:
        raise _damaged(file, error) from error
    if lacking := [name for name in refused if names[name] in required]:
        raise DataError(*(f"{file}: column {name!r} cannot be used: {refused[name]}." for name in lacking))
    return table, (np.flatnonzero(blank) + 1).tolist()


def _blank_rows(file: Path, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return the rows of a Parquet table that are empty in all columns, not only in those that were read."""
    blank = (table == "").all(axis=1).to_numpy(dtype=np.bool_, copy=True)
    if blank.any():
        whole = read_parquet(file)[0].take(np.flatnonzero(blank)).to_pandas(ignore_metadata=True)
        blank[blank] = (whole.isna() | (whole == "")).all(axis=1).to_numpy()
    return blank


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read ({type(error).__name__}: {error}).")
