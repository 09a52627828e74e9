"""Tables as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tlkit.stats.estimate import Estimate
from tlkit.tables.table import Cell, Table


def to_json(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """Return tables as plain JSON values: the columns, and each row as a record of full-precision values.

    Example:
        >>> from tlkit.tables.table import Column
        >>> (table,) = to_json([Table("t", "Sizes", (Column("n", "images", "count"),), ((3,),))])
        >>> table["rows"], table["columns"]
        ([{'n': 3}], [{'name': 'n', 'label': 'images', 'kind': 'count', 'unit': ''}])
    """
    return [
        {
            "name": table.name,
            "title": table.title,
            "columns": [
                {"name": column.name, "label": column.label, "kind": column.kind, "unit": column.unit}
                for column in table.columns
            ],
            "rows": [
                {column.name: _value(cell) for column, cell in zip(table.columns, row, strict=True)}
                for row in table.rows
            ],
            "notes": list(table.notes),
        }
        for table in tables
    ]


def _value(cell: Cell) -> Any:
    if isinstance(cell, Estimate):
        return cell.to_dict()
    return cell.isoformat() if isinstance(cell, datetime) else cell
