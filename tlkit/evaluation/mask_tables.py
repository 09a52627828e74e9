"""The tables of a `MaskEvaluation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.mask_result import MaskEvaluation
    from tlkit.stats.estimate import Estimate

MOST_CONFUSIONS = 20


def mask_tables(result: MaskEvaluation) -> tuple[Table, ...]:
    """Return the figures, the classes with the lowest IoU first, and, where there are any, confused classes."""
    confused = _confusion_table(result)
    return (_summary(result), _class_table(result), *([confused] if confused.rows else []))


def _summary(result: MaskEvaluation) -> Table:
    figures: tuple[tuple[str, Estimate, str], ...] = (
        ("mIoU", result.mean_iou, f"mean intersection over union of the classes{_of_some(result.mean_iou)}"),
        ("mean Dice", result.mean_dice, "mean Dice coefficient of the classes"),
        ("IoU per image", result.image_iou, "mean over the images, each of the classes that its masks show"),
        ("pixel accuracy", result.pixel_accuracy, "pixels that are given their class"),
    )
    notes = []
    if result.n_unlabelled:
        notes.append(f"Left out: {counted(result.n_unlabelled, 'image')} of which every pixel is void.")
    if result.undecided:
        notes.append(f"{counted(result.undecided, 'pixel')} are predicted as void and count as missed.")
    if result.clusters is not None:
        notes.append(f"Intervals allow for {result.clusters:,} clusters of {result.cluster_by}.")
    if result.weights is not None:
        notes.append(f"Figures and intervals are weighted by {result.weights}.")
    return Table(
        name="summary",
        title=f"{counted(result.n, 'image')}, {len(result.classes)} classes; intervals by image at "
        f"{result.confidence:.0%}",
        columns=(Column("metric", "metric"), Column("value", "value", "estimate"), Column("meaning", "what it is")),
        rows=figures,
        notes=tuple(notes),
    )


def _of_some(estimate: Estimate) -> str:
    return f" ({estimate.note})" if estimate.note and estimate.value is not None else ""


def _class_table(result: MaskEvaluation) -> Table:
    ordered = sorted(result.per_class, key=lambda one: (one.iou.value is None, one.iou.value or 0.0))
    return Table(
        name="classes",
        title="Classes, the lowest IoU first",
        columns=(
            Column("class", "class"),
            Column("images", "images", "count"),
            Column("pixels", "pixels", "count"),
            Column("iou", "IoU", "estimate"),
            Column("dice", "Dice", "estimate"),
            Column("image_iou", "IoU per image", "estimate"),
        ),
        rows=tuple((one.name, one.images, one.pixels, one.iou, one.dice, one.image_iou) for one in ordered),
    )


def _confusion_table(result: MaskEvaluation) -> Table:
    """Return the classes most often taken for another one, by the share of the true class's pixels."""
    found = []
    for row, (true, cells) in enumerate(zip(result.per_class, result.confusion, strict=True)):
        for column, pixels in enumerate(cells):
            if column != row and pixels:
                found.append((true.name, result.classes[column], pixels, pixels / true.pixels))
    found.sort(key=lambda one: (-one[3], one[:2]))
    left = len(found) - MOST_CONFUSIONS
    return Table(
        name="class_confusions",
        title="Pixels given another class, the largest shares first",
        columns=(
            Column("true", "true class"),
            Column("called", "given instead"),
            Column("pixels", "pixels", "count"),
            Column("share", "share of the class", "percent"),
        ),
        rows=tuple(found[:MOST_CONFUSIONS]),
        notes=(f"{counted(left, 'more pair')} of classes: see --json.",) if left > 0 else (),
    )
