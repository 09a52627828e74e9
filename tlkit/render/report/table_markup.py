"""Tables as HTML of the report: verdicts as chips, intervals apart from their values, words linked to the glossary."""

from __future__ import annotations

from html import escape

from tlkit.render.report.glossary import link_words
from tlkit.tables import Cell, Column, Table, format_cell, format_header
from tlkit.tables.table import LEFT

CHIPS = {"✗": "bad", "✓": "good", "?": "open"}
"""Mark of a verdict by its sign."""


STACKED = 5
"""Columns of a table whose rows take two lines on a telephone."""


def table_markup(table: Table, seen: set[str], *, captioned: bool = True, stacked: bool = False) -> str:
    """Return a table as HTML; every text is escaped. A table without rows is its title and notes.

    Args:
        table: the table.
        seen: words that the section links to the glossary already; extended.
        captioned: show the title; a hidden caption names the table for screen readers all the same.
        stacked: on a telephone rows of five cells take two lines, so that none is cut off.
    """
    notes = "".join(f'<p class="note">{link_words(escape(note), seen)}</p>' for note in table.notes)
    title = escape(table.title)
    if not table.rows:
        return (f"<p>{title}</p>" if title else "") + notes
    name = title or escape(table.name)
    opening = "<caption>" if captioned and title else '<caption class="hidden">'
    caption = f"{opening}{name}</caption>"
    header = "".join(
        f'<th scope="col" class="{_kind(column)}">{link_words(escape(format_header(column)), seen)}</th>'
        for column in table.columns
    )
    head = f"<thead><tr>{header}</tr></thead>" if any(column.label for column in table.columns) else ""
    body = "\n".join(_row(row, table.marks.get(place, ""), table.columns) for place, row in enumerate(table.rows))
    opening = '<table class="stacked">' if stacked and len(table.columns) == STACKED else "<table>"
    grid = f"{opening}{caption}{head}<tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll" role="region" aria-label="Table: {name}" tabindex="0">{grid}</div>{notes}'


def _row(row: tuple[Cell, ...], mark: str, columns: tuple[Column, ...]) -> str:
    first, *others = (_cell(cell, column, mark) for cell, column in zip(row, columns, strict=True))
    cells = "".join(
        f'<td class="{_kind(column)}">{text}</td>' for text, column in zip(others, columns[1:], strict=True)
    )
    opening = f'<tr class="{mark}">' if mark else "<tr>"
    return f'{opening}<th scope="row" class="{_kind(columns[0])}">{first}</th>{cells}</tr>'


def _cell(cell: Cell, column: Column, mark: str) -> str:
    text = escape(format_cell(cell, column))
    if column.kind == "verdict" and cell is not None:
        chip = "better" if mark == "better" else CHIPS.get(text[:1], "")
        return f'<span class="chip {chip}">{text}</span>'
    if column.kind == "estimate" and text.endswith("]") and " [" in text:
        value, _, interval = text.partition(" [")
        return f'{value} <span class="ends">[{interval}</span>'
    return text


def _kind(column: Column) -> str:
    if column.kind == "text":
        return "text"
    return "word" if column.kind in LEFT else "number"
