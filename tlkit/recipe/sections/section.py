"""The base model of every recipe section, and the value that describes a contradiction between keys."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a recipe: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Contradiction:
    """Keys that contradict each other.

    Attributes:
        keys: the dotted keys that take part; each of them is valid alone.
        text: the values seen, and what to change.
    """

    keys: tuple[str, ...]
    text: str
