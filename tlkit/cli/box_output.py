"""Predicts boxes and writes them as a JSON file in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.cli.output import print_lines, print_tables
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from tlkit.choices import PredictEngine, Views
    from tlkit.data.sources.entries import Entry
    from tlkit.inference.box_predictor import BoxPredictor, PredictedBoxes
    from tlkit.predictions import Unreadable

MOST_NAMED = 5
SUFFIX = ".json"


def is_box_model(path: Path) -> bool:
    """Return whether a path is a run or a stored model of detection."""
    from tlkit.models.model_format import task_of_model

    return path.is_dir() and any(task_of_model(folder) == "detection" for folder in (path / "model", path))


def predict_boxes(
    model: BoxPredictor,
    files: Sequence[Path],
    out: Path | None,
    *,
    left_out: Sequence[Entry],
    tta: Views,
    engine: PredictEngine,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the boxes of images as COCO's instances with scores; or print them.

    The file has the lists images (id, file_name, height, width), categories, and annotations: id, image_id,
    category_id, bbox, area, iscrowd and score. An unreadable image is named on the terminal, and in a list of its own
    beside COCO's, unreadable: file_name and error.

    Args:
        model: of detection.
        files: the images.
        out: the file; None = print.
        left_out: images that cannot be opened.
        tta: views of each image.
        engine: what runs the network.
        progress: called with (images predicted, images in all).

    Raises:
        PredictionsError: the output is no JSON file, or is there already.
    """
    if out is not None and out.suffix.lower() != SUFFIX:
        raise PredictionsError(f"--out is {out}. Boxes are written as JSON: name a file such as detections.json.")
    if out is not None and out.exists():
        raise PredictionsError(f"{out} is there already. Name another file, or remove it.")
    unreadable: list[Unreadable] = []
    found = model.predict(files, tta=tta, engine=engine, progress=progress, on_unreadable=unreadable.append)
    failed = [(path, reason) for _, path, reason in unreadable] + [(name, why) for _, name, why in left_out]
    notes = [f"{path} cannot be read: {reason}" for path, reason in failed]
    if out is None:
        _print(found, notes)
        return
    from tlkit.disk import write_text

    out.parent.mkdir(parents=True, exist_ok=True)
    values = _instances(found, model.facts.classes)
    values["unreadable"] = [{"file_name": path, "error": reason} for path, reason in failed]
    write_text(out, json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
    print_lines([str(out), *notes])


def _instances(found: Sequence[PredictedBoxes], classes: Sequence[str]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for row, one in enumerate(found):
        for category, box, score in zip(one.category.tolist(), one.box.tolist(), one.score.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": row + 1,
                    "category_id": category + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "score": score,
                }
            )
    return {
        "images": [
            {"id": row + 1, "file_name": one.path, "height": one.size[0], "width": one.size[1]}
            for row, one in enumerate(found)
        ],
        "categories": [{"id": place + 1, "name": name} for place, name in enumerate(classes)],
        "annotations": annotations,
    }


def _print(found: Sequence[PredictedBoxes], notes: Sequence[str]) -> None:
    from tlkit.tables import Column, Table

    rows = []
    for one in found:
        named = [
            f"{one.classes[place]} ({score:.2f})"
            for place, score in zip(one.category.tolist(), one.score.tolist(), strict=True)
        ]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        rows.append((one.path, f"{len(named)}", ", ".join(named[:MOST_NAMED]) + more))
    columns = (Column("path", "path"), Column("boxes", "boxes"), Column("classes", "classes (score)"))
    print_tables([Table("boxes", "", columns, tuple(rows), notes=tuple(notes))])
