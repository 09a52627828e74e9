"""`DetectionPredictions`: true and predicted boxes of images, from COCO's JSON files or a run's table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.box_labels import BoxLabel, boxes_text
from tlkit.choices import Task
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.prediction_files import write_parquet_table
from tlkit.predictions.validation import Strings

TRUE, FOUND = "true_boxes", "predicted_boxes"
"""Columns of a table of boxes: those of `tlkit.box_labels`, and [category, left, top, width, height, score]."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """M boxes.

    Attributes:
        image: position of the image, shape (M,).
        category: position of the category, shape (M,).
        box: left, top, width, height in pixels, shape (M, 4).
        value: of a prediction its score, of a true box its area in pixels, shape (M,).
        crowd: whether a true box is a crowd, which may match any number of predictions and counts as none, shape (M,).
    """

    image: Ints
    category: Ints
    box: Floats
    value: Floats
    crowd: Mask

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Mask | Ints) -> Boxes:
        """Return some of the boxes."""
        return Boxes(self.image[rows], self.category[rows], self.box[rows], self.value[rows], self.crowd[rows])


@dataclass(frozen=True, eq=False, repr=False)
class DetectionPredictions:
    """Predictions of a detector with the true boxes, as `read_detection` returns them.

    Attributes:
        categories: names, in the order of COCO's category ids.
        images: file names and group columns, in the order of COCO's image ids.
        truth: true boxes.
        found: predicted boxes.
    """

    categories: tuple[str, ...]
    images: ImageColumns
    truth: Boxes
    found: Boxes

    task: ClassVar[Task] = "detection"

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        boxes = f"{len(self.truth)} true and {len(self.found)} predicted boxes"
        return f"DetectionPredictions({len(self)} images, {len(self.categories)} categories, {boxes})"

    @property
    def path(self) -> Strings:
        """File name of each image, shape (N,)."""
        return self.images.path

    @property
    def groups(self) -> pd.DataFrame:
        """Group columns, shape (N, G)."""
        return self.images.groups

    @property
    def known(self) -> Mask:
        """Which images have a known truth, shape (N,): all, since an image without true boxes has none to find."""
        return np.ones(len(self), dtype=np.bool_)

    @property
    def labelled(self) -> Self:
        """The images of known truth: all."""
        return self

    def rows_of(self, boxes: Boxes, rows: Mask | Ints) -> Mask:
        """Return which of some boxes, true or predicted, lie in some of the images, shape (M,)."""
        held = np.zeros(len(self), dtype=np.bool_)
        held[rows] = True
        return np.asarray(held[boxes.image])

    def take(self, rows: Mask | Ints) -> Self:
        """Return some of the images, each once, with their boxes; the categories are unchanged."""
        places = np.flatnonzero(rows) if np.asarray(rows).dtype == np.bool_ else np.asarray(rows, dtype=np.int64)
        new = np.full(len(self), -1, dtype=np.int64)
        new[places] = np.arange(len(places))
        held = (boxes.take(self.rows_of(boxes, places)) for boxes in (self.truth, self.found))
        truth, found = (replace(boxes, image=new[boxes.image]) for boxes in held)
        return replace(self, images=self.images.take(places), truth=truth, found=found)

    def with_categories(self, categories: Sequence[str], order: Sequence[int]) -> Self:
        """Return the same boxes with the categories in another order, or under other names.

        Args:
            categories: the names.
            order: position of each among the own ones.
        """
        new = np.empty(len(order), dtype=np.int64)
        new[list(order)] = np.arange(len(order))
        truth, found = (replace(boxes, category=new[boxes.category]) for boxes in (self.truth, self.found))
        return replace(self, categories=tuple(categories), truth=truth, found=found)

    @classmethod
    def build(
        cls,
        *,
        categories: Sequence[str],
        path: Sequence[str] | Strings,
        truth: Sequence[Sequence[BoxLabel]],
        found: Sequence[Sequence[tuple[int, Sequence[float], float]]],
        groups: pd.DataFrame | None = None,
        source: str = "predictions",
        verbatim: bool = False,
    ) -> DetectionPredictions:
        """Return the predictions of N images.

        Args:
            categories: different names.
            path: N different paths.
            truth: the true boxes of each image.
            found: the predicted boxes of each image: position of the category; left, top, width, height; score.
            groups: group columns, N rows in the order of `path`.
            source: name of the data, for messages.
            verbatim: keep group values as they are written.

        Raises:
            PredictionsError: names or paths repeat, or a box is of no category.

        Example:
            >>> true, guess = [BoxLabel("cat", 1, 2, 30, 40)], [(0, [1.5, 2, 30, 40], 0.9)]
            >>> DetectionPredictions.build(categories=["cat"], path=["a.png"], truth=[true], found=[guess])
            DetectionPredictions(1 images, 1 categories, 1 true and 1 predicted boxes)
        """
        names = tuple(categories)
        images, problems = ImageColumns.checked(path, groups, names=names, source=source, verbatim=verbatim)
        place = {name: position for position, name in enumerate(names)}
        strange = sorted({one.name for held in truth for one in held} - place.keys())
        strange += sorted({str(one[0]) for held in found for one in held if not 0 <= one[0] < len(names)})
        if strange:
            problems.append(f"boxes are of no category: {first_few(strange)}.")
        if problems:
            raise PredictionsError(*(f"{source}: {problem}" for problem in problems))
        return cls(
            names,
            images,
            boxes_of_rows(
                [
                    (row, place[one.name], [*one[1:5]], one.width * one.height, one.crowd)
                    for row, held in enumerate(truth)
                    for one in held
                ]
            ),
            boxes_of_rows([(row, one[0], [*one[1]], one[2], False) for row, held in enumerate(found) for one in held]),
        )

    def table(self) -> pd.DataFrame:
        """Return one row per image: path, true and predicted boxes as JSON, group columns."""
        path, groups = self.images.table()
        truth: list[list[BoxLabel]] = [[] for _ in range(len(self))]
        found: list[list[list[float]]] = [[] for _ in range(len(self))]
        for image, category, box, crowd in zip(*_columns(self.truth), self.truth.crowd.tolist(), strict=True):
            left, top, width, height = box
            truth[image].append(BoxLabel(self.categories[category], left, top, width, height, crowd))
        for image, category, box, score in zip(*_columns(self.found), self.found.value.tolist(), strict=True):
            found[image].append([category, *box, score])
        texts = {TRUE: map(boxes_text, truth), FOUND: map(json.dumps, found)}
        columns = pd.DataFrame({name: pd.array(list(held), dtype="string") for name, held in texts.items()})
        return pd.concat([path, columns, groups], axis=1)

    def to_parquet(self, path: Path | str) -> None:
        """Write the predictions as Parquet, atomically; `read_boxes` returns equal ones."""
        noted = {"task": self.task, "classes": list(self.categories), "groups": list(self.groups.columns)}
        write_parquet_table(Path(path), self.table(), noted=noted)

    def coco(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the true boxes as COCO's instances, and the predicted ones as its results; ids count from 1."""
        truth = {
            "images": [{"id": row + 1, "file_name": str(path)} for row, path in enumerate(self.path)],
            "categories": [{"id": place + 1, "name": name} for place, name in enumerate(self.categories)],
            "annotations": [
                {
                    "id": number + 1,
                    "image_id": image + 1,
                    "category_id": category + 1,
                    "bbox": box,
                    "area": area,
                    "iscrowd": int(crowd),
                }
                for number, (image, category, box, area, crowd) in enumerate(
                    zip(*_columns(self.truth), self.truth.value.tolist(), self.truth.crowd.tolist(), strict=True)
                )
            ],
        }
        found = [
            {"image_id": image + 1, "category_id": category + 1, "bbox": box, "score": score}
            for image, category, box, score in zip(*_columns(self.found), self.found.value.tolist(), strict=True)
        ]
        return truth, found

    def with_groups(self, table: Joinable, *, verbatim: bool = False) -> DetectionPredictions:
        """Return the predictions with group columns joined by path; see `ImageColumns.with_groups`."""
        return replace(self, images=self.images.with_groups(table, verbatim=verbatim))


def _columns(boxes: Boxes) -> tuple[list[int], list[int], list[list[float]]]:
    return boxes.image.tolist(), boxes.category.tolist(), boxes.box.tolist()


def boxes_of_rows(rows: Sequence[tuple[int, int, list[float], float, bool]]) -> Boxes:
    """Return M boxes, each given as image, category, [left, top, width, height], value and crowd."""
    return Boxes(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([row[3] for row in rows], dtype=np.float64),
        np.array([row[4] for row in rows], dtype=np.bool_),
    )
