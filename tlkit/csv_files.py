"""CSV files that people open in spreadsheets: a cell of text is never run as a formula, and is read back equal.

A spreadsheet takes text that begins with =, +, - or @ for a formula. Such a cell is written behind an apostrophe, which
spreadsheets hide, and read back without it. Numbers stay as they are, and so do the columns named `verbatim`: the paths
in files that other tools read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.disk import atomic_file

FORMULA = re.compile(r"[\s']*[=+\-@＝＋－＠]")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def quoted(cell: Any) -> Any:
    """Return a cell with an apostrophe before text that a spreadsheet would run.

    Example:
        >>> [quoted(cell) for cell in ("=1+1", "-5", "-x", "cat", "'=1", -5)]
        ["'=1+1", '-5', "'-x", 'cat', "''=1", -5]
    """
    if isinstance(cell, str) and FORMULA.match(cell) and not NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unquoted(cell: Any) -> Any:
    """Return the cell that `quoted` was given.

    Example:
        >>> [unquoted(cell) for cell in ("'=1+1", "-5", "'tis", "''=1")]
        ['=1+1', '-5', "'tis", "'=1"]
    """
    if isinstance(cell, str) and cell.startswith("'") and FORMULA.match(cell[1:]):
        return cell[1:]
    return cell


def csv_text(table: pd.DataFrame, *, verbatim: Collection[str] = (), quote_all: bool = False, missing: str = "") -> str:
    r"""Return a table as CSV with lines that end with \n; `unquoted_table` gives the cells back.

    Args:
        table: the table; its index is left out.
        verbatim: columns whose text is written as it is.
        quote_all: put every cell into quotes.
        missing: what stands for a missing value.
    """
    written = {name: column if name in verbatim else _mapped(column, quoted) for name, column in table.items()}
    shown: pd.DataFrame = pd.DataFrame(written, index=table.index, columns=table.columns).rename(columns=quoted)
    return shown.to_csv(
        index=False, lineterminator="\n", quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL, na_rep=missing
    )


def write_csv(
    path: Path, table: pd.DataFrame, *, verbatim: Collection[str] = (), quote_all: bool = False, missing: str = ""
) -> None:
    """Write a table as CSV, atomically; see `csv_text`.

    Raises:
        OSError: the file cannot be written.
    """
    text = csv_text(table, verbatim=verbatim, quote_all=quote_all, missing=missing)
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def unquoted_table(table: pd.DataFrame, *, verbatim: Collection[str] = ()) -> pd.DataFrame:
    """Return a table as it was before `csv_text` wrote it; the columns `verbatim` are kept as they are."""
    read = table.rename(columns=unquoted)
    changed: dict[Any, pd.Series[Any]] = {}
    for name, column in read.items():
        if name not in verbatim and (new := _mapped(column, unquoted)) is not column:
            changed[name] = new
    return read.assign(**changed) if changed else read


def _mapped(column: pd.Series[Any], change: Any) -> pd.Series[Any]:
    """Return a column with its texts changed; the same object where none is, or where it holds no text."""
    if not (pd.api.types.is_string_dtype(column.dtype) or column.dtype == object):
        return column
    changed = {text: change(text) for text in column.unique() if isinstance(text, str)}
    if all(text is new for text, new in changed.items()):
        return column
    return column.map(lambda cell: changed.get(cell, cell), na_action="ignore").astype(column.dtype)
