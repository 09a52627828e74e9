"""What a slice can be made of: "brightness below 41 of 255", "camera is Acme X1"; with the images it holds for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.audit.group_tables import MISSING

logger = logging.getLogger(__name__)

CUTS = np.arange(1, 20) / 20
"""Numbers are cut at every twentieth of the images that are searched."""
FEW_NUMBERS, MOST_VALUES = 10, 50
"""Numbers with up to the first many different values are taken as categories; columns with more than the second many
categories are left out."""
UNITS = {"brightness": " of 255", "contrast": " of 255"}

Mask = npt.NDArray[np.bool_]
Relation = Literal["below", "at least", "is"]


@dataclass(frozen=True)
class Condition:
    """One property of an image that can be told by looking at a column.

    Attributes:
        column: the column.
        relation: "below" or "at least" a number, or "is" a value.
        value: the number or the value; "(missing)" = there is none.
    """

    column: str
    relation: Relation
    value: float | str

    @property
    def words(self) -> str:
        """The condition as text: "brightness below 41 of 255", "file type is PNG"."""
        name = self.column.replace("_", " ")
        if self.relation == "is":
            return f"{name} is {self.value}"
        unit = UNITS.get(self.column, "")
        return (
            f"{name} below {self.value:g}{unit}" if self.relation == "below" else f"{name} {self.value:g}{unit} or more"
        )

    def holds(self, table: pd.DataFrame) -> Mask:
        """Return for which rows it holds, shape (N,); a missing number is neither below nor above."""
        column = table[self.column]
        if self.relation == "is":
            text = column.astype("string").fillna(MISSING)
            return np.asarray((text == self.value).to_numpy(dtype=bool))
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers < float(self.value) if self.relation == "below" else numbers >= float(self.value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Condition:
        """Read what `asdict` gave."""
        return cls(values["column"], values["relation"], values["value"])


def candidate_conditions(table: pd.DataFrame) -> tuple[list[Condition], list[str]]:
    """Return the conditions that the columns suggest, and the columns that suggest none.

    Numbers are cut at every twentieth, rounded so that the words say exactly which images are meant; other columns give
    one condition a value.

    Args:
        table: one row an image, of the images that are searched.
    """
    found: list[Condition] = []
    without: list[str] = []
    for name in map(str, table.columns):
        column = table[name]
        if column.dropna().nunique() + column.isna().any() < 2:
            continue
        numbers = pd.to_numeric(column, errors="coerce")
        measured = numbers.notna().sum() == column.notna().sum() and numbers.nunique() > FEW_NUMBERS
        if measured:
            for edge in _edges(numbers.dropna().to_numpy(dtype=np.float64)):
                found += [Condition(name, "below", edge), Condition(name, "at least", edge)]
        elif column.nunique() <= MOST_VALUES:
            values = sorted(column.astype("string").fillna(MISSING).unique())
            found += [Condition(name, "is", str(value)) for value in values]
        else:
            without.append(name)
    if without:
        logger.info("Not searched, because they have more than %d values: %s.", MOST_VALUES, ", ".join(without))
    return found, without


def _edges(numbers: npt.NDArray[np.float64]) -> list[float]:
    """Return the twentieths with as few figures, at least two, as keep four in five of them apart."""
    exact = np.unique(np.quantile(numbers, CUTS))
    for figures in range(2, 8):
        short = sorted(
            {float(f"{edge:.{figures if abs(edge) < 100 else max(figures, 3)}g}") for edge in exact.tolist()}
        )
        if len(short) >= 0.8 * len(exact):
            return short
    return [float(edge) for edge in exact]
