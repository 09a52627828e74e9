"""From columns to how the images hang together: weights, clusters, matched sets."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from tlkit.audit.result import AuditSettings
from tlkit.audit.sample import Design
from tlkit.errors import did_you_mean, first_few
from tlkit.predictions import Predictions

logger = logging.getLogger(__name__)


def design_problems(predictions: Predictions, settings: AuditSettings) -> list[str]:
    """Return why the columns of weights, clusters or matched sets cannot serve; nothing where they can."""
    found = list(predictions.group_columns)
    there = f"The group columns are: {first_few(found, most=20)}." if found else "There are no group columns at all."
    problems = []
    for role in ("weights", "cluster_by", "pair_by"):
        column = getattr(settings, role)
        if column is None:
            continue
        if column not in found:
            problems.append(f"{role} names {column!r}, which is no group column.{did_you_mean(column, found)} {there}")
        elif column in settings.by:
            problems.append(f"{role} names {column!r}, which is audited by, too. Use it for one of them.")
        elif role == "weights":
            problems += _weight_problems(predictions, column)
    return problems


def pairing_problems(settings: AuditSettings) -> list[str]:
    """Return why matched sets cannot be compared together with clusters or weights; nothing where that is not asked."""
    if settings.pair_by is None or (settings.cluster_by is None and settings.weights is None):
        return []
    return ["pair_by compares images within matched sets, one by one. Leave out cluster_by and weights."]


def _weight_problems(predictions: Predictions, column: str) -> list[str]:
    text = predictions.groups[column][predictions.y_true >= 0]
    weight = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        seen = ["empty" if pd.isna(value) else repr(value) for value in text[wrong].unique()]
        return [
            f"The weights in {column!r} must be finite numbers of at least 0, but {int(wrong.sum())} of {len(wrong)} "
            f"are not: {first_few(seen)}."
        ]
    return [f"All weights in {column!r} are 0. Give some image a weight."] if not weight.any() else []


def design_of(known: Predictions, settings: AuditSettings, *, told: bool = True) -> Design | None:
    """Return how labelled images hang together; None where they are independent and weigh alike.

    Args:
        known: labelled images.
        settings: which columns say so.
        told: whether the log says how many clusters there are.
    """
    return design_from(known.groups, settings, told=told)


def design_from(groups: pd.DataFrame, settings: AuditSettings, *, told: bool = True) -> Design | None:
    """Return how labelled images hang together, from their group columns, shape (N, G)."""
    weights = None
    if settings.weights is not None:
        weights = pd.to_numeric(groups[settings.weights]).to_numpy(dtype=np.float64)
    column = settings.pair_by or settings.cluster_by
    if column is None:
        return None if weights is None else Design(weights)
    unit, names = pd.factorize(groups[column])
    unit = np.asarray(unit, dtype=np.int64)
    alone = np.flatnonzero(unit < 0)  # an image without a value stands alone
    unit[alone] = len(names) + np.arange(len(alone))
    what = "matched sets" if settings.pair_by else "clusters"
    if told:
        logger.info("%s: %d %s, %d images without a value stand alone.", column, len(names), what, len(alone))
    return Design(weights, unit, paired=settings.pair_by is not None)
