"""Group membership: one column or an intersection of columns."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Ints, Mask
from tlkit.audit.groups.group_columns import (
    MAX_VALUES,
    By,
    GroupColumn,
    Levels,
    column_problems,
    columns_of,
    discretize,
)
from tlkit.column_cuts import CUTS
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions.validation import NO_GROUPS

logger = logging.getLogger(__name__)

MAX_LISTED_GROUPS = 200  # in larger intersections, empty groups are counted, not listed


@dataclass(frozen=True)
class GroupMembership:
    """The groups of one column, or of the intersection of several.

    Attributes:
        columns: the columns.
        values: one tuple of values per group, in the order of `columns`; sorted, numbers by size.
        code: pattern of each image, shape (N,); -1 = a value is missing. Where every image is in one group
            (`member` is None), the pattern is the group: a position in `values`.
        unlisted: number of empty groups that are left out of `values`.
        member: groups of each pattern, shape (P, G), where an image may be in several; else None.
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    code: Ints
    unlisted: int = 0
    member: Mask | None = None

    @property
    def patterns(self) -> int:
        """Number of patterns: P, which is the number of groups where every image is in one."""
        return len(self.values) if self.member is None else len(self.member)

    @property
    def row_code(self) -> Ints:
        """The pattern of each image, shape (N,), in 0…P; P = a value is missing."""
        return np.where(self.code < 0, self.patterns, self.code)

    def take(self, rows: Mask) -> GroupMembership:
        """Return the same groups of some of the images."""
        return replace(self, code=self.code[rows])

    def inside(self, g: int | None) -> Mask:
        """Return which images are in the group at a position of `values`, shape (N,); None = a value is missing."""
        if g is None:
            return np.asarray(self.code < 0)
        if self.member is None:
            return np.asarray(self.code == g)
        return np.asarray(np.append(self.member[:, g], False)[self.code])  # the last entry serves the code -1

    def aggregate(self, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return counts of groups from counts of patterns; the last entry is that of the images with a missing value.

        Args:
            counts: shape (P + 1, …).

        Returns:
            Shape (G + 1, …).
        """
        if self.member is None:
            return counts
        return np.concatenate([np.tensordot(self.member.T.astype(counts.dtype), counts[:-1], axes=1), counts[-1:]])


def intersections(by: Sequence[str], max_intersection_order: int) -> list[tuple[str, ...]]:
    """Return the pairs of columns, then the triples, and so on up to `max_intersection_order` columns."""
    return [chosen for order in range(2, max_intersection_order + 1) for chosen in itertools.combinations(by, order)]


def membership_of(
    groups: pd.DataFrame, columns: tuple[str | GroupColumn, ...], *, max_values: int = MAX_VALUES
) -> GroupMembership:
    """Return the groups that the columns form together.

    Args:
        groups: group columns, shape (N, G), missing = NA.
        columns: some of its columns; a bare name is discretized as its values suggest.
        max_values: numbers with more different values are binned.
    """
    specs = [GroupColumn(column) if isinstance(column, str) else column for column in columns]
    return cross_columns([discretize(groups[spec.column], spec, max_values=max_values) for spec in specs])


def cross_columns(levels: Sequence[Levels]) -> GroupMembership:
    """Return the groups of one discretized column, or the intersections of several."""
    columns = tuple(level.column for level in levels)
    known = np.all([level.code >= 0 for level in levels], axis=0)
    shape = tuple(len(level.values) for level in levels)
    size = math.prod(shape)
    if any(level.member is not None for level in levels):
        code, member = _patterns(levels, known, shape)
        taken = np.flatnonzero(member.any(axis=0))
    else:
        code, member = np.full(len(known), -1, dtype=np.int64), None
        if known.any():
            code[known] = np.ravel_multi_index(tuple(level.code[known] for level in levels), shape)
        taken = np.unique(code[known])
    listed = np.arange(size) if len(columns) == 1 or size <= MAX_LISTED_GROUPS else taken
    if member is None:
        position = np.full(size + 1, -1, dtype=np.int64)  # the last entry is for code -1, missing
        position[listed] = np.arange(len(listed))
        code = position[code]
    else:
        member = member[:, listed]
    places = np.array(np.unravel_index(listed, shape)).T if size else np.empty((0, len(columns)), dtype=np.int64)
    values = tuple(tuple(levels[c].values[int(place)] for c, place in enumerate(row)) for row in places)
    return GroupMembership(columns, values, code, unlisted=size - len(listed), member=member)


def _patterns(levels: Sequence[Levels], known: Mask, shape: tuple[int, ...]) -> tuple[Ints, Mask]:
    """Return the pattern of each image, and the groups of each pattern, shape (P, product of `shape`)."""
    codes = np.stack([level.code[known] for level in levels], axis=1)
    seen, inverse = np.unique(codes, axis=0, return_inverse=True)
    code = np.full(len(known), -1, dtype=np.int64)
    code[known] = inverse.reshape(-1)
    member = np.ones((len(seen), 1), dtype=np.bool_)
    for place, level in enumerate(levels):
        own = np.eye(len(level.values), dtype=np.bool_) if level.member is None else level.member
        member = (member[:, :, None] & own[seen[:, place]][:, None, :]).reshape(len(seen), -1)
    assert member.shape[1] == math.prod(shape)
    return code, member


def validate_columns(groups: pd.DataFrame, by: By | Sequence[By], *, max_values: int = MAX_VALUES) -> list[str]:
    """Return problems of the columns to audit by; empty if valid. It is cheap, so call it before training.

    Args:
        groups: group columns, shape (N, G), missing = NA.
        by: the columns to audit by, as `audit_groups` takes them.
        max_values: the most different values that a column may have.
    """
    found = list(groups.columns)
    there = f"The group columns are: {first_few(found, most=20)}." if found else NO_GROUPS
    try:
        specs = columns_of(by)
    except PredictionsError as error:
        return list(error.problems)
    if not specs:
        return [f"There is no column to audit by. Name at least one. {there}"]
    names = [spec.column for spec in specs]
    problems = [
        f"The column {column!r} is named twice, cut in different ways. Keep one of them."
        for column in dict.fromkeys(name for name in names if names.count(name) > 1)
    ]
    for spec in specs:
        if spec.column not in found:
            near = (
                _joined(spec.column, found) or did_you_mean(spec.column, found) or _misspelled_cut(spec.column, found)
            )
            problems.append(f"There is no group column {spec.column!r}.{near} {there}")
        else:
            problems += column_problems(groups[spec.column], spec, max_values=max_values)
    return problems


def usable_columns(groups: pd.DataFrame, *, used: Collection[str], max_values: int) -> tuple[GroupColumn, ...]:
    """Return the columns that can be audited by: not used by the sampling design, and no identifiers.

    Args:
        groups: group columns, shape (N, G).
        used: columns of the sampling design.
        max_values: the most different values that a column may have.
    """
    specs = [GroupColumn(str(column)) for column in groups.columns if column not in used]
    return tuple(spec for spec in specs if not validate_columns(groups, spec, max_values=max_values))


def auditable_columns(groups: pd.DataFrame, *, used: Collection[str | None] = ()) -> tuple[list[str], list[str]]:
    """Return the default columns to audit by, and those left out because they look like identifiers.

    If all look like identifiers, all are returned, so that the audit refuses them with a message.

    Args:
        groups: group columns, shape (N, G), missing = NA.
        used: columns of the sampling design, such as clusters.
    """
    names = [name for name in groups.columns if name not in used]
    plain = [name for name in names if not column_problems(groups[name], GroupColumn(name))]
    return (plain, [name for name in names if name not in plain]) if plain else (names, [])


def log_excluded_columns(names: Sequence[str], *, level: int = logging.INFO) -> None:
    """Log the default columns that are left out, with the remedy."""
    if names:
        logger.log(
            level,
            "Not audited by %s, since more than %d different values look like an identifier. Columns of clusters, such "
            "as the subject, go into cluster_by.",
            first_few(list(names)),
            MAX_VALUES,
        )


def _joined(name: str, found: Sequence[str]) -> str:
    """Return the remedy where several columns were joined by commas; else ""."""
    names = [part.strip() for part in name.split(",")]
    if len(names) < 2 or not set(names) <= set(found):
        return ""
    return f" Name each on its own: {' '.join(f'--by {one}' for one in names)} (in Python, by={names})."


def _misspelled_cut(name: str, found: Sequence[str]) -> str:
    """Return the remedy where the column exists and only the option after it is misspelled; else ""."""
    column, _, cut = name.rpartition(":")
    word, _, given = cut.partition("=")
    if column not in found:
        return ""
    near = did_you_mean(word, CUTS, most=1).partition("'")[2].partition("'")[0]
    return f" Did you mean '{column}:{near}={given}'?" if near and given else f" Ways to cut are {', '.join(CUTS)}."
