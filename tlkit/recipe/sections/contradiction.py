"""A contradiction, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contradiction:
    """Keys that do not go together.

    Attributes:
        keys: the dotted keys that take part; nothing is wrong with any of them alone.
        text: what was seen and what to do.
    """

    keys: tuple[str, ...]
    text: str
