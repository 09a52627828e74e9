"""`MaskEvaluation`: the figures of predicted masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.evaluation.mask_tables import mask_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, counted, to_html


@dataclass(frozen=True)
class MaskClassResult:
    """The figures of one class of pixels.

    Attributes:
        name: class.
        images: images whose true mask shows it.
        pixels: pixels that are truly of it.
        iou: intersection over union of all its pixels, over all images; undefined where no mask shows it.
        dice: 2 · intersection / (truly of it + called it), likewise.
        image_iou: mean over the images of which either mask shows it, so that a small object counts as a large one.
    """

    name: str
    images: int
    pixels: int
    iou: Estimate
    dice: Estimate
    image_iou: Estimate


@dataclass(frozen=True)
class MaskEvaluation:
    """The figures of predicted masks, as `evaluate_masks` returns them.

    Attributes:
        classes: class names.
        n: images of which the class of some pixel is known.
        n_unlabelled: images left out, of which none is.
        confidence: level of every interval.
        mean_iou: mean of the classes' IoU (mIoU), over the classes that some mask shows.
        mean_dice: mean of the classes' Dice coefficient, likewise.
        image_iou: mean over the images of the mean IoU of the classes that either mask of an image shows.
        pixel_accuracy: share of the pixels that are given their class.
        per_class: one result for each class.
        confusion: pixels by true class (rows) and predicted class (columns).
        undecided: pixels whose class is known and whose prediction is void; they count as missed.
        cluster_by: group column of the clusters; None = independent images.
        clusters: how many there are.
        weights: group column of the images' weights; None = equal weights.
    """

    classes: tuple[str, ...]
    n: int
    n_unlabelled: int
    confidence: float
    mean_iou: Estimate
    mean_dice: Estimate
    image_iou: Estimate
    pixel_accuracy: Estimate
    per_class: tuple[MaskClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    undecided: int = 0
    cluster_by: str | None = None
    clusters: int | None = None
    weights: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of the figures, of the classes, and of classes taken for each other."""
        return mask_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"task": "segmentation", **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskEvaluation:
        """Read what `to_dict` wrote."""
        return from_plain(cls, {name: value for name, value in values.items() if name != "task"})

    def __repr__(self) -> str:
        return f"MaskEvaluation({counted(self.n, 'image')}, {len(self.classes)} classes, mIoU {self.mean_iou.format()})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
