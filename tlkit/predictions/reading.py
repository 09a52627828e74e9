"""`read_predictions`: predictions from a Parquet or CSV file of tlkit or of another tool."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.parquet_tables import columns_of_lists, is_parquet_folder
from tlkit.predictions.prediction_files import read_csv_table, read_parquet_table
from tlkit.predictions.predictions import Predictions
from tlkit.predictions.unreadable_rows import without_unreadable
from tlkit.predictions.validation import PATH, PROBA_PREFIX, Y_PRED, Y_TRUE, as_text, is_reserved, one_spelling
from tlkit.spelling import SEPARATOR, normal_form, spelled_twice

logger = logging.getLogger(__name__)

READERS = {"multilabel": "read_multilabel", "segmentation": "read_masks", "detection": "read_boxes"}
"""What reads predictions of another task; `read_numbers` reads the rest."""


def read_predictions(
    path: Path | str, *, y_true: str = Y_TRUE, y_pred: str = Y_PRED, path_column: str = PATH, verbatim: bool = False
) -> Predictions:
    """Return the predictions in a Parquet or CSV file of tlkit or of another tool.

    The file has one row per image. `y_true` (the label; empty = unknown) and `y_pred` (the predicted class) hold class
    names, `proba_<class>` probabilities, `path` the image; every other column is a group column. Either `y_pred` or the
    `proba_` columns may be left out, and so may `y_true` (all labels unknown) and `path` (rows are then numbered).
    Cells are text: a class may be called "no", "1" or "NA"; only an empty cell is missing. Two spellings of one value,
    such as "7", "7.0" and "7 ", are read as one (see `tlkit.spelling`) and named in the log. Rows of images that
    `tlkit predict` could not read (a reason in the column `error`, no prediction) are left out and counted in the log.

    The classes are those in the metadata of a Parquet file by tlkit, else the sorted names of the `proba_` columns,
    else the sorted names in `y_true` and `y_pred`.

    Args:
        path: a file ending in .parquet or .csv (UTF-8, commas), or a folder of Parquet files, whose folders
            `column=value` are columns.
        y_true: name of the column that holds the label.
        y_pred: name of the column that holds the predicted class.
        path_column: name of the column that holds the path of the image.
        verbatim: keep classes and groups as they are written. A file that tlkit wrote is read so in any case.

    Raises:
        PredictionsError: the file cannot be read, lacks a column, or holds values that cannot be predictions.

    Example:
        >>> predictions = read_predictions("predictions.csv")
        >>> predictions.classes, predictions.group_columns
        (('cat', 'dog'), ('light',))
    """
    file = Path(path)
    table, noted = open_table(file, path_column=path_column)
    if (task := task_of(noted)) not in (None, "multiclass"):
        raise PredictionsError(
            f"{file} holds predictions of the task {task}, not of one class for each image. Read it with "
            f"{READERS.get(str(task), 'read_numbers')}; on the command line, --task {task}."
        )
    _check_columns(file, list(table.columns), y_true=y_true, y_pred=y_pred)
    table = without_unreadable(file, table, y_pred=y_pred)
    verbatim = verbatim or noted is not None

    _require_single(file, table, (y_true, y_pred))
    truth = as_text(table[y_true]) if y_true in table.columns else None
    guess = as_text(table[y_pred]) if y_pred in table.columns else None
    if truth is None:
        logger.info(
            "%s has no column %r: every label is unknown, unless --y-true COLUMN (in Python, y_true=) names it.",
            file,
            y_true,
        )
    if not verbatim:
        truth, guess = _one_spelling(file, truth, guess)
        table = table.rename(columns=_own_columns([name for name in table.columns if name.startswith(PROBA_PREFIX)]))
    in_columns = [name.removeprefix(PROBA_PREFIX) for name in table.columns if name.startswith(PROBA_PREFIX)]
    classes = _classes(noted["classes"] if noted else None, in_columns, truth, guess)
    if not in_columns and not noted:
        _require_common_names(file, truth, guess)
    return Predictions.build(
        classes=classes,
        path=paths_of(file, table),
        y_true=None if truth is None else truth.to_numpy(dtype=object),
        y_pred=None if guess is None else guess.to_numpy(dtype=object),
        proba=_proba(file, table, classes) if in_columns else None,
        groups=_groups(file, table, used=(y_true, y_pred)),
        tta=str(noted.get("tta", "none")) if noted else "none",
        source=str(file),
        verbatim=verbatim,
    )


def open_table(file: Path, *, path_column: str = PATH) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return the table of a file of predictions, and tlkit's metadata; None where another tool wrote it.

    Args:
        file: a file ending in .parquet or .csv, or a folder of Parquet files.
        path_column: name of the column of paths, which becomes "path".

    Raises:
        PredictionsError: the file cannot be read or has no such column.
    """
    noted = None
    if file.suffix.lower() == ".csv":
        table = read_csv_table(file)
    elif file.suffix.lower() == ".parquet" or is_parquet_folder(file):
        table, noted = read_parquet_table(file)
    else:
        boxes = ", boxes from JSON with --task detection" if file.suffix.lower() == ".json" else ""
        raise PredictionsError(
            f"{file} ends in {file.suffix or 'nothing'!r}. Predictions are read from .parquet or .csv{boxes}."
        )
    table.columns = [str(name) for name in table.columns]
    return (table if path_column == PATH else _with_paths(file, table, path_column)), noted


def task_of(noted: Mapping[str, Any] | None) -> str | None:
    """Return the task in the metadata of a file: multiclass for old ones; None where another tool wrote it."""
    return None if noted is None else str(noted.get("task", "multiclass"))


def _with_paths(file: Path, table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with a column under the name `path`, in place of one that has it."""
    if name not in table.columns:
        raise PredictionsError(
            f"{file} has no column {name!r} of paths. Its columns are: {first_few(list(table.columns), most=20)}."
            f"{did_you_mean(name, list(table.columns))}"
        )
    return table.drop(columns=PATH, errors="ignore").rename(columns={name: PATH})


def _one_spelling(
    file: Path, truth: pd.Series[str] | None, guess: pd.Series[str] | None
) -> tuple[pd.Series[str] | None, pd.Series[str] | None]:
    """Return labels and predictions with one spelling for each class."""
    what = f"The classes of {file}"
    if truth is None or guess is None:
        given = guess if truth is None else truth
        read = None if given is None else one_spelling(given, what=what)
        return (None, read) if truth is None else (read, None)
    truth, guess = one_spelling(truth, guess, what=what)
    return truth, guess


def _check_columns(file: Path, columns: list[str], *, y_true: str, y_pred: str) -> None:
    """Check that the required columns exist."""
    names = f"Its columns are: {first_few(columns, most=20)}."
    has_proba = any(name.startswith(PROBA_PREFIX) for name in columns)
    no_truth = y_true not in columns
    no_guess = y_pred not in columns and (y_pred != Y_PRED or not has_proba)
    problems = []
    if y_true == y_pred:
        problems.append(f"y_true and y_pred both name the column {y_true!r} of {file}. Name two columns.")
    if no_guess:
        problems.append(
            f"{file} has no column {y_pred!r}{'' if has_proba else ' and no proba_<class> columns'}. {names} "
            f"Name the one that holds the predicted class: --y-pred COLUMN (in Python, y_pred=)."
            f"{did_you_mean(y_pred, columns)}"
        )
    if no_truth and (no_guess or y_true != Y_TRUE):
        problems.append(
            f"{file} has no column {y_true!r}. {names} Name the one that holds the label: --y-true COLUMN "
            f"(in Python, y_true=).{did_you_mean(y_true, columns)}"
        )
    if problems:
        raise PredictionsError(*problems)


def _require_single(file: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Check that no cell of these columns is a list of several classes."""
    lists = columns_of_lists(file)
    for name in names:
        if name in lists and name in table.columns:
            several = int(as_text(table[name]).str.contains(SEPARATOR, regex=False).sum())
            if several:
                raise PredictionsError(
                    f"{file}: {name} holds lists, of which {several} of {len(table)} name several classes. Judge "
                    "several labels of an image with --task multilabel (in Python, read_multilabel)."
                )


def _own_columns(names: list[str]) -> dict[str, str]:
    """Return columns of probabilities without white space around the class, where each still has its own name."""
    own = {name: PROBA_PREFIX + normal_form(name.removeprefix(PROBA_PREFIX)) for name in names}
    return own if len(set(own.values())) == len(own) else {}


def _classes(
    stored: list[str] | None, in_columns: list[str], truth: pd.Series[str] | None, guess: pd.Series[str] | None
) -> list[str]:
    if stored is not None and (not in_columns or set(in_columns) == set(stored)):
        return stored
    if in_columns:
        return sorted(in_columns)
    return sorted({name for column in (truth, guess) if column is not None for name in column.dropna()})


def paths_of(file: Path, table: pd.DataFrame) -> list[str]:
    """Return the path of each row; "row 1" and so on where there is no column of paths."""
    if PATH in table.columns:
        paths: list[str] = as_text(table[PATH]).fillna("").tolist()
        if same := spelled_twice(paths):
            logger.warning(
                "%s: paths that look like two spellings of one file count as images of their own (%d): %s. Keep one "
                "row for each image.",
                file,
                len(same),
                first_few([" and ".join(map(repr, one)) for one in same]),
            )
        return paths
    logger.info(
        "%s has no column 'path': its rows are named 'row 1' to 'row %d'. Call the column with the image paths 'path' "
        "to join groups and to find images.",
        file,
        len(table),
    )
    return [f"row {number}" for number in range(1, len(table) + 1)]


def _proba(file: Path, table: pd.DataFrame, classes: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    columns = table[[f"{PROBA_PREFIX}{name}" for name in classes]]
    try:
        return columns.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        wrong = [name for name in columns if not pd.api.types.is_numeric_dtype(columns[name].dtype)]
        raise PredictionsError(
            f"{file}: these columns must hold numbers between 0 and 1: {first_few(wrong)}."
        ) from error


def _groups(file: Path, table: pd.DataFrame, *, used: tuple[str, str]) -> pd.DataFrame:
    others = [name for name in table.columns if name not in used]
    left_out = [name for name in others if is_reserved(name) and name != PATH and not name.startswith(PROBA_PREFIX)]
    if left_out:
        logger.info("%s: column %s is left out, because another one was named instead.", file, first_few(left_out))
    return table[[name for name in others if not is_reserved(name)]]


def _require_common_names(file: Path, truth: pd.Series[str] | None, guess: pd.Series[str] | None) -> None:
    """Check that labels and predictions have a class name in common, unlike "3" and "3.0", or "dog" and "Dog"."""
    if truth is None or guess is None:
        return
    labels, guesses = sorted(set(truth.dropna())), sorted(set(guess.dropna()))
    if labels and not set(labels) & set(guesses):
        problem = (
            f"no name occurs both among the labels ({first_few(labels)}) and among the predicted classes "
            f"({first_few(guesses)}), so no row"
        )
        if len(labels) > 1 and len(guesses) > 1:
            numbers = pd.to_numeric(pd.Series([*labels, *guesses]), errors="coerce").notna().all()
            hint = " Numbers, not classes, are judged by --task regression." if numbers else ""
            raise PredictionsError(
                f"{file}: {problem} could be right. Write them alike, or name the columns that hold them: --y-true and "
                f"--y-pred (in Python, y_true= and y_pred=).{hint}"
            )
        logger.warning("%s: %s is right. Are they written alike?", file, problem)
