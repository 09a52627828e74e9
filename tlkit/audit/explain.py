"""`explain_gaps`: what lies behind a gap: other classes, other attributes, an order, or too few training images."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.audit.cells import Cells, by_problems, cells_of
from tlkit.audit.design import design_of, design_problems, pairing_problems
from tlkit.audit.explain_designed import DesignedExplainer, designed_association
from tlkit.audit.explanation import (
    CLASS,
    AdjustedGap,
    ExplainedColumn,
    ExplainedGroup,
    Explanation,
    HeatCell,
    HeatMap,
    Linked,
    Ordered,
)
from tlkit.audit.result import AuditSettings
from tlkit.audit.sample import Design
from tlkit.audit.tables import CROSS
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions import Predictions
from tlkit.stats.association import adjusted_gap, cramers_v
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import newcombe, wilson
from tlkit.stats.ordered import ordered_rates
from tlkit.stats.strata import pooled_odds, split_gap
from tlkit.stats.tests import fisher_exact

logger = logging.getLogger(__name__)

MOST_STRATA = 200  # beyond, logistic regression would fit more values than these images can tell apart

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def explain_gaps(
    predictions: Predictions,
    *,
    by: str | Sequence[str],
    order: Mapping[str, Sequence[str]] | None = None,
    training: pd.DataFrame | None = None,
    min_group_size: int = 20,
    min_cell_size: int = 5,
    confidence: float = 0.95,
    alpha: float = 0.05,
    replicates: int = 1000,
    seed: int = 0,
    weights: str | None = None,
    cluster_by: str | None = None,
    pair_by: str | None = None,
) -> Explanation:
    """Say what lies behind the gaps between groups and the rest, as far as the table of predictions can tell.

    For each group: its gap split into class mix and rate (Kitagawa), the gap within every other column and within the
    classes (Mantel–Haenszel, logistic regression), and its share of the training images. For each column: recall by
    group and class, and the trend where its groups have an order. For each pair of columns: how strongly they go
    together.

    Args:
        predictions: what the model said, with the group columns.
        by: one or more group columns.
        order: the values of a column in their order, lowest first; columns whose values begin with numbers, such as
            "30-39", have that of their numbers without being told.
        training: group columns of the training images, missing = NA; None = not known.
        min_group_size: smaller groups, and groups with a smaller rest, are not explained.
        min_cell_size: group and class together need so many images for a recall.
        confidence: two-sided level of the intervals, in (0, 1).
        alpha: level of the tests, in (0, 1).
        replicates: resamples of the bootstrap, which independent images have.
        seed: its seed.
        weights: group column of numbers of at least 0 that weight the images.
        cluster_by: group column of what is drawn together, such as the subject: intervals and tests allow for it.
        pair_by: group column of matched sets: groups are compared within them; else a set counts as a cluster.

    Raises:
        PredictionsError: a column or a value of an order is not there, or no image has a label.

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
    columns = (by,) if isinstance(by, str) else tuple(dict.fromkeys(by))
    problems = by_problems(predictions.groups, columns)
    settings = AuditSettings(columns, weights=weights, cluster_by=cluster_by, pair_by=pair_by)
    problems += pairing_problems(settings) + design_problems(predictions, settings)
    if not (predictions.y_true >= 0).any():
        problems.append(f"None of the {len(predictions)} images has a label, so there is nothing to explain.")
    if problems:
        raise PredictionsError(*problems)
    known = predictions.labelled
    cells = {column: cells_of(known.groups, (column,)) for column in columns}
    orders = _orders(cells, order or {})
    design = design_of(known, settings, told=False)
    explained = []
    for column in columns:
        here = cells[column]
        right, n = _counts(known, here.code, len(here.values))
        kept = [g for g in range(len(n)) if min(n[g].sum(), n.sum() - n[g].sum()) >= min_group_size]
        rng = np.random.default_rng(seed)
        trained = _trained(training, here)
        explainer = None if design is None else DesignedExplainer(known, here, design, confidence=confidence)
        explained.append(
            ExplainedColumn(
                by=column,
                groups=tuple(
                    _group(
                        here,
                        g,
                        right,
                        n,
                        trained,
                        rng=rng,
                        confidence=confidence,
                        replicates=replicates,
                        explainer=explainer,
                    )
                    for g in kept
                ),
                adjusted=tuple(_adjusted(known, cells, column, kept, confidence=confidence, explainer=explainer)),
                heat=_heat(
                    here,
                    known.classes,
                    right,
                    n,
                    min_cell_size=min_cell_size,
                    min_group_size=min_group_size,
                    confidence=confidence,
                    explainer=explainer,
                ),
                ordered=_ordered(
                    here, orders.get(column), right=right.sum(axis=1), n=n.sum(axis=1), seed=seed, explainer=explainer
                ),
            )
        )
    return Explanation(
        len(known), confidence, alpha, min_group_size, tuple(explained), tuple(_linked(known, cells, design)),
        weights, cluster_by, pair_by,
    )  # fmt: skip


def _counts(known: Predictions, code: Ints, groups: int) -> tuple[Ints, Ints]:
    """Return images recognised and images, each of shape (G, C); images with a missing value are in neither."""
    classes = len(known.classes)

    def counted(mask: Mask) -> Ints:
        flat = np.bincount(code[mask] * classes + known.y_true[mask], minlength=groups * classes)
        return flat.reshape(groups, classes).astype(np.int64)

    there = code >= 0
    return counted(there & known.correct), counted(there)


def _group(
    cells: Cells, g: int, right: Ints, n: Ints, trained: Ints | None, *,
    rng: np.random.Generator, confidence: float, replicates: int, explainer: DesignedExplainer | None,
) -> ExplainedGroup:  # fmt: skip
    sides = [np.stack([counts[g], counts.sum(axis=0) - counts[g]]) for counts in (right, n)]
    (k1, k2), (n1, n2) = (side.sum(axis=1).tolist() for side in sides)
    all_trained = 0 if trained is None else int(trained.sum())
    if explainer is not None:
        accuracy, difference, split = explainer.accuracy(g), explainer.difference(g), explainer.split(g)
    else:
        accuracy, difference = wilson(k1, n1, confidence), newcombe(k1, n1, k2, n2, confidence)
        split = split_gap(*sides, rng=rng, confidence=confidence, replicates=replicates)
    return ExplainedGroup(
        group=cells.values[g][0],
        accuracy=accuracy,
        difference=difference,
        split=split,
        train=None if trained is None else int(trained[g]),
        train_share=None if trained is None or not all_trained else int(trained[g]) / all_trained,
        judged_share=n1 / (n1 + n2),
    )


def _adjusted(
    known: Predictions,
    cells: Mapping[str, Cells],
    column: str,
    kept: Sequence[int],
    *,
    confidence: float,
    explainer: DesignedExplainer | None,
) -> list[AdjustedGap]:
    """Return each group's gap within each other column, within all of them together, and within the classes."""
    others = {name: _coded(cell) for name, cell in cells.items() if name != column and len(cell.values) > 1}
    strata: dict[str, list[Ints]] = {name: [code] for name, code in others.items()}
    if len(others) > 1:
        strata[CROSS.join(others)] = list(others.values())
    strata[CLASS] = [known.y_true]
    there = cells[column].code >= 0
    code, right = cells[column].code[there], known.correct[there]
    cut = {given: _strata([part[there] for part in codes]) for given, codes in strata.items()}
    found = []
    for g in kept:
        for given, (stratum, values) in cut.items():
            if explainer is not None:
                odds, gap = explainer.adjusted(g, stratum, _indicators(values))
            else:
                cell = stratum * 2 + (code != g)  # members first
                n = np.bincount(cell, minlength=2 * len(values)).reshape(-1, 2).T
                k = np.bincount(cell, weights=right, minlength=2 * len(values)).reshape(-1, 2).T.astype(np.int64)
                odds, gap = pooled_odds(k, n, confidence), _logistic(k, n, values, confidence)
            found.append(AdjustedGap(group=cells[column].values[g][0], given=given, odds=odds, gap=gap))
    return found


def _strata(codes: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Return the stratum of each image, shape (N,), and the codes that each stratum stands for, shape (S, columns)."""
    flat = codes[0]
    for code in codes[1:]:
        _, flat = np.unique(flat, return_inverse=True)  # small again, so that many columns cannot overflow
        flat = flat.ravel() * (int(code.max(initial=0)) + 1) + code
    _, first, stratum = np.unique(flat, return_index=True, return_inverse=True)
    return stratum.ravel(), np.column_stack([code[first] for code in codes])


def _coded(cells: Cells) -> Ints:
    """Return the group of each image, with one more group for the missing."""
    return np.where(cells.code < 0, len(cells.values), cells.code)


def _logistic(k: Ints, n: Ints, values: Ints, confidence: float) -> Estimate:
    """Fit the patterns that occur: k and n of shape (2, S), members first, and the codes of each stratum."""
    others = _indicators(values)
    if others is None:
        return Estimate(None, None, None, n=int(n.sum()), note="too many values to hold fixed")
    side, stratum = np.nonzero(n)
    return adjusted_gap(k[side, stratum], n[side, stratum], member=side == 0, others=others[stratum],
                        confidence=confidence)  # fmt: skip


def _indicators(values: Ints) -> npt.NDArray[np.float64] | None:
    """Return indicators of all values of each column but its first, shape (S, K); None where they are too many."""
    indicators = [(values[:, [c]] == np.unique(values[:, c])[1:]).astype(np.float64) for c in range(values.shape[1])]
    others = np.column_stack(indicators)
    return None if others.shape[1] > MOST_STRATA else others


def _heat(
    cells: Cells,
    classes: Sequence[str],
    right: Ints,
    n: Ints,
    *,
    min_cell_size: int,
    min_group_size: int,
    confidence: float,
    explainer: DesignedExplainer | None,
) -> HeatMap:
    """Test each group's recall of each class against the rest's; of two groups both cells are one test.

    A group that is too small for a rate has no recalls either: they would give its rate away.
    """
    if len(n) == 0:
        return HeatMap((), tuple(classes), (), 0, min_cell_size)
    rest_right, rest_n = right.sum(axis=0) - right, n.sum(axis=0) - n
    large = n.sum(axis=1) >= min_group_size
    against = large & (rest_n.sum(axis=1) >= min_group_size)
    tested = (n >= min_cell_size) & (rest_n >= min_cell_size) & against[:, None]
    p: list[float | None] = []
    recalls = None if explainer is None else [explainer.recalls(c) for c in range(n.shape[1])]
    mirrored = np.count_nonzero(n > 0, axis=0) == 2
    first = (n > 0).argmax(axis=0)
    for g, c in np.ndindex(*n.shape):
        counts = (int(right[g, c]), int(n[g, c]), int(rest_right[g, c]), int(rest_n[g, c]))
        compared = fisher_exact(*counts) if recalls is None else recalls[c][g][2]
        p.append(compared if tested[g, c] else None)
    own = [value if not mirrored[i % n.shape[1]] or i // n.shape[1] == first[i % n.shape[1]] else None
           for i, value in enumerate(p)]  # fmt: skip
    adjusted = list(holm(own))
    for i, value in enumerate(p):
        if value is not None and own[i] is None:
            adjusted[i] = adjusted[int(first[i % n.shape[1]]) * n.shape[1] + i % n.shape[1]]
    rows = []
    for g in range(n.shape[0]):
        row = []
        for c in range(n.shape[1]):
            k, size = int(right[g, c]), int(n[g, c])
            recall = wilson(k, size, confidence, nothing="no images")
            if recalls is not None and size:
                recall = recalls[c][g][0]
            if 0 < size < min_cell_size:
                recall = Estimate(None, None, None, n=size, note=f"n = {size}, fewer than {min_cell_size}")
            elif size and not large[g]:
                recall = Estimate(None, None, None, n=size, note=f"a group of fewer than {min_group_size}")
            gap = newcombe(k, size, int(rest_right[g, c]), int(rest_n[g, c]), confidence) if tested[g, c] else None
            if recalls is not None and gap is not None:
                gap = recalls[c][g][1] if recalls[c][g][1].value is not None else None
            row.append(HeatCell(recall, gap, p[g * n.shape[1] + c], adjusted[g * n.shape[1] + c]))
        rows.append(tuple(row))
    tests = sum(value is not None for value in own)
    return HeatMap(tuple(values[0] for values in cells.values), tuple(classes), tuple(rows), tests, min_cell_size)


def _orders(cells: Mapping[str, Cells], given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the order of the columns that have one: as given, or by the numbers that their values begin with."""
    problems = [
        f"An order is given for {column!r}, which is not explained.{did_you_mean(column, cells)}"
        for column in given
        if column not in cells
    ]
    orders: dict[str, tuple[str, ...]] = {}
    for column, cell in cells.items():
        values = [value[0] for value in cell.values]
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


def _ordered(
    cells: Cells,
    order: tuple[str, ...] | None,
    *,
    right: Ints,
    n: Ints,
    seed: int,
    explainer: DesignedExplainer | None,
) -> Ordered | None:
    if order is None:
        return None
    place = {value[0]: g for g, value in enumerate(cells.values)}
    there = [place[value] for value in order]
    left_out = tuple(value[0] for value in cells.values if value[0] not in order)
    rates = ordered_rates(right[there], n[there], seed=seed) if explainer is None else explainer.ordered(there)
    return Ordered(order, left_out, rates)


def _trained(training: pd.DataFrame | None, cells: Cells) -> Ints | None:
    """Return the training images of each group; None where training, or its column, is not known."""
    column = cells.columns[0]
    if training is None or column not in training.columns:
        return None
    counts = training[column].astype("string").value_counts()
    return np.array([int(counts.get(value[0], 0)) for value in cells.values], dtype=np.int64)


def _linked(known: Predictions, cells: Mapping[str, Cells], design: Design | None) -> list[Linked]:
    """Return how strongly each pair of columns, and each column and the class, go together."""
    coded = {**{name: (cell.code, len(cell.values)) for name, cell in cells.items()},
             CLASS: (known.y_true, len(known.classes))}  # fmt: skip
    found = []
    for first, second in itertools.combinations(coded, 2):
        (one, rows), (two, columns) = coded[first], coded[second]
        if design is not None:
            found.append(Linked(first, second, designed_association(one, two, design)))
            continue
        there = (one >= 0) & (two >= 0)
        table = np.bincount(one[there] * columns + two[there], minlength=rows * columns).reshape(rows, columns)
        found.append(Linked(first, second, cramers_v(table) if there.any() else None))
    return found
