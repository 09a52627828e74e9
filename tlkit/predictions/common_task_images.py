"""Predictions of several models of one task on the images that all of them predicted: labels, grades or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.common_rows import common_rows
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.multilabel_predictions import MultilabelPredictions
from tlkit.predictions.number_predictions import NumberPredictions
from tlkit.spelling import match_names

TaskTable = MultilabelPredictions | NumberPredictions


@dataclass(frozen=True)
class CommonTaskImages:
    """Aligned predictions.

    Attributes:
        predictions: by the name of the model, all with the same paths, truth, labels or grades, and group columns.
        left_out: images that not every model predicted.
        unlabelled: images of all models of which nothing is known, which are left out.
    """

    predictions: dict[str, TaskTable]
    left_out: int
    unlabelled: int


def known_images(table: TaskTable) -> Mask:
    """Return the images of which the number, or whether they have any of the labels, is known, shape (N,)."""
    known = table.known
    return np.asarray(known.any(axis=1)) if known.ndim == 2 else known


def common_task_images(models: Mapping[str, TaskTable]) -> CommonTaskImages:
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
    truth, known = _one_truth(taken, paths)
    if not known.any():
        raise PredictionsError(f"Of the {len(paths)} images that all models share no label and no number is known.")
    groups = pd.concat([table.groups for table in taken.values()], axis=1)
    images = ImageColumns(np.array(paths, dtype=str), groups.loc[:, ~groups.columns.duplicated()])
    return CommonTaskImages(
        {name: _with_truth(table, images, truth).take(known) for name, table in taken.items()},
        left_out=common.left_out,
        unlabelled=int((~known).sum()),
    )


def _with_truth(table: TaskTable, images: ImageColumns, truth: Floats) -> TaskTable:
    if isinstance(table, MultilabelPredictions):
        whole: Ints = np.where(np.isnan(truth), -1, truth).astype(np.int64)
        return replace(table, images=images, y_true=whole)
    return replace(table, images=images, y_true=truth)


def _one_truth(taken: Mapping[str, TaskTable], paths: list[str]) -> tuple[Floats, Mask]:
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
            images = np.flatnonzero(differ.any(axis=1) if differ.ndim == 2 else differ)
            raise PredictionsError(
                f"{name} and the models before it disagree about the truth of {len(images)} of {len(paths)} images: "
                f"{first_few([paths[row] for row in images])}. Compare predictions with the same labels."
            )
        truth = np.where(np.isnan(truth), own, truth)
    assert truth is not None, "there are two models or more"
    known = np.isfinite(truth)
    return truth, np.asarray(known.any(axis=1) if known.ndim == 2 else known)


def _with_names(table: TaskTable, first: TaskTable, names: tuple[str, str]) -> TaskTable:
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
    labels = cast("MultilabelPredictions", first).labels
    match = match_names(table.labels, labels)
    own = [match.get(name, name) for name in table.labels]
    if set(own) != set(labels):
        lacks, more = sorted(set(labels) - set(own)), sorted(set(own) - set(labels))
        what = [f"lacks {first_few(lacks)}"] * bool(lacks) + [f"also has {first_few(more)}"] * bool(more)
        raise PredictionsError(
            f"{names[0]} {' and '.join(what)}, unlike {names[1]}. Figures are compared over the same labels."
        )
    order = [own.index(name) for name in labels]
    return replace(
        table,
        labels=labels,
        y_true=table.y_true[:, order],
        y_pred=table.y_pred[:, order],
        proba=None if table.proba is None else table.proba[:, order],
        thresholds=None if table.thresholds is None else tuple(table.thresholds[place] for place in order),
    )
