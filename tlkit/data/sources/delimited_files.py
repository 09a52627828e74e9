"""CSV and Parquet tables read as text, with line numbers for error messages."""

from __future__ import annotations

import csv
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from tlkit.errors import DataError, PredictionsError, did_you_mean, first_few
from tlkit.predictions.prediction_files import require_parquet_bounds, with_plain_cells
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT

MOST_COLUMNS = 100_000
"""Most columns of a table."""
SUFFIXES = (".csv", ".parquet")
OPTIONAL = (PATH, LABEL, SPLIT, DIGEST, "quarantine", "decision")
"""Columns that are read where a file has them; others are read only where they are required."""


def read_table(
    file: Path, *, columns: Sequence[str], what: str, hint: str = "", optional: Sequence[str] | None = OPTIONAL
) -> pd.DataFrame:
    """Return a table as text, without blank rows; an empty field is "".

    Args:
        file: a CSV file (UTF-8, commas), or a Parquet file where the name ends in .parquet.
        columns: columns that it must have.
        what: kind of table, for messages: "list of images".
        hint: how to make such a file, for the message that it does not exist.
        optional: columns that are read where the file has them; None = all.

    Returns:
        The required and the optional columns. The index is the line in a CSV file (the header is line 1), or the
        row in a Parquet file, from 1.

    Raises:
        DataError: the file is missing or no such table, a column is missing or repeated, or rows have more or fewer
            fields than there are columns.
    """
    require_file(file, what=what, hint=hint)
    if file.suffix == ".parquet":
        table = _read_parquet(file)
        _require_columns(table.columns, file, columns)
        table = table[(table != "").any(axis=1)]
        return table[[name for name in table.columns if optional is None or name in (*columns, *optional)]]
    return _read_csv(file, columns, optional)


def require_file(file: Path, *, what: str, hint: str = "") -> None:
    """Check that a file exists.

    Raises:
        DataError: it is missing, or a folder.
    """
    if file.is_dir():
        raise DataError(f"The {what} {file} is a folder. Name a file in it.")
    if file.exists() and not file.is_file():
        raise DataError(f"The {what} {file} is a pipe or a device. Name a file, or save its content as one.")
    if not file.is_file():
        known = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError(f"The {what} {file} does not exist.{did_you_mean(file.name, known)} {hint}".rstrip())


def relative_path(path: str, root: Path) -> str:
    """Return a listed path relative to the root and "/"-separated; one that leads elsewhere stays absolute."""
    text = path.strip().replace("\\", "/")
    if text.startswith("/"):
        text = text.removeprefix(root.resolve().as_posix() + "/").removeprefix(root.absolute().as_posix() + "/")
    return posixpath.normpath(text) if text else ""


def _require_columns(found: Iterable[str], file: Path, required: Sequence[str]) -> None:
    """Check that a table has the required columns and none twice; the message recognizes other separators."""
    columns = [str(name) for name in found]
    one = columns[0] if len(columns) == 1 else ""
    split_by = next((name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if mark in one), None)
    problems = []
    lacking = [name for name in dict.fromkeys(required) if name not in columns]
    for name in lacking[:1] if split_by else lacking:
        hint = f" It seems to be separated by {split_by}; use commas." if split_by else did_you_mean(name, columns)
        problems.append(f"{file} has no column {name!r}. It has {first_few(columns, most=50)}.{hint}")
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        problems.append(f"{file} has columns of the same name: {first_few(twice)}. Rename or remove one of each.")
    if problems:
        raise DataError(*problems)


def _read_csv(file: Path, required: Sequence[str], optional: Sequence[str] | None) -> pd.DataFrame:
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
            if len(names) > MOST_COLUMNS:
                raise DataError(
                    f"{file} has {len(names):,} columns, more than {MOST_COLUMNS:,}. Keep those that you name."
                )
            _require_columns(names, file, required)
            columns = {name: [] for name in names if optional is None or name in (*required, *optional)}
            places = [(place, name) for place, name in enumerate(names) if name in columns]
            start = reader.line_num + 1
            for fields in reader:
                if len(fields) == len(names) and any(fields):
                    lines.append(start)
                    for place, name in places:
                        columns[name].append(fields[place])
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
        line, field_count = uneven[0]
        more = f" In all {len(uneven)}: {first_few([str(line) for line, _ in uneven])}." if len(uneven) > 1 else ""
        raise DataError(
            f"{file}:{line}  {field_count} fields under {len(names)} column names. Is a comma or a quote missing "
            f"or too many?{more}"
        )
    return pd.DataFrame(columns, index=lines, dtype="str")


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        require_parquet_bounds(file)
        table = with_plain_cells(file, pd.read_parquet(file))
        table = table.astype("str").mask(table.isna(), "")
    except PredictionsError as error:
        raise DataError(*error.problems) from error
    except Exception as error:  # pyarrow raises various errors on damaged files
        raise DataError(f"{file} cannot be read ({type(error).__name__}: {error}).") from error
    return table.set_axis(range(1, len(table) + 1)).rename(columns=str)
