"""Predictions of several models on the images that all of them predicted, with one order of images and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlkit.errors import PredictionsError, first_few
from tlkit.predictions import Predictions
from tlkit.predictions.common_rows import common_rows
from tlkit.spelling import match_names


@dataclass(frozen=True)
class CommonImages:
    """Aligned predictions.

    Attributes:
        predictions: by the name of the model, all with the same paths, labels, classes and group columns.
        left_out: images that not every model predicted.
        unlabelled: images of all models without a label, which are left out.
    """

    predictions: dict[str, Predictions]
    left_out: int
    unlabelled: int


def common_images(models: Mapping[str, Predictions]) -> CommonImages:
    """Return the predictions of several models on their common images; classes are matched by name.

    Args:
        models: two models or more, by name.

    Raises:
        PredictionsError: no image is common to all, they know different classes, or disagree about a true class.
    """
    first_name, first = next(iter(models.items()))
    common = common_rows({name: table.path for name, table in models.items()})
    paths = common.paths
    taken = {
        name: _with_classes(table.take(common.rows[name]), first, (name, first_name)) for name, table in models.items()
    }
    truth = np.full(len(paths), -1, dtype=np.int64)
    for name, table in taken.items():
        known = table.y_true >= 0
        if (differ := known & (truth >= 0) & (truth != table.y_true)).any():
            seen = [paths[row] for row in np.flatnonzero(differ)]
            raise PredictionsError(
                f"{name} and the models before it disagree about the true class of {len(seen)} of {len(paths)} images: "
                f"{first_few(seen)}. Compare predictions with the same labels."
            )
        truth = np.where(known, table.y_true, truth)
    labelled = truth >= 0
    if not labelled.any():
        raise PredictionsError(f"None of the {len(paths)} images that all models share has a label.")
    groups = pd.concat([table.groups for table in taken.values()], axis=1)
    groups = groups.loc[:, ~groups.columns.duplicated()]
    path = np.array(paths, dtype=str)
    return CommonImages(
        {name: replace(table, path=path, y_true=truth, groups=groups).take(labelled) for name, table in taken.items()},
        left_out=common.left_out,
        unlabelled=int((~labelled).sum()),
    )


def _with_classes(table: Predictions, first: Predictions, names: tuple[str, str]) -> Predictions:
    """Return predictions with the classes of the first model, in its order."""
    match = match_names(table.classes, first.classes)
    own = [match.get(name, name) for name in table.classes]
    if set(own) != set(first.classes):
        lacks, more = sorted(set(first.classes) - set(own)), sorted(set(own) - set(first.classes))
        what = [f"lacks {first_few(lacks)}"] * bool(lacks) + [f"also has {first_few(more)}"] * bool(more)
        raise PredictionsError(
            f"{names[0]} {' and '.join(what)}, unlike {names[1]}. Metrics are compared over the same classes."
        )
    order = np.array([own.index(name) for name in first.classes])  # first's class i is this model's class order[i]
    place = np.append(np.argsort(order), -1)
    proba = None if table.proba is None else table.proba[:, order]
    return replace(table, classes=first.classes, y_true=place[table.y_true], y_pred=place[table.y_pred], proba=proba)
