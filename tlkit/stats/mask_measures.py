"""Figures of masks with the influence of every image on them, for comparisons of models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tlkit.arrays import Floats
from tlkit.predictions.mask_predictions import MaskPredictions
from tlkit.stats.measured import Measured, ScoreFacts, mean_of, ratio_of

MASK_FIGURES: Mapping[str, ScoreFacts] = {
    "mean_iou": ScoreFacts("mIoU"),
    "mean_dice": ScoreFacts("mean Dice"),
    "image_iou": ScoreFacts("IoU per image"),
    "pixel_accuracy": ScoreFacts("pixel accuracy"),
}
"""Figures of masks, the one that models are compared by first."""
OF_ONE_CLASS: Mapping[str, ScoreFacts] = {"iou": ScoreFacts("IoU"), "dice": ScoreFacts("Dice")}
NOWHERE = "no mask shows it"


def measure_masks(table: MaskPredictions, name: str, weight: Floats) -> Measured:
    """Return a figure of masks, equal to that of `evaluate_masks`, with the influence of every image on it.

    The IoU of a class is the ratio Σ intersections / Σ unions over the images, Dice 2 Σ intersections / Σ (truly +
    called); their means are over the classes that any mask shows. An image's influence on a mean is the mean of its
    influences on the ratios, so that an image with several classes counts once.

    Args:
        table: images of whose true mask a pixel is known.
        name: one of `MASK_FIGURES`, or `iou:CLASS` or `dice:CLASS`.
        weight: of each image, above 0, shape (N,).
    """
    right, truly, called = (one.astype(np.float64) for one in table.sums)
    both = truly + called
    parts = {"iou": (right, both - right), "dice": (2 * right, both)}
    kind, colon, label = name.partition(":")
    if colon:
        top, below = parts[kind]
        place = table.classes.index(label)
        return ratio_of(top[:, place], below[:, place], weight, nothing=NOWHERE)
    if name in ("mean_iou", "mean_dice"):
        top, below = parts[name.removeprefix("mean_")]
        columns = zip(top.T, below.T, strict=True)
        return mean_of([ratio_of(*one, weight, nothing=NOWHERE) for one in columns], len(table), nothing=NOWHERE)
    if name == "pixel_accuracy":
        return ratio_of(right.sum(axis=1), truly.sum(axis=1), weight, nothing="no pixel is known")
    iou = table.image_iou
    shown = np.isfinite(iou).sum(axis=1)
    means = np.nan_to_num(iou).sum(axis=1) / np.maximum(shown, 1)
    return ratio_of(means, (shown > 0).astype(np.float64), weight, nothing="no pixel is known")
