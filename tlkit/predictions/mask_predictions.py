"""`MaskPredictions`: how many pixels of each true class were given each class, image by image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import Task
from tlkit.errors import PredictionsError, first_few
from tlkit.mask_classes import VOID
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.prediction_files import write_parquet_table
from tlkit.predictions.unreadable import Unreadable
from tlkit.predictions.unreadable_rows import with_unreadable
from tlkit.predictions.validation import Strings

PIXELS = "pixels"
"""Column of the counts of a file, JSON: [[true, predicted, pixels], …], classes by position, -1 = void."""
_NONE: Ints = np.zeros((0, 4), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Counts of pixels by image, true class and predicted class; only those above 0, in this order.

    Attributes:
        image: row of the image, shape (M,).
        true: position of the true class, shape (M,); pixels whose class is unknown are not counted.
        predicted: position of the predicted class, shape (M,); -1 where the predicted mask says none (void).
        pixels: how many, shape (M,).
    """

    image: Ints
    true: Ints
    predicted: Ints
    pixels: Ints

    @classmethod
    def of(cls, cells: Sequence[Ints]) -> PixelCounts:
        """Return the counts of images, each as `confusion_of` gives them, shape (C, C + 1)."""
        parts = [_NONE]
        for row, one in enumerate(cells):
            there = np.argwhere(one > 0)
            parts.append(np.column_stack([np.full(len(there), row), there[:, 0], there[:, 1] - 1, one[tuple(there.T)]]))
        return cls.of_rows(np.concatenate(parts))

    @classmethod
    def of_rows(cls, rows: Ints) -> PixelCounts:
        """Return the counts in the columns image, true, predicted and pixels, shape (M, 4), in this order."""
        return cls(*(np.ascontiguousarray(rows[:, column]) for column in range(4)))

    @property
    def rows(self) -> Ints:
        """All columns, shape (M, 4)."""
        return np.column_stack([self.image, self.true, self.predicted, self.pixels])

    def sums(self, images: int, classes: int) -> tuple[Ints, Ints, Ints]:
        """Return pixels by image and class, each of shape (N, C): rightly of it, truly of it, called it."""
        right = self.true == self.predicted

        def summed(place: Ints, kept: Mask) -> Ints:
            cell = self.image[kept] * classes + place[kept]
            found = np.bincount(cell, weights=self.pixels[kept], minlength=images * classes)
            return found.reshape(images, classes).astype(np.int64)

        every = np.ones(len(right), dtype=np.bool_)
        return summed(self.true, right), summed(self.true, every), summed(self.predicted, self.predicted >= 0)


def confusion_of(true: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], classes: int) -> Ints:
    """Return pixels by true class (rows) and predicted class (columns, the first for void), shape (C, C + 1).

    Args:
        true: positions of classes, shape (H, W); -1 = void, which is not counted.
        predicted: likewise, of the same shape.
        classes: C.

    Example:
        >>> confusion_of(np.array([[0, 1, -1]]), np.array([[0, 0, 1]]), 2).tolist()
        [[0, 1, 0], [0, 1, 0]]
    """
    known = true != VOID
    cell = true[known].astype(np.int64) * (classes + 1) + predicted[known] + 1
    return np.bincount(cell, minlength=classes * (classes + 1)).reshape(classes, classes + 1).astype(np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class MaskPredictions:
    """Predicted masks beside the true ones, as counts of pixels. Build it with `build`, or read it.

    Attributes:
        classes: C class names.
        images: path and group columns.
        counts: pixels by image, true class and predicted class.

    Example:
        >>> true, predicted = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
        >>> found = MaskPredictions.build(classes=["road", "car"], path=["a.png"], masks=[(true, predicted)])
        >>> found, found.image_iou.round(3).tolist()
        (MaskPredictions(1 image, 2 classes, no groups), [[0.5, 0.667]])
    """

    classes: tuple[str, ...]
    images: ImageColumns
    counts: PixelCounts

    task: ClassVar[Task] = "segmentation"

    @classmethod
    def build(
        cls,
        *,
        classes: Sequence[str],
        path: Sequence[str] | Strings,
        masks: Iterable[tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]],
        groups: pd.DataFrame | None = None,
        source: str = "predictions",
        verbatim: bool = False,
    ) -> MaskPredictions:
        """Return the predictions after checking all arguments; of the masks only counts are kept.

        Args:
            classes: C different names.
            path: N different paths.
            masks: for each image the true and the predicted mask, shape (H, W), positions in `classes`; -1 is void:
                where the truth is void, a pixel counts nowhere; where only the prediction is, it is missed.
            groups: group columns, N rows in the order of `path`.
            source: name of the data, for messages.
            verbatim: keep group values as they are written.

        Raises:
            PredictionsError: names or paths repeat, masks have other shapes, or a position is of no class.
        """
        names = tuple(str(name) for name in classes)
        images, problems = ImageColumns.checked(path, groups, names=names, source=source, verbatim=verbatim)
        cells: list[Ints] = []
        for row, (true, predicted) in enumerate(masks):
            name = images.path[row] if row < len(images) else f"pair {row + 1}"
            if problem := _pair_problem(np.asarray(true), np.asarray(predicted), len(names)):
                problems.append(f"{name}: {problem}")
            cells.append(confusion_of(np.asarray(true), np.asarray(predicted), len(names)) if not problems else _NONE)
        if len(cells) != len(images):
            problems.append(f"there are {len(cells)} pairs of masks, but {len(images)} paths.")
        if problems:
            raise PredictionsError(*(f"{source}: {problem}" for problem in problems))
        return cls(names, images, PixelCounts.of(cells))

    @classmethod
    def of_cells(
        cls,
        *,
        classes: Sequence[str],
        path: Sequence[str] | Strings,
        cells: Sequence[Ints],
        groups: pd.DataFrame | None = None,
        verbatim: bool = False,
    ) -> MaskPredictions:
        """Return the predictions of counts that `confusion_of` gave, one for each image; see `build`.

        Raises:
            PredictionsError: names or paths repeat.
        """
        images, problems = ImageColumns.checked(path, groups, names=classes, source="predictions", verbatim=verbatim)
        if problems:
            raise PredictionsError(*problems)
        return cls(tuple(classes), images, PixelCounts.of(cells))

    def __len__(self) -> int:
        return len(self.images)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskPredictions):
            return NotImplemented
        return (self.classes, self.images) == (other.classes, other.images) and np.array_equal(
            self.counts.rows, other.counts.rows
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        groups = f"groups: {first_few(list(self.groups.columns))}" if self.groups.shape[1] else "no groups"
        images = f"{len(self)} image{'' if len(self) == 1 else 's'}"
        return f"MaskPredictions({images}, {len(self.classes)} classes, {groups})"

    @property
    def path(self) -> Strings:
        """Path of each image, shape (N,)."""
        return self.images.path

    @property
    def groups(self) -> pd.DataFrame:
        """Group columns, shape (N, G)."""
        return self.images.groups

    @property
    def sums(self) -> tuple[Ints, Ints, Ints]:
        """Pixels by image and class, each of shape (N, C): rightly of it, truly of it, called it."""
        return self.counts.sums(len(self), len(self.classes))

    @property
    def known(self) -> Mask:
        """Whether the class of any pixel of an image is known, shape (N,)."""
        return np.isin(np.arange(len(self)), self.counts.image)

    @property
    def labelled(self) -> MaskPredictions:
        """The images of which the class of some pixel is known."""
        return self if self.known.all() else self.take(self.known)

    @property
    def image_iou(self) -> Floats:
        """Intersection over union of each image and class, shape (N, C); NaN where neither mask shows the class."""
        right, truly, called = self.sums
        union = truly + called - right
        iou: Floats = np.divide(right, union, out=np.full(union.shape, np.nan), where=union > 0)
        return iou

    @property
    def confusion(self) -> Ints:
        """Pixels by true class (rows) and predicted class (columns), shape (C, C); void predictions are left out."""
        size, kept = len(self.classes), self.counts.predicted >= 0
        cell = self.counts.true[kept] * size + self.counts.predicted[kept]
        found = np.bincount(cell, weights=self.counts.pixels[kept], minlength=size * size)
        return found.reshape(size, size).astype(np.int64)

    def take(self, rows: Mask | Ints) -> MaskPredictions:
        """Return some of the images; the classes are unchanged."""
        places = np.flatnonzero(rows) if np.asarray(rows).dtype == np.bool_ else np.asarray(rows, dtype=np.int64)
        starts, cells = np.searchsorted(self.counts.image, np.arange(len(self) + 1)), self.counts.rows
        held = [cells[starts[place] : starts[place + 1]].copy() for place in places]
        for row, one in enumerate(held):
            one[:, 0] = row
        kept = np.concatenate([_NONE, *held])
        return replace(self, images=self.images.take(places), counts=PixelCounts.of_rows(kept))

    def with_classes(self, classes: Sequence[str], order: Sequence[int]) -> MaskPredictions:
        """Return the same predictions with the classes in another order, or under other names.

        Args:
            classes: the names.
            order: the place that each of them has now.
        """
        if list(order) == list(range(len(self.classes))):
            return replace(self, classes=tuple(classes))
        place = np.append(np.argsort(order), VOID)  # -1, the last, stays
        counts = self.counts
        rows = np.column_stack([counts.image, place[counts.true], place[counts.predicted], counts.pixels])
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
        return replace(self, classes=tuple(classes), counts=PixelCounts.of_rows(rows))

    def with_groups(self, table: Joinable, *, verbatim: bool = False) -> MaskPredictions:
        """Return the predictions with group columns joined by path; see `ImageColumns.with_groups`."""
        return replace(self, images=self.images.with_groups(table, verbatim=verbatim))

    def table(self, *, unreadable: Sequence[Unreadable] | None = None) -> pd.DataFrame:
        """Return one row per image: path, pixels, group columns.

        Args:
            unreadable: images without a prediction, which get rows and a column `error` with the reasons.
        """
        path, groups = self.images.table()
        starts = np.searchsorted(self.counts.image, np.arange(len(self) + 1))
        cells = self.counts.rows[:, 1:].tolist()
        texts = [json.dumps(cells[first:last]) for first, last in pairwise(starts)]
        table = pd.concat([path, pd.DataFrame({PIXELS: pd.array(texts, dtype="string")}), groups], axis=1)
        return table if unreadable is None else with_unreadable(table, unreadable)

    def to_parquet(self, path: Path | str, *, unreadable: Sequence[Unreadable] | None = None) -> None:
        """Write the predictions as Parquet, atomically; `read_masks` returns equal ones."""
        noted: dict[str, object] = {
            "task": self.task,
            "classes": list(self.classes),
            "groups": list(self.groups.columns),
        }
        write_parquet_table(Path(path), self.table(unreadable=unreadable), noted=noted)


def _pair_problem(true: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], classes: int) -> str:
    if true.shape != predicted.shape or true.ndim != 2:
        return f"the true mask has the shape {true.shape}, the predicted one {predicted.shape}."
    if true.size and not all(one.min() >= VOID and one.max() < classes for one in (true, predicted)):
        return f"a mask holds positions outside of -1 to {classes - 1}."
    return ""
