"""Labelled paragraphs as lines of text: a label, and beside it sentences wrapped to the width of a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tlkit.tables.text import display_width, printable, wrap

WIDTH = 80
"""Columns where the width of the terminal is not known, as in a pipe."""


@dataclass(frozen=True)
class Paragraph:
    """A text with a label.

    Attributes:
        label: what it is about, beside its first line; "" = none.
        text: sentences.
        color: ANSI code of the label, such as "31" for red; "" = none.
        keep: whether the text stays on one line, as a command or a path that a person copies.
    """

    label: str
    text: str
    color: str = ""
    keep: bool = False


def paragraph_lines(
    paragraphs: Iterable[Paragraph], *, width: int = WIDTH, indent: int | None = None, colored: bool = False
) -> Iterator[str]:
    r"""Yield the lines of paragraphs, with their texts aligned behind the labels. Control characters are replaced.

    Args:
        paragraphs: the paragraphs.
        width: columns of the terminal.
        indent: columns before the texts; None = as many as the longest label takes, at most a third of the width.
        colored: whether labels have their colors.

    Example:
        >>> print("\n".join(paragraph_lines([Paragraph("Next", "Collect more images of it.")], width=26)))
        Next  Collect more images
              of it.
    """
    shown = list(paragraphs)
    longest = max((display_width(printable(one.label)) for one in shown), default=0)
    indent = (min(longest + 2, width // 3) if longest else 0) if indent is None else indent
    for one in shown:
        label = printable(one.label)
        text = printable(one.text)
        lines = [text] if one.keep else wrap(text, max(width - indent, 20))
        space = indent - display_width(label)
        head = f"\x1b[{one.color}m{label}\x1b[0m" if colored and one.color and label else label
        if space < 2 and label:  # the label takes a line of its own
            yield head
            yield from (" " * indent + line for line in lines)
            continue
        yield f"{head}{' ' * space}{lines[0]}".rstrip()
        yield from (" " * indent + line for line in lines[1:])
