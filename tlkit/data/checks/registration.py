"""Image registration at 32 pixels: the placement of one picture on another, as a whole or as a smaller frame.

Every placement is tried by normalized cross-correlation. The possible placements of frames are computed once for each
pair of shapes. The correlation theorem gives their scores: one inverse transform for all frames of a picture, upright
and mirrored. OpenCV's `matchTemplate` for each frame takes three times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex64]
Rows = npt.NDArray[np.intp]

COARSE = 32
"""Longest side of the pictures, in pixels."""
SCALES = (0.93, 0.87, 0.81, 0.75, 0.70, 0.65, 0.60, 0.56, 0.52)
"""Sides of a cropped frame, as shares of the whole picture's; the last keeps a quarter of the area."""
LEAST_SIDE = 8
LEAST_SPREAD = 1e-6
"""A window is plain if its squared deviations are a smaller share of its squares: rounding errors."""
SHAPES = 256
"""Number of cached pairs of shapes, 100 kB each."""
_NUMBER, _TOP, _LEFT = np.indices((len(SCALES), COARSE, COARSE)).reshape(3, -1)


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
    """A picture at 32 pixels, with cached spectra and sums for its registration with others.

    Args:
        pixels: (H, W), both at most 32.
    """

    def __init__(self, pixels: Floats) -> None:
        self.pixels = pixels
        self.shape: tuple[int, int] = (pixels.shape[0], pixels.shape[1])

    @cached_property
    def flips(self) -> Floats:
        """The standardized picture in the first four orientations of `flipped`, shape (4, H * W)."""
        return np.stack([flipped(_standardized(self.pixels), turn).ravel() for turn in range(4)])

    @cached_property
    def fields(self) -> Spectra:
        """Spectra (32, 2, 17) of the picture, upright and mirrored."""
        return _spectra([self.pixels, self.pixels[:, ::-1]])

    @cached_property
    def frames(self) -> Spectra:
        """Conjugate spectra (32, S, 17) of the picture at each of the scales, standardized."""
        return _spectra([_standardized(scaled_down(self.pixels, scale)) for scale in SCALES]).conj()

    @cached_property
    def sums(self) -> Doubles:
        """Integral images (2, 33 * 33) of the pixels and of their squares."""
        summed = np.zeros((2, COARSE + 1, COARSE + 1))
        height, width = self.shape
        powers = np.stack([self.pixels, self.pixels**2], dtype=np.float64)
        summed[:, 1 : height + 1, 1 : width + 1] = powers.cumsum(axis=1).cumsum(axis=2)
        return summed.reshape(2, -1)


def register(first: CoarseImage, second: CoarseImage) -> Placement:
    """Return the best placement: of the whole second picture on the first in eight orientations, or of a frame."""
    best = _register_whole(first, second)
    for inside, (around, part) in enumerate(((second, first), (first, second))):
        windows = _windows(around.shape, part.shape)
        if not len(windows.area):
            continue
        scores = _scores(around, part, windows)
        mirrored, at = divmod(int(scores.argmax()), len(windows.area))
        if scores[mirrored, at] > best.score:
            top, left, height, width = windows.boxes[:, at].tolist()
            best = Placement(float(scores[mirrored, at]), bool(inside), mirrored, (left, top), (width, height))
    return best


def flipped(pixels: Floats, turn: int) -> Floats:
    """Return a picture in one of eight orientations: bit 0 mirrors, bit 1 flips upside down, bit 2 transposes."""
    if turn & 1:
        pixels = pixels[:, ::-1]
    if turn & 2:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.T if turn & 4 else pixels)


def scaled_down(pixels: Floats, scale: float) -> Floats:
    """Return a picture scaled down by area averaging."""
    height, width = _scaled_shape(pixels.shape, scale)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _scaled_shape(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _register_whole(first: CoarseImage, second: CoarseImage) -> Placement:
    """Return the best orientation of the second picture, stretched to the shape of the first.

    The flips are applied to the first picture, so that the second is stretched twice, not eight times.
    """
    height, width = first.shape
    scores = []
    for pixels, flips in ((second.pixels, (0, 1, 2, 3)), (flipped(second.pixels, 4), (0, 2, 1, 3))):
        stretched = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        scores += (first.flips @ _standardized(stretched).ravel())[list(flips)].tolist()
    turn = int(np.argmax(scores))
    return Placement(scores[turn], True, turn, (0, 0), (width, height))


class _Windows(NamedTuple):
    """The P possible boxes of frames of pictures of one shape in pictures of another."""

    boxes: Rows
    """Top, left, height and width, shape (4, P)."""
    area: Doubles
    corners: Rows
    """Positions in `CoarseImage.sums`: bottom right, top left, top right and bottom left corner, shape (4, P)."""
    found: Rows
    """Positions of the scores in a map (32, 2, S, 32), upright and mirrored, shape (2, P)."""
    rows: int
    """Number of rows of the map that are needed."""


@lru_cache(SHAPES)
def _windows(around: tuple[int, int], part: tuple[int, int]) -> _Windows:
    height, width = np.array([_scaled_shape(part, scale) for scale in SCALES]).T
    down, across = around[0] - height, around[1] - width
    down = np.where(np.minimum(height, width) < LEAST_SIDE, -1, down)
    possible = np.flatnonzero((down[_NUMBER] >= _TOP) & (across[_NUMBER] >= _LEFT))
    number, top, left = _NUMBER[possible], _TOP[possible], _LEFT[possible]
    height, width = height[number], width[number]
    low, right, row = top + height, left + width, COARSE + 1
    upright, mirrored = ((top * 2 + side) * len(SCALES) + number for side in (0, 1))
    return _Windows(
        np.stack([top, left, height, width]),
        (height * width).astype(np.float64),
        np.stack([low * row + right, top * row + left, top * row + right, low * row + left]),
        np.stack([upright * COARSE + left, mirrored * COARSE + across[number] - left]),
        rows=int(down.max()) + 1,
    )


def _scores(around: CoarseImage, part: CoarseImage, windows: _Windows) -> Doubles:
    """Return the correlations (2, P) of the windows of one picture with the frames of the other, upright and mirrored.

    Pictures fit into fields of 32 x 32, so no window wraps around. A mirrored frame correlates with a picture as the
    frame does with the mirrored picture.
    """
    corners = around.sums.take(windows.corners, axis=1)
    sums, squares = corners[:, 0] + corners[:, 1] - corners[:, 2] - corners[:, 3]
    spread = squares - sums * sums / windows.area
    spread[spread <= LEAST_SPREAD * squares] = np.inf
    columns = np.fft.ifft(around.fields[:, :, None] * part.frames[:, None], axis=0)
    maps = np.fft.irfft(columns[: windows.rows])
    return np.asarray(maps.take(windows.found) / np.sqrt(spread), np.float64)


def _standardized(pixels: Floats) -> Floats:
    """Return a picture with mean 0 and Euclidean norm 1; a plain one is 0."""
    (mean,), (deviation,) = (value[0] for value in cv2.meanStdDev(pixels))
    length = float(deviation) * pixels.size**0.5
    return np.asarray((pixels - float(mean)) / length if length > 1e-6 else np.zeros_like(pixels), np.float32)


def _spectra(pictures: Sequence[Floats]) -> Spectra:
    """Return the spectra (32, n, 17) of n pictures, each in the upper left corner of a field of 32 x 32."""
    fields = np.zeros((COARSE, len(pictures), COARSE), np.float32)
    for number, picture in enumerate(pictures):
        fields[: picture.shape[0], number, : picture.shape[1]] = picture
    return np.fft.fft(np.fft.rfft(fields), axis=0).astype(np.complex64, copy=False)
