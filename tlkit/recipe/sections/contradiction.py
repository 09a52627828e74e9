"""The value that describes a contradiction between keys of a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contradiction:
    """Keys that contradict each other.

    Attributes:
        keys: the dotted keys that take part; each of them is valid alone.
        text: the values seen, and what to change.
    """

    keys: tuple[str, ...]
    text: str
