"""`explain_gaps`: relates each gap to class mix, other attributes, an order of the groups and training images."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tlkit.arrays import Ints
from tlkit.audit.estimators import SamplingDesign
from tlkit.audit.explanation import (
    AdjustedGap,
    AssociatedColumns,
    ExplainedColumn,
    ExplainedGroup,
    Explanation,
    HeatCell,
    HeatMap,
    OrderedTrend,
)
from tlkit.audit.gap_estimates import GapEstimates, association, value_indicators
from tlkit.audit.group_tables import CLASS, CROSS
from tlkit.audit.grouped_predictions import GroupedPredictions
from tlkit.audit.groups.discretized_columns import discretize_columns
from tlkit.audit.groups.group_columns import By
from tlkit.audit.groups.intersections import GroupMembership, membership_of
from tlkit.audit.options import AuditOptions
from tlkit.audit.sampling_design import design_of, require_valid
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions import Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.strata import SPLIT_REPLICATES

logger = logging.getLogger(__name__)

MIN_RECALL_IMAGES = 5  # images of a group and class for a recall


def explain_gaps(
    predictions: Predictions,
    *,
    by: By | Sequence[By],
    order: Mapping[str, Sequence[str]] | None = None,
    training: pd.DataFrame | None = None,
    min_group_size: int | None = None,
    min_recall_images: int = MIN_RECALL_IMAGES,
    confidence: float | None = None,
    alpha: float | None = None,
    replicates: int = SPLIT_REPLICATES,
    seed: int | None = None,
    weights: str | None = None,
    cluster_by: str | None = None,
    pair_by: str | None = None,
) -> Explanation:
    """Relate the gap between each group and its complement to classes, other columns and training images.

    For each group: its gap split into class mix and rate (Kitagawa), the gap within every other column and within the
    classes (Mantel–Haenszel, logistic regression), and its share of the training images. For each column: recall by
    group and class, and the trend where its groups have an order. For each pair of columns: Cramér's V. An argument
    that is None takes the default of `AuditOptions`.

    Args:
        predictions: with the group columns.
        by: one or more group columns, as `audit_groups` takes them; those with several values per image are left out.
        order: the values of a column in their order, lowest first; binned and ordered columns have theirs, and columns
            whose values begin with numbers, such as "30-39", are ordered by them.
        training: group columns of the training images, missing = NA; None = not known.
        min_group_size: smaller groups, and groups with a smaller complement, are not explained.
        min_recall_images: group and class together need so many images for a recall.
        confidence: two-sided level of the intervals, in (0, 1).
        alpha: level of the tests, in (0, 1).
        replicates: resamples of the bootstrap, which independent images have.
        seed: its seed.
        weights: group column of numbers of at least 0 that weight the images.
        cluster_by: group column of the clusters, such as the subject: intervals and tests allow for them.
        pair_by: group column of matched sets: groups are compared within them; else a set counts as a cluster.

    Raises:
        PredictionsError: a column or a value of an order is not there, no image has a label, or an argument is out of
            its range.

    Example:
        >>> y_true = [0] * 180 + [1] * 20 + [0] * 20 + [1] * 180  # the south has the hard class, and loses nothing else
        >>> y_pred = [0] * 171 + [1] * 9 + [1] * 12 + [0] * 8 + [0] * 19 + [1] + [1] * 108 + [0] * 72
        >>> table = Predictions.build(
        ...     classes=["easy", "hard"], path=[str(i) for i in range(400)], y_true=y_true, y_pred=y_pred,
        ...     groups=pd.DataFrame({"site": ["north"] * 200 + ["south"] * 200}))
        >>> south = explain_gaps(table, by="site").column("site").worst
        >>> south.group, south.difference.format(), south.split.mix.format(), abs(round(south.split.rate.value, 3))
        ('south', '-0.280 [-0.355, -0.201]', '-0.280 [-0.382, -0.181]', 0.0)
    """
    options = AuditOptions().with_overrides(
        by=by,
        min_group_size=min_group_size,
        confidence=confidence,
        alpha=alpha,
        seed=seed,
        weights=weights,
        cluster_by=cluster_by,
        pair_by=pair_by,
    )
    return explain_predictions(
        predictions, options, order=order, training=training, min_recall_images=min_recall_images, replicates=replicates
    )


def explain_predictions(
    predictions: Predictions,
    options: AuditOptions,
    *,
    order: Mapping[str, Sequence[str]] | None = None,
    training: pd.DataFrame | None = None,
    min_recall_images: int = MIN_RECALL_IMAGES,
    replicates: int = SPLIT_REPLICATES,
) -> Explanation:
    """Return the explanation of the gaps of the columns in the options; see `explain_gaps`.

    Raises:
        PredictionsError: a column or a value of an order is not there, no image has a label, or an option is out of
            its range.
    """
    options = options.for_classes(predictions.classes)
    require_valid(predictions, options, purpose="explain")
    cut = discretize_columns(predictions, options, training=training)
    known = cut.predictions.labelled
    memberships = {
        column: membership_of(known.groups, (column,), max_values=options.max_values) for column in cut.names
    }
    orders = _orders(memberships, {**cut.order, **(order or {})})
    design = design_of(known.groups, options, level=logging.DEBUG)
    explained = []
    for column, membership in memberships.items():
        estimates = GapEstimates(GroupedPredictions(known, membership, design, options), replicates)
        training_counts = _training_counts(cut.training, membership)
        explained.append(
            ExplainedColumn(
                by=column,
                groups=tuple(_group(membership, g, estimates, training_counts) for g in estimates.large_groups),
                adjusted=tuple(_adjusted(known, memberships, column, estimates)),
                heat=_heat_map(
                    membership, known.classes, estimates, min_recall_images=min_recall_images, options=options
                ),
                ordered=_trend(membership, orders.get(column), estimates),
            )
        )
    return Explanation(len(known), options, tuple(explained), tuple(_associations(known, memberships, design)))


def _group(
    membership: GroupMembership, g: int, estimates: GapEstimates, training_counts: Ints | None
) -> ExplainedGroup:
    total = 0 if training_counts is None else int(training_counts.sum())
    return ExplainedGroup(
        group=membership.values[g][0],
        accuracy=estimates.accuracy(g),
        difference=estimates.difference(g),
        split=estimates.split(g),
        train=None if training_counts is None else int(training_counts[g]),
        train_share=None if training_counts is None or not total else int(training_counts[g]) / total,
        judged_share=int(estimates.n[g].sum()) / int(estimates.n.sum()),
    )


def _adjusted(
    known: Predictions, memberships: Mapping[str, GroupMembership], column: str, estimates: GapEstimates
) -> list[AdjustedGap]:
    """Return each group's gap within each other column, within all of them together, and within the classes."""
    others = {name: one.row_code for name, one in memberships.items() if name != column and len(one.values) > 1}
    strata: dict[str, list[Ints]] = {name: [code] for name, code in others.items()}
    if len(others) > 1:
        strata[CROSS.join(others)] = list(others.values())
    strata[CLASS] = [known.y_true]
    known_group = memberships[column].code >= 0
    cut = {given: _strata([part[known_group] for part in codes]) for given, codes in strata.items()}
    found = []
    for g in estimates.large_groups:
        for given, (stratum, values) in cut.items():
            odds, gap = estimates.adjusted(g, stratum, value_indicators(values))
            found.append(AdjustedGap(group=memberships[column].values[g][0], given=given, odds=odds, gap=gap))
    return found


def _strata(codes: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Return the stratum of each image, shape (N,), and the codes that each stratum stands for, shape (S, columns)."""
    flat = codes[0]
    for code in codes[1:]:
        _, flat = np.unique(flat, return_inverse=True)  # codes below N, so that many columns cannot overflow
        flat = flat.ravel() * (int(code.max(initial=0)) + 1) + code
    _, first, stratum = np.unique(flat, return_index=True, return_inverse=True)
    return stratum.ravel(), np.column_stack([code[first] for code in codes])


def _heat_map(
    membership: GroupMembership,
    classes: Sequence[str],
    estimates: GapEstimates,
    *,
    min_recall_images: int,
    options: AuditOptions,
) -> HeatMap:
    """Return recall by group and class, tested against the complement; where two groups have a class, with one test."""
    n = estimates.n
    if len(n) == 0:
        return HeatMap((), tuple(classes), (), 0, min_recall_images)
    complement_n = n.sum(axis=0) - n
    large = n.sum(axis=1) >= options.min_group_size
    comparable = large & (complement_n.sum(axis=1) >= options.min_group_size)
    tested = (n >= min_recall_images) & (complement_n >= min_recall_images) & comparable[:, None]
    recalls = [estimates.recalls(c, tested[:, c]) for c in range(len(classes))]
    p = {(g, c): recalls[c][g].p for g, c in np.ndindex(*n.shape)}
    two_groups, first = np.count_nonzero(n > 0, axis=0) == 2, (n > 0).argmax(axis=0)
    test_of = {(g, c): (int(first[c]), c) if two_groups[c] else (g, c) for g, c in p}
    family = [value if test_of[cell] == cell else None for cell, value in p.items()]
    adjusted = dict(zip(p, holm(family), strict=True))

    def heat_cell(g: int, c: int) -> HeatCell:
        size, cell = int(n[g, c]), recalls[c][g]
        recall = cell.recall
        if 0 < size < min_recall_images:
            recall = Estimate(None, None, None, n=size, note=f"n = {size}, fewer than {min_recall_images}")
        elif size and not large[g]:
            # the rate of a small group would follow from its recalls
            recall = Estimate(None, None, None, n=size, note=f"a group of fewer than {options.min_group_size}")
        return replace(cell, recall=recall, p_holm=None if cell.p is None else adjusted[test_of[g, c]])

    return HeatMap(
        groups=tuple(values[0] for values in membership.values),
        classes=tuple(classes),
        cells=tuple(tuple(heat_cell(g, c) for c in range(len(classes))) for g in range(len(n))),
        tests=sum(value is not None for value in family),
        min_recall_images=min_recall_images,
    )


def _orders(
    memberships: Mapping[str, GroupMembership], given: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the order of the columns that have one: as given, or by the numbers that their values begin with."""
    problems = [
        f"An order is given for {column!r}, which is not explained.{did_you_mean(column, memberships)}"
        for column in given
        if column not in memberships
    ]
    orders: dict[str, tuple[str, ...]] = {}
    for column, membership in memberships.items():
        values = [value[0] for value in membership.values]
        if column in given:
            orders[column] = tuple(given[column])
            if unknown := [value for value in given[column] if value not in values]:
                problems.append(
                    f"The order of {column!r} names {first_few(unknown)}, which no image has. Its values are: "
                    f"{first_few(values, most=20)}."
                )
            continue
        numbers = {value: float(found[1]) for value in values if (found := _NUMBER.match(value))}
        if len(numbers) >= 3 and len(set(numbers.values())) == len(numbers):
            orders[column] = tuple(sorted(numbers, key=lambda value: numbers[value]))
            logger.info("%s has the order of its numbers: %s.", column, ", ".join(orders[column]))
    if problems:
        raise PredictionsError(*problems)
    return orders


_NUMBER = re.compile(r"[<≤\[(]?\s*(-?\d+(?:\.\d+)?)")


def _trend(membership: GroupMembership, order: tuple[str, ...] | None, estimates: GapEstimates) -> OrderedTrend | None:
    if order is None:
        return None
    place = {value[0]: g for g, value in enumerate(membership.values)}
    left_out = tuple(value[0] for value in membership.values if value[0] not in order)
    return OrderedTrend(order, left_out, estimates.ordered([place[value] for value in order]))


def _training_counts(training: pd.DataFrame | None, membership: GroupMembership) -> Ints | None:
    """Return the training images of each group; None where training, or its column, is not known."""
    column = membership.columns[0]
    if training is None or column not in training.columns:
        return None
    counts = training[column].astype("string").value_counts()
    return np.array([int(counts.get(value[0], 0)) for value in membership.values], dtype=np.int64)


def _associations(
    known: Predictions, memberships: Mapping[str, GroupMembership], design: SamplingDesign | None
) -> list[AssociatedColumns]:
    """Return the association of each pair of columns, and of each column with the class."""
    coded = {
        **{name: (one.code, len(one.values)) for name, one in memberships.items()},
        CLASS: (known.y_true, len(known.classes)),
    }
    return [
        AssociatedColumns(first, second, association(*coded[first], *coded[second], design))
        for first, second in itertools.combinations(coded, 2)
    ]
