"""Tables as lines of text: aligned columns, wrapped to the width of a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tlkit.tables.formatting import format_cell, format_header
from tlkit.tables.table import LEFT, Table

GAP = 2
TextRows = Sequence[Sequence[str]]


COLORS: Mapping[str, str] = {"worst": "31", "better": "36"}
"""ANSI codes of the marks of rows: red and cyan."""


def to_lines(
    tables: Iterable[Table], *, width: int | None = None, most_rows: int | None = None, colored: bool = False
) -> Iterator[str]:
    r"""Yield the lines of tables: title, header, rows, notes; an empty line between two tables.

    Where a table is wider than `width`, its widest cells are wrapped. Where that is not enough, each row becomes a
    block with one line per column. Control characters are replaced. A table without rows yields its title and notes.

    Args:
        tables: the tables.
        width: width of the terminal in characters; None = unlimited.
        most_rows: maximum number of rows of each table; a note counts the others. None = all rows.
        colored: color the rows that are marked "worst" or "better", for a terminal.

    Example:
        >>> from tlkit.tables.table import Column
        >>> columns = (Column("name", "class"), Column("n", "images", "count"))
        >>> print("\n".join(to_lines([Table("classes", "Classes", columns, (("cat", 1200),))])))
        Classes
        class  images
        -----  ------
        cat     1,200
    """
    for number, table in enumerate(tables):
        if number:
            yield ""
        shown = table.head(most_rows)
        if shown.title:
            yield printable(shown.title)
        yield from _grid(shown, width, colored=colored)
        if shown.rows and shown.notes:
            yield ""
        yield from map(printable, shown.notes)


def printable(text: str) -> str:
    """Return text with control characters replaced: file and class names may contain terminal escape sequences."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _grid(table: Table, width: int | None, *, colored: bool) -> Iterator[str]:
    """Yield the lines of header and rows; a table whose columns have no label has no header and is not wrapped."""
    if not table.rows:
        return
    header = any(column.label for column in table.columns)
    right = [column.kind not in LEFT for column in table.columns]
    cells = [[format_header(column) for column in table.columns]] if header else []
    cells += [
        [format_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows
    ]
    cells = [[printable(cell) for cell in row] for row in cells]
    widths = _widths(cells, width if header else None)
    if widths is None:
        yield from _blocks(cells)
        return
    for number, row in enumerate(cells):
        wrapped = [wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
        for line in range(max(map(len, wrapped))):
            parts = (part[line] if line < len(part) else "" for part in wrapped)
            aligned = map(_padded, parts, widths, right)
            text = (" " * GAP).join(aligned).rstrip()
            code = COLORS.get(table.marks.get(number - header, "")) if colored else None
            yield f"\x1b[{code}m{text}\x1b[0m" if code else text
        if header and number == 0:
            yield (" " * GAP).join("-" * size for size in widths)


def _widths(cells: TextRows, width: int | None) -> list[int] | None:
    """Return the width of each column; None where wrapping at words cannot make the table fit."""
    columns = list(zip(*cells, strict=True))
    widths = [max(map(display_width, column)) for column in columns]
    if width is None:
        return widths
    least = [max(display_width(word) for cell in column for word in [*cell.split(), ""]) for column in columns]
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        return None if sum(widths) > room else widths
    while sum(widths) > room:
        widest = max((place for place in range(len(widths)) if widths[place] > least[place]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def wrap(cell: str, size: int) -> list[str]:
    """Return the lines of a text, broken at spaces so that each takes at most `size` columns where its words allow."""
    if display_width(cell) <= size:
        return [cell]
    lines: list[str] = []
    for word in cell.split():
        if lines and display_width(lines[-1]) + 1 + display_width(word) <= size:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def display_width(text: str) -> int:
    """Return the number of terminal columns of a text: two for a wide letter such as 蚁, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _padded(text: str, size: int, right: bool = False) -> str:
    space = " " * (size - display_width(text))
    return space + text if right else text + space


def _blocks(cells: TextRows) -> Iterator[str]:
    names, *rows = cells
    longest = max(map(display_width, names))
    for number, row in enumerate(rows):
        if number:
            yield ""
        for name, cell in zip(names, row, strict=True):
            if cell:
                yield f"{_padded(name, longest)}  {cell}"
