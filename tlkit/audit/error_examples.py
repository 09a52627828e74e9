"""Images of a group: highest loss, smallest margin, confusions and nearest images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlkit.arrays import Floats, Mask
from tlkit.audit.audit_result import Audit
from tlkit.audit.error_example_tables import group_images_tables
from tlkit.audit.group_tables import GroupRow, GroupTable
from tlkit.audit.groups.intersections import GroupMembership, membership_of
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import fisher_exact
from tlkit.tables import Table, to_html

logger = logging.getLogger(__name__)

MOST_EXAMPLES = 6  # images of each kind
MOST_CONFUSIONS = 5
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class NearestImage:
    """An image that resembles another one by its features.

    Attributes:
        path: the image.
        label: its true class.
        split: "train", or the split that is assessed.
        similarity: cosine of the two features, in [-1, 1].
    """

    path: str
    label: str
    split: str
    similarity: float


Neighbors = Mapping[str, Sequence[NearestImage]]
"""By the path of a wrong image: its nearest training images, then the nearest image of its class that is right."""


@dataclass(frozen=True)
class ErrorExample:
    """One image of a group.

    Attributes:
        path: the image.
        y_true: its true class.
        y_pred: the predicted class.
        loss: −ln of the probability of the true class; None without probabilities.
        margin: probability of the true class minus the largest of the others, in [-1, 1]; None without probabilities.
        near: images that resemble it; empty where features are not known.
        sure: probability of the predicted class, in [0, 1]; None without probabilities.
    """

    path: str
    y_true: str
    y_pred: str
    loss: float | None
    margin: float | None
    near: tuple[NearestImage, ...] = ()
    sure: float | None = None


@dataclass(frozen=True)
class ConfusionShift:
    """A confusion of two classes, with its frequency in a group and in the complement.

    Attributes:
        y_true: the true class.
        y_pred: the predicted class.
        k: images of the group with this confusion.
        n: images of the true class in the group.
        complement_k: images of the complement with this confusion.
        complement_n: images of the true class in the complement.
        p_holm: Fisher's p-value after Holm's correction over all confusions that occur; None = no test.
    """

    y_true: str
    y_pred: str
    k: int
    n: int
    complement_k: int
    complement_n: int
    p_holm: float | None


def neighbors_from_dict(values: Mapping[str, Any]) -> dict[str, tuple[NearestImage, ...]]:
    """Return the nearest images of each image, by its path, from stored values."""
    return {path: tuple(NearestImage(**one) for one in images) for path, images in values.items()}


@dataclass(frozen=True)
class GroupImages:
    """Images of one group, and its confusions.

    Attributes:
        by: the columns, "slice", or "" for all images.
        group: the group.
        n: its labelled images.
        errors: how many of them are wrong.
        wrong: the wrong ones with the highest loss first.
        close: the right ones with the smallest margin first.
        confusions: those more frequent than in the complement, the largest surplus of images first.
    """

    by: str
    group: str
    n: int
    errors: int
    wrong: tuple[ErrorExample, ...]
    close: tuple[ErrorExample, ...]
    confusions: tuple[ConfusionShift, ...]

    @property
    def name(self) -> str:
        """The group as text."""
        return self.group if self.by in ("slice", "") else f"{self.by}: {self.group}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all images, each once, in the order in which they are shown."""
        shown = (*self.wrong, *self.close)
        return tuple(dict.fromkeys(path for one in shown for path in (one.path, *(near.path for near in one.near))))

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: images, and confusions that are more frequent than in the complement."""
        return group_images_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        values: dict[str, Any] = to_plain(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GroupImages:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def group_images(
    predictions: Predictions,
    inside: Mask,
    *,
    complement: Mask,
    by: str,
    group: str,
    most: int = MOST_EXAMPLES,
    neighbors: Neighbors | None = None,
) -> GroupImages:
    """Return images of a group by loss and margin, and its confusions.

    Args:
        predictions: labelled images only.
        inside: the group's images, shape (N,).
        complement: the images it is compared with, shape (N,).
        by: the columns.
        group: the group.
        most: at most so many images of each kind.
        neighbors: nearest images by features; None = not known.
    """
    right = predictions.correct
    loss, margin = _losses(predictions)
    wrong = np.flatnonzero(inside & ~right)
    close = np.flatnonzero(inside & right)
    path, proba = predictions.path, predictions.proba
    if loss is not None and margin is not None:
        wrong = wrong[np.lexsort((path[wrong], -loss[wrong]))]
        close = close[np.lexsort((path[close], margin[close]))]
    else:
        wrong, close = wrong[np.argsort(path[wrong])], close[:0]

    def shown(row: int) -> ErrorExample:
        known = () if neighbors is None else tuple(neighbors.get(str(path[row]), ()))
        return ErrorExample(
            path=str(path[row]),
            y_true=predictions.classes[predictions.y_true[row]],
            y_pred=predictions.classes[predictions.y_pred[row]],
            loss=None if loss is None else round(float(loss[row]), 4),
            margin=None if margin is None else round(float(margin[row]), 4),
            near=known,
            sure=None if proba is None else round(float(proba[row, predictions.y_pred[row]]), 6),
        )

    return GroupImages(
        by,
        group,
        int(inside.sum()),
        len(wrong),
        tuple(shown(row) for row in wrong[:most].tolist()),
        tuple(shown(row) for row in close[:most].tolist()),
        _confusion_shifts(predictions, inside, complement),
    )


def worst_images(predictions: Predictions, *, most: int = 12, neighbors: Neighbors | None = None) -> GroupImages:
    """Return the wrong images with the highest loss and the right ones with the smallest margin, over all groups.

    Args:
        predictions: images without a label are left out.
        most: at most so many wrong images, and half as many right ones.
        neighbors: nearest images by features; None = not known.
    """
    known = predictions.labelled
    every = np.ones(len(known), dtype=np.bool_)
    name = "The images it gets wrong"
    found = group_images(known, every, complement=~every, by="", group=name, most=most, neighbors=neighbors)
    # without a complement no confusion is more frequent in the group
    return replace(found, close=found.close[: most // 2], confusions=())


def failing_group_images(
    predictions: Predictions, audit: Audit, *, most: int = MOST_EXAMPLES, neighbors: Neighbors | None = None
) -> tuple[GroupImages, ...]:
    """Return images of every group that fails because it is worse than its complement, the widest gap first.

    A group that fails in several rates appears once. A group that fails because it is better is left out: the errors
    behind its gap are those of the other images. `predictions` are what was audited; others as in `group_images`.
    """
    known = predictions.labelled
    settings = audit.settings
    specs = {spec.column: spec for spec in settings.columns}
    chosen: dict[tuple[tuple[str, ...], str], tuple[float, GroupTable, GroupRow]] = {}
    for table, row, difference in audit.failures:
        gap = abs(difference.value or 0.0)
        if _is_worse(table, difference) and gap > chosen.get((table.columns, row.name), (0.0,))[0]:
            chosen[table.columns, row.name] = (gap, table, row)
    found, labelled = [], predictions.y_true >= 0
    for _, table, row in sorted(chosen.values(), key=lambda one: (-one[0], one[1].by, one[2].name)):
        columns = tuple(specs[name] for name in table.columns)
        membership = membership_of(predictions.groups, columns, max_values=settings.max_values).take(labelled)
        inside = _row_images(membership, row)
        if inside is None:
            logger.info(
                "%s: the group %s does not exist with the bins of these predictions, so its images are not listed.",
                table.by,
                row.name,
            )
            continue
        others = ~inside if row.group is None else ~inside & ~membership.inside(None)
        found.append(
            group_images(known, inside, complement=others, by=table.by, group=row.name, most=most, neighbors=neighbors)
        )
    return tuple(found)


def _is_worse(table: GroupTable, difference: Estimate) -> bool:
    assert difference.value is not None, "a row fails by its difference"
    if table.metric == "selection_rate":
        return True
    return (difference.value > 0) == table.rate.lower_is_better


def _row_images(membership: GroupMembership, row: GroupRow) -> Mask | None:
    """Return the images of a row, shape (N,); None where the predictions have no such group."""
    if row.group is not None and row.group not in membership.values:
        return None
    return membership.inside(None if row.group is None else membership.values.index(row.group))


def _losses(predictions: Predictions) -> tuple[Floats | None, Floats | None]:
    """Return the loss and the margin of each image, shapes (N,); None without probabilities."""
    if predictions.proba is None:
        return None, None
    rows = np.arange(len(predictions))
    own = predictions.proba[rows, predictions.y_true]
    others = predictions.proba.copy()
    others[rows, predictions.y_true] = -1.0
    return -np.log(np.maximum(own, LEAST_PROBABILITY)), own - others.max(axis=1)


def _confusion_shifts(predictions: Predictions, inside: Mask, complement: Mask) -> tuple[ConfusionShift, ...]:
    """Return the confusions that are more frequent in a group than in the complement, with corrected tests."""
    classes = len(predictions.classes)
    cell = predictions.y_true * classes + predictions.y_pred
    shape = (classes, classes)
    own, other = (np.bincount(cell[side], minlength=classes**2).reshape(shape) for side in (inside, complement))
    mistakes = np.argwhere((own + other > 0) & ~np.eye(classes, dtype=bool))
    own_n, other_n = own.sum(axis=1), other.sum(axis=1)
    rows = [(int(t), int(p), int(own[t, p]), int(own_n[t]), int(other[t, p]), int(other_n[t])) for t, p in mistakes]
    family = holm([fisher_exact(k, n, complement_k, complement_n) for _, _, k, n, complement_k, complement_n in rows])
    shifts = []
    for (t, p, k, n, complement_k, complement_n), p_holm in zip(rows, family, strict=True):
        surplus = k - n * (complement_k / complement_n if complement_n else 0.0)
        if k and surplus > 0:
            one = ConfusionShift(
                predictions.classes[t], predictions.classes[p], k, n, complement_k, complement_n, p_holm
            )
            shifts.append((-surplus, one.y_true, one.y_pred, one))
    return tuple(one for *_, one in sorted(shifts, key=lambda entry: entry[:3])[:MOST_CONFUSIONS])
