"""Image registration at 32 pixels: the placement of one picture on another, as a whole or as a smaller frame.

Every placement is tried by normalized cross-correlation, with OpenCV's `matchTemplate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from tlkit.arrays import Floats32

COARSE = 32
"""Longest side of the pictures, in pixels."""
SCALES = (0.93, 0.87, 0.81, 0.75, 0.70, 0.65, 0.60, 0.56, 0.52)
"""Sides of a cropped frame, as shares of the whole picture's; the last keeps a quarter of the area."""
LEAST_SIDE = 8
LEAST_SPREAD = 1e-6
"""A frame whose pixels have a smaller standard deviation is plain."""


class Placement(NamedTuple):
    """The placement of one picture in another.

    `score` is their correlation; `inside` is true where the second lies in the first, else the first lies in the
    second; `turn` is an orientation as in `flipped`; `corner` (left, top) and `size` (width, height) are in pixels of
    the containing picture.
    """

    score: float
    inside: bool
    turn: int
    corner: tuple[int, int]
    size: tuple[int, int]


class CoarseImage:
    """The edges of a picture, with the frames that registration moves over another one, made once.

    Args:
        pixels: (H, W), both at most 32.
    """

    def __init__(self, pixels: Floats32) -> None:
        self.pixels = pixels
        self._whole: dict[tuple[int, ...], list[Floats32 | None]] = {}

    def whole(self, shape: tuple[int, ...]) -> list[Floats32 | None]:
        """Return the picture in each of eight orientations, stretched to a shape; None for a plain one."""
        if shape not in self._whole:
            size = (shape[1], shape[0])
            turned = (flipped(self.pixels, turn) for turn in range(8))
            stretched = (cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR) for pixels in turned)
            self._whole[shape] = [_unless_plain(np.asarray(pixels, np.float32)) for pixels in stretched]
        return self._whole[shape]

    @cached_property
    def frames(self) -> list[tuple[int, Floats32]]:
        """The picture scaled down by each of `SCALES`, upright (0) and mirrored (1), without plain and small ones."""
        scaled = (scaled_down(self.pixels, scale) for scale in SCALES)
        kept = (frame for frame in scaled if min(frame.shape) >= LEAST_SIDE and _unless_plain(frame) is not None)
        return [(turn, flipped(frame, turn)) for frame in kept for turn in (0, 1)]


def register(first: CoarseImage, second: CoarseImage) -> Placement:
    """Return the best placement: of the whole second picture on the first in eight orientations, or of a frame."""
    return max(_placements(first, second), key=lambda found: found.score)


def flipped(pixels: Floats32, turn: int) -> Floats32:
    """Return a picture in one of eight orientations: bit 0 mirrors, bit 1 flips upside down, bit 2 transposes."""
    if turn & 1:
        pixels = pixels[:, ::-1]
    if turn & 2:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.T if turn & 4 else pixels)


def scaled_down(pixels: Floats32, scale: float) -> Floats32:
    """Return a picture scaled down by area averaging."""
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _placements(first: CoarseImage, second: CoarseImage) -> Iterator[Placement]:
    """Yield the placement of the whole second picture in each orientation, and the best one of each frame."""
    for turn, stretched in enumerate(second.whole(first.pixels.shape)):
        yield _best_place(first.pixels, stretched, inside=True, turn=turn)
    for inside, around, part in ((False, second.pixels, first), (True, first.pixels, second)):
        for turn, frame in part.frames:
            if frame.shape[0] <= around.shape[0] and frame.shape[1] <= around.shape[1]:
                yield _best_place(around, frame, inside=inside, turn=turn)


def _best_place(around: Floats32, frame: Floats32 | None, *, inside: bool, turn: int) -> Placement:
    """Return where a frame correlates best with the picture around it; a plain frame (None) correlates with nothing."""
    if frame is None:
        return Placement(0.0, inside, turn, (0, 0), (around.shape[1], around.shape[0]))
    _, score, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(around, frame, cv2.TM_CCOEFF_NORMED))
    return Placement(float(score), inside, turn, (int(left), int(top)), (frame.shape[1], frame.shape[0]))


def _unless_plain(pixels: Floats32) -> Floats32 | None:
    return None if cv2.meanStdDev(pixels)[1][0, 0] < LEAST_SPREAD else pixels  # a fifth of the time of NumPy's std
