"""Cross-checks of `task`: sources, heads and figures that other tasks than one class for each image do not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from tlkit.choices import LABEL_SEPARATOR, TASK_HEADS
from tlkit.recipe.sections.data_checks import LISTS, is_listed
from tlkit.recipe.sections.section import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe

MOST_CLASSES = 255
"""Most classes of pixels: in training, 255 stands for void."""


def task_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions of the task with the source of the images, the head and the monitored figure."""
    task, data = recipe.task, recipe.data
    if task == "multiclass":
        if recipe.train.loss == "asymmetric":
            yield Contradiction(
                ("train.loss", "task"),
                "train.loss is asymmetric, which is for several labels, but task: multiclass has one class for each "
                "image. Use loss: focal, or task: multilabel.",
            )
        return
    if task in ("multilabel", "regression"):
        yield from _source_contradictions(recipe)
    if task == "segmentation":
        yield from _mask_contradictions(recipe)
    if task == "detection":
        yield from _box_contradictions(recipe)
    if data.annotations == "soft":
        yield Contradiction(
            ("data.annotations", "task"),
            f"data.annotations is soft, but task: {task} takes no shares of classes as targets. Use "
            "data.annotations: majority.",
        )
    if "label" in data.columns and data.label_columns:
        yield Contradiction(
            ("data.columns", "data.label_columns"),
            "data.columns names a column of labels, but data.label_columns has one for each label. Keep one of them.",
        )
    head = getattr(recipe.strategy, "head", "linear")
    if head not in ("linear", TASK_HEADS.get(task)):
        fitted = f", or {TASK_HEADS[task]}, which is fitted to cached features" if task in TASK_HEADS else ""
        yield Contradiction(
            ("strategy.head", "task"),
            f"strategy.head is {head}, which does not fit task: {task}. Use head: linear{fitted}.",
        )
    if task == "multilabel" and recipe.train.loss in ("focal", "group_dro"):
        yield Contradiction(
            ("train.loss", "task"),
            f"train.loss is {recipe.train.loss}, which is for one class for each image, but the task is {task}. Use "
            "cross_entropy, which is then the binary one of each label, or asymmetric.",
        )
    stop = recipe.train.early_stopping
    if stop is not None and stop.monitor != "val_loss":
        yield Contradiction(
            ("train.early_stopping.monitor", "task"),
            f"train.early_stopping.monitor is {stop.monitor}, but task: {task} has no accuracy. Use val_loss.",
        )


def _source_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what gives one class for each image, where the task needs several labels or a number."""
    task, data = recipe.task, recipe.data
    need = "several labels for each image" if task == "multilabel" else "a number for each image"
    how = f"but task: {task} needs {need}. List the images in a CSV file with the columns path and label"
    if data.shards:
        yield Contradiction(
            ("data.shards", "task"), f"data.shards have one class for each image, {how}: data.manifest."
        )
    roots = (data.root,) if isinstance(data.root, str) else tuple(data.root)
    if not roots or data.manifest is not None or all(root.lower().endswith(LISTS) for root in roots):
        return
    if task == "regression":
        yield Contradiction(
            ("data.root", "task"),
            f"data.root names class folders, which have one class for each image, {how}, and name it in "
            "data.manifest; data.root is then the folder of its paths.",
        )
        return
    for key, stated in (
        ("data.label_columns", bool(data.label_columns)),
        ("data.label_separator", data.label_separator != LABEL_SEPARATOR),
    ):
        if stated:
            yield Contradiction(
                (key, "data.root"),
                f"{key} is about a list of images, but data.root names class folders, whose names are the labels. "
                f"Name the list in data.manifest, or remove {key}.",
            )


def _mask_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what segmentation lacks, or cannot have: masks, their classes, a geometry that shows whole images."""
    data = recipe.data
    try:
        classes = data.pixel_classes
    except ValueError as error:
        yield Contradiction(
            ("data.mask_classes", "task"),
            f"data.mask_classes: {error} Name the classes of the masks in the order of their numbers from 0, such as "
            "[background, cat], or with their numbers: {background: 0, cat: 255}.",
        )
    else:
        if len(classes) > MOST_CLASSES:
            yield Contradiction(
                ("data.mask_classes", "task"),
                f"data.mask_classes has {len(classes)} classes; at most {MOST_CLASSES} can be trained.",
            )
    if data.masks is None and not is_listed(data) and data.name is None:
        yield Contradiction(
            ("data.masks", "task"),
            "data.masks is missing, the folder of the masks. Add masks: a folder with a PNG file for each image, of "
            "the same path; or name the masks in the column label of a data.manifest.",
        )
    yield from _whole_image_contradictions(recipe, labels="masks", unpacked="folders: data.root and data.masks")


def _box_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what is missing or contradicts detection: the file of boxes, several folders, a geometry that crops."""
    data = recipe.data
    if data.boxes is None and not is_listed(data) and data.name is None:
        yield Contradiction(
            ("data.boxes", "task"),
            "data.boxes is missing, the file of the boxes. Add boxes: a JSON file in COCO's format with the images of "
            "data.root; or write them into the column label of a data.manifest.",
        )
    yield from _whole_image_contradictions(recipe, labels="boxes", unpacked="a folder: data.root, with data.boxes")
    if recipe.train.parallel == "fsdp":
        yield Contradiction(
            ("train.parallel", "task"),
            "train.parallel is fsdp, which shards a network that is called as a whole; a detector is called in "
            "parts. Use ddp.",
        )


def _whole_image_contradictions(
    recipe: Recipe, *, labels: Literal["masks", "boxes"], unpacked: str
) -> Iterator[Contradiction]:
    """Yield what masks and boxes cannot have: two sources, shards, a geometry that leaves out parts of an image.

    Args:
        recipe: the recipe.
        labels: name of the key of `data` that says where the labels are.
        unpacked: where the images and labels of shards are to be unpacked.
    """
    data = recipe.data
    listed = is_listed(data)
    if getattr(data, labels) is not None and (listed or data.name is not None):
        key, other = f"data.{labels}", "data.manifest" if listed else "data.name"
        yield Contradiction((key, other), f"{key} and {other} both say where the {labels} are. Remove one of them.")
    if data.shards:
        yield Contradiction(
            ("data.shards", "task"),
            f"data.shards have one class for each image, but task: {recipe.task} needs {labels}. Unpack them into "
            f"{unpacked}.",
        )
    if data.resize == "crop":
        yield Contradiction(
            ("data.resize", "task"),
            "data.resize is crop, which would leave parts of an image without a prediction. Use letterbox or squash.",
        )
