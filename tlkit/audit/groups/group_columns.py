"""Discretizes a group column: categories, ordered values, bins, quantiles, or several values per image."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.column_cuts import CUTS, parse_cut
from tlkit.errors import PredictionsError, first_few
from tlkit.spelling import match_names, spellings

Kind = Literal["categorical", "boolean", "ordered", "continuous", "multi-valued"]
MAX_VALUES = 50  # a column with more different values looks like an identifier, or is binned where it holds numbers
MAX_FRACTIONS = 10  # with more different values, numbers with decimals are a measurement
QUANTILES = 4  # default number of groups of a measurement

_YES_NO = ({"true", "false"}, {"yes", "no"}, {"0", "1"}, {"t", "f"}, {"y", "n"})


@dataclass(frozen=True)
class GroupColumn:
    """A column to audit by, and how to discretize it; by default its values decide.

    Attributes:
        column: name of the column.
        bins: inner edges of the bins of a number, rising: (18, 65) gives "<18", "[18, 65)" and "≥65".
        quantiles: number of groups of about equal size, at least 2.
        order: the values in their order, lowest first.
        separator: what separates the values where an image has several, such as ";".
    """

    column: str
    bins: tuple[float, ...] = ()
    quantiles: int | None = None
    order: tuple[str, ...] = ()
    separator: str | None = None

    @property
    def problems(self) -> list[str]:
        """Messages about an invalid way to discretize; empty if valid."""
        given = [name for name in CUTS if getattr(self, name)]
        found = []
        if len(given) > 1:
            found.append(f"The column {self.column!r} is to be cut by {' and by '.join(given)}. Keep one of them.")
        finite = all(math.isfinite(edge) for edge in self.bins)
        if self.bins and (not finite or list(self.bins) != sorted(set(self.bins))):
            edges = ", ".join(f"{edge:g}" for edge in self.bins)
            found.append(f"The bins of {self.column!r} are {edges}. Use different numbers in rising order.")
        if self.quantiles is not None and not 2 <= self.quantiles <= MAX_VALUES:
            found.append(f"The quantiles of {self.column!r} are {self.quantiles}. Use a number from 2 to {MAX_VALUES}.")
        if twice := sorted({value for value in self.order if self.order.count(value) > 1}):
            found.append(f"The order of {self.column!r} names {first_few(twice)} twice. Name every value once.")
        return found


By = str | GroupColumn | Mapping[str, Any]


def parse_column(text: str) -> GroupColumn:
    """Return the column that a text such as "age:quantiles=4" describes.

    Forms: `age`, `age:bins=18,65`, `age:quantiles=4`, `size:order=small,medium,large`, `tags:separator=;`. A name may
    hold colons: only "bins=", "quantiles=", "order=" or "separator=" after the last one is an option.

    Raises:
        PredictionsError: a number cannot be read.

    Example:
        >>> parse_column("age:bins=18,65").bins
        (18.0, 65.0)
        >>> parse_column("camera: left").column
        'camera: left'
    """
    try:
        parsed = parse_cut(text)
    except ValueError as error:
        raise PredictionsError(f"A group column is {error}") from None
    return GroupColumn(text) if parsed is None else GroupColumn(**parsed)


def columns_of(by: By | Sequence[By]) -> tuple[GroupColumn, ...]:
    """Return the columns to audit by, each once, from names, texts like "age:quantiles=4", mappings or `GroupColumn`s.

    Raises:
        PredictionsError: a text or a mapping cannot be read.
    """
    given: Sequence[By] = [by] if isinstance(by, str | GroupColumn | Mapping) else by
    return tuple(dict.fromkeys(_column_of(one) for one in given))


def _column_of(one: By) -> GroupColumn:
    if isinstance(one, GroupColumn):
        return one
    if isinstance(one, str):
        return parse_column(one)
    if unknown := [key for key in one if key not in ("column", *CUTS)]:
        raise PredictionsError(
            f"A column to audit by is described with {first_few(unknown)}. Use column and one of {', '.join(CUTS)}."
        )
    if "column" not in one:
        raise PredictionsError(f"A column to audit by has no name: {dict(one)}. Give it a key `column`.")
    try:
        return GroupColumn(
            str(one["column"]),
            bins=tuple(float(edge) for edge in one.get("bins") or ()),
            quantiles=None if one.get("quantiles") is None else int(one["quantiles"]),
            order=tuple(str(value) for value in one.get("order") or ()),
            separator=one.get("separator"),
        )
    except (TypeError, ValueError):
        example = "{'column': 'age', 'bins': [18, 65]} or {'column': 'age', 'quantiles': 4}"
        raise PredictionsError(f"{dict(one)} is no column to audit by. Write it like {example}.") from None


@dataclass(frozen=True)
class Levels:
    """One column, discretized into groups.

    Attributes:
        column: its name.
        kind: kind of the values.
        values: names of the groups, shape (G,), in their order.
        code: pattern of each image, shape (N,), -1 = missing. Without `member` the pattern is the group.
        member: which groups a pattern belongs to, shape (P, G); None where every image is in one group.
        edges: inner edges of a continuous column, rising.
    """

    column: str
    kind: Kind
    values: tuple[str, ...]
    code: Ints
    member: Mask | None
    edges: tuple[float, ...] = ()


def discretize(values: pd.Series[Any], spec: GroupColumn, *, max_values: int = MAX_VALUES) -> Levels:
    """Return a column discretized as specified, or by default as its values suggest.

    Args:
        values: one text an image, shape (N,), missing = NA; free of what `column_problems` finds.
        spec: how to discretize it.
        max_values: numbers with more different values are binned.
    """
    text = values.astype("string")
    if spec.separator:
        return _several(text, spec.column, spec.separator)
    if spec.bins or spec.quantiles:
        return _binned(text, spec.column, spec.bins, spec.quantiles or QUANTILES)
    if spec.order:
        named = match_names(text.dropna().unique(), spec.order)
        codes = np.asarray(pd.Categorical(text.map(named), categories=list(spec.order)).codes, dtype=np.int64)
        return Levels(spec.column, "ordered", spec.order, codes, None)
    found = [str(value) for value in text.dropna().unique()]
    numbers = _numbers(found)
    if numbers is not None and _measures(numbers, len(text.dropna()), max_values):
        return _binned(text, spec.column, (), QUANTILES)
    ordered = sorted(found, key=_natural if numbers is None else float)
    kind: Kind = "boolean" if {value.lower() for value in found} in _YES_NO else "categorical"
    codes = np.asarray(pd.Categorical(text, categories=ordered).codes, dtype=np.int64)
    return Levels(spec.column, kind, tuple(ordered), codes, None)


def column_problems(values: pd.Series[Any], spec: GroupColumn, *, max_values: int = MAX_VALUES) -> list[str]:
    """Return problems of discretizing a column as specified; empty if valid.

    Args:
        values: one text an image, shape (N,), missing = NA.
        spec: how to discretize it.
        max_values: the most different values of a column that is not cut.
    """
    text = values.astype("string").dropna()
    found = [str(value) for value in text.unique()]
    wrong: list[str] = []
    if spec.problems:
        return spec.problems
    if spec.bins or spec.quantiles:
        number = np.asarray(pd.to_numeric(pd.Series(found, dtype="string"), errors="coerce"), dtype=np.float64)
        wrong = [repr(value) for value, finite in zip(found, np.isfinite(number), strict=True) if not finite]
        cut = f"is to be cut by {'bins' if spec.bins else 'quantiles'}, but holds {first_few(wrong)}"
        problem = f"The column {spec.column!r} {cut}. Leave cells without a number empty."
        return [problem] if wrong else []
    if spec.order:
        named = match_names(found, spec.order)
        wrong = [repr(value) for value in found if value not in named]
        problem = f"The order of {spec.column!r} does not name {first_few(wrong)}. Name every value."
        return [problem] if wrong else []
    numbers = None if spec.separator else _numbers(found)
    if spec.separator:
        found = sorted({part for value in found for part in _parts(value, spec.separator)})
    if len(found) <= max_values or (numbers is not None and _measures(numbers, len(text), max_values)):
        return []
    fewer = "merge rare values" if numbers is None else f"cut it ({spec.column}:quantiles=4)"
    return [
        f"The column {spec.column!r} has {len(found)} different values in {len(values)} rows, so it looks like an "
        f"identifier or a measurement. Audit by columns with at most {max_values} values: {fewer}, or in Python raise "
        "max_values. Columns of clusters, such as the subject, go into cluster_by."
    ]


def _measures(numbers: Floats, rows: int, max_values: int) -> bool:
    """Return whether numbers are a measurement rather than codes of categories or of images."""
    if (numbers == np.round(numbers)).all():
        return max_values < len(numbers) < rows  # all different: an identifier
    return len(numbers) > MAX_FRACTIONS


def _binned(text: pd.Series[str], column: str, bins: Sequence[float], quantiles: int) -> Levels:
    number = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    known = number[~np.isnan(number)]
    if bins:
        inner = np.asarray(bins, dtype=np.float64)
        names = [f"<{short_number(inner[0])}", *_spans(inner, closed=False), f"≥{short_number(inner[-1])}"]
    elif len(known) == 0:
        return Levels(column, "continuous", (), np.full(len(text), -1), None)
    else:
        # edges are values that occur, so that the label defines the group exactly
        edges = np.unique(np.quantile(known, np.linspace(0, 1, quantiles + 1), method="higher"))
        if 1 < len(edges) < quantiles + 1 and np.quantile(known, 1 / quantiles, method="higher") == edges[0]:
            # one value, such as 0, fills the lowest groups: it becomes a group of its own
            edges = np.unique([edges[0], known[known > edges[0]].min(), *edges[1:]])
        inner = edges[1:-1] if len(edges) > 1 else edges[:0]
        names = _spans(edges, closed=True) if len(edges) > 1 else [short_number(edges[0])]
    code = np.where(np.isnan(number), -1, np.searchsorted(inner, np.nan_to_num(number), side="right"))
    return Levels(column, "continuous", tuple(names), code.astype(np.int64), None, tuple(inner.tolist()))


def _several(text: pd.Series[str], column: str, separator: str) -> Levels:
    """Return the groups of a column with several values per image, each of which is a group."""
    patterns, first = pd.factorize(text)
    parts = [_parts(str(value), separator) for value in first]
    value_of = spellings(part for one in parts for part in one)
    parts = [list(dict.fromkeys(value_of[part] for part in one)) for one in parts]
    values = sorted({part for one in parts for part in one}, key=_natural)
    place = {value: index for index, value in enumerate(values)}
    member = np.zeros((len(parts), len(values)), dtype=np.bool_)
    for row, one in enumerate(parts):
        member[row, [place[part] for part in one]] = True
    filled = np.flatnonzero(member.any(axis=1))  # a cell with only separators is missing
    position = np.full(len(parts) + 1, -1, dtype=np.int64)
    position[filled] = np.arange(len(filled))
    code = position[np.asarray(patterns, dtype=np.int64)]
    return Levels(column, "multi-valued", tuple(values), code, member[filled])


def _parts(cell: str, separator: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in cell.split(separator) if part.strip()))


def _numbers(values: Sequence[str]) -> Floats | None:
    """Return the values as finite numbers, or None where one is not finite."""
    if not values:
        return None
    numbers = np.asarray(pd.to_numeric(pd.Series(list(values), dtype="string"), errors="coerce"), dtype=np.float64)
    return numbers if np.isfinite(numbers).all() else None


def _spans(edges: Floats, *, closed: bool) -> list[str]:
    """Return "[18, 40)" for each pair of edges, the last one closed where it holds its upper edge."""
    names = [f"[{short_number(low)}, {short_number(high)})" for low, high in itertools.pairwise(edges)]
    return [*names[:-1], f"{names[-1][:-1]}]"] if closed and names else names


def short_number(number: float) -> str:
    """Return a number as text, with as many digits as it takes to read it back."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _natural(value: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a sorting key that puts "9" before "10" and "10-19" before "100+"."""
    parts = re.split(r"(\d+)", value)
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts if part)
