"""Who belongs to which group: the values of one column, or the cells where several columns cross."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.errors import did_you_mean, first_few

MAX_VALUES = 50  # a column with more different values looks like an identifier
MAX_EMPTY_CELLS = 200  # above so many cells, the empty ones of an intersection are counted, not listed

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """The groups of one column, or of the intersection of several.

    Attributes:
        columns: the columns.
        values: one tuple of values a group, in the order of `columns`; sorted, numbers by size.
        code: group of each image, shape (N,), a position in `values`; -1 = a value is missing.
        unlisted: empty cells that are not among `values`, because there are too many.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    code: Ints
    unlisted: int = 0


def intersections(by: Sequence[str], max_order: int) -> list[tuple[str, ...]]:
    """Return the pairs of columns, then the triples, and so on up to `max_order` columns."""
    return [chosen for order in range(2, max_order + 1) for chosen in itertools.combinations(by, order)]


def cells_of(groups: pd.DataFrame, columns: tuple[str, ...]) -> Cells:
    """Return the groups that the columns form together.

    Args:
        groups: group columns, shape (N, G), missing = NA.
        columns: some of its columns.
    """
    levels: list[list[str]] = []
    codes: list[Ints] = []
    for column in columns:
        level, code = _column(groups[column])
        levels.append(level)
        codes.append(code)
    known = np.all([code >= 0 for code in codes], axis=0)
    shape = tuple(len(level) for level in levels)
    size = math.prod(shape)
    flat = np.full(len(groups), -1, dtype=np.int64)
    if known.any():
        flat[known] = np.ravel_multi_index(tuple(code[known] for code in codes), shape)
    listed = np.arange(size) if len(columns) == 1 or size <= MAX_EMPTY_CELLS else np.unique(flat[known])
    position = np.full(size + 1, -1, dtype=np.int64)  # the last entry serves the missing, code -1
    position[listed] = np.arange(len(listed))
    places = np.array(np.unravel_index(listed, shape)).T if size else np.empty((0, len(columns)), dtype=np.int64)
    values = tuple(tuple(levels[c][int(place)] for c, place in enumerate(row)) for row in places)
    return Cells(columns, values, position[flat], unlisted=size - len(listed))


def by_problems(groups: pd.DataFrame, by: Sequence[str], *, max_values: int = MAX_VALUES) -> list[str]:
    """Return why these columns cannot be audited by; nothing where they can. Cheap: call it before training.

    Args:
        groups: group columns, shape (N, G), missing = NA.
        by: names of the columns to audit by.
        max_values: the most different values that a column may have.
    """
    found = list(groups.columns)
    there = f"The group columns are: {first_few(found, most=20)}." if found else "There are no group columns at all."
    if not by:
        return [f"There is no column to audit by. Name at least one. {there}"]
    problems = []
    for column in by:
        if column not in found:
            problems.append(f"There is no group column {column!r}.{did_you_mean(column, found)} {there}")
        elif (different := int(groups[column].nunique())) > max_values:
            problems.append(
                f"The column {column!r} has {different} different values in {len(groups)} rows, so it looks like an "
                f"identifier or a measurement. Audit by columns with at most {max_values} values: bin numbers, merge "
                "rare values, or raise max_values."
            )
    return problems


def _column(column: pd.Series[str]) -> tuple[list[str], Ints]:
    """Return the sorted values of a column, and the position of each row among them, -1 = missing."""
    text = column.astype("string")
    values = sorted((str(value) for value in text.dropna().unique()), key=_natural)
    return values, np.asarray(pd.Categorical(text, categories=values).codes, dtype=np.int64)


def _natural(value: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a sorting key that puts "9" before "10" and "10-19" before "100+"."""
    parts = re.split(r"(\d+)", value)
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts if part)
