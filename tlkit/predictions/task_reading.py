"""`read_multilabel` and `read_numbers`: predictions of several labels, grades or numbers, of any tool."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tlkit.arrays import Floats
from tlkit.choices import Task
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.parquet_tables import columns_of_lists
from tlkit.predictions.multilabel_predictions import MultilabelPredictions
from tlkit.predictions.number_predictions import LOWER, UPPER, NumberPredictions, NumberTask
from tlkit.predictions.prediction_files import METADATA_KEY
from tlkit.predictions.reading import open_table, paths_of, task_of
from tlkit.predictions.truth_cells import end_cells, grade_cells, label_cells, number_cells, parts_of
from tlkit.predictions.unreadable_rows import without_unreadable
from tlkit.predictions.validation import PATH, PROBA_PREFIX, Y_PRED, Y_TRUE, as_text, one_spelling
from tlkit.spelling import SEPARATOR, unify, warn_of_lookalikes

logger = logging.getLogger(__name__)

WRITE_ALIKE = "Write them alike if they are one."


def task_of_file(path: Path | str) -> Task | None:
    """Return the task that a Parquet file by tlkit states; None for files of other tools, CSV and other paths."""
    file = Path(path)
    if file.suffix.lower() != ".parquet" or not file.is_file():
        return None
    try:
        note = (pq.read_schema(file).metadata or {}).get(METADATA_KEY)
        noted = None if note is None else json.loads(note)
        stated = task_of(noted if isinstance(noted, dict) else None)
    except (pa.ArrowException, OSError, ValueError):
        return None  # the reader says what is wrong
    return next((task for task in get_args(Task) if task == stated), None)


def read_multilabel(
    path: Path | str,
    *,
    y_true: str = Y_TRUE,
    y_pred: str = Y_PRED,
    path_column: str = PATH,
    separator: str = SEPARATOR,
    thresholds: Mapping[str, float] | None = None,
    verbatim: bool = False,
) -> MultilabelPredictions:
    """Return the predictions of several labels for each image, from a Parquet or CSV file of tlkit or of another tool.

    The file has one row per image. The true labels stand in the column `y_true`, separated by ";", where an empty cell
    means that the image has none of them; or in a column for each label, `y_true_<label>` or `<label>`, with 1 or 0,
    where an empty cell or -1 means that it is not known. `proba_<label>` holds probabilities. The predicted labels
    stand in `y_pred` or `y_pred_<label>`; without them a label is predicted from its threshold on. Every other column
    is a group column.

    The labels are those in the metadata of a file by tlkit, else the sorted names of the `proba_` columns, else those
    of the `y_true_` and `y_pred_` columns, else the sorted names in the cells.

    Args:
        path: a file ending in .parquet or .csv (UTF-8, commas), or a folder of Parquet files.
        y_true: the column of the true labels, or what its columns of one label begin with.
        y_pred: the column of the predicted labels, or what its columns of one label begin with.
        path_column: name of the column that holds the path of the image.
        separator: what stands between the labels of a cell; a list column of Parquet needs none.
        thresholds: by label, for probabilities; default: those in the file, else 0.5 each.
        verbatim: keep labels and group values as they are written.

    Raises:
        PredictionsError: the file cannot be read, lacks a column, or holds values that cannot be predictions.
    """
    file = Path(path)
    table, noted = open_table(file, path_column=path_column)
    _require_task(file, noted, "multilabel")
    table = without_unreadable(file, table, y_pred=y_pred)
    joined = columns_of_lists(file)
    separators = {name: SEPARATOR if name in joined else separator for name in (y_true, y_pred)}
    labels = _labels(file, table, noted, y_true=y_true, y_pred=y_pred, separators=separators, verbatim=verbatim)
    cells = partial(label_cells, str(file), table, labels, verbatim=verbatim)
    truth, true_columns = cells(name=y_true, plain=True, separator=separators[y_true])
    guess, pred_columns = cells(name=y_pred, plain=False, separator=separators[y_pred])
    score_columns = [f"{PROBA_PREFIX}{label}" for label in labels]
    there = [name for name in score_columns if name in table.columns]
    problems = []
    if there and len(there) < len(labels):
        problems.append(f"{file} has no column {first_few([name for name in score_columns if name not in there])}.")
    if not there and guess is None:
        problems.append(
            f"{file} has neither {PROBA_PREFIX}<label> columns nor predicted labels ({y_pred!r}). Its columns are: "
            f"{first_few(list(table.columns), most=20)}. Name the latter: --y-pred COLUMN (in Python, y_pred=)."
        )
    if truth is None and y_true != Y_TRUE:
        problems.append(f"{file} has no column {y_true!r}.{did_you_mean(y_true, list(table.columns))}")
    if problems:
        raise PredictionsError(*problems)
    if truth is None:
        logger.info("%s has no column %r and none for each label: every label is unknown.", file, y_true)
    stored = (noted or {}).get("thresholds")
    if thresholds is None and isinstance(stored, list):
        thresholds = dict(zip(labels, map(float, stored), strict=True))
    if there and thresholds is not None and guess is not None and stored is not None:
        guess = None  # they follow from the thresholds
    used = {PATH, *there, *true_columns, *pred_columns}
    return MultilabelPredictions.build(
        labels=labels,
        path=paths_of(file, table),
        y_true=truth,
        y_pred=guess,
        proba=_floats(file, table, score_columns) if there else None,
        thresholds=None if guess is not None else thresholds,
        groups=table[[name for name in table.columns if name not in used and not name.startswith(PROBA_PREFIX)]],
        source=str(file),
        verbatim=verbatim or noted is not None,
    )


def read_numbers(
    path: Path | str,
    *,
    task: NumberTask = "regression",
    y_true: str = Y_TRUE,
    y_pred: str = Y_PRED,
    path_column: str = PATH,
    grades: Sequence[str] | None = None,
    verbatim: bool = False,
) -> NumberPredictions:
    """Return predicted numbers or grades from a Parquet or CSV file of tlkit or of another tool.

    The file has one row per image: `y_true` (empty = unknown), `y_pred`, and, if the model gives intervals, `lower` and
    `upper`. Every other column is a group column. Grades are judged by their positions: 0 for the lowest, 1 for the
    next.

    Args:
        path: a file ending in .parquet or .csv (UTF-8, commas), or a folder of Parquet files.
        task: ordinal for grades, regression for numbers.
        y_true: name of the column of the true numbers.
        y_pred: name of the column of the predicted numbers.
        path_column: name of the column that holds the path of the image.
        grades: names of the grades from the lowest on; default: those in the metadata of a file by tlkit, else the
            grades in the file, if all are numbers.
        verbatim: keep grades and group values as they are written.

    Raises:
        PredictionsError: the file cannot be read, lacks a column, holds a value that is no number, or grades whose
            order is not known.
    """
    file = Path(path)
    table, noted = open_table(file, path_column=path_column)
    _require_task(file, noted, task)
    if missing := [
        name for name in (y_true, y_pred) if name not in table.columns and (name, y_true) != (Y_TRUE, Y_TRUE)
    ]:
        option = "--y-true" if missing[0] == y_true else "--y-pred"
        raise PredictionsError(
            f"{file} has no column {missing[0]!r}. Its columns are: {first_few(list(table.columns), most=20)}. Name "
            f"the one that holds it: {option} COLUMN.{did_you_mean(missing[0], list(table.columns))}"
        )
    names = [name for name in (y_true, y_pred) if name in table.columns]
    ends = [name for name in (LOWER, UPPER) if name in table.columns]
    order: tuple[str, ...] = ()
    if task == "ordinal":
        stored = (noted or {}).get("classes")
        texts = {name: as_text(table[name]) for name in names}
        if not verbatim:
            read = one_spelling(*texts.values(), what=f"The grades of {file}")
            texts = dict(zip(names, read if len(names) > 1 else [read], strict=True))
        order = tuple(grades or stored or _numeric_grades(file, texts, y_true=y_true, y_pred=y_pred))
        columns = {name: grade_cells(str(file), text, order, verbatim=verbatim) for name, text in texts.items()}
    else:
        columns = {name: number_cells(str(file), as_text(table[name])) for name in names}
    own_positions = noted is not None and not any(pd.api.types.is_string_dtype(table[name].dtype) for name in ends)
    columns |= {name: end_cells(str(file), table[name], () if own_positions else order) for name in ends}
    used = {PATH, *names, *ends}
    return NumberPredictions.build(
        path=paths_of(file, table),
        y_true=columns.get(y_true),
        y_pred=columns[y_pred],
        lower=columns.get(LOWER),
        upper=columns.get(UPPER),
        grades=order,
        groups=table[[name for name in table.columns if name not in used and not name.startswith(PROBA_PREFIX)]],
        source=str(file),
        verbatim=verbatim or noted is not None,
    )


def _require_task(file: Path, noted: Mapping[str, Any] | None, task: Task) -> None:
    if (stated := task_of(noted)) not in (None, task):
        raise PredictionsError(
            f"{file} holds predictions of the task {stated}, not {task}. Leave out --task, or name it."
        )


def _labels(
    file: Path,
    table: pd.DataFrame,
    noted: Mapping[str, Any] | None,
    *,
    y_true: str,
    y_pred: str,
    separators: Mapping[str, str],
    verbatim: bool,
) -> list[str]:
    if noted is not None and noted.get("classes"):
        return [str(one) for one in noted["classes"]]
    for prefixes in ([PROBA_PREFIX], [f"{y_true}_", f"{y_pred}_"]):
        found = {name.removeprefix(prefix) for prefix in prefixes for name in table.columns if name.startswith(prefix)}
        if found:
            warn_of_lookalikes(found, what=f"The labels of {file}", hint=lambda _: WRITE_ALIKE)
            return sorted(found)
    cells = {name: as_text(table[name]).dropna() for name in (y_true, y_pred) if name in table.columns}
    parts = [part for name, column in cells.items() for cell in column for part in parts_of(cell, separators[name])]
    seen = pd.Series(parts, dtype="string")
    if not verbatim:
        (seen,) = unify(seen, what=f"The labels of {file}", hint=WRITE_ALIKE)
    names = sorted(seen.unique().tolist())
    if not names:
        raise PredictionsError(
            f"{file} holds no label: it has no {PROBA_PREFIX}<label>, {y_true}_<label> or {y_pred}_<label> column "
            f"and no name in {y_true!r} or {y_pred!r}. Its columns are: {first_few(list(table.columns), most=20)}."
        )
    if len(names) > max(len(table), 20):
        raise PredictionsError(
            f"{file}: {y_true!r} and {y_pred!r} hold {len(names)} different labels in {len(table)} images: "
            f"{first_few(names)}. Are they numbers (--task regression), or separated by another mark (--separator)?"
        )
    return names


def _floats(file: Path, table: pd.DataFrame, names: Sequence[str]) -> Floats:
    try:
        return np.asarray(table[list(names)].to_numpy(dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise PredictionsError(f"{file}: the columns {first_few(names)} must hold numbers from 0 to 1.") from error


def _numeric_grades(file: Path, columns: Mapping[str, pd.Series[str]], *, y_true: str, y_pred: str) -> list[str]:
    """Return the grades in the columns, if all are numbers, by size."""
    seen = sorted({value.strip() for text in columns.values() for value in text.dropna()})
    number = pd.to_numeric(pd.Series(seen, dtype="string"), errors="coerce")
    if number.isna().any():
        raise PredictionsError(
            f"{file}: the order of the grades {first_few(seen)} is not known. State it from the lowest on: "
            "--grades none,mild,severe (in Python, grades=)."
        )
    order = np.argsort(number.to_numpy(dtype=np.float64), kind="stable")
    ordered = [(seen[place], float(number.iloc[place])) for place in order]
    if same := [f"{one} and {two}" for (one, first), (two, second) in pairwise(ordered) if first == second]:
        raise PredictionsError(
            f"{file}: grades are one number: {first_few(same)}. Write them alike, or state all grades from the lowest "
            "on: --grades (in Python, grades=)."
        )
    values = dict(ordered)
    between = [name for name in columns[y_pred].dropna().str.strip().unique() if not values[name].is_integer()]
    truth = set() if y_true not in columns else set(columns[y_true].dropna().str.strip())
    if between and truth and all(values[name].is_integer() for name in truth):
        raise PredictionsError(
            f"{file}: the grades of {y_true!r} are whole numbers, but {y_pred!r} lies between them: "
            f"{first_few(between)}. Round predictions to grades, judge them as numbers (--task regression), or state "
            "all grades: --grades."
        )
    numbers = [value for _, value in ordered]
    lacking = sorted(set(range(int(numbers[0]), int(numbers[-1]) + 1)) - set(numbers)) if _are_counts(numbers) else []
    if lacking:
        logger.warning(
            "%s: no image shows the grade %s, so the grades beside it count as neighbours. If there is such a grade, "
            "state all of them: --grades (in Python, grades=).",
            file,
            first_few(list(map(str, lacking))),
        )
    return [name for name, _ in ordered]


def _are_counts(numbers: Sequence[float]) -> bool:
    """Return whether numbers are whole and close enough together to be grades that count up."""
    return all(number.is_integer() for number in numbers) and numbers[-1] - numbers[0] < 3 * len(numbers)
