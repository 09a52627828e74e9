"""Cells of labels, grades and numbers in a table, of the predictions or of the truth, as arrays."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions.validation import as_text
from tlkit.spelling import match_names

logger = logging.getLogger(__name__)

LABEL_CELLS = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0, "-1": -1, "-1.0": -1}
"""What a cell of a column of one label may hold, in lower case; an empty one and -1 are unknown."""


def label_cells(
    source: str, table: pd.DataFrame, labels: Sequence[str], *, name: str, separator: str, plain: bool, verbatim: bool
) -> tuple[Ints | None, list[str]]:
    """Return 1, 0 or -1 by image and label, and the columns that hold them; None where there are none.

    Args:
        source: name of the table, for messages.
        table: of the images.
        labels: names.
        name: "y_true" or "y_pred", or how the user calls it.
        separator: between the labels of a cell.
        plain: whether columns that are called as the labels may hold them.
        verbatim: take another spelling of a label for another name.

    Raises:
        PredictionsError: a cell holds an unknown label or another value than 1, 0 or nothing, or a column is missing.
    """
    for columns in [[f"{name}_{label}" for label in labels], *([list(labels)] if plain else [])]:
        there = [column for column in columns if column in table.columns]
        if len(there) == len(columns):
            return np.column_stack([_flags(source, as_text(table[column])) for column in columns]), columns
        if there and columns[0] != labels[0]:
            lacking = [column for column in columns if column not in there]
            raise PredictionsError(f"{source} has a column {there[0]!r}, but none called {first_few(lacking)}.")
    if name not in table.columns:
        return None, []
    text = as_text(table[name])
    place = {label: index for index, label in enumerate(labels)}
    cells = np.zeros((len(text), len(labels)), dtype=np.int64)
    parts = [parts_of(cell, separator) for cell in text.fillna("").tolist()]
    label_of = _same_names((part for cell in parts for part in cell), labels, verbatim=verbatim)
    unknown: dict[str, int] = {}
    for row, cell in enumerate(parts):
        for part in cell:
            if part in label_of:
                cells[row, place[label_of[part]]] = 1
            else:
                unknown[part] = unknown.get(part, 0) + 1
    if unknown:
        first = next(iter(unknown))
        raise PredictionsError(
            f"{source}: {name} holds names that are not among the {len(labels)} labels: "
            f"{first_few([f'{one!r} ({count} rows)' for one, count in unknown.items()])}.{did_you_mean(first, labels)} "
            f"The labels are: {first_few(labels)}. Labels of a cell are separated by {separator!r}: --separator."
        )
    if empty := int(text.isna().sum()):
        logger.info("%s: %s is empty in %d of %d rows, which means none of the labels.", source, name, empty, len(text))
    return cells, [name]


def number_cells(source: str, text: pd.Series[str]) -> Floats:
    """Return a column of numbers, shape (N,); NaN where a cell is empty.

    Raises:
        PredictionsError: a cell is no number.
    """
    found = pd.to_numeric(text, errors="coerce")
    wrong = text.notna() & found.isna()
    if wrong.any():
        seen = first_few([repr(value) for value in text[wrong].unique().tolist()])
        raise PredictionsError(
            f"{source}: {text.name} must hold numbers, but {int(wrong.sum())} of {len(text)} rows hold {seen}. "
            "Write them with a decimal point; judge names of grades with --task ordinal."
        )
    return np.asarray(found.to_numpy(dtype=np.float64, na_value=np.nan))


def grade_cells(source: str, text: pd.Series[str], grades: Sequence[str], *, verbatim: bool) -> Floats:
    """Return the positions of a column of grades, shape (N,); NaN where a cell is empty.

    Args:
        source: name of the table, for messages.
        text: names of grades.
        grades: all names, from the lowest on.
        verbatim: take another spelling of a grade for another name.

    Raises:
        PredictionsError: a cell holds no grade.
    """
    place = {str(grade): float(index) for index, grade in enumerate(grades)}
    grade_of = _same_names(text.dropna().unique().tolist(), list(place), verbatim=verbatim)
    found = text.str.strip().map({given: place[grade] for given, grade in grade_of.items()})
    wrong = text.notna() & found.isna()
    if wrong.any():
        seen = text[wrong].unique().tolist()
        raise PredictionsError(
            f"{source}: {text.name} holds {first_few([repr(value) for value in seen])}, which is no grade."
            f"{did_you_mean(seen[0], list(place))} The grades are: {first_few(list(place), most=20)}."
        )
    return np.asarray(found.to_numpy(dtype=np.float64, na_value=np.nan))


def end_cells(source: str, column: pd.Series[Any], grades: Sequence[str]) -> Floats:
    """Return a column of ends of intervals, shape (N,): numbers, or positions of grades, which are written by name.

    Args:
        source: name of the table, for messages.
        column: numbers; names of grades, or their positions where grades are words.
        grades: names of the grades from the lowest on; empty = numbers.

    Raises:
        PredictionsError: a cell is no number; or no grade, where grades are numbers other than their positions.
    """
    text = as_text(column).rename(str(column.name))
    if not grades or list(grades) == [str(place) for place in range(len(grades))]:
        return number_cells(source, text)
    names = match_names(text.dropna().unique().tolist(), grades)
    if set(text.dropna()) <= set(names):
        return grade_cells(source, text, grades, verbatim=False)
    if pd.to_numeric(pd.Series(grades), errors="coerce").notna().any():
        wrong = sorted(set(text.dropna()) - set(names))
        raise PredictionsError(
            f"{source}: {column.name} holds {first_few(wrong)}, which is no grade. Ends of intervals are grades; the "
            f"grades are: {first_few(list(grades), most=20)}. Judge other numbers with --task regression."
        )
    return number_cells(source, text)


def parts_of(cell: str, separator: str) -> list[str]:
    """Return the labels of a cell."""
    return [part for part in map(str.strip, cell.split(separator)) if part]


def _flags(source: str, text: pd.Series[str]) -> Ints:
    found = text.str.strip().str.lower().map(LABEL_CELLS)
    wrong = text.notna() & found.isna()
    if wrong.any():
        seen = first_few([repr(value) for value in text[wrong].unique().tolist()])
        raise PredictionsError(
            f"{source}: the column {text.name} of a label must hold 1, 0 or nothing, but {int(wrong.sum())} rows "
            f"hold {seen}."
        )
    return np.asarray(found.fillna(-1).to_numpy(dtype=np.int64))


def _same_names(given: Iterable[str], known: Sequence[str], *, verbatim: bool) -> dict[str, str]:
    """Return for each given name the known one that it is, or, unless `verbatim`, is another spelling of."""
    return dict(zip(known, known, strict=True)) if verbatim else match_names(given, known)
