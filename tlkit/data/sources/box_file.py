"""A folder of images with a JSON file of their boxes in COCO's format, for detection; no image is opened."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.box_labels import BoxLabel, boxes_text, why_no_box
from tlkit.data.importers.coco import coco_categories, coco_images, path_of_coco, read_coco_file
from tlkit.data.importers.listed_image import is_file, require_inside
from tlkit.data.sources.entries import Entries, Entry, Survey
from tlkit.data.sources.folder import require_image_folder
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.shard_splits import SPLIT_ALIASES
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples
from tlkit.spelling import match_names

logger = logging.getLogger(__name__)


def scan_box_file(roots: Sequence[Path], options: ListOptions) -> Samples:
    """Return the images that a COCO file lists, with their boxes, sorted by path; an image may have none.

    A folder train, val or test (or an alias) at the top of `root` states the split of its images; else every image
    belongs to train. Categories without a box are left out.

    Args:
        roots: the folder of images, which the file's names are below; other folders cannot be merged with it.
        options: the file of boxes.

    Raises:
        DataError: the file or the folder is missing or wrong, images are missing, or boxes cannot be used; named and
            counted.
    """
    survey = survey_box_file(roots, options)
    if survey.problems:
        raise DataError(*survey.problems)
    return survey.samples


def survey_box_file(roots: Sequence[Path], options: ListOptions) -> Survey:
    """Return the images that a COCO file lists, with the errors that `scan_box_file` would raise; arguments as there.

    Raises:
        DataError: the folder is missing, the file cannot be read, or a path of it leaves the folder.
    """
    if len(roots) != 1 or not options.box_file:
        raise DataError(
            "Boxes belong to one folder of images: data.root, with data.boxes, a JSON file in COCO's format."
        )
    root, file = roots[0], Path(options.box_file)
    require_image_folder(root)
    values = read_coco_file(file)
    names, listed = coco_categories(values["categories"], file), coco_images(values["images"], file)
    paths = {key: path_of_coco(one) for key, one in listed.items()}
    require_inside(list(paths.values()), where=file, root=root)
    problems = []
    if not paths:
        problems.append(f"{file} lists no images.")
    if twice := sorted(path for path, count in Counter(paths.values()).items() if count > 1):
        problems.append(f"{file} lists {first_few(twice)} more than once. Give each image one entry.")
    first = {path: key for key, path in reversed(paths.items())}
    skipped = [Entry("listed-again", path) for key, path in paths.items() if first[path] != key]
    missing = {path for path in first if not is_file(root, path)}
    skipped += [Entry("missing-file", path) for path in sorted(missing)]
    if missing:
        problems.append(
            f"{len(missing)} of {len(paths)} images of {file} are not in {root}: {first_few(sorted(missing))}. Name "
            "the folder of the images in data.root, or remove their entries."
        )
    boxes, wrong, flat = _boxes(values["annotations"], listed, names)
    spelled = options.boxes(list(boxes.values()), what=f"The categories of {file}")
    boxes = dict(zip(boxes, spelled, strict=True))
    warn_of_flat_boxes(flat, file)
    if wrong:
        problems.append(
            f"{file}: {len(wrong)} of {len(values['annotations'])} annotations cannot be used: "
            f"{first_few(wrong, most=3)}. Each needs the image_id and category_id of listed ones, and bbox: left, top, "
            "width and height in pixels, the last two 0 or more."
        )
    if paths and not any(boxes.values()) and not wrong:
        problems.append(f"{file} holds no boxes, so there is nothing to train on. Add annotations.")
    rows = [
        (
            path,
            boxes_text(boxes[key]),
            SPLIT_ALIASES.get(path.split("/")[0].lower(), "train") if "/" in path else "",
            "",
        )
        for path, key in first.items()
        if path not in missing
    ]
    table = pd.DataFrame(sorted(rows), columns=[PATH, LABEL, SPLIT, DIGEST], dtype="str")
    stated = table[PATH].str.split("/").str[0].str.lower().isin(list(SPLIT_ALIASES)) & (table[SPLIT] != "")
    if stated.any() and not stated.all():
        others = table[PATH][~stated].tolist()
        problems.append(
            f"{root} mixes split folders with {len(others)} other images: {first_few(others)}. Put all images into "
            "train, val or test, or none."
        )
    table[SPLIT] = table[SPLIT].where(stated, "train")
    classes = tuple(sorted({one.name for held in boxes.values() for one in held}))
    shown = match_names(names.values(), classes)
    if unused := sorted(set(names.values()) - set(shown)):
        logger.warning("%d categories of %s have no box and are left out: %s.", len(unused), file, first_few(unused))
    samples = Samples(root, classes, table, "detection")
    entries = Entries(read=len(table), skipped=tuple(skipped))
    return Survey(samples, entries, tuple(problems), listed_in="list")


def _boxes(
    annotations: Sequence[Mapping[str, Any]], listed: Mapping[Any, Any], names: Mapping[Any, str]
) -> tuple[dict[Any, list[BoxLabel]], list[str], int]:
    """Return the boxes of each image, the annotations that cannot be used, and the number of boxes without an area."""
    boxes: dict[Any, list[BoxLabel]] = {key: [] for key in listed}
    wrong, flat = [], 0
    for place, one in enumerate(annotations):
        if (why := why_no_box(one, boxes, names)) is not None:
            wrong.append(f"number {place}: {why}")
            continue
        left, top, width, height = map(float, one["bbox"])
        held, name = boxes[one["image_id"]], names[one["category_id"]]
        if not width or not height:
            flat += 1
            continue
        held.append(BoxLabel(name, left, top, width, height, bool(one.get("iscrowd", 0))))
    return boxes, wrong, flat


def warn_of_flat_boxes(count: int, file: Path) -> None:
    """Warn of boxes of no width or height, of which COCO's own files have some, and which are left out."""
    if count:
        logger.warning("%s: %d boxes have no width or no height, and are left out.", file, count)
