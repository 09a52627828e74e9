"""`audit_groups`: compares a classifier's rates across groups, with intervals, tests and verdicts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlkit.arrays import Floats, Mask
from tlkit.audit.audit_result import Audit, ColumnFacts
from tlkit.audit.criteria import metrics_of
from tlkit.audit.estimators import RateEstimates
from tlkit.audit.group_profiles import profile_table
from tlkit.audit.group_tables import MISSING, GroupTable
from tlkit.audit.group_vs_rest import UntestedTable, untested_table
from tlkit.audit.grouped_predictions import GroupedPredictions
from tlkit.audit.groups.group_columns import By, GroupColumn, Levels, discretize
from tlkit.audit.groups.intersections import cross_columns
from tlkit.audit.memberships import all_memberships, count_groups, log_levels
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import Metric, Rate, rates_of
from tlkit.audit.row_intervals import overall_accuracy
from tlkit.audit.sampling_design import design_of, require_valid
from tlkit.audit.verdicts import assign_verdicts
from tlkit.choices import Criterion
from tlkit.predictions import Predictions
from tlkit.stats.hypothesis_tests import omnibus

__all__ = ["Audit", "audit_groups"]

logger = logging.getLogger(__name__)


def audit_groups(
    predictions: Predictions,
    *,
    by: By | Sequence[By],
    metrics: Metric | Sequence[Metric] | None = None,
    criteria: Criterion | Sequence[Criterion] | None = None,
    positive: str | None = None,
    min_group_size: int | None = None,
    max_half_width: float | None = None,
    max_intersection_order: int | None = None,
    confidence: float | None = None,
    tolerance: float | None = None,
    alpha: float | None = None,
    guaranteed: bool = False,
    weights: str | None = None,
    cluster_by: str | None = None,
    pair_by: str | None = None,
    seed: int | None = None,
    draws: int | None = None,
    max_values: int | None = None,
) -> Audit:
    """Compare a classifier's rates across groups and their intersections: intervals, tests and a verdict per row.

    Every group is compared with its complement: the other images whose value is known. Images with a missing value form
    a row of their own, compared with all others. Images without a label are left out and counted. A row says FAIL or
    PASS only where the interval of its difference lies wholly beyond or within the tolerance, else NOT ENOUGH DATA.

    An argument that is None takes the default of `AuditOptions`.

    Args:
        predictions: with the group columns.
        by: one or more group columns: a name; a text that says how to cut it, such as "age:quantiles=4",
            "age:bins=18,65", "size:order=small,large" or "tags:separator=;"; a mapping {"column": "age", "bins": [18]};
            or a `GroupColumn`. Where only a name is given, measurements are cut at their quartiles, and the
            log states the groups. Values such as "none" or "unknown" are groups; only an empty value is missing.
        metrics: the rates to compare: accuracy, recall, precision, false_positive_rate, selection_rate. The
            accuracy is over all classes; the others are for the positive class, or one-vs-rest per class.
        criteria: accuracy_parity, demographic_parity, equal_opportunity, equalized_odds, predictive_parity or
            four_fifths; their rates are compared as well.
        positive: the class that everything but the accuracy is about; default: the second of two classes, or every one
            of more.
        min_group_size: groups with a smaller denominator are shown as "n = 7": no rate, no test, never the worst; their
            images count in the complements of other groups.
        max_half_width: if the half width of a rate's interval exceeds this, only the interval is shown; 1 = never.
        max_intersection_order: the most columns that are crossed; 1 = no intersections.
        confidence: two-sided level of each interval, in (0, 1). For simultaneous coverage of all m intervals use
            1 − 0.05/m (Bonferroni; m is `Audit.tests`); verdicts do not need it.
        tolerance: the largest difference from the complement that is tolerated, in [0, 1).
        alpha: chance of any false alarm in the whole audit, in (0, 1).
        guaranteed: take Clopper and Pearson's intervals, whose coverage is never below the level, in place of Wilson's.
        weights: group column of numbers of at least 0 that weight the images; n is then shown with its effective size.
        cluster_by: group column of the clusters, such as the subject or the burst: intervals and tests allow for the
            correlation of images within a cluster.
        pair_by: group column of matched sets, such as the same scene in every light: groups are compared within them.
        seed: seed of the random permutations.
        draws: random permutations for the largest gap, where the exact test is too large.
        max_values: the most different values of a column; a column with more looks like an identifier.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, no image
            has a label, or a parameter is out of its range.

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
    options = AuditOptions().with_overrides(
        by=by,
        metrics=metrics,
        criteria=criteria,
        positive=positive,
        min_group_size=min_group_size,
        max_half_width=max_half_width,
        max_intersection_order=max_intersection_order,
        confidence=confidence,
        tolerance=tolerance,
        alpha=alpha,
        guaranteed=guaranteed,
        weights=weights,
        cluster_by=cluster_by,
        pair_by=pair_by,
        seed=seed,
        draws=draws,
        max_values=max_values,
    )
    return audit_predictions(predictions, options)


def audit_predictions(predictions: Predictions, options: AuditOptions, *, level: int = logging.INFO) -> Audit:
    """Return the audit of predictions with the given options; see `audit_groups`.

    Args:
        predictions: with the group columns.
        options: of the audit.
        level: of the log lines; those of a second split of one run would repeat the first's.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, no image
            has a label, or an option is out of its range.
    """
    options = options.for_classes(predictions.classes)
    require_valid(predictions, options, purpose="compare")
    labelled, known = predictions.y_true >= 0, predictions.labelled
    options = _completed(options, predictions, level)
    levels = [
        discretize(predictions.groups[spec.column], spec, max_values=options.max_values) for spec in options.columns
    ]
    log_levels(levels, options, level)
    design = design_of(known.groups, options, level=level)
    rates = rates_of(options.metrics, known.classes, options.positive)
    untested, profiles = [], []
    for membership in all_memberships(levels, labelled, options, level):
        grouped = GroupedPredictions(known, membership.take(labelled), design, options)
        untested += [_compare(grouped, rate) for rate in rates]
        profiles.append(profile_table(grouped))
    tables, tests = assign_verdicts(untested, options)
    unlabelled = int((~labelled).sum())
    logger.debug(
        "Audit by %s: tables: %d, tests against the complement: %d, images: %d%s.",
        ", ".join(options.by),
        len(tables),
        tests,
        len(known),
        f", {unlabelled} without a label left out" if unlabelled else "",
    )
    return Audit(
        settings=options,
        images=len(known),
        unlabelled=unlabelled,
        overall=overall_accuracy(known.correct, design, options),
        tests=tests,
        group_tables=tables,
        columns=tuple(_column_facts(one, labelled, known.correct, options, untested) for one in levels),
        profiles=tuple(profiles),
    )


def rate_tables(
    predictions: Predictions, pairs: Sequence[tuple[Sequence[GroupColumn], Rate]], options: AuditOptions
) -> tuple[GroupTable, ...]:
    """Return the tables of given columns and rates; Holm's correction covers only their tests.

    Args:
        predictions: already checked by `validate_columns`, `AuditOptions.problems` and `design_problems`.
        pairs: the columns of an intersection, and a rate; duplicates are dropped.
        options: sizes, levels and design; its columns, metrics and positive class are not used.

    Returns:
        One table for each pair; none for an intersection with a column of fewer than two groups.
    """
    rates: dict[tuple[GroupColumn, ...], list[Rate]] = {}
    for columns, rate in dict.fromkeys((tuple(columns), rate) for columns, rate in pairs):
        rates.setdefault(columns, []).append(rate)
    labelled, known = predictions.y_true >= 0, predictions.labelled
    design = design_of(known.groups, options, level=logging.DEBUG)
    untested = []
    for columns, column_rates in rates.items():
        levels = [discretize(predictions.groups[spec.column], spec, max_values=options.max_values) for spec in columns]
        if len(levels) > 1 and any(count_groups(cross_columns([level]), labelled) < 2 for level in levels):
            continue
        grouped = GroupedPredictions(known, cross_columns(levels).take(labelled), design, options)
        untested += [_compare(grouped, rate) for rate in column_rates]
    return assign_verdicts(untested, options)[0]


def _completed(options: AuditOptions, predictions: Predictions, level: int) -> AuditOptions:
    """Return the options with the rates of the criteria, and with the second of two classes as the positive one."""
    metrics = tuple(dict.fromkeys((*options.metrics, *metrics_of(options.criteria))))
    positive = options.positive
    if positive is None and len(predictions.classes) == 2:
        positive = predictions.classes[1]
        if set(metrics) - {"accuracy"}:
            logger.log(level, "The positive class is %r, the second of two; positive= sets another.", positive)
    return replace(options, metrics=metrics, positive=positive)


def _compare(grouped: GroupedPredictions, rate: Rate) -> UntestedTable[RateEstimates]:
    """Return one rate of each group compared with the complement, before Holm's correction."""
    return untested_table(
        grouped.membership,
        rate,
        grouped.rates(rate),
        images=grouped.counts.n,
        options=grouped.options,
        mean_confidence=_mean_confidence(grouped) if rate.metric == "accuracy" else None,
        shares=None if rate.class_name is None else grouped.shares(rate.class_name),
    )


def _mean_confidence(grouped: GroupedPredictions) -> Floats | None:
    """Return the mean probability of the predicted class by row; None without probabilities."""
    known, design = grouped.known, grouped.design
    if known.proba is None:
        return None
    weight = np.ones(len(known)) if design is None or design.weights is None else design.weights
    proba = known.proba[np.arange(len(known)), known.y_pred]
    rows = grouped.membership.patterns + 1
    summed, size = (
        grouped.membership.aggregate(np.bincount(grouped.code, weights=each, minlength=rows))
        for each in (proba * weight, weight)
    )
    with np.errstate(invalid="ignore"):
        return np.asarray(summed / size)


def _column_facts(
    level: Levels,
    labelled: Mask,
    correct: Mask,
    options: AuditOptions,
    untested: Sequence[UntestedTable[RateEstimates]],
) -> ColumnFacts:
    """Return the kind of a column, its counts, and the test of missing values; of a design, that of its table."""
    membership = cross_columns([level]).take(labelled)
    code = membership.row_code
    images = membership.aggregate(np.bincount(code, minlength=membership.patterns + 1))
    right = membership.aggregate(np.bincount(code[correct], minlength=membership.patterns + 1))
    missing, right_missing = int(images[-1]), int(right[-1])
    known = len(code) - missing
    p, method = None, ""
    if options.test_name != "Fisher":
        own = [
            one for one in untested if one.membership.columns == membership.columns and one.rate.metric == "accuracy"
        ]
        p = own[0].p[-1] if own else None
        method = "" if p is None else options.test_name
    elif missing and known:
        k = [right_missing, int(correct.sum()) - right_missing]
        test = omnibus(k, [missing, known], draws=options.draws, seed=options.seed)
        p, method = (None, "") if test is None else (test.p, test.method)
    return ColumnFacts(
        level.column,
        level.kind,
        missing,
        p,
        method,
        (*level.values, MISSING),
        tuple(images.astype(int).tolist()),
        tuple(right.astype(int).tolist()),
    )
