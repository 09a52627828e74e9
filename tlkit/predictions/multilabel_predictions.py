"""`MultilabelPredictions`: true labels, predicted labels and probabilities of images that have any number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import Task
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.prediction_files import write_parquet_table
from tlkit.predictions.truth_cells import label_cells
from tlkit.predictions.unreadable import Unreadable
from tlkit.predictions.unreadable_rows import with_unreadable
from tlkit.predictions.validation import PROBA_PREFIX, Y_PRED, Y_TRUE, Strings
from tlkit.spelling import SEPARATOR

THRESHOLD = 0.5
"""Probability from which a label is predicted, unless a threshold was chosen."""


@dataclass(frozen=True, eq=False, repr=False)
class MultilabelPredictions:
    """Predictions of a model that gives an image any number of labels. Build it with `build`, which checks the values.

    Attributes:
        labels: L label names, in the order of the columns.
        images: path and group columns.
        y_true: 1 = the image has the label, 0 = it has not, -1 = unknown, shape (N, L).
        y_pred: whether the label is predicted, shape (N, L).
        proba: probability of each label, shape (N, L), in [0, 1], each on its own; None where only y_pred is known.
        thresholds: from which probability on each label is predicted, shape (L,); None where y_pred was given.

    Example:
        >>> found = MultilabelPredictions.build(
        ...     labels=["cat", "dog"], path=["a.jpg", "b.jpg"], y_true=[[1, 1], [0, 1]], proba=[[0.9, 0.4], [0.1, 0.8]])
        >>> found
        MultilabelPredictions(2 images, 2 labels, with proba, no groups)
        >>> found.y_pred.tolist()
        [[True, False], [False, True]]
    """

    labels: tuple[str, ...]
    images: ImageColumns
    y_true: Ints
    y_pred: Mask
    proba: Floats | None
    thresholds: tuple[float, ...] | None = None

    task: ClassVar[Task] = "multilabel"

    def __post_init__(self) -> None:
        shape = (len(self.images), len(self.labels))
        assert self.y_true.shape == self.y_pred.shape == shape, "one row per image, one column per label"
        assert self.proba is None or self.proba.shape == shape, "one row per image, one column per label"
        for array in (self.y_true, self.y_pred, self.proba):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def build(
        cls,
        *,
        labels: Sequence[str],
        path: Sequence[str] | Strings,
        y_true: npt.ArrayLike | None = None,
        y_pred: npt.ArrayLike | None = None,
        proba: npt.ArrayLike | None = None,
        thresholds: Mapping[str, float] | None = None,
        groups: pd.DataFrame | None = None,
        source: str = "predictions",
        verbatim: bool = False,
    ) -> MultilabelPredictions:
        """Return the predictions after checking all arguments.

        Args:
            labels: L different names.
            path: N different paths.
            y_true: 1, 0 or -1 (unknown), shape (N, L); default: all unknown.
            y_pred: 1 or 0, shape (N, L); default: the probabilities from their thresholds on.
            proba: probability of each label, shape (N, L), as a sigmoid gives it; rows need not sum to one.
            thresholds: by label, where y_pred is not given; default: 0.5 each.
            groups: group columns, N rows in the order of `path`.
            source: name of the data, for messages.
            verbatim: keep group values as they are written.

        Raises:
            PredictionsError: shapes disagree, names or paths repeat, a value is out of its range, a threshold is of no
                label, or neither proba nor y_pred is given.
        """
        names = tuple(str(label) for label in labels)
        images, problems = ImageColumns.checked(path, groups, names=names, source=source, verbatim=verbatim)
        shape = (len(images), len(names))
        truth = np.full(shape, -1) if y_true is None else np.asarray(y_true)
        scores = None if proba is None else np.array(proba, dtype=np.float64)
        given = None if y_pred is None else np.asarray(y_pred)
        for what, values, allowed in ((Y_TRUE, truth, (-1, 0, 1)), (Y_PRED, given, (0, 1))):
            if values is None:
                continue
            if values.shape != shape:
                problems.append(
                    f"{what} has shape {values.shape}, but {shape[0]} paths and {shape[1]} labels need {shape}."
                )
            elif wrong := int((~np.isin(values, allowed)).sum()):
                problems.append(f"{what} must hold {', '.join(map(str, allowed))}, but {wrong} of its cells do not.")
        if scores is not None:
            problems += _score_problems(scores, shape, images.path)
        if scores is None and given is None:
            problems.append("neither proba nor y_pred is given. Give at least one of them.")
        if given is not None and thresholds is not None:
            problems.append("y_pred and thresholds are both given. Give one of them.")
        if unknown := [label for label in thresholds or () if label not in names]:
            problems.append(
                f"there is a threshold of {unknown[0]!r}, which is no label.{did_you_mean(unknown[0], names)}"
            )
        if problems:
            raise PredictionsError(*(f"{source}: {problem}" for problem in problems))
        cuts = None if given is not None else tuple(float((thresholds or {}).get(name, THRESHOLD)) for name in names)
        if given is None:
            assert scores is not None and cuts is not None, "checked above"
            given = scores >= np.array(cuts)
        return cls(names, images, truth.astype(np.int64), given.astype(np.bool_), scores, cuts)

    def __len__(self) -> int:
        return len(self.images)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultilabelPredictions):
            return NotImplemented
        if (self.proba is None) != (other.proba is None):
            return False
        return (
            (self.labels, self.thresholds, self.images) == (other.labels, other.thresholds, other.images)
            and np.array_equal(self.y_true, other.y_true)
            and np.array_equal(self.y_pred, other.y_pred)
            and (self.proba is None or np.array_equal(self.proba, other.proba))  # type: ignore[arg-type]
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        proba = "with proba" if self.proba is not None else "without proba"
        groups = f"groups: {first_few(list(self.groups.columns))}" if self.groups.shape[1] else "no groups"
        return f"MultilabelPredictions({len(self)} images, {len(self.labels)} labels, {proba}, {groups})"

    @property
    def path(self) -> Strings:
        """Path of each image, shape (N,)."""
        return self.images.path

    @property
    def groups(self) -> pd.DataFrame:
        """Group columns, shape (N, G)."""
        return self.images.groups

    @property
    def known(self) -> Mask:
        """Whether it is known if an image has a label, shape (N, L)."""
        return np.asarray(self.y_true >= 0)

    @property
    def labelled(self) -> MultilabelPredictions:
        """The images of which some label is known to be there or not."""
        some = np.asarray(self.known.any(axis=1))
        return self if some.all() else self.take(some)

    def take(self, rows: Mask | Ints) -> MultilabelPredictions:
        """Return some of the images; the labels are unchanged."""
        proba = None if self.proba is None else self.proba[rows]
        return replace(
            self, images=self.images.take(rows), y_true=self.y_true[rows], y_pred=self.y_pred[rows], proba=proba
        )

    def with_groups(
        self, table: Joinable, *, y_true: str = Y_TRUE, separator: str = SEPARATOR, verbatim: bool = False
    ) -> MultilabelPredictions:
        """Return the predictions with group columns, and true labels, joined by path.

        True labels stand as in a file of predictions: in the column `y_true`, where an empty cell means that the image
        has none of them, or in a column for each label, `y_true_<label>` or `<label>`. Labels of images that are not in
        the table stay unknown.

        Args:
            table: as for `ImageColumns.with_groups`.
            y_true: its column of the truth, or what its columns of one label begin with; "y_true" does only where no
                label of any image is known.
            separator: what stands between the labels of a cell.
            verbatim: keep labels and values of groups as they are written.

        Raises:
            PredictionsError: as for `ImageColumns.with_groups`; or a cell holds an unknown label, or a column of one
                label another value than 1, 0 or nothing.
        """
        joined, truth = self.images.join(table), self.y_true
        if y_true != Y_TRUE or not self.known.any():
            there = joined.has
            cells, used = label_cells(
                joined.source,
                joined.of_images()[there],
                self.labels,
                name=y_true,
                separator=separator,
                plain=True,
                verbatim=verbatim,
            )
            if cells is not None:
                truth = np.full(self.y_true.shape, -1, dtype=np.int64)
                truth[there] = cells
                joined = joined.without(used, int((truth >= 0).any(axis=1).sum()))
        return replace(self, y_true=truth, images=self.images.with_columns(joined, verbatim=verbatim))

    def with_thresholds(self, thresholds: Mapping[str, float]) -> MultilabelPredictions:
        """Return the predictions with y_pred from other thresholds, matched by name; their labels stay as they are.

        Args:
            thresholds: by label; every label needs one.

        Raises:
            PredictionsError: there are no probabilities, or a label has no threshold.
        """
        if self.proba is None:
            raise PredictionsError("Thresholds need probabilities (columns proba_<label>), which the predictions lack.")
        if missing := [label for label in self.labels if label not in thresholds]:
            raise PredictionsError(
                f"There is no threshold of the labels {first_few(missing)}. Choose them on the same labels."
            )
        cuts = tuple(float(thresholds[label]) for label in self.labels)
        return replace(self, y_pred=np.asarray(self.proba >= np.array(cuts)), thresholds=cuts)

    def table(self, *, unreadable: Sequence[Unreadable] | None = None) -> pd.DataFrame:
        """Return one row per image: path, y_true_<label>…, y_pred_<label>…, proba_<label>…, group columns.

        Args:
            unreadable: images without a prediction, which get rows and a column `error` with the reasons.
        """
        path, groups = self.images.table()
        truth = pd.DataFrame(self.y_true, columns=[f"{Y_TRUE}_{one}" for one in self.labels]).astype("Int64")
        parts = [path, truth.mask(truth < 0)]
        parts.append(pd.DataFrame(self.y_pred.astype(np.int64), columns=[f"{Y_PRED}_{one}" for one in self.labels]))
        if self.proba is not None:
            parts.append(pd.DataFrame(self.proba, columns=[f"{PROBA_PREFIX}{one}" for one in self.labels]))
        table = pd.concat([*parts, groups], axis=1)
        return table if unreadable is None else with_unreadable(table, unreadable)

    def to_parquet(self, path: Path | str, *, unreadable: Sequence[Unreadable] | None = None) -> None:
        """Write the predictions as Parquet, atomically; `read_multilabel` returns equal ones."""
        noted: dict[str, object] = {
            "task": self.task,
            "classes": list(self.labels),
            "groups": list(self.groups.columns),
            "thresholds": None if self.thresholds is None else list(self.thresholds),
        }
        write_parquet_table(Path(path), self.table(unreadable=unreadable), noted=noted)


def _score_problems(scores: Floats, shape: tuple[int, int], paths: Strings) -> list[str]:
    if scores.shape != shape:
        return [f"proba has shape {scores.shape}, but {shape[0]} paths and {shape[1]} labels need {shape}."]
    inside = np.isfinite(scores) & (scores >= 0) & (scores <= 1)
    if inside.all():
        return []
    rows = np.flatnonzero(~inside.all(axis=1))
    advice = "They look like logits: apply a sigmoid once."
    if not np.isfinite(scores).all():
        advice = "Some are no numbers."
    elif scores.min() >= 0 and 20 < scores.max() <= 100:
        advice = "They look like percentages: divide by 100."
    return [
        f"proba must lie between 0 and 1, but {len(rows)} of {len(scores)} rows hold other values: "
        f"{first_few(paths[rows].tolist())}. {advice}"
    ]
