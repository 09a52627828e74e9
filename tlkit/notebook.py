"""What results show of themselves in a notebook: lines and tables of HTML in which every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_lines(lines: Iterable[str], *, tag: str = "p") -> str:
    """Return each line in an element of its own.

    Example:
        >>> html_lines(["a < b"])
        '<p>a &lt; b</p>'
    """
    return "".join(f"<{tag}>{escape(line)}</{tag}>" for line in lines)


def html_table(rows: Sequence[Sequence[str]], *, title: str = "", notes: Sequence[str] = ()) -> str:
    """Return rows of text as a table, the header first; "" without any row.

    Args:
        rows: cells as text, the names of the columns first.
        title: what stands above the table, in bold.
        notes: lines below the title.

    Example:
        >>> html_table([("class", "n"), ("<b>", "3")])
        '<table><thead><tr><th>class</th><th>n</th></tr></thead><tbody><tr><td>&lt;b&gt;</td><td>3</td></tr></tbody></table>'
    """
    if not rows:
        return ""
    caption = f"<caption><b>{escape(title)}</b>{''.join(f'<br>{escape(note)}' for note in notes)}</caption>"
    head = html_lines(rows[0], tag="th")
    body = "".join(f"<tr>{html_lines(row, tag='td')}</tr>" for row in rows[1:])
    return f"<table>{caption if title else ''}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
