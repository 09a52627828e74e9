"""Parquet files and partitioned folders as tables of plain columns: numbers, booleans and text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from tlkit.spelling import SEPARATOR

logger = logging.getLogger(__name__)

LABELS = ("path", "label", "split", "y_true", "y_pred")
"""Columns that are no groups to audit by."""
MOST_CELLS = 4_000_000_000
"""Most cells of a Parquet file or folder: 32 GB of numbers."""


def is_parquet_folder(path: Path) -> bool:
    """Return whether a folder is one table in several files: part files, or folders named `column=value` of them."""
    if not path.is_dir():
        return False
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(("_", "."))]
    if any(entry.suffix.lower() == ".parquet" and entry.is_file() for entry in entries):
        return True
    return any("=" in entry.name and is_parquet_folder(entry) for entry in entries)


def read_parquet(
    path: Path,
    *,
    numeric: str | None = None,
    binary: Collection[str] = (),
    needed: Callable[[str], bool] = lambda _: True,
) -> tuple[pa.Table, dict[str, str]]:
    """Return a Parquet file or a partitioned folder with plain columns, and why other columns have no plain value.

    Categories are decoded. Dates, times, decimals and UTF-8 bytes are text. A list is its values joined by ";", since
    an image may be in several groups; an empty one is missing. Structs, maps and lists of such are left out.

    Args:
        path: the file, or the folder.
        numeric: beginning of the names of columns that hold numbers: their decimals are floats, not text.
        binary: names of columns whose bytes are no text; they are kept.
        needed: whether a column of this name is read; default: all are.

    Raises:
        pa.ArrowException, OSError, ValueError: it is damaged, or states more cells than `MOST_CELLS`.
    """
    require_parquet_bounds(path)
    names = parquet_columns(path)
    table = pq.read_table(path, columns=None if all(map(needed, names)) else [name for name in names if needed(name)])
    if len(set(table.column_names)) < table.num_columns:  # the reader names them
        return table, {}
    plain, refused = {}, {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            plain[name] = (
                column if name in binary else _plain(column, number=numeric is not None and name.startswith(numeric))
            )
        except ValueError as error:
            refused[name] = str(error)
            continue
        if _is_list(column.type):
            how = "" if name in LABELS else f" To audit by each value: {name}:separator={SEPARATOR}"
            logger.info("%s: %s holds lists, joined by %r.%s", path, name, SEPARATOR, how)
    return pa.table(plain).replace_schema_metadata(table.schema.metadata), refused


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file or a partitioned folder, in order.

    Raises:
        pa.ArrowException, OSError, ValueError: it is damaged.
    """
    return list(map(str, (pq.ParquetDataset(path).schema if path.is_dir() else pq.read_schema(path)).names))


def columns_of_lists(path: Path) -> frozenset[str]:
    """Return the columns of lists of a Parquet file or folder, which `read_parquet` joins by ";"; else none.

    Of a path that is no Parquet file, or a damaged one, that is none: its reader says what is wrong.
    """
    if path.suffix.lower() != ".parquet" and not is_parquet_folder(path):
        return frozenset()
    try:
        schema = pq.ParquetDataset(path).schema if path.is_dir() else pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError):
        return frozenset()
    return frozenset(str(field.name) for field in schema if _is_list(field.type))


def require_parquet_bounds(path: Path) -> None:
    """Check the size that a Parquet file, or each part of a folder, states for its content, before any of it is read.

    Raises:
        pa.ArrowException, OSError: it is damaged.
        ValueError: it states more cells than `MOST_CELLS`; a small file can state a huge table.
    """
    parts = pq.ParquetDataset(path).files if path.is_dir() else [path]
    facts = [pq.read_metadata(part) for part in parts]
    rows, columns = sum(one.num_rows for one in facts), max((one.num_columns for one in facts), default=0)
    if rows * max(1, columns) > MOST_CELLS:
        raise ValueError(f"it states {rows:,} rows of {columns:,} columns")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind) or pt.is_list_view(kind))


def _plain(column: pa.ChunkedArray, *, number: bool = False) -> pa.ChunkedArray:
    """Return a column of numbers, booleans or text.

    Raises:
        ValueError: its values are not single ones; the message says what to do.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column, kind = column.cast(kind.storage_type), kind.storage_type
    if pt.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if number and pt.is_decimal(kind):
        return column.cast(pa.float64())
    for has_kind, plain_of in PLAIN:
        if has_kind(kind):
            return plain_of(column)
    raise ValueError(f"a value of it is a {str(kind)[:40]}. Write each part of it as a column of its own")


def _text(column: pa.ChunkedArray, text_of: Any) -> pa.ChunkedArray:
    values = [None if value is None else text_of(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(values, type=pa.string())])


def _time_text(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Return dates and times as text: a date alone where every time is midnight."""
    if pt.is_timestamp(column.type) or pt.is_duration(column.type):
        times: pd.Series[Any] = column.to_pandas()
        return times.astype("str").mask(times.isna(), None)
    return pd.Series([None if value is None else str(value) for value in column.to_pylist()], dtype=object)


def _joined(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return lists as text: their different values in turn, joined by ";"; an empty list is missing."""
    combined = column.combine_chunks()
    values = _plain(pa.chunked_array([pc.list_flatten(combined)]))
    texts = ["" if value is None else _cell(value) for value in values.to_pylist()]
    if any(SEPARATOR in text for text in texts):
        raise ValueError(f"a list of it holds a value with {SEPARATOR!r}. Write its values without, or as text")
    parents = pc.list_parent_indices(combined).to_pylist()
    cells: list[dict[str, None]] = [{} for _ in range(len(combined))]
    for parent, text in zip(parents, texts, strict=True):
        if text:
            cells[parent][text] = None
    return pa.chunked_array([pa.array([SEPARATOR.join(cell) or None for cell in cells], type=pa.string())])


def _cell(value: object) -> str:
    """Return a value as text; a float that is whole as an integer."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return _text(column, bytes.decode)
    except UnicodeDecodeError as error:
        raise ValueError("it holds bytes that are no UTF-8 text. Write text, or numbers") from error


def _as_it_is(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column


def _cast_to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return _text(column, lambda value: format(value, "f"))


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(_time_text(column), type=pa.string(), from_pandas=True)])


PLAIN: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.ChunkedArray], pa.ChunkedArray]], ...] = (
    (lambda kind: pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind), _as_it_is),
    (lambda kind: pt.is_string(kind) or pt.is_large_string(kind), _as_it_is),
    (lambda kind: pt.is_string_view(kind) or pt.is_null(kind), _cast_to_text),
    (pt.is_decimal, _decimals),
    (pt.is_temporal, _times),
    (lambda kind: pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind), _decoded),
    (_is_list, _joined),
)
"""How columns of each kind become plain."""
