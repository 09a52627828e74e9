"""Columns cut once, as the audit cuts them, for judges that take one text an image: explanations of gaps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlkit.audit.cells import by_problems
from tlkit.audit.columns import By, GroupColumn, Levels, columns_of, levels_of
from tlkit.audit.explain import explain_gaps
from tlkit.audit.explanation import Explanation
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutColumns:
    """Predictions and training images whose columns hold the names of their groups.

    Attributes:
        predictions: with the columns cut.
        training: group columns of the training images, cut at the same edges; None where not known.
        names: the columns; those with several values an image are left out.
        order: the groups in their order, for ordered and continuous columns.
    """

    predictions: Predictions
    training: pd.DataFrame | None
    names: tuple[str, ...]
    order: dict[str, tuple[str, ...]]


def cut_columns(predictions: Predictions, *, by: By | Sequence[By], training: pd.DataFrame | None = None) -> CutColumns:
    """Cut the columns to audit by into groups, and write the groups' names in place of the values.

    Args:
        predictions: with the group columns.
        by: the columns, as `audit_groups` takes them.
        training: group columns of the training images, or None.

    Raises:
        PredictionsError: a column is not there, or cannot be cut as asked.
    """
    if problems := by_problems(predictions.groups, by):
        raise PredictionsError(*problems)
    groups, trained = predictions.groups.copy(), None if training is None else training.copy()
    names, order = [], {}
    for spec in columns_of(by):
        levels = levels_of(groups[spec.column], spec)
        if levels.member is not None:
            logger.info("What lies behind the gaps by %s is not looked into: an image has several values.", spec.column)
            continue
        names.append(spec.column)
        groups[spec.column] = _named(levels)
        if levels.kind in ("ordered", "continuous"):
            order[spec.column] = levels.values
        if trained is not None and spec.column in trained.columns and levels.kind == "continuous":
            trained[spec.column] = _cut_alike(trained[spec.column], levels)
    return CutColumns(replace(predictions, groups=groups), trained, tuple(names), order)


def explain_columns(
    predictions: Predictions,
    *,
    by: By | Sequence[By],
    order: Mapping[str, Sequence[str]] | None = None,
    training: pd.DataFrame | None = None,
    min_group_size: int = 20,
    confidence: float = 0.95,
    seed: int = 0,
    weights: str | None = None,
    cluster_by: str | None = None,
    pair_by: str | None = None,
) -> Explanation:
    """Explain the gaps of columns that are cut as the audit cuts them; those with several values an image are left out.

    Args:
        predictions: with the group columns.
        by: the columns, as `audit_groups` takes them.
        order: the values of a column in their order, lowest first; binned and ordered columns have theirs.
        training: group columns of the training images, or None.
        min_group_size: smaller groups are not explained.
        confidence: two-sided level of the intervals, in (0, 1).
        seed: seed of the bootstrap.
        weights: column of the images' weights, as in `audit_groups`.
        cluster_by: column of what is drawn together.
        pair_by: column of matched sets.

    Raises:
        PredictionsError: a column is not there, or cannot be cut as asked.
    """
    cut = cut_columns(predictions, by=by, training=training)
    if not cut.names:
        return Explanation(
            len(predictions.labelled), confidence, 0.05, min_group_size, (), (), weights, cluster_by, pair_by
        )  # fmt: skip
    return explain_gaps(
        cut.predictions, by=cut.names, order={**cut.order, **(order or {})}, training=cut.training,
        min_group_size=min_group_size, confidence=confidence, seed=seed, weights=weights, cluster_by=cluster_by,
        pair_by=pair_by,
    )  # fmt: skip


def _named(levels: Levels) -> pd.Series[str]:
    names = np.array([*levels.values, None], dtype=object)  # position -1 finds None
    return pd.Series(pd.array(names[levels.code], dtype="string"))


def _cut_alike(values: pd.Series[str], levels: Levels) -> pd.Series[str]:
    """Cut numbers at the edges of a column that is cut already; what is no number counts as missing."""
    number = pd.to_numeric(values, errors="coerce").astype("string")
    if not levels.edges:
        return pd.Series(pd.array([levels.values[0] if levels.values else None] * len(values), dtype="string"))
    cut = levels_of(number, GroupColumn(levels.column, bins=levels.edges))
    return _named(replace(cut, values=levels.values)).set_axis(values.index)
