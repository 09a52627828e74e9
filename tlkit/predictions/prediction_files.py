"""Reading and writing of tables: CSV of any tool, Parquet with tlkit's metadata."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tlkit.csv_files import unquoted_table
from tlkit.disk import atomic_file
from tlkit.errors import PredictionsError, did_you_mean, first_few, refuse_newer
from tlkit.input_files import refuse_pipe
from tlkit.parquet_tables import is_parquet_folder, read_parquet
from tlkit.predictions.validation import PATH, PROBA_PREFIX, repeated
from tlkit.stored_values import parse_json

logger = logging.getLogger(__name__)

METADATA_KEY = b"tlkit"
METADATA_VERSION = 1


def check_exists(file: Path) -> None:
    """Check that a path is an existing file, or a folder of the parts of a Parquet table.

    Raises:
        PredictionsError: it does not exist, or it is another folder.
    """
    if file.is_dir() and not is_parquet_folder(file):
        raise PredictionsError(f"{file} is a folder. Name a file in it, ending in .parquet or .csv.")
    refuse_pipe(file, error=PredictionsError)
    if not file.exists():
        near = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        raise PredictionsError(f"{file} does not exist.{did_you_mean(file.name, near)}")


def read_csv_table(file: Path) -> pd.DataFrame:
    """Return a CSV file as text columns, without conversion of cells; only `proba_…` columns are floats.

    Columns without a name (a row index that some tools write) are left out.

    Raises:
        PredictionsError: the file is missing, empty, not UTF-8 or not CSV, or a `proba_…` cell is not a number.
    """
    check_exists(file)
    header = _csv_header(file)
    types = {name: pa.float64() if name.startswith(PROBA_PREFIX) else pa.string() for name in header}
    try:
        table = _arrow_csv(file, types)
    except pa.ArrowInvalid as error:
        if "conversion error to double" in str(error):
            raise PredictionsError(*_not_numbers(file, header)) from error
        raise PredictionsError(_csv_problem(file, str(error))) from error
    if table.num_rows == 0:
        raise PredictionsError(f"{file} has a header but no rows.")
    table = table.select([name for name in header if name])
    quoted = {name for name in table.column_names if name != PATH and _has_apostrophe(table[name])}
    frame: pd.DataFrame = table.to_pandas()
    return unquoted_table(frame, verbatim=frame.columns.difference([*quoted]))


def _has_apostrophe(column: pa.ChunkedArray[Any]) -> bool:
    """Return whether a text begins with one; Arrow says so in a tenth of the time of pandas."""
    return pa.types.is_string(column.type) and bool(pc.any(pc.starts_with(column, "'")).as_py())


def read_parquet_table(file: Path, *, binary: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return a Parquet file's table and tlkit's metadata (classes and groups); None where another tool wrote it.

    Args:
        file: the file, or a partitioned folder.
        binary: names of columns that hold bytes, not text.

    Raises:
        PredictionsError: the file is missing, empty, not Parquet, or written by a newer tlkit.
    """
    check_exists(file)
    damaged = f"{file} is not a Parquet file, or it is damaged. Write it again."
    try:
        table, refused = read_parquet(file, numeric=PROBA_PREFIX, binary=binary)
        frame = table.to_pandas(ignore_metadata=True, integer_object_nulls=True)
        names = table.column_names
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:  # damaged pages, text or metadata
        if file.is_dir():
            why = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            raise PredictionsError(f"The parts of {file} do not make one table: {why}. Write them again.") from error
        raise PredictionsError(damaged) from error
    if twice := repeated(names):
        raise PredictionsError(f"{file}: columns must have different names, but these occur twice: {first_few(twice)}.")
    if table.num_rows == 0:
        raise PredictionsError(f"{file} has columns but no rows.")
    for name, reason in refused.items():
        logger.warning("%s: column %s is left out: %s.", file, name, reason)
    note = (table.schema.metadata or {}).get(METADATA_KEY)
    try:
        noted = parse_json(note) if note else None
        if noted is not None:
            refuse_newer(f"{file} was", noted["version"], known=METADATA_VERSION, error=PredictionsError)
            classes = noted.get("classes", [])  # properties of images have none
            if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
                raise ValueError("classes is no list of names")
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionsError(damaged) from error
    if noted is None:  # a row index that pandas wrote
        frame = frame.drop(columns=[name for name in frame.columns if re.fullmatch(r"__index_level_\d+__", str(name))])
    return frame, noted


def write_parquet_table(file: Path, table: pd.DataFrame, *, noted: dict[str, Any]) -> None:
    """Write a table and metadata as Parquet, atomically."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = (arrow.schema.metadata or {}) | {
        METADATA_KEY: json.dumps({"version": METADATA_VERSION, **noted}).encode()
    }
    arrow = arrow.replace_schema_metadata(metadata)
    names = [field.name for field in arrow.schema if not pa.types.is_floating(field.type)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as partial:
        pq.write_table(
            arrow, partial, compression="zstd", use_dictionary=names
        )  # dictionaries of floats are slow and large


def _csv_header(file: Path) -> list[str]:
    """Return the column names after checking them."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            header = next((row for row in csv.reader(stream) if row), [])
    except UnicodeDecodeError as error:
        raise PredictionsError(_csv_problem(file, "invalid UTF8")) from error
    except csv.Error as error:
        raise PredictionsError(_csv_problem(file, str(error))) from error
    if not header:
        raise PredictionsError(f"{file} is empty. It should be a CSV with a header line.")
    if len(header) == 1 and (found := next((mark for mark in ";\t|" if mark in header[0]), None)):
        raise PredictionsError(
            f"{file} seems to separate its columns by {found!r}. Save it as CSV with commas between the columns."
        )
    if twice := repeated([name for name in header if name]):
        raise PredictionsError(f"{file}: columns must have different names, but these occur twice: {first_few(twice)}.")
    return header


def _arrow_csv(file: Path, types: dict[str, Any]) -> Any:
    return pacsv.read_csv(
        file,
        read_options=pacsv.ReadOptions(use_threads=False),  # with threads its errors do not name the row
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=False),
    )


def _csv_problem(file: Path, reason: str) -> str:
    if "UTF8" in reason:
        return f"{file} is not text in UTF-8. Save it as 'CSV UTF-8' (comma-separated)."
    return f"{file} cannot be read as CSV: {' '.join(reason.removeprefix('CSV parse error: ').split())[:200]}"


def _not_numbers(file: Path, header: list[str]) -> list[str]:
    """Return one problem for each `proba_…` column with cells that are no numbers, with its first five rows."""
    table = _arrow_csv(file, dict.fromkeys(header, pa.string()))
    problems = []
    for name in header:
        if name.startswith(PROBA_PREFIX):
            column = table[name].to_pandas()
            wrong = column[pd.to_numeric(column, errors="coerce").isna() & (column.str.lower() != "nan")]
            if len(wrong):
                seen = first_few([f"{text!r} (row {row + 2})" for row, text in wrong.items()])
                problems.append(
                    f"{file}: {name} must hold numbers between 0 and 1, but {len(wrong)} of {len(column)} rows do not: "
                    f"{seen}."
                )
    return problems
