"""Checks of what every evaluation takes: the level of its intervals, and the columns of clusters and weights."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tlkit.errors import did_you_mean, first_few


def column_problems(groups: pd.DataFrame, columns: Mapping[str, str | None], *, confidence: float) -> list[str]:
    """Return the problems of the level and of the columns of clusters and weights; empty if valid.

    Args:
        groups: group columns of the images.
        columns: column by option, None = not used.
        confidence: level of the intervals.
    """
    problems, there_are = [], list(map(str, groups.columns))
    if not 0.0 < confidence < 1.0:
        problems.append(f"confidence must be above 0 and below 1, for example 0.95. Got {confidence} instead.")
    for option, column in columns.items():
        if column is not None and column not in there_are:
            known = f"The group columns are: {first_few(there_are, most=20)}."
            there = known if there_are else "There is no group column."
            problems.append(
                f"{option} names {column!r}, which is no group column.{did_you_mean(column, there_are)} {there}"
            )
    return problems
