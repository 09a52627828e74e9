"""Reads predictions of detectors: COCO's JSON files of any tool, and the tables that tlkit writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.box_labels import boxes_in, why_no_box
from tlkit.errors import PredictionsError, first_few
from tlkit.input_files import refuse_pipe
from tlkit.predictions.detection_predictions import FOUND, TRUE, Boxes, DetectionPredictions, boxes_of_rows
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.reading import open_table, paths_of, task_of
from tlkit.predictions.validation import PATH, repeated
from tlkit.spelling import match_names, path_key


def read_boxes(path: Path | str) -> DetectionPredictions:
    """Return the boxes in a Parquet file that `DetectionPredictions.to_parquet` wrote.

    Raises:
        PredictionsError: the file cannot be read, is of another task or damaged, or another tool wrote it.
    """
    file = Path(path)
    table, noted = open_table(file)
    if noted is None or task_of(noted) != "detection" or not {TRUE, FOUND} <= set(table.columns):
        raise PredictionsError(
            f"{file} is no table of boxes that tlkit wrote. Boxes of another tool are read from COCO's files: `tlkit "
            "evaluate PREDICTED.json --task detection --truth TRUE.json`; in Python, read_detection."
        )
    try:
        truth = [boxes_in(text) for text in table[TRUE]]
        found = [[_found(one) for one in json.loads(text)] for text in table[FOUND]]
        categories = [str(name) for name in noted["classes"]]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise PredictionsError(f"{file} is damaged: a cell holds no boxes ({error}). Write it again.") from error
    groups = table[[name for name in table.columns if name not in (PATH, TRUE, FOUND)]]
    return DetectionPredictions.build(
        categories=categories,
        path=paths_of(file, table),
        truth=truth,
        found=found,
        groups=groups,
        source=str(file),
        verbatim=True,
    )


def _found(values: Sequence[Any]) -> tuple[int, list[float], float]:
    category, *box, score = values
    numbers = [float(one) for one in (*box, score)]
    if len(box) != 4 or not np.isfinite(numbers).all() or min(numbers[2:4]) < 0:
        raise ValueError(f"{str(values)[:80]} is no box")
    return int(category), numbers[:4], numbers[4]


def read_detection(predictions: Path | str, truth: Path | str) -> DetectionPredictions:
    """Return boxes from two JSON files in COCO's format, of any tool.

    Args:
        predictions: a list of {image_id, category_id, bbox, score}, as COCO's evaluation takes it; or the file of
            `tlkit predict --out`, whose categories are those of the same name, and whose images those of the same
            file_name, or the only one whose path ends with that of the truth.
        truth: images, annotations and categories, as COCO's instances_*.json.

    Raises:
        PredictionsError: a file cannot be read, lacks a key, a box is of an unknown image or category, has a negative
            side or no score; or of a file of `tlkit predict`, images of the truth are not predicted, or match several.
    """
    right, source = _loaded(Path(truth)), str(truth)
    if not isinstance(right, dict) or any(not isinstance(right.get(key), list) for key in _KEYS):
        raise PredictionsError(f"{source} must hold the lists {', '.join(_KEYS)}, as COCO's instances_*.json.")
    guesses = _loaded(Path(predictions))
    instances = isinstance(guesses, dict) and all(isinstance(guesses.get(key), list) for key in _KEYS)
    if instances and (held := guesses["annotations"]):
        instances = any(isinstance(one, dict) and "score" in one for one in held)  # else it is a truth
    if not isinstance(guesses, list) and not instances:
        raise PredictionsError(
            f"{predictions} must be a list of boxes with image_id, category_id, bbox and score, as COCO's results, "
            "or the file of `tlkit predict RUN IMAGES --out FILE.json`."
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
    guessed_ids = image_ids, category_ids
    if instances:
        guessed_ids, found = _ids_by_name(guesses, paths, names, source=source, file=str(predictions))
        problems += found
        guesses = guesses["annotations"]
    if problems:
        raise PredictionsError(*problems)
    boxes = []
    for held, file, scored in ((right["annotations"], source, False), (guesses, str(predictions), True)):
        own = guessed_ids if scored else (image_ids, category_ids)
        made, found = _boxes(held, *own, file=file, scored=scored)
        boxes.append(made)
        problems += found
    if problems:
        raise PredictionsError(*problems)
    return DetectionPredictions(tuple(names), columns, boxes[0], boxes[1])


def _ids_by_name(
    guesses: Mapping[str, Any], paths: Sequence[str], names: Sequence[str], *, source: str, file: str
) -> tuple[tuple[dict[Any, int], dict[Any, int]], list[str]]:
    """Return the positions in the truth of the images and categories of predicted instances by id, and problems."""
    try:
        listed = {one["id"]: str(one["file_name"]) for one in guesses["images"]}
        called = {one["id"]: str(one["name"]) for one in guesses["categories"]}
    except (KeyError, TypeError) as error:
        raise PredictionsError(f"{file}: an image or a category has no id, file_name or name ({error}).") from error
    if len(listed) < len(guesses["images"]) or len(called) < len(guesses["categories"]):
        raise PredictionsError(f"{file}: ids of images, and of categories, must differ.")
    place = {name: position for position, name in enumerate(names)}
    same = match_names(called.values(), list(names))
    problems = []
    if strange := sorted(set(called.values()) - same.keys()):
        problems.append(f"{file} has categories that {source} lacks: {first_few(strange)}. They are matched by name.")
    of_path = {path_key(path): position for position, path in enumerate(paths)}
    images: dict[Any, int] = {}
    unknown = []
    for key, name in listed.items():
        whole = path_key(name)
        parts = whole.split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        fits = [of_path[whole]] if whole in of_path else [of_path[end] for end in ends if end in of_path]
        if len(fits) != 1:
            unknown.append(f"{name} ({'several' if fits else 'none'})")
        else:
            images[key] = fits[0]
    if unknown:
        problems.append(
            f"{len(unknown)} of {len(listed)} images of {file} match none or several of {source}: "
            f"{first_few(unknown)}. Their file_name must be that of the truth, or a path that ends with it."
        )
    counts = np.bincount(list(images.values()), minlength=len(paths))
    if (counts > 1).any():
        twice = [path for path, count in zip(paths, counts, strict=True) if count > 1]
        problems.append(f"{file} predicts {len(twice)} images of {source} more than once: {first_few(twice)}.")
    if not unknown and (counts == 0).any():
        missing = [path for path, count in zip(paths, counts, strict=True) if not count]
        problems.append(
            f"{len(missing)} of {len(paths)} images of {source} were not predicted: {first_few(missing)}. Predict "
            "them, too, or leave them out of the truth."
        )
    return (images, {key: place[same[name]] for key, name in called.items() if name in same}), problems


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
        if (why := why_no_box(one, image_ids, category_ids, numbers=("score",) if scored else ())) is not None:
            wrong.append(f"number {number}: {why}")
            continue
        box = [float(end) for end in one["bbox"]]
        try:
            value = float(one["score"]) if scored else float(one.get("area", box[2] * box[3]))
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            wrong.append(f"number {number}: area {str(one.get('area'))[:80]} is no number")
            continue
        crowd = bool(one.get("iscrowd", 0))
        rows.append((image_ids[one["image_id"]], category_ids[one["category_id"]], box, value, crowd))
    problems = []
    if wrong:
        need = "image_id, category_id, score" if scored else "image_id, category_id"
        problems.append(
            f"{file}: {len(wrong)} of {len(held)} boxes cannot be used: {first_few(wrong, most=3)}. Each needs a known "
            f"{need}, and bbox as left, top, width, height."
        )
    return boxes_of_rows([(*row[:4], row[4] and not scored) for row in rows]), problems
