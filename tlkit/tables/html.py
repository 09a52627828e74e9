"""Tables as HTML, for notebooks and the report; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tlkit.tables.formatting import format_cell, format_header
from tlkit.tables.table import LEFT, Cell, Column, Table

MOST_ROWS = 50


def to_html(tables: Iterable[Table], *, most_rows: int | None = MOST_ROWS) -> str:
    """Return tables as HTML: the title is the caption, the first cell of a row its header, notes are paragraphs.

    CSS classes: "number", "word" and "text" for cells, the mark of a row for the row, "note" for notes. A table without
    rows becomes its title and notes.

    Args:
        tables: the tables.
        most_rows: maximum number of rows of each table; a note counts the others. None = all rows.

    Example:
        >>> to_html([Table("t", "", (Column("name", "<b>"), Column("n", "n", "count")), ())])
        ''
    """
    return "\n".join(part for table in tables for part in _parts(table.head(most_rows)))


def _parts(table: Table) -> list[str]:
    notes = [f'<p class="note">{escape(note)}</p>' for note in table.notes]
    if not table.rows:
        return ([f"<p>{escape(table.title)}</p>"] if table.title else []) + notes
    title = escape(table.title)
    caption = f"<caption>{title}</caption>" if title else ""
    header = "".join(
        f'<th scope="col" class="{_class(column)}">{escape(format_header(column))}</th>' for column in table.columns
    )
    head = f"<thead><tr>{header}</tr></thead>" if any(column.label for column in table.columns) else ""
    body = "\n".join(_row(row, table.marks.get(place, ""), table.columns) for place, row in enumerate(table.rows))
    grid = f"<table>{caption}{head}<tbody>\n{body}\n</tbody></table>"
    return [
        f'<div class="scroll" role="region" aria-label="{title or escape(table.name)}" tabindex="0">{grid}</div>',
        *notes,
    ]


def _row(row: tuple[Cell, ...], mark: str, columns: tuple[Column, ...]) -> str:
    texts = [escape(format_cell(cell, column)) for cell, column in zip(row, columns, strict=True)]
    first = f'<th scope="row" class="{_class(columns[0])}">{texts[0]}</th>'
    others = (f'<td class="{_class(column)}">{text}</td>' for text, column in zip(texts[1:], columns[1:], strict=True))
    opening = f'<tr class="{mark}">' if mark else "<tr>"
    return f"{opening}{first}{''.join(others)}</tr>"


def _class(column: Column) -> str:
    if column.kind == "text":
        return "text"
    return "word" if column.kind in LEFT else "number"
