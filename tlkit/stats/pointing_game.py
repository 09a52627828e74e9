"""The pointing game: how often the maximum of a map lies on the object, against always pointing at the centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Mask
from tlkit.choices import CONFIDENCE
from tlkit.errors import DataError
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.intervals import wilson
from tlkit.stats.paired import Pairs, paired_difference


@dataclass(frozen=True)
class PointingGame:
    """How often maps point at the object.

    Attributes:
        hits: share of images whose map has its maximum on the object.
        centre: share of images whose centre is on the object: what pointing blindly reaches.
        difference: hits minus centre, on the same images.
        p: p-value of McNemar's exact test of no difference; None where no image tells the two apart.
    """

    hits: Estimate
    centre: Estimate
    difference: Estimate
    p: float | None


def pointing_game(heats: Sequence[Floats], masks: Sequence[Mask], *, confidence: float = CONFIDENCE) -> PointingGame:
    """Return how often the maximum of a map lies in the mask of the object, against the centre of the picture.

    Zhang, Lin, Brandt, Shen & Sclaroff (2016), "Top-down Neural Attention by Excitation Backprop", section 4.1, without
    their tolerance of 15 pixels.

    Args:
        heats: maps of any shape (h, w), one per image; bilinearly enlarged to the size of the mask.
        masks: pixels of the object, shape (H, W), one per image, of the picture as the network gets it.
        confidence: two-sided level, in (0, 1).

    Raises:
        DataError: there are no images, or not as many masks as maps.
    """
    if not len(heats) or len(heats) != len(masks):
        raise DataError(f"There are {len(heats)} maps and {len(masks)} masks. Give one mask for each map.")
    hit = np.array([_on(mask, peak_of(heat, mask.shape)) for heat, mask in zip(heats, masks, strict=True)])
    centre = np.array([_on(mask, (0.5, 0.5)) for mask in masks])
    pairs = Pairs.from_correct(centre, hit)
    test = mcnemar(pairs.first, pairs.second)
    return PointingGame(
        hits=wilson(int(hit.sum()), len(hit), confidence),
        centre=wilson(int(centre.sum()), len(centre), confidence),
        difference=paired_difference(pairs, confidence),
        p=None if test is None else test.p,
    )


def peak_of(heat: Floats, size: tuple[int, ...] = (64, 64)) -> tuple[float, float]:
    """Return the place of a map's maximum, across and down, as shares of width and height; ties: their mean place.

    Example:
        >>> peak_of(np.array([[0.0, 0.0], [0.0, 1.0]]))
        (0.875, 0.875)
        >>> peak_of(np.ones((3, 3)))
        (0.5, 0.5)
    """
    large = enlarged(heat, size)
    rows, columns = np.nonzero(large >= large.max() - 1e-12)
    height, width = large.shape
    return float((columns.mean() + 0.5) / width), float((rows.mean() + 0.5) / height)


def enlarged(heat: Floats, size: tuple[int, ...]) -> Floats:
    """Return a map at another size (H, W), bilinearly interpolated between the centres of its cells."""
    result: npt.NDArray[np.float64] = np.asarray(heat, dtype=np.float64)
    for axis, length in enumerate(size):
        cells = result.shape[axis]
        place = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, cells - 1)
        share = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        result = np.take(result, low, axis) * (1 - share) + np.take(result, high, axis) * share
    return result


def _on(mask: Mask, place: tuple[float, float]) -> bool:
    height, width = mask.shape
    return bool(mask[min(int(place[1] * height), height - 1), min(int(place[0] * width), width - 1)])
