"""Tables as text: in aligned columns, narrowed to a terminal where it is too narrow for them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

Rows = Sequence[Sequence[str]]
GAP = 2


def table_lines(rows: Rows, *, header: bool, width: int | None) -> Iterator[str]:
    """Yield the lines of a table; the first row is its header.

    Where it is wider than `width`, words of its widest cells go to further lines; where that is not enough, each row
    becomes a block of lines, one a column.

    Args:
        rows: cells, of one line each.
        header: whether to underline the first row; a table without a header stays as wide as it is.
        width: of the terminal; None = as wide as it takes.
    """
    count = max(map(len, rows))
    cells = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = _widths(cells, width if header else None)
    if widths is None:
        yield from _blocks(cells)
        return
    for number, row in enumerate(cells):
        wrapped = [_wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
        for line in range(max(map(len, wrapped))):
            parts = (part[line] if line < len(part) else "" for part in wrapped)
            yield (" " * GAP).join(_padded(part, size) for part, size in zip(parts, widths, strict=True)).rstrip()
        if header and number == 0:
            yield (" " * GAP).join("-" * size for size in widths)


def _widths(cells: Rows, width: int | None) -> list[int] | None:
    """Return the width of each column; None where no words can be moved that would make the table fit."""
    columns = list(zip(*cells, strict=True))
    widths = [max(map(_places, column)) for column in columns]
    if width is None:
        return widths
    least = [max(_places(word) for cell in column for word in [*cell.split(), ""]) for column in columns]
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        return None if sum(widths) > room else widths
    while sum(widths) > room:
        widest = max((place for place in range(len(widths)) if widths[place] > least[place]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _wrap(cell: str, size: int) -> list[str]:
    if _places(cell) <= size:
        return [cell]
    lines: list[str] = []
    for word in cell.split():
        if lines and _places(lines[-1]) + 1 + _places(word) <= size:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _places(text: str) -> int:
    """Return how many places a terminal takes for a text: two for a letter such as 蚁, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _padded(text: str, size: int) -> str:
    return text + " " * (size - _places(text))


def _blocks(cells: Rows) -> Iterator[str]:
    names, *rows = cells
    longest = max(map(_places, names))
    for number, row in enumerate(rows):
        if number:
            yield ""
        for name, cell in zip(names, row, strict=True):
            if cell:
                yield f"{_padded(name, longest)}  {cell}"
