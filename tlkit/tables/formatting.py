"""Formats cells and headers of tables as text, for every medium."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from tlkit.stats.estimate import Estimate, plain_number, signed_number
from tlkit.tables.table import Cell, Column

MISSING = "–"
SIGNS = {"FAIL": "✗ FAIL", "PASS": "✓ PASS", "NOT ENOUGH DATA": "? NOT ENOUGH DATA"}
_PREFIXES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, for sentences; the plural ends in s.

    Example:
        >>> counted(1, "image"), counted(1234, "image")
        ('1 image', '1,234 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_p(p: float | None) -> str:
    """Return a p-value for sentences; a dash for None.

    Example:
        >>> format_p(0.012), format_p(0.0002), format_p(None)
        ('p = 0.012', 'p < 0.001', 'p = –')
    """
    if p is None:
        return f"p = {MISSING}"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def format_bytes(value: float) -> str:
    """Return a number of bytes with a decimal prefix.

    Example:
        >>> format_bytes(999), format_bytes(2_500_000)
        ('999 B', '2.5 MB')
    """
    for size, unit in _PREFIXES:
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} B"


def format_header(column: Column) -> str:
    """Return the header of a column: its label, and its unit in brackets.

    Example:
        >>> format_header(Column("latency", "latency", "number", unit="ms"))
        'latency (ms)'
    """
    return f"{column.label} ({column.unit})" if column.unit else column.label


def format_cell(cell: Cell, column: Column) -> str:  # noqa: PLR0911  # a line for each kind
    """Return a cell as text in the format of its column; a dash for None.

    Example:
        >>> format_cell(12345, Column("n", "images", "count")), format_cell(None, Column("n", "images", "count"))
        ('12,345', '–')
        >>> format_cell(0.0004, Column("p", "p", "p_value")), format_cell(0.9184, Column("share", "share", "percent"))
        ('<0.001', '92%')
        >>> format_cell(Estimate(-0.2, -0.334, 0.0, n=9), Column("gap", "gap", "estimate", signed=True))
        '-0.200 [-0.334, 0.000]'
    """
    if cell is None:
        return MISSING
    match column.kind:
        case "text" | "word":
            return cast("str", cell)
        case "verdict":
            return SIGNS.get(cast("str", cell), cast("str", cell))
        case "estimate":
            found = cast("Estimate", cell)
            return found.format(digits=column.digits, signed=column.signed, in_unit=column.in_unit)
        case "flag":
            return "yes" if cell else ""
        case "time":
            return f"{cast('datetime', cell):%Y-%m-%d %H:%M}"
        case _:
            return _number(cast("float", cell), column)


def two_figures(count: int) -> int:
    """Return a count with the two figures that mean something.

    Example:
        >>> two_figures(1234), two_figures(87)
        (1200, 87)
    """
    return int(float(f"{count:.2g}"))


def _number(value: float, column: Column) -> str:  # noqa: PLR0911  # a line for each kind
    match column.kind:
        case "count":
            return f"{value:+,}" if column.signed else f"{value:,}"
        case "significant":
            rounded = abs(float(f"{value:.{column.digits}g}"))  # 99.6 is "100", not "1e+02"
            return f"{value:,.0f}" if rounded >= 10**column.digits else f"{value:.{column.digits}g}"
        case "percent":
            return f"{value:.0%}"
        case "p_value":
            return "<0.001" if value < 0.001 else f"{value:.3f}"
        case "bytes":
            return format_bytes(value)
        case _:
            if column.signed:
                return signed_number(value, digits=column.digits)
            small = column.in_unit and abs(value) < 0.1
            return plain_number(value, size=abs(value)) if small else f"{value:z,.{column.digits}f}"
