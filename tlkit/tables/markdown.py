"""Tables as Markdown, for the model card and the job page of a continuous integration system."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tlkit.stats.estimate import Estimate
from tlkit.tables.formatting import format_cell, format_header
from tlkit.tables.table import LEFT, Cell, Column, Table


def to_markdown(tables: Iterable[Table]) -> str:
    r"""Return tables as Markdown: title in bold, rows, notes; an empty line between the parts.

    Texts are escaped: they contain no tags, links or code spans and stay in their cell. A table without rows becomes
    its title and notes.

    Args:
        tables: the tables.

    Example:
        >>> columns = (Column("name", "class"), Column("n", "images", "count"))
        >>> print(to_markdown([Table("t", "", columns, (("a|b", 3),))]))
        | class | images |
        | --- | ---: |
        | a\|b | 3 |
    """
    return "\n\n".join(part for table in tables for part in _parts(table))


def escape_markdown(text: str) -> str:
    """Return text on one line, escaped for Markdown and its tables."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", one_line).replace("&", "&amp;").replace("<", "&lt;")


def _parts(table: Table) -> list[str]:
    title = [f"**{escape_markdown(table.title)}**"] if table.title else []
    notes = [escape_markdown(note) for note in table.notes]
    if not table.rows:
        return title + notes
    head = [_line(escape_markdown(format_header(column)) for column in table.columns)]
    head.append(_line("---" if column.kind in LEFT else "---:" for column in table.columns))
    body = [_line(map(_text, row, table.columns)) for row in table.rows]
    return [*title, "\n".join([*head, *body]), *notes]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(cell: Cell, column: Column) -> str:
    """Return a cell; only cells with names or sentences need escaping."""
    text = format_cell(cell, column)
    foreign = isinstance(cell, str) or (isinstance(cell, Estimate) and cell.note != "")
    return escape_markdown(text) if foreign else text
