"""Cross-checks of `task`: sources, heads and figures that other tasks than one class for each image do not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.choices import TASK_HEADS
from tlkit.recipe.sections.section import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe

LISTS = (".csv", ".parquet")


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
    if roots and data.manifest is None and not all(root.lower().endswith(LISTS) for root in roots):
        yield Contradiction(
            ("data.root", "task"),
            f"data.root names class folders, which have one class for each image, {how}, and name it in "
            "data.manifest; data.root is then the folder of its paths.",
        )
