"""Figures of masks with the influence of every image on them, for comparisons of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tlkit.arrays import Floats
from tlkit.predictions.mask_predictions import MaskPredictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.measured import Measured, ScoreFacts, mean_of, over_domain, ratio_of

MASK_FIGURES: Mapping[str, ScoreFacts] = {
    "mean_iou": ScoreFacts("mIoU"),
    "mean_dice": ScoreFacts("mean Dice"),
    "image_iou": ScoreFacts("IoU per image"),
    "pixel_accuracy": ScoreFacts("pixel accuracy"),
}
"""Figures of masks, the one that models are compared by first."""
OF_ONE_CLASS: Mapping[str, ScoreFacts] = {"iou": ScoreFacts("IoU"), "dice": ScoreFacts("Dice")}
NOWHERE = "no mask shows it"


def measure_masks(table: MaskPredictions, name: str, units: Units | None) -> Measured:
    """Return a figure of masks, equal to that of `evaluate_masks`, with the influence of every image on it.

    The IoU of a class is the ratio Σ intersections / Σ unions over the images, Dice 2 Σ intersections / Σ (truly +
    called); their means are over the classes that any mask shows. An image's influence on a mean is the mean of its
    influences on the ratios, so that an image with several classes counts once. See `class_ratio` for classes that few
    images show.

    Args:
        table: images of whose true mask a pixel is known.
        name: one of `MASK_FIGURES`, or `iou:CLASS` or `dice:CLASS`.
        units: weights, above 0, and clusters; None = independent images of equal weight.
    """
    weight = np.ones(len(table)) if units is None else units.weight
    right, truly, called = (one.astype(np.float64) for one in table.sums)
    both = truly + called
    parts = {"iou": (right, both - right), "dice": (2 * right, both)}
    kind, colon, label = name.partition(":")
    if colon:
        top, below = parts[kind]
        place = table.classes.index(label)
        return class_ratio(top[:, place], below[:, place], truly[:, place], units, name=label)
    if name in ("mean_iou", "mean_dice"):
        top, below = parts[name.removeprefix("mean_")]
        return mean_ratio(top, below, truly, units, names=table.classes)
    if name == "pixel_accuracy":
        return ratio_of(right.sum(axis=1), truly.sum(axis=1), weight, nothing="no pixel is known")
    iou = table.image_iou
    shown = np.isfinite(iou).sum(axis=1)
    means = np.nan_to_num(iou).sum(axis=1) / np.maximum(shown, 1)
    return ratio_of(means, (shown > 0).astype(np.float64), weight, nothing="no pixel is known")


def class_ratio(top: Floats, below: Floats, truly: Floats, units: Units | None, *, name: str) -> Measured:
    """Return Σ a / Σ b of one class, of which only the k units that show it say how much it varies.

    See `over_domain`. One unit has no residual: `why` says so.

    Args:
        top: a of each image, shape (N,).
        below: b of each image, shape (N,).
        truly: pixels of each image that are truly of the class, shape (N,). Units show it where these are above 0;
            of a class that is nowhere true, where b is.
        units: weights and clusters; None = independent images of equal weight.
        name: of the class.
    """
    weight = np.ones(len(top)) if units is None else units.weight
    found = ratio_of(top, below, weight, nothing=NOWHERE)
    if found.value is None:
        return found
    held = weight > 0
    shows = held & (truly > 0) if (held & (truly > 0)).any() else held & (below > 0)
    k = int(shows.sum()) if units is None else units.take(shows).clusters
    if k < 2:
        one = "one image" if shows.sum() == 1 else "the images of one cluster"
        return replace(found, why=f"{name} is shown by {one}")
    return over_domain(found, shows, units)


def mean_ratio(top: Floats, below: Floats, truly: Floats, units: Units | None, *, names: Sequence[str]) -> Measured:
    """Return the mean of `class_ratio` over the classes that any mask shows; arguments as there, of shape (N, C)."""
    columns = zip(top.T, below.T, truly.T, names, strict=True)
    parts = [class_ratio(a, b, shown, units, name=name) for a, b, shown, name in columns]
    return mean_of(parts, len(top), nothing=NOWHERE)
