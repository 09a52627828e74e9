"""Checks of messages by their contract: the place, the value seen and the remedy, not every word."""

from __future__ import annotations

import re
from collections.abc import Iterable


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
        self.parts = tuple(text for part in parts for text in (part.parts if isinstance(part, Saying) else (str(part),)))

    @property
    def pattern(self) -> str:
        """A regular expression that such a message matches, for `pytest.raises(match=...)`."""
        return "(?s)" + "".join(f"(?=.*{_alone(part)})" for part in self.parts)

    def __eq__(self, other: object) -> bool:
        return re.search(self.pattern, str(other)) is not None if isinstance(other, str) else NotImplemented

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
        message: a text, something whose text it is (an error), or an iterable of those.
        parts: what it must hold; a `Saying` stands for its own.
    """
    wanted = Saying(*parts)
    several = isinstance(message, Iterable) and not isinstance(message, str)
    return any(str(one) == wanted for one in message) if several else str(message) == wanted


def _alone(part: str) -> str:
    before = r"(?<![\w.])" if part[:1].isdigit() else r"(?<!\w)" if part[:1].isalpha() else ""
    after = r"(?!\w|\.\d)" if part[-1:].isdigit() else r"(?!\w)" if part[-1:].isalpha() else ""
    return before + re.escape(part) + after
