"""Builds the sampling design from group columns: weights, clusters, matched sets."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from tlkit.arrays import Mask
from tlkit.audit.estimators import SamplingDesign
from tlkit.audit.groups.intersections import validate_columns
from tlkit.audit.options import AuditOptions
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions import Predictions
from tlkit.predictions.validation import NO_GROUPS, no_label
from tlkit.spelling import warn_of_lookalikes
from tlkit.stats.cluster_sampling import scaled_weights

logger = logging.getLogger(__name__)


def design_problems(groups: pd.DataFrame, options: AuditOptions, *, labelled: Mask | None = None) -> list[str]:
    """Return problems of the columns of weights, clusters and matched sets; empty if valid.

    Args:
        groups: group columns of the images, shape (N, G).
        options: names of the columns.
        labelled: mask of the labelled images, shape (N,), whose weights must be numbers; None = all.
    """
    found = list(map(str, groups.columns))
    there = f"The group columns are: {first_few(found, most=20)}." if found else NO_GROUPS
    problems = []
    for role in ("weights", "cluster_by", "pair_by"):
        column = getattr(options, role)
        if column is None:
            continue
        if column not in found:
            problems.append(f"{role} names {column!r}, which is no group column.{did_you_mean(column, found)} {there}")
        elif column in options.by:
            problems.append(f"{role} names {column!r}, which is also a column to audit by. Use it for one of them.")
        elif role == "weights":
            problems += _weight_problems(groups[column] if labelled is None else groups[column][labelled])
    return problems


def require_valid(predictions: Predictions, options: AuditOptions, *, purpose: str) -> None:
    """Check the options of an audit or explanation against the predictions; all problems at once.

    Args:
        predictions: with the group columns.
        options: of the audit.
        purpose: what the labels are needed for, as a word for the message.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, no image
            has a label, or an option is out of its range.
    """
    labelled = predictions.y_true >= 0
    problems = options.problems(predictions.classes)
    problems += validate_columns(predictions.groups, options.columns, max_values=options.max_values)
    problems += design_problems(predictions.groups, options, labelled=labelled)
    if not labelled.any():
        problems.append(no_label(len(predictions), consequence=f"there is nothing to {purpose}"))
    if problems:
        raise PredictionsError(*problems)


def _weight_problems(text: pd.Series[str]) -> list[str]:
    weight = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        seen = ["empty" if pd.isna(value) else repr(value) for value in text[wrong].unique()]
        return [
            f"The weights in {text.name!r} must be finite numbers of at least 0, but {int(wrong.sum())} of "
            f"{len(wrong)} are not: {first_few(seen)}."
        ]
    return [f"All weights in {text.name!r} are 0. Give some image a weight."] if not weight.any() else []


def design_of(groups: pd.DataFrame, options: AuditOptions, *, level: int = logging.INFO) -> SamplingDesign | None:
    """Return the sampling design of labelled images; None = independent images of equal weight.

    Args:
        groups: group columns of the labelled images, shape (N, G).
        options: names of the columns.
        level: of the log line with the number of clusters.
    """
    weights = None
    if options.weights is not None:
        weights = scaled_weights(pd.to_numeric(groups[options.weights]).to_numpy(dtype=np.float64))
    column = options.unit_column
    if column is None:
        return None if weights is None else SamplingDesign(weights)
    unit, names = pd.factorize(groups[column])
    unit = np.asarray(unit, dtype=np.int64)
    alone = np.flatnonzero(unit < 0)  # an image without a value is a unit of its own
    unit[alone] = len(names) + np.arange(len(alone))
    what = "matched sets" if options.pair_by else "clusters"
    if level >= logging.INFO:
        warn_of_lookalikes(
            map(str, names), what=f"{column} ({what})", hint=lambda _: "Write them alike if they are one."
        )
    logger.log(
        level, "%s: %d %s, %d images without a value are units of their own.", column, len(names), what, len(alone)
    )
    return SamplingDesign(weights, unit, paired=options.pair_by is not None)
