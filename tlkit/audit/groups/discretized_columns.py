"""Group columns of predictions and training images discretized with the same edges, for explanations."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlkit.audit.groups.group_columns import GroupColumn, Levels, discretize
from tlkit.audit.options import AuditOptions
from tlkit.predictions import Predictions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiscretizedColumns:
    """Predictions and training images whose columns hold the names of their groups.

    Attributes:
        predictions: with the columns discretized.
        training: group columns of the training images, discretized at the same edges; None where not known.
        names: the columns; those with several values per image are left out.
        order: the groups in their order, for ordered and continuous columns.
    """

    predictions: Predictions
    training: pd.DataFrame | None
    names: tuple[str, ...]
    order: dict[str, tuple[str, ...]]


def discretize_columns(
    predictions: Predictions, options: AuditOptions, *, training: pd.DataFrame | None = None
) -> DiscretizedColumns:
    """Return predictions and training columns with group names in place of values.

    Args:
        predictions: with the group columns, free of what `validate_columns` finds.
        options: the columns, and how to discretize them.
        training: group columns of the training images, or None.
    """
    groups, trained = predictions.groups.copy(), None if training is None else training.copy()
    names, order = [], {}
    for spec in options.columns:
        levels = discretize(groups[spec.column], spec, max_values=options.max_values)
        if levels.member is not None:
            logger.info("Gaps by %s are not explained: an image has several values.", spec.column)
            continue
        names.append(spec.column)
        groups[spec.column] = _named(levels)
        if levels.kind in ("ordered", "continuous"):
            order[spec.column] = levels.values
        if trained is not None and spec.column in trained.columns and levels.kind == "continuous":
            trained[spec.column] = _discretize_at_edges(trained[spec.column], levels)
    return DiscretizedColumns(replace(predictions, groups=groups), trained, tuple(names), order)


def _named(levels: Levels) -> pd.Series[str]:
    names = np.array([*levels.values, None], dtype=object)  # position -1 finds None
    return pd.Series(pd.array(names[levels.code], dtype="string"))


def _discretize_at_edges(values: pd.Series[str], levels: Levels) -> pd.Series[str]:
    """Return numbers discretized at the edges of another column; what is not a number is missing."""
    number = pd.to_numeric(values, errors="coerce").astype("string")
    if not levels.edges:
        return pd.Series(pd.array([levels.values[0] if levels.values else None] * len(values), dtype="string"))
    cut = discretize(number, GroupColumn(levels.column, bins=levels.edges))
    return _named(replace(cut, values=levels.values)).set_axis(values.index)
