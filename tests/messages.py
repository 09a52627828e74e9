"""Checks of messages by their contract: the place, the value seen and the remedy, not every word."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

REACH = 600
"""A message is found in a longer text where its parts lie within so many characters."""


class Saying:
    """A message that holds each of some parts, in any order; it equals every text that does.

    A part that begins or ends with a letter or digit is not part of a longer word or number: "5" is not in "15".

    Example:
        >>> "train.epochs is 5. Use 'kind: frozen'." == Saying("train.epochs", "5", "kind: frozen")
        True
        >>> "train.epochs is 15." == Saying("train.epochs", "5")
        False
    """

    def __init__(self, *parts: object) -> None:
        self.parts = tuple(
            text for part in parts for text in (part.parts if isinstance(part, Saying) else (str(part),))
        )
        assert self.parts, "a message says something"

    @property
    def pattern(self) -> str:
        """A regular expression that such a message matches, for `pytest.raises(match=...)`."""
        return "(?s)" + "".join(f"(?=.*{_alone(part)})" for part in self.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        return all(re.search(_alone(part), other) for part in self.parts)

    def within(self, text: str) -> bool:
        """Whether the text holds the message in one place of it."""
        places = sorted(([hit.start() for hit in re.finditer(_alone(part), text)] for part in self.parts), key=len)
        return any(all(any(abs(one - here) <= REACH for one in others) for others in places) for here in places[0])

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return f"saying({', '.join(map(repr, self.parts))})"


def saying(*parts: object) -> Saying:
    """Return what equals every message that holds each of these parts; a `Saying` stands for its own."""
    return Saying(*parts)


def says(message: object, *parts: object) -> bool:
    """Whether a message, or one of several, holds each of these parts.

    Args:
        message: a text, something whose text it is (an error, what `pytest.raises` caught), or an iterable of those.
        parts: what it must hold; a `Saying` stands for its own.
    """
    wanted = Saying(*parts)
    if isinstance(message, pytest.ExceptionInfo):  # its own text is cut
        message = message.value
    several = isinstance(message, Iterable) and not isinstance(message, str)
    return any(str(one) == wanted for one in message) if several else wanted.within(str(message))


def _alone(part: str) -> str:
    before = r"(?<![\w.])" if part[:1].isdigit() else r"(?<!\w)" if part[:1].isalpha() else ""
    after = r"(?!\w|\.\d)" if part[-1:].isdigit() else r"(?!\w)" if part[-1:].isalpha() else ""
    return before + re.escape(part) + after
