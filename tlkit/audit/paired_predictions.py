"""Predictions of two models paired by image, and the difference of their accuracies."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Ints, Mask
from tlkit.audit.estimators import SamplingDesign
from tlkit.audit.group_tables import MISSING
from tlkit.audit.groups.group_columns import MAX_VALUES, GroupColumn
from tlkit.audit.groups.intersections import membership_of
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions import Predictions
from tlkit.spelling import match_names, match_paths
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.paired import Pairs, clustered_difference, paired_difference

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """The labelled images that two models both predicted, in the order of the second model's table.

    Attributes:
        first_right: whether the first model is right, shape (N,).
        second_right: whether the second model is right, shape (N,).
        path: the images, as the second model's table names them, shape (N,).
        same: whether both say the same class, shape (N,).
        label: name of the true class, shape (N,).
        groups: group columns of either table, shape (N, G); where both have one, the second's.
        only_first: images that only the first model predicted.
        only_second: images that only the second model predicted.
        unlabelled: images of both without a label.
    """

    first_right: Mask
    second_right: Mask
    path: npt.NDArray[np.str_]
    same: Mask
    label: npt.NDArray[np.object_]
    groups: pd.DataFrame
    only_first: int
    only_second: int
    unlabelled: int

    def __len__(self) -> int:
        return len(self.same)

    def group_masks(self, spec: GroupColumn, *, max_values: int = MAX_VALUES) -> list[tuple[str, str, Mask]]:
        """Return (column, group, mask of shape (N,)) for each group of a column, last the images with a missing value.

        Args:
            spec: the column, and how to discretize it.
            max_values: numbers with more different values are discretized.
        """
        membership = membership_of(self.groups, (spec,), max_values=max_values)
        groups = [(spec.column, values[0], membership.inside(g)) for g, values in enumerate(membership.values)]
        return [*groups, (spec.column, MISSING, membership.inside(None))]


@dataclass(frozen=True)
class Change:
    """The difference of two models on some images.

    Attributes:
        pairs: counts of images by which model is right.
        difference: accuracy of the second model minus that of the first, with its interval.
        p: p-value of the difference; None where there is no test.
    """

    pairs: Pairs
    difference: Estimate
    p: float | None


def change_of(paired: PairedPredictions, rows: Mask, design: SamplingDesign | None, confidence: float) -> Change:
    """Return the difference of two models on some images.

    Independent images: Newcombe's interval for pairs and McNemar's exact test. Weighted or clustered images:
    `clustered_difference` and its t test; a matched set counts as a cluster.

    Args:
        paired: the images that both predicted.
        rows: the images to compare, shape (N,), at least one.
        design: sampling design of all N images; None = independent images of equal weight.
        confidence: two-sided level of the interval, in (0, 1).
    """
    first, second = paired.first_right[rows], paired.second_right[rows]
    pairs = Pairs.from_correct(first, second)
    if design is None:
        test = mcnemar(pairs.first, pairs.second)
        return Change(pairs, paired_difference(pairs, confidence), None if test is None else test.p)
    units = design.units(len(paired)).take(rows)
    difference, p = clustered_difference(first, second, units, confidence)
    return Change(pairs, difference, p)


def pair_predictions(
    first: Predictions, second: Predictions, *, names: tuple[str, str] = ("the first", "the second")
) -> PairedPredictions:
    """Return two models' predictions paired by path; classes are matched by name.

    Args:
        first: predictions of one model.
        second: predictions of another model, or of a later version.
        names: names of the two in messages.

    Raises:
        PredictionsError: the two have no image in common, or disagree about an image's true class.
    """
    row = {path: index for index, path in enumerate(first.path.tolist())}
    named = match_paths(second.path.tolist(), list(row))
    there = np.array([row[named[path]] if path in named else -1 for path in second.path.tolist()], dtype=np.int64)
    common = np.flatnonzero(there >= 0)
    if len(common) == 0:
        tables = zip(names, (first, second), strict=True)
        seen = [f"{name} has {first_few(table.path.tolist(), most=2)}" for name, table in tables]
        raise PredictionsError(
            f"{names[0]} and {names[1]} have no image in common: {'; '.join(seen)}. Predict the same images with both."
        )
    one, two = first.take(there[common]), second.take(common)
    classes = match_names(one.classes, two.classes)
    one = replace(one, classes=tuple(classes.get(name, name) for name in one.classes))
    first_true, second_true = _named(one, one.y_true), _named(two, two.y_true)
    known = (one.y_true >= 0) | (two.y_true >= 0)
    label = np.where(two.y_true >= 0, second_true, first_true)
    differ = (one.y_true >= 0) & (two.y_true >= 0) & (first_true != second_true)
    if differ.any():
        seen = [f"{two.path[i]} ({first_true[i]} or {second_true[i]})" for i in np.flatnonzero(differ)]
        raise PredictionsError(
            f"{names[0]} and {names[1]} disagree about the true class of {len(seen)} of {len(common)} images: "
            f"{first_few(seen)}. Compare predictions with the same labels."
        )
    if not known.any():
        raise PredictionsError(f"None of the {len(common)} images that {names[0]} and {names[1]} share has a label.")
    only_first, only_second = len(first) - len(common), len(second) - len(common)
    if only_first or only_second:
        logger.warning(
            "Compared are the %d images that both predicted; left out: %d only of %s, %d only of %s.",
            len(common),
            only_first,
            names[0],
            only_second,
            names[1],
        )
    groups = pd.concat([two.groups, one.groups[[c for c in one.groups if c not in two.groups.columns]]], axis=1)
    first_pred, second_pred = _named(one, one.y_pred), _named(two, two.y_pred)
    return PairedPredictions(
        first_right=np.asarray(first_pred == label)[known],
        second_right=np.asarray(second_pred == label)[known],
        path=two.path[known],
        same=np.asarray(first_pred == second_pred)[known],
        label=label[known],
        groups=groups.loc[known].reset_index(drop=True),
        only_first=only_first,
        only_second=only_second,
        unlabelled=int((~known).sum()),
    )


def _named(predictions: Predictions, code: Ints) -> npt.NDArray[np.object_]:
    """Return class names for positions, None for −1."""
    names = np.array([*predictions.classes, None], dtype=object)
    return np.asarray(names[code])
