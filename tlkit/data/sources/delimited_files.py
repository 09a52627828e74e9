"""Tables that a person or a tool wrote: read as text, row by row, so that what is wrong is said with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from tlkit.errors import DataError, did_you_mean, first_few

SUFFIXES = (".csv", ".parquet")


def read_table(file: Path, *, wanted: Sequence[str], what: str, hint: str = "") -> pd.DataFrame:
    """Read a table as text, blank rows left out, an empty field being "".

    Args:
        file: a CSV (UTF-8, commas) or, where its name says so, a Parquet file.
        wanted: columns that it must have.
        what: the table is, for messages: "list of images".
        hint: how to come by one, for the message that it does not exist.

    Returns:
        Its columns that have a name, as text. The index is what messages name: the line in a CSV, the header being line
        1; the row in a Parquet file, from 1.

    Raises:
        DataError: the file is missing or no such table, a column is missing or there twice, or rows have more or fewer
            fields than there are columns.
    """
    require_file(file, what=what, hint=hint)
    if file.suffix == ".parquet":
        table = _read_parquet(file)
        require_columns(table.columns, file, wanted)
    else:
        table = _read_csv(file, wanted)
    return table[(table != "").any(axis=1)]


def require_file(file: Path, *, what: str, hint: str = "") -> None:
    """Check that there is such a file.

    Raises:
        DataError: it is missing, or a folder.
    """
    if file.is_dir():
        raise DataError(f"The {what} {file} is a folder. Name a file in it.")
    if not file.is_file():
        known = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        after = f" {hint}" if hint else ""
        raise DataError(f"The {what} {file} does not exist.{did_you_mean(file.name, known)}{after}")


def require_columns(names: Iterable[str], file: Path, wanted: Sequence[str]) -> None:
    """Check that a table has the columns that are wanted, each once.

    Raises:
        DataError: some are missing or there twice; the message names those that there are, and semicolons in place of
            commas.
    """
    columns = [str(name) for name in names]
    one = columns[0] if len(columns) == 1 else ""
    split_by = next((name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if mark in one), None)
    problems = []
    lacking = [name for name in dict.fromkeys(wanted) if name not in columns]
    for name in lacking[:1] if split_by else lacking:
        hint = f" It seems to be separated by {split_by}; use commas." if split_by else did_you_mean(name, columns)
        problems.append(f"{file} has no column {name!r}. It has {', '.join(columns)}.{hint}")
    twice = list(dict.fromkeys(name for name in columns if name and columns.count(name) > 1))
    if twice:
        problems.append(f"{file} has columns of the same name: {first_few(twice)}. Rename or remove one of each.")
    if problems:
        raise DataError(*problems)


def _read_csv(file: Path, wanted: Sequence[str]) -> pd.DataFrame:
    lines: list[int] = []
    columns: dict[str, list[str]] = {}
    uneven: list[tuple[int, int]] = []
    start = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            names = next(reader, [])
            if not names:
                raise DataError(f"{file} is empty. It should be a CSV table that begins with the names of its columns.")
            require_columns(names, file, wanted)
            columns = {name: [] for name in names if name}
            start = reader.line_num + 1
            for fields in reader:
                if len(fields) == len(names):
                    lines.append(start)
                    for name, text in zip(names, fields, strict=True):
                        if name:
                            columns[name].append(text)
                elif any(fields):
                    uneven.append((start, len(fields)))
                start = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{file}:{start}  is no CSV row: {error}.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
    if uneven:
        line, fields_there = uneven[0]
        more = f" In all {len(uneven)}: {first_few([str(line) for line, _ in uneven])}." if len(uneven) > 1 else ""
        raise DataError(
            f"{file}:{line}  {fields_there} fields under {len(names)} column names. Is a comma or a quote missing "
            f"or too many?{more}"
        )
    return pd.DataFrame(columns, index=lines, dtype="str")


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(file)
        table = table.astype("str").mask(table.isna(), "")
    except Exception as error:  # pyarrow raises a dozen kinds on damaged files
        raise DataError(f"{file} cannot be read ({type(error).__name__}: {error}).") from error
    return table.set_axis(range(1, len(table) + 1)).rename(columns=str)
