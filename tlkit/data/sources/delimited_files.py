"""CSV and Parquet tables read as text, with line numbers for error messages."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from tlkit.csv_files import unquoted, unquoted_table
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.parquet_tables import is_parquet_folder, read_parquet
from tlkit.predictions.validation import as_text
from tlkit.samples import LABEL, PATH, SPLIT
from tlkit.spelling import normal_form

SUFFIXES = (".csv", ".parquet")
MAPPED = (PATH, LABEL, SPLIT)
"""The columns that can have another name in a file."""


def read_table(
    file: Path, *, columns: Sequence[str], what: str, hint: str = "", names: Mapping[str, str] = MappingProxyType({})
) -> pd.DataFrame:
    """Return a table as text, without blank rows; an empty field is "".

    Args:
        file: a CSV file (UTF-8, commas), or a Parquet file where the name ends in .parquet.
        columns: columns that it must have.
        what: kind of table, for messages: "list of images".
        hint: how to make such a file, for the message that it does not exist.
        names: the file's own name of a column, where it is another: {"path": "image"}. One that a file lacks is
            not renamed where the file has the column under tlkit's name.

    Returns:
        All columns that have a name. The index is the line in a CSV file (the header is line 1), or the row in a
        Parquet file, from 1.

    Raises:
        DataError: the file is missing or no such table, a column is missing or repeated, or rows have more or fewer
            fields than there are columns.
    """
    require_file(file, what=what, hint=hint)
    table = _read_parquet(file, columns, names) if is_parquet(file) else _read_csv(file, columns, names)
    return table[(table != "").any(axis=1)]


def is_parquet(file: Path) -> bool:
    """Return whether a path names a Parquet file, or a folder of the parts of one."""
    return file.suffix.lower() == ".parquet" or is_parquet_folder(file)


def require_file(file: Path, *, what: str, hint: str = "") -> None:
    """Check that a file exists, or a folder of the parts of a Parquet table.

    Raises:
        DataError: it is missing, or another folder.
    """
    if file.is_dir() and not is_parquet_folder(file):
        raise DataError(f"The {what} {file} is a folder. Name a file in it.")
    if not file.is_file() and not file.is_dir():
        known = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError(f"The {what} {file} does not exist.{did_you_mean(file.name, known)} {hint}".rstrip())


def relative_path(path: str, root: Path) -> str:
    """Return a listed path relative to the root and "/"-separated; one that leads elsewhere stays absolute."""
    text = path.strip().replace("\\", "/")
    if text.startswith("/"):
        text = text.removeprefix(root.resolve().as_posix() + "/").removeprefix(root.absolute().as_posix() + "/")
    return posixpath.normpath(text) if text else ""


def _own_names(found: Iterable[str], file: Path, required: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Return the columns of a file under tlkit's names, "" for one that is left out.

    Raises:
        DataError: a required column is missing, or one occurs twice; the message recognizes other separators.
    """
    columns = [unquoted(normal_form(str(name))) for name in found]
    own = {theirs: name for name, theirs in names.items() if theirs in columns}
    renamed = [own.get(name, "" if name in own.values() else name) for name in columns]
    one = columns[0] if len(columns) == 1 else ""
    split_by = next((name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if mark in one), None)
    problems = []
    lacking = [name for name in dict.fromkeys(required) if name not in renamed]
    for name in lacking[:1] if split_by else lacking:
        wanted = names.get(name, name)
        hint = f" It seems to be separated by {split_by}; use commas." if split_by else did_you_mean(wanted, columns)
        if name in MAPPED and not hint:
            hint = f" If another one is meant, name it: data.columns.{name}=COLUMN (--column {name}=COLUMN)."
        problems.append(f"{file} has no column {wanted!r}. It has {', '.join(columns)}.{hint}")
    twice = list(dict.fromkeys(name for name in renamed if name and renamed.count(name) > 1))
    if twice:
        problems.append(f"{file} has columns of the same name: {first_few(twice)}. Rename or remove one of each.")
    if problems:
        raise DataError(*problems)
    return renamed


def _read_csv(file: Path, required: Sequence[str], own: Mapping[str, str]) -> pd.DataFrame:
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
            names = _own_names(names, file, required, own)
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
        line, field_count = uneven[0]
        more = f" In all {len(uneven)}: {first_few([str(line) for line, _ in uneven])}." if len(uneven) > 1 else ""
        raise DataError(
            f"{file}:{line}  {field_count} fields under {len(names)} column names. Is a comma or a quote missing "
            f"or too many?{more}"
        )
    return unquoted_table(pd.DataFrame(columns, index=lines, dtype="str"))


def _read_parquet(file: Path, required: Sequence[str], own: Mapping[str, str]) -> pd.DataFrame:
    try:
        plain, refused = read_parquet(file)
        read = plain.to_pandas(ignore_metadata=True, integer_object_nulls=True)
        table = pd.DataFrame({name: as_text(read[name]).fillna("").astype("str") for name in read.columns})
    except Exception as error:  # pyarrow raises various errors on damaged files
        raise DataError(f"{file} cannot be read ({type(error).__name__}: {error}).") from error
    lacking = [name for name in (own.get(name, name) for name in required) if name in refused]
    if lacking:
        raise DataError(*(f"{file}: column {name!r} cannot be used: {refused[name]}." for name in lacking))
    names = _own_names(table.columns, file, required, own)
    table = table.set_axis(range(1, len(table) + 1)).set_axis(names, axis=1)
    return table[[name for name in names if name]]
