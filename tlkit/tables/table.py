"""`Table`: columns with type, unit and format, rows of plain values, and notes, for any medium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from tlkit.stats.estimate import DIGITS, Estimate

Cell = str | int | float | bool | datetime | Estimate | None
ColumnKind = Literal[
    "text",
    "word",
    "verdict",
    "count",
    "number",
    "significant",
    "percent",
    "estimate",
    "p_value",
    "bytes",
    "flag",
    "time",
]
Mark = Literal["worst", "better", "quiet", "total"]

_NUMBER = (int, float)
TYPES: dict[ColumnKind, tuple[type, ...]] = {
    "text": (str,),
    "word": (str,),
    "verdict": (str,),
    "count": (int,),
    "number": _NUMBER,
    "significant": _NUMBER,
    "percent": _NUMBER,
    "estimate": (Estimate,),
    "p_value": _NUMBER,
    "bytes": _NUMBER,
    "flag": (bool,),
    "time": (datetime,),
}
"""Types of the cells of each kind of column, besides None."""
LEFT: frozenset[ColumnKind] = frozenset({"text", "word", "verdict", "flag", "time"})
"""Kinds that are aligned left; the others are numbers, aligned right."""


@dataclass(frozen=True)
class Column:
    """Name, type and format of a column.

    Attributes:
        name: identifier, such as the key of a JSON record; unique within a table.
        label: header; "" in every column = a table without a header.
        kind: text may wrap; word stays on one line; verdict is "PASS", "FAIL" or "NOT ENOUGH DATA", or another word;
            count is an integer with thousands separators; number has `digits` decimals; significant has `digits`
            significant digits, and no decimals from 10^digits on; percent is a share in [0, 1], shown in percent;
            estimate is an `Estimate` with its interval; p_value has three decimals; bytes has a decimal prefix; flag
            is yes or empty; time is shown to the minute.
        unit: unit of the numbers, such as "ms", shown in the header. "" = none.
        digits: decimals or significant digits, for kinds that have them.
        signed: whether numbers and estimates are differences, shown with their sign.
        in_unit: whether numbers and estimates are in a unit, of which small ones have as many significant digits.
    """

    name: str
    label: str
    kind: ColumnKind = "text"
    unit: str = ""
    digits: int = DIGITS
    signed: bool = False
    in_unit: bool = False


@dataclass(frozen=True)
class Table:
    """A table: columns, rows and notes.

    Attributes:
        name: identifier.
        title: what the table shows; "" = none.
        columns: at least one.
        rows: a cell for every column, of the type of the column's kind, or None; the first cell names the row.
        notes: sentences below the table.
        marks: emphasis by row number: "worst" = highlighted, "better" = in another color, "quiet" = subdued,
            "total" = a sum.

    Example:
        >>> columns = (Column("name", "class"), Column("support", "images", "count"))
        >>> Table("classes", "Classes", columns, (("cat", 12), ("dog", None))).column("support")
        (12, None)
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    marks: Mapping[int, Mark] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.columns, f"{self.name}: a table has columns"
        names = [column.name for column in self.columns]
        assert len(set(names)) == len(names), f"{self.name}: names of columns are unique, got {names}"
        assert set(self.marks) <= set(range(len(self.rows))), f"{self.name}: marks are of rows"
        for row in self.rows:
            assert len(row) == len(self.columns), f"{self.name}: a cell for every column, got {row}"
            for column, cell in zip(self.columns, row, strict=True):
                assert _fits(cell, column.kind), f"{self.name}: {column.name} is a {column.kind}, got {cell!r}"

    def column(self, name: str) -> tuple[Cell, ...]:
        """Return the cells of a column."""
        place = [column.name for column in self.columns].index(name)
        return tuple(row[place] for row in self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def selected(self, names: Sequence[str]) -> Table:
        """Return the table with some of its columns, in the given order, and without its notes.

        Raises:
            ValueError: there is no such column.
        """
        places = [self.names.index(name) for name in names]
        rows = tuple(tuple(row[place] for place in places) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in places), rows=rows, notes=())

    def head(self, most: int | None) -> Table:
        """Return the table with its first `most` rows and a note with the number of others; None = all rows."""
        if most is None or len(self.rows) <= most:
            return self
        more = len(self.rows) - most
        note = f"… and {more:,} more row{'' if more == 1 else 's'}."
        marks = {place: mark for place, mark in self.marks.items() if place < most}
        return replace(self, rows=self.rows[:most], marks=marks, notes=(note, *self.notes))


def _fits(cell: Cell, kind: ColumnKind) -> bool:
    if cell is None:
        return True
    return isinstance(cell, TYPES[kind]) and (kind == "flag" or not isinstance(cell, bool))
