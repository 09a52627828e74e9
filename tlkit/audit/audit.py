"""`audit_groups`: compare a classifier's rates across groups, and say what the data cannot decide."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import MAX_VALUES, Cells, by_problems, cells_of, intersections
from tlkit.audit.compare import Draft, compare
from tlkit.audit.judge import judge
from tlkit.audit.rates import METRICS, GroupCounts, Metric, Rate, rates_of
from tlkit.audit.result import Audit, AuditSettings
from tlkit.errors import PredictionsError, did_you_mean
from tlkit.predictions import Predictions
from tlkit.stats.intervals import wilson

__all__ = ["Audit", "audit_groups"]

logger = logging.getLogger(__name__)


def audit_groups(
    predictions: Predictions,
    *,
    by: str | Sequence[str],
    metrics: Metric | Sequence[Metric] = ("accuracy",),
    min_group_size: int = 20,
    max_order: int = 2,
    confidence: float = 0.95,
    tolerance: float = 0.05,
    alpha: float = 0.05,
    seed: int = 0,
    max_values: int = MAX_VALUES,
) -> Audit:
    """Compare a classifier's rates across groups and their intersections, with intervals, tests and a verdict a row.

    Every group is compared with the rest: the other images whose value is known. Images with a missing value form a
    row of their own, compared with all others. Images without a label are left out and counted. A row says FAIL or
    PASS only where the interval of its difference lies wholly beyond or within the tolerance, else NOT ENOUGH DATA.

    Args:
        predictions: what the model said, with the group columns.
        by: one or more group columns. A value is a value, also "none" or "unknown"; only an empty one is missing.
        metrics: the rates to compare: accuracy, recall, precision, false_positive_rate, selection_rate; all but the
            accuracy are taken for every class.
        min_group_size: groups with a smaller denominator are shown as "n = 7": no rate, no test, not the worst; their
            images still count among the rest.
        max_order: the most columns that are crossed; 1 = no intersections.
        confidence: two-sided level of the intervals, in (0, 1).
        tolerance: the largest difference from the rest that is tolerated, in [0, 1).
        alpha: chance of any false alarm in the whole audit, in (0, 1).
        seed: seed of the random permutations; all else is exact.
        max_values: the most different values of a column; more look like an identifier.

    Raises:
        PredictionsError: a column is not there or looks like an identifier, no image has a label, or a parameter is
            out of its range.

    Example:
        >>> import pandas as pd
        >>> predictions = Predictions.build(
        ...     classes=["cat", "dog"], path=[str(i) for i in range(150)], y_true=[0] * 150,
        ...     y_pred=[0] * 56 + [1] * 14 + [0] * 48 + [1] * 32,
        ...     groups=pd.DataFrame({"light": ["day"] * 70 + ["night"] * 80}))
        >>> audit = audit_groups(predictions, by="light")
        >>> audit.worst["light"].rate.format()
        '0.600 [0.490, 0.700]'
        >>> audit.group_table("light").row(("night",)).difference.format()
        '-0.200 [-0.334, -0.052]'
        >>> audit.verdict
        'FAIL'
    """
    columns = (by,) if isinstance(by, str) else tuple(dict.fromkeys(by))
    chosen: tuple[Metric, ...] = (metrics,) if isinstance(metrics, str) else tuple(dict.fromkeys(metrics))
    settings = AuditSettings(columns, chosen, min_group_size, max_order, confidence, tolerance, alpha, seed)
    labelled = predictions.y_true >= 0
    problems = _setting_problems(settings) + by_problems(predictions.groups, columns, max_values=max_values)
    if not labelled.any():
        problems.append(f"None of the {len(predictions)} images has a label, so there is nothing to compare.")
    if problems:
        raise PredictionsError(*problems)

    drafts = [
        draft
        for cells in _all_cells(predictions, labelled, settings)
        for draft in _drafts(predictions, labelled, cells, settings)
    ]
    tables, tests = judge(drafts, settings)
    right = int((predictions.y_true == predictions.y_pred)[labelled].sum())
    unlabelled = int((~labelled).sum())
    logger.info(
        "Audit by %s: tables: %d, tests against the rest: %d, images: %d%s.",
        ", ".join(columns), len(tables), tests, labelled.sum(),
        f", {unlabelled} without a label left out" if unlabelled else "",
    )  # fmt: skip
    return Audit(
        settings=settings,
        images=int(labelled.sum()),
        unlabelled=unlabelled,
        overall=wilson(right, int(labelled.sum()), confidence),
        tests=tests,
        tables=tables,
    )


def _all_cells(predictions: Predictions, labelled: npt.NDArray[np.bool_], settings: AuditSettings) -> list[Cells]:
    """Return the groups of each column, then of each intersection.

    A column with fewer than two groups is not crossed: its intersections would repeat the other columns' tables, and
    their tests.
    """
    singles = [cells_of(predictions.groups, (column,)) for column in settings.by]
    crossed = [cells.columns[0] for cells in singles if len(np.unique(cells.code[labelled & (cells.code >= 0)])) >= 2]
    if (alone := [column for column in settings.by if column not in crossed]) and len(settings.by) > 1:
        logger.info("Not crossed with other columns, because it has fewer than two groups: %s.", ", ".join(alone))
    order = min(settings.max_order, len(crossed))
    return singles + [cells_of(predictions.groups, chosen) for chosen in intersections(crossed, order)]


def _drafts(
    predictions: Predictions, labelled: npt.NDArray[np.bool_], cells: Cells, settings: AuditSettings
) -> list[Draft]:
    """Return one draft a rate for the groups of one combination of columns."""
    groups = len(cells.values) + 1  # the last one holds the images with a missing value
    code = np.where(cells.code < 0, groups - 1, cells.code)[labelled]
    y_true, y_pred = predictions.y_true[labelled], predictions.y_pred[labelled]
    classes = len(predictions.classes)
    counts = GroupCounts.count(y_true=y_true, y_pred=y_pred, group=code, classes=classes, groups=groups)
    label = {name: index for index, name in enumerate(predictions.classes)}

    def draft(rate: Rate) -> Draft:
        k, n = counts.of(rate.metric, None if rate.class_name is None else label[rate.class_name])
        mean_confidence = None
        if rate.metric == "accuracy" and predictions.proba is not None:
            proba = predictions.proba[np.flatnonzero(labelled), y_pred]
            with np.errstate(invalid="ignore"):
                mean_confidence = np.bincount(code, weights=proba, minlength=groups) / counts.n
        return compare(cells, rate, k=k, n=n, images=counts.n, mean_confidence=mean_confidence, settings=settings)

    return [draft(rate) for rate in rates_of(settings.metrics, predictions.classes)]


def _setting_problems(settings: AuditSettings) -> list[str]:
    """Return which parameters are out of their range."""
    rules = {
        "min_group_size": ("an integer of at least 1", settings.min_group_size >= 1),
        "max_order": ("an integer of at least 1", settings.max_order >= 1),
        "confidence": ("above 0 and below 1, for example 0.95", 0 < settings.confidence < 1),
        "tolerance": ("at least 0 and below 1, for example 0.05", 0 <= settings.tolerance < 1),
        "alpha": ("above 0 and below 1, for example 0.05", 0 < settings.alpha < 1),
        "seed": ("an integer of at least 0", settings.seed >= 0),
    }
    problems = [
        f"The `{name}` parameter of `audit_groups` must be {rule}. Got {getattr(settings, name)} instead."
        for name, (rule, holds) in rules.items()
        if not holds
    ]
    if not settings.metrics:
        problems.append(f"There is no metric to compare. Name at least one of: {', '.join(METRICS)}.")
    return problems + [
        f"There is no metric {metric!r}.{did_you_mean(str(metric), METRICS)} The metrics are: {', '.join(METRICS)}."
        for metric in settings.metrics
        if metric not in METRICS
    ]
