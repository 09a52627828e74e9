"""Dataclasses as plain JSON values, and back by the types of their fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from tlkit.plain_values import from_plain, to_plain


@dataclass(frozen=True)
class Part:
    value: float | None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Whole:
    parts: tuple[Part, ...]
    pair: tuple[str, Part] | None
    by_name: Mapping[str, Part | None]
    by_rank: dict[int, Part]
    text_or_number: float | str
    table: npt.NDArray[np.int64]
    more: Part | None = None


def test_what_is_written_is_read_back():
    one = Part(0.5, ("a", "b"))
    whole = Whole((one, Part(None)), ("x", one), {"n": one, "none": None}, {3: one}, "dark", np.eye(2, dtype=np.int64))
    plain = to_plain(whole)
    read = from_plain(Whole, json.loads(json.dumps(plain, allow_nan=False)))
    assert (read.parts, read.pair, read.by_name, read.by_rank) == (whole.parts, whole.pair, whole.by_name, {3: one})
    assert (read.text_or_number, read.table.tolist(), read.more) == ("dark", [[1, 0], [0, 1]], None)
    assert to_plain(read) == plain


def test_unknown_names_are_ignored_and_a_field_that_is_not_there_has_its_default():
    assert from_plain(Part, {"value": 1.0, "version": 4}) == Part(1.0)
    with pytest.raises(TypeError, match="value"):
        from_plain(Part, {})
