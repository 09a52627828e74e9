"""Image registration at 32 pixels: the placement of one picture on another, as a whole or as a smaller frame.

Every placement is tried by normalized cross-correlation, with OpenCV's `matchTemplate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

COARSE = 32
"""Longest side of the pictures, in pixels."""
SCALES = (0.93, 0.87, 0.81, 0.75, 0.70, 0.65, 0.60, 0.56, 0.52)
"""Sides of a cropped frame, as shares of the whole picture's; the last keeps a quarter of the area."""
LEAST_SIDE = 8


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


def register(first: Floats, second: Floats) -> Placement:
    """Return the best placement: of the whole second picture on the first in eight orientations, or of a frame.

    Args:
        first: (H, W), both at most 32.
        second: (H, W), both at most 32.
    """
    return max(_placements(first, second), key=lambda found: found.score)


def flipped(pixels: Floats, turn: int) -> Floats:
    """Return a picture in one of eight orientations: bit 0 mirrors, bit 1 flips upside down, bit 2 transposes."""
    if turn & 1:
        pixels = pixels[:, ::-1]
    if turn & 2:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.T if turn & 4 else pixels)


def scaled_down(pixels: Floats, scale: float) -> Floats:
    """Return a picture scaled down by area averaging."""
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _placements(first: Floats, second: Floats) -> Iterator[Placement]:
    """Yield the placement of the whole second picture in each orientation, and the best one of each frame."""
    height, width = first.shape
    for turn in range(8):
        stretched = cv2.resize(flipped(second, turn), (width, height), interpolation=cv2.INTER_LINEAR)
        yield _best_place(first, np.asarray(stretched), inside=True, turn=turn)
    for inside, (around, part) in ((False, (second, first)), (True, (first, second))):
        for scale in SCALES:
            frame = scaled_down(part, scale)
            if (
                min(frame.shape) >= LEAST_SIDE
                and frame.shape[0] <= around.shape[0]
                and frame.shape[1] <= around.shape[1]
            ):
                for turn in (0, 1):
                    yield _best_place(around, flipped(frame, turn), inside=inside, turn=turn)


def _best_place(around: Floats, frame: Floats, *, inside: bool, turn: int) -> Placement:
    """Return where a frame correlates best with the picture around it; a plain frame correlates with nothing."""
    size = (frame.shape[1], frame.shape[0])
    if frame.std() < 1e-6:
        return Placement(0.0, inside, turn, (0, 0), size)
    _, score, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(around, frame, cv2.TM_CCOEFF_NORMED))
    return Placement(float(score), inside, turn, (int(left), int(top)), size)
