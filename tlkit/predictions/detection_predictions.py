"""`DetectionPredictions`: true and predicted boxes of images, read from COCO's JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import Task
from tlkit.errors import PredictionsError, first_few
from tlkit.input_files import refuse_pipe
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.validation import Strings, repeated


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

    def with_groups(self, table: Joinable, *, verbatim: bool = False) -> DetectionPredictions:
        """Return the predictions with group columns joined by path; see `ImageColumns.with_groups`."""
        return replace(self, images=self.images.with_groups(table, verbatim=verbatim))


def read_detection(predictions: Path | str, truth: Path | str) -> DetectionPredictions:
    """Return boxes from two JSON files in COCO's format, of any tool.

    Args:
        predictions: a list of {image_id, category_id, bbox, score}, as COCO's evaluation takes it.
        truth: images, annotations and categories, as COCO's instances_*.json.

    Raises:
        PredictionsError: a file cannot be read, lacks a key, or a box is of an unknown image or category, has a
            negative side or no score.
    """
    right, source = _loaded(Path(truth)), str(truth)
    if not isinstance(right, dict) or any(not isinstance(right.get(key), list) for key in _KEYS):
        raise PredictionsError(f"{source} must hold the lists {', '.join(_KEYS)}, as COCO's instances_*.json.")
    guesses = _loaded(Path(predictions))
    if not isinstance(guesses, list):
        raise PredictionsError(
            f"{predictions} must be a list of boxes with image_id, category_id, bbox and score, as COCO's results."
        )
    try:
        images = sorted(right["images"], key=lambda one: one["id"])
        categories = sorted(right["categories"], key=lambda one: one["id"])
        names = [str(one["name"]) for one in categories]
        paths = [str(one.get("file_name", one["id"])) for one in images]
        image_ids, category_ids = (
            {one["id"]: place for place, one in enumerate(held)} for held in (images, categories)
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise PredictionsError(f"{source}: an image or a category has no id or name ({error}).") from error
    columns, problems = ImageColumns.checked(paths, None, names=names, source=source, verbatim=True)
    problems = [f"{source}: {one}" for one in problems]
    if len(image_ids) < len(images) or len(category_ids) < len(categories):
        problems.append(f"{source}: ids of images, and of categories, must differ.")
    if twice := repeated(names):
        problems.append(f"{source}: categories must have different names, but these occur twice: {first_few(twice)}.")
    boxes = []
    for held, file, scored in ((right["annotations"], source, False), (guesses, str(predictions), True)):
        made, found = _boxes(held, image_ids, category_ids, file=file, scored=scored)
        boxes.append(made)
        problems += found
    if problems:
        raise PredictionsError(*problems)
    return DetectionPredictions(tuple(names), columns, boxes[0], boxes[1])


_KEYS = ("images", "annotations", "categories")


def _loaded(file: Path) -> Any:
    refuse_pipe(file, error=PredictionsError)
    if not file.is_file():
        raise PredictionsError(f"{file} does not exist, or is a folder. Name a JSON file in COCO's format.")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PredictionsError(
            f"{file} is not JSON: {error}. Detection is read from JSON files in COCO's format."
        ) from error


def _boxes(
    held: Sequence[Any], image_ids: Mapping[Any, int], category_ids: Mapping[Any, int], *, file: str, scored: bool
) -> tuple[Boxes, list[str]]:
    rows: list[tuple[int, int, list[float], float, bool]] = []
    wrong: list[str] = []
    for number, one in enumerate(held):
        try:
            box = [float(end) for end in one["bbox"]]
            value = float(one["score"]) if scored else float(one.get("area", box[2] * box[3]))
            row = (
                image_ids[one["image_id"]],
                category_ids[one["category_id"]],
                box,
                value,
                bool(one.get("iscrowd", 0)),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            wrong.append(f"number {number}: {type(error).__name__} {error}")
            continue
        if len(box) != 4 or not np.isfinite([*box, value]).all() or min(box[2:]) < 0:
            wrong.append(f"number {number}: bbox {one['bbox']}")
            continue
        rows.append(row)
    problems = []
    if wrong:
        need = "image_id, category_id, score" if scored else "image_id, category_id"
        problems.append(
            f"{file}: {len(wrong)} of {len(held)} boxes cannot be used: {first_few(wrong, most=3)}. Each needs a known "
            f"{need}, and bbox as left, top, width, height."
        )
    return (
        Boxes(
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4),
            np.array([row[3] for row in rows], dtype=np.float64),
            np.array([row[4] and not scored for row in rows], dtype=np.bool_),
        ),
        problems,
    )
