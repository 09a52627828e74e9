"""Conditions that form slices, such as "brightness below 41 of 255" or "camera is Acme X1"."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Mask
from tlkit.audit.group_tables import MISSING

logger = logging.getLogger(__name__)

CUTS = np.arange(1, 20) / 20
"""Quantiles of the searched images that serve as thresholds of numbers."""
FEW_NUMBERS, MOST_VALUES = 10, 50
"""Numbers with at most `FEW_NUMBERS` different values are categories; columns with more than `MOST_VALUES` categories
are left out."""
UNITS = {"brightness": " of 255", "contrast": " of 255"}

Relation = Literal["below", "at least", "is"]


@dataclass(frozen=True)
class Condition:
    """A condition on one column.

    Attributes:
        column: the column.
        relation: "below" or "at least" a number, or "is" a value.
        value: the number or the value; "(missing)" = a missing value.
    """

    column: str
    relation: Relation
    value: float | str

    @property
    def text(self) -> str:
        """The condition as text: "brightness below 41 of 255", "file type is PNG"."""
        name = self.column.replace("_", " ")
        if self.relation == "is":
            return f"{name} is {self.value}"
        unit = UNITS.get(self.column, "")
        return (
            f"{name} below {self.value:g}{unit}" if self.relation == "below" else f"{name} {self.value:g}{unit} or more"
        )

    def holds(self, table: pd.DataFrame) -> Mask:
        """Return the mask of the rows for which it holds, shape (N,); it never holds for a missing number."""
        column = table[self.column]
        if self.relation == "is":
            text = column.astype("string").fillna(MISSING)
            return np.asarray((text == self.value).to_numpy(dtype=bool))
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers < float(self.value) if self.relation == "below" else numbers >= float(self.value)


def candidate_conditions(table: pd.DataFrame) -> tuple[list[Condition], list[str]]:
    """Return the conditions of all columns, and the columns with too many values.

    Thresholds of numbers are their 5 % quantiles, rounded so that the text defines the images exactly; other columns
    give one condition per value.

    Args:
        table: one row per image, of the images that are searched.
    """
    found: list[Condition] = []
    without: list[str] = []
    for name in map(str, table.columns):
        column = table[name]
        if column.dropna().nunique() + column.isna().any() < 2:
            continue
        numbers = measured_numbers(column)
        if numbers is not None:
            for edge in _edges(numbers[~np.isnan(numbers)]):
                found += [Condition(name, "below", edge), Condition(name, "at least", edge)]
        elif column.nunique() <= MOST_VALUES:
            values = sorted(column.astype("string").fillna(MISSING).unique())
            found += [Condition(name, "is", str(value)) for value in values]
        else:
            without.append(name)
    if without:
        logger.info("Not searched, because they have more than %d values: %s.", MOST_VALUES, ", ".join(without))
    return found, without


def measured_numbers(column: pd.Series[Any]) -> Floats | None:
    """Return the numbers of a column, shape (N,), NaN where missing; None where it holds categories."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().sum() < column.notna().sum() or numbers.nunique() <= FEW_NUMBERS:
        return None
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _edges(numbers: Floats) -> list[float]:
    """Return the thresholds with the fewest digits, at least two, that keep 80 % of them distinct."""
    exact = np.unique(np.quantile(numbers, CUTS))
    for digits in range(2, 8):
        short = sorted({float(f"{edge:.{digits if abs(edge) < 100 else max(digits, 3)}g}") for edge in exact.tolist()})
        if len(short) >= 0.8 * len(exact):
            return short
    return [float(edge) for edge in exact]
