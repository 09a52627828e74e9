"""Predictions of several models of labels, grades, numbers, masks or boxes on the images that all of them predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.common_rows import common_rows
from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.mask_predictions import MaskPredictions
from tlkit.predictions.multilabel_predictions import MultilabelPredictions
from tlkit.predictions.number_predictions import NumberPredictions
from tlkit.predictions.task_predictions import RowPredictions, TaskPredictions
from tlkit.spelling import match_names


@dataclass(frozen=True)
class CommonTaskImages:
    """Aligned predictions.

    Attributes:
        predictions: by the name of the model, all with the same paths, truth, labels or grades, and group columns.
        left_out: images that not every model predicted.
        unlabelled: images of all models of which nothing is known, which are left out.
    """

    predictions: dict[str, TaskPredictions]
    left_out: int
    unlabelled: int


def known_images(table: TaskPredictions) -> Mask:
    """Return the images of known truth, shape (N,): of several labels any is known, of masks the class of any pixel."""
    known = table.known
    return np.asarray(known.any(axis=1)) if known.ndim == 2 else known


def common_task_images(models: Mapping[str, TaskPredictions]) -> CommonTaskImages:
    """Return the predictions of several models on their common images; labels and grades are matched by name.

    Args:
        models: two models or more, by name.

    Raises:
        PredictionsError: the models are of different tasks, no image is common to all, they know other labels or
            grades, or disagree about the truth of an image.
    """
    (first_name, first), *others = models.items()
    if different := [name for name, table in others if table.task != first.task]:
        raise PredictionsError(
            f"{first_name} is of the task {first.task}, and {different[0]} of {models[different[0]].task}. Compare "
            "models of one task."
        )
    common = common_rows({name: table.path for name, table in models.items()})
    paths = common.paths
    taken = {
        name: _with_names(table.take(common.rows[name]), first, (name, first_name)) for name, table in models.items()
    }
    groups = pd.concat([table.groups for table in taken.values()], axis=1)
    images = ImageColumns(np.array(paths, dtype=str), groups.loc[:, ~groups.columns.duplicated()])
    with_truth: dict[str, TaskPredictions]
    if isinstance(first, MaskPredictions):
        masks = cast("dict[str, MaskPredictions]", taken)
        known = _known_masks(masks, paths)
        with_truth = {name: replace(table, images=images) for name, table in masks.items()}
    elif isinstance(first, DetectionPredictions):
        boxes = cast("dict[str, DetectionPredictions]", taken)
        _require_one_truth(boxes, paths)
        known = np.ones(len(paths), dtype=np.bool_)
        with_truth = {name: replace(table, images=images) for name, table in boxes.items()}
    else:
        labelled = cast("dict[str, RowPredictions]", taken)
        truth, known = _one_truth(labelled, paths)
        with_truth = {name: _with_truth(table, images, truth) for name, table in labelled.items()}
    if not known.any():
        what = "pixel" if isinstance(first, MaskPredictions) else "label and no number"
        raise PredictionsError(f"Of the {len(paths)} images that all models share no {what} is known.")
    return CommonTaskImages(
        {name: table.take(known) for name, table in with_truth.items()},
        left_out=common.left_out,
        unlabelled=int((~known).sum()),
    )


def truth_of_images(table: TaskPredictions) -> Sequence[Floats | Ints]:
    """Return the truth of each image: labels or number; of masks the pixels of each class; of boxes a row each."""
    if isinstance(table, MaskPredictions):
        return list(table.sums[1])
    return _true_boxes(table) if isinstance(table, DetectionPredictions) else list(table.y_true)


def _known_masks(taken: Mapping[str, MaskPredictions], paths: list[str]) -> Mask:
    """Return the images of whose true masks all models know a pixel, shape (N,).

    Raises:
        PredictionsError: two models count other pixels of a true class.
    """
    (_, first), *others = taken.items()
    truly, known = first.sums[1], first.known
    for name, table in others:
        differ = (truly != table.sums[1]).any(axis=1) & known & table.known
        if differ.any():
            raise _disagree(name, np.flatnonzero(differ), paths, "true masks")
        known = known & table.known
    return known


NEAR = 1e-3
"""Difference of a box in pixels that files may have by rounding."""


def _require_one_truth(taken: Mapping[str, DetectionPredictions], paths: list[str]) -> None:
    """Check that all models are judged by the same true boxes.

    Raises:
        PredictionsError: two are not.
    """
    (_, first), *others = taken.items()
    wanted = _true_boxes(first)
    for name, table in others:
        pairs = zip(wanted, _true_boxes(table), strict=True)
        differ = [row for row, (one, two) in enumerate(pairs) if not _same_rows(one, two)]
        if differ:
            raise _disagree(name, np.array(differ), paths, "true boxes")


def _same_rows(one: Floats, two: Floats) -> bool:
    """Return whether two sets of boxes are the same in some order, up to rounding."""
    if one.shape != two.shape:
        return False
    if np.allclose(one, two, rtol=0, atol=NEAR):
        return True
    left = list(two)
    for row in one:
        near = next((place for place, other in enumerate(left) if np.allclose(row, other, rtol=0, atol=NEAR)), None)
        if near is None:
            return False
        del left[near]
    return True


def _true_boxes(table: DetectionPredictions) -> list[Floats]:
    """Return the true boxes of each image in an order of their own: category, crowd, left, top, width, height."""
    boxes = table.truth
    rows = np.column_stack([boxes.category, boxes.crowd, boxes.box])
    order = np.lexsort((*rows.T[::-1], boxes.image))
    starts = np.searchsorted(boxes.image[order], np.arange(len(table) + 1))
    return [rows[order[start:end]] for start, end in pairwise(starts)]


def _disagree(name: str, images: Ints, paths: list[str], what: str) -> PredictionsError:
    return PredictionsError(
        f"{name} and the models before it disagree about the truth of {len(images)} of {len(paths)} images: "
        f"{first_few([paths[row] for row in images])}. Compare predictions with the same {what}."
    )


def _with_truth(table: RowPredictions, images: ImageColumns, truth: Floats) -> RowPredictions:
    if isinstance(table, MultilabelPredictions):
        whole: Ints = np.where(np.isnan(truth), -1, truth).astype(np.int64)
        return replace(table, images=images, y_true=whole)
    return replace(table, images=images, y_true=truth)


def _one_truth(taken: Mapping[str, RowPredictions], paths: list[str]) -> tuple[Floats, Mask]:
    """Return what any model knows of each image, shape (N,) or (N, L), NaN = unknown; and which images are known of.

    Raises:
        PredictionsError: two models disagree.
    """
    truth: Floats | None = None
    for name, table in taken.items():
        own = np.where(table.known, table.y_true, np.nan).astype(np.float64)
        if truth is None:
            truth = own
            continue
        differ = np.isfinite(own) & np.isfinite(truth) & (own != truth)
        if differ.any():
            raise _disagree(name, np.flatnonzero(differ.any(axis=1) if differ.ndim == 2 else differ), paths, "labels")
        truth = np.where(np.isnan(truth), own, truth)
    assert truth is not None, "there are two models or more"
    known = np.isfinite(truth)
    return truth, np.asarray(known.any(axis=1) if known.ndim == 2 else known)


def _with_names(table: TaskPredictions, first: TaskPredictions, names: tuple[str, str]) -> TaskPredictions:
    """Return predictions with the labels of the first model, in its order; grades must be the same in the same order.

    Raises:
        PredictionsError: they know others.
    """
    if isinstance(table, NumberPredictions):
        wanted = cast("NumberPredictions", first).grades
        match = match_names(table.grades, wanted)
        if tuple(match.get(name, name) for name in table.grades) != wanted:
            raise PredictionsError(
                f"{names[0]} has the grades {first_few(table.grades, most=8)}, unlike {names[1]}: "
                f"{first_few(wanted, most=8)}. State one order for both: --grades NAME,NAME."
            )
        return replace(table, grades=wanted)
    if isinstance(table, MaskPredictions):
        classes = cast("MaskPredictions", first).classes
        return table.with_classes(classes, _order(table.classes, classes, names, "classes"))
    if isinstance(table, DetectionPredictions):
        names_of_first = cast("DetectionPredictions", first).categories
        return table.with_categories(names_of_first, _order(table.categories, names_of_first, names, "categories"))
    labels = cast("MultilabelPredictions", first).labels
    order = _order(table.labels, labels, names, "labels")
    return replace(
        table,
        labels=labels,
        y_true=table.y_true[:, order],
        y_pred=table.y_pred[:, order],
        proba=None if table.proba is None else table.proba[:, order],
        thresholds=None if table.thresholds is None else tuple(table.thresholds[place] for place in order),
    )


def _order(own: Sequence[str], wanted: Sequence[str], names: tuple[str, str], what: str) -> list[int]:
    """Return the place of each wanted label or class among the own ones, which may be spelled otherwise.

    Raises:
        PredictionsError: some are missing on either side.
    """
    match = match_names(own, wanted)
    spelled = [match.get(name, name) for name in own]
    if set(spelled) != set(wanted):
        lacks, more = sorted(set(wanted) - set(spelled)), sorted(set(spelled) - set(wanted))
        parts = [f"lacks {first_few(lacks)}"] * bool(lacks) + [f"also has {first_few(more)}"] * bool(more)
        raise PredictionsError(
            f"{names[0]} {' and '.join(parts)}, unlike {names[1]}. Figures are compared over the same {what}."
        )
    return [spelled.index(name) for name in wanted]
