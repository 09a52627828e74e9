"""The images behind a gap: a group's worst, those only just right, what they are taken for, and what is near them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.audit.audit_result import Audit
from tlkit.audit.error_example_tables import evidence_tables
from tlkit.audit.group_tables import GroupRow, GroupTable
from tlkit.audit.groups.group_columns import discretize
from tlkit.audit.groups.intersections import GroupMembership, cross_columns
from tlkit.predictions import Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.hypothesis_tests import fisher_exact
from tlkit.tables import Table, to_html

logger = logging.getLogger(__name__)

MOST_CONFUSIONS = 5
LEAST_PROBABILITY = 1e-12

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NearestImage:
    """An image that resembles another one by its features.

    Attributes:
        path: the image.
        label: its true class.
        split: where it lies: "train", or the split that is judged.
        similarity: cosine of the two features, in [-1, 1].
    """

    path: str
    label: str
    split: str
    similarity: float


Neighbours = Mapping[str, Sequence[NearestImage]]
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
    """

    path: str
    y_true: str
    y_pred: str
    loss: float | None
    margin: float | None
    near: tuple[NearestImage, ...] = ()


@dataclass(frozen=True)
class ConfusionShift:
    """One mistake, and how much more often a group's images meet it than the rest's.

    Attributes:
        y_true: the true class.
        y_pred: what it is taken for.
        k: images of the group for which that happens.
        n: images of the true class in the group.
        rest_k: images of the rest for which that happens.
        rest_n: images of the true class in the rest.
        p_holm: Fisher's p-value after Holm's correction over all mistakes that occur; None = no test.
    """

    y_true: str
    y_pred: str
    k: int
    n: int
    rest_k: int
    rest_n: int
    p_holm: float | None


@dataclass(frozen=True)
class GroupImages:
    """The images behind the gap of one group.

    Attributes:
        by: the columns, "slice", or "" for all images.
        group: the group.
        n: its labelled images.
        errors: how many of them are wrong.
        wrong: the wrong ones with the highest loss first.
        close: the right ones with the smallest margin first.
        confusions: mistakes that are more frequent than in the rest, those with the most surplus images first.
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
        """The group in words."""
        return self.group if self.by in ("slice", "") else f"{self.by}: {self.group}"

    @property
    def paths(self) -> tuple[str, ...]:
        """All images that are named, each once, in the order in which they are shown."""
        shown = (*self.wrong, *self.close)
        return tuple(dict.fromkeys(path for one in shown for path in (one.path, *(near.path for near in one.near))))

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: a few images, and the mistakes that are more frequent than in the rest."""
        return evidence_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GroupImages:
        """Read what `to_dict` wrote."""
        read = dict(values)
        for name in ("wrong", "close"):
            read[name] = tuple(
                ErrorExample(**{**one, "near": tuple(NearestImage(**near) for near in one["near"])})
                for one in values[name]
            )
        read["confusions"] = tuple(ConfusionShift(**one) for one in values["confusions"])
        return cls(**read)

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def group_images(
    predictions: Predictions,
    inside: Mask,
    *,
    rest: Mask,
    by: str,
    group: str,
    most: int = 6,
    neighbors: Neighbours | None = None,
) -> GroupImages:
    """Return the images behind the gap of a group.

    Args:
        predictions: labelled images only.
        inside: the group's images, shape (N,).
        rest: what it is compared with, shape (N,).
        by: the columns.
        group: the group.
        most: the most images to name of each kind.
        neighbors: nearest images by features, where they are known.
    """
    right = predictions.correct
    loss, margin = _losses(predictions)
    wrong = np.flatnonzero(inside & ~right)
    close = np.flatnonzero(inside & right)
    path = predictions.path
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
        )

    return GroupImages(
        by,
        group,
        int(inside.sum()),
        len(wrong),
        tuple(shown(row) for row in wrong[:most].tolist()),
        tuple(shown(row) for row in close[:most].tolist()),
        _shift(predictions, inside, rest),
    )


def worst_images(predictions: Predictions, *, most: int = 12) -> GroupImages:
    """Return the images that a model gets most wrong, and those it gets only just right, whatever their groups.

    Args:
        predictions: what the model said; images without a label are left out.
        most: the most wrong images to name, and twice the most of the others.
    """
    known = predictions.labelled
    every = np.ones(len(known), dtype=np.bool_)
    found = group_images(known, every, rest=~every, by="", group="The images it gets wrong", most=most)
    # there is no rest for mistakes to be more frequent in, and few images are right only just
    return replace(found, close=found.close[: most // 2], confusions=())


def audit_evidence(
    predictions: Predictions, audit: Audit, *, most: int = 6, neighbors: Neighbours | None = None
) -> tuple[GroupImages, ...]:
    """Return the images behind every row that fails for being worse than the rest, the widest gap first.

    A group that fails in several rates is named once. A group that fails for being better than the rest has its gap in
    the images of the others.

    Args:
        predictions: what was audited.
        audit: the audit.
        most: the most images to name of each kind.
        neighbors: nearest images by features, where they are known.
    """
    known = predictions.labelled
    settings = audit.settings
    specs = {spec.column: spec for spec in settings.columns}
    chosen: dict[tuple[tuple[str, ...], str], tuple[float, GroupTable, GroupRow]] = {}
    for table in audit.group_tables:
        for row in table.rows:
            if row.verdict == "FAIL" and row.difference is not None and _is_worse(table, row):
                gap = abs(row.difference.value or 0.0)
                if gap > chosen.get((table.columns, row.name), (0.0,))[0]:
                    chosen[table.columns, row.name] = (gap, table, row)
    found = []
    for _, table, row in sorted(chosen.values(), key=lambda one: (-one[0], one[1].by, one[2].name)):
        cells = cross_columns(
            [
                discretize(predictions.groups[name], specs[name], max_values=settings.max_values)
                for name in table.columns
            ]
        )
        inside = _members(cells, row)
        if inside is None:
            logger.info("%s: the group %s is cut otherwise here, so its images are not named.", table.by, row.name)
            continue
        labelled = predictions.y_true >= 0
        others = ~inside if row.group is None else (cells.code >= 0) & ~inside
        found.append(
            group_images(
                known,
                inside[labelled],
                rest=others[labelled],
                by=table.by,
                group=row.name,
                most=most,
                neighbors=neighbors,
            )
        )
    return tuple(found)


def _is_worse(table: GroupTable, row: GroupRow) -> bool:
    assert row.difference is not None and row.difference.value is not None, "a row fails by its difference"
    if table.metric == "selection_rate":
        return True
    return row.difference.value > 0 if table.metric == "false_positive_rate" else row.difference.value < 0


def _members(cells: GroupMembership, row: GroupRow) -> Mask | None:
    """Return the images of a row, shape (N,); None where the columns are cut otherwise here."""
    if row.group is None:
        return np.asarray(cells.code < 0)
    if row.group not in cells.values:
        return None
    place = cells.values.index(row.group)
    if cells.member is None:
        return np.asarray(cells.code == place)
    return np.asarray((cells.code >= 0) & cells.member[np.maximum(cells.code, 0), place])


def _losses(predictions: Predictions) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64] | None]:
    """Return the loss and the margin of each image, shapes (N,); None without probabilities."""
    if predictions.proba is None:
        return None, None
    rows = np.arange(len(predictions))
    own = predictions.proba[rows, predictions.y_true]
    others = predictions.proba.copy()
    others[rows, predictions.y_true] = -1.0
    return -np.log(np.maximum(own, LEAST_PROBABILITY)), own - others.max(axis=1)


def _shift(predictions: Predictions, inside: Mask, rest: Mask) -> tuple[ConfusionShift, ...]:
    """Return the mistakes that are more frequent in a group than in the rest, with counts and corrected tests."""
    classes = len(predictions.classes)
    cell = predictions.y_true * classes + predictions.y_pred
    shape = (classes, classes)
    own, other = (np.bincount(cell[side], minlength=classes**2).reshape(shape) for side in (inside, rest))
    mistakes = np.argwhere((own + other > 0) & ~np.eye(classes, dtype=bool))
    own_n, other_n = own.sum(axis=1), other.sum(axis=1)
    rows = [(int(t), int(p), int(own[t, p]), int(own_n[t]), int(other[t, p]), int(other_n[t])) for t, p in mistakes]
    family = holm([fisher_exact(k, n, rest_k, rest_n) for _, _, k, n, rest_k, rest_n in rows])
    grown = []
    for (t, p, k, n, rest_k, rest_n), p_holm in zip(rows, family, strict=True):
        surplus = k - n * (rest_k / rest_n if rest_n else 0.0)
        if k and surplus > 0:
            one = ConfusionShift(predictions.classes[t], predictions.classes[p], k, n, rest_k, rest_n, p_holm)
            grown.append((-surplus, one.y_true, one.y_pred, one))
    return tuple(one for *_, one in sorted(grown, key=lambda entry: entry[:3])[:MOST_CONFUSIONS])
