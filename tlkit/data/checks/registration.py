"""Image registration at 32 pixels: the placement of one picture on another, as a whole or as a smaller frame.

Every placement is scored by normalized cross-correlation, as OpenCV's `matchTemplate` with `TM_CCOEFF_NORMED` does (the
tests compare them). That takes one call for each of 36 frames of a pair; here the correlations of all frames come from
one batch of Fourier transforms, and the sums over windows that normalize them from integral images (Lewis 1995, "Fast
normalized cross-correlation", Vision Interface).
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from tlkit.arrays import Floats32

COARSE = 32
"""Longest side of the pictures, in pixels; also the period of the Fourier transforms: a frame inside does not wrap."""
SCALES = (0.93, 0.87, 0.81, 0.75, 0.70, 0.65, 0.60, 0.56, 0.52)
"""Sides of a cropped frame, as shares of the whole picture's; the last keeps a quarter of the area."""
LEAST_SIDE = 8
LEAST_SPREAD = 1e-6
"""A frame whose pixels have a smaller standard deviation is plain."""
LEAST_SHARE = 1e-4
"""A window whose deviations are a smaller share of its values, both as norms, is plain: rounding is not detail."""

Shape = tuple[int, int]


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


class Frames(NamedTuple):
    """A picture scaled down by each of `SCALES`, without plain and small ones.

    `shapes` holds the shape (H, W) of each of F frames; `spectra` (F, 2, 32, 17) the conjugate Fourier transforms of
    the upright and the mirrored frame, of mean 0 and norm 1.
    """

    shapes: tuple[Shape, ...]
    spectra: npt.NDArray[np.complex64]


class CoarseImage:
    """The edges of a picture, with what registration needs of it, made once.

    Args:
        pixels: (H, W), both at most 32.
    """

    def __init__(self, pixels: Floats32) -> None:
        self.pixels = pixels
        self.shape: Shape = (pixels.shape[0], pixels.shape[1])
        self._whole: dict[Shape, Floats32] = {}
        self._scales: dict[Shape, Floats32] = {}

    def whole(self, shape: Shape) -> Floats32:
        """Return the picture in each of eight orientations, stretched to a shape, (8, H · W) of mean 0 and norm 1.

        A plain picture is 0 throughout.
        """
        if shape not in self._whole:
            turned = (flipped(self.pixels, turn) for turn in range(8))
            stretched = (cv2.resize(one, shape[::-1], interpolation=cv2.INTER_LINEAR) for one in turned)
            self._whole[shape] = np.stack([_unit(np.asarray(one, np.float32)).ravel() for one in stretched])
        return self._whole[shape]

    @cached_property
    def unit(self) -> Floats32:
        """The pixels with mean 0 and norm 1, shape (H · W,); 0 throughout where they are plain."""
        return _unit(self.pixels).ravel()

    @cached_property
    def frames(self) -> Frames:
        """The frames that are moved over other pictures."""
        scaled = [_unit(scaled_down(self.pixels, scale)) for scale in SCALES]
        kept = [frame for frame in scaled if min(frame.shape) >= LEAST_SIDE and frame.any()]
        if not kept:
            return Frames((), np.empty((0, 2, COARSE, COARSE // 2 + 1), np.complex64))
        canvas = np.zeros((len(kept), 2, COARSE, COARSE), np.float32)
        for place, frame in enumerate(kept):
            for turn in (0, 1):
                canvas[place, turn, : frame.shape[0], : frame.shape[1]] = flipped(frame, turn)
        return Frames(tuple((one.shape[0], one.shape[1]) for one in kept), np.conj(fft.rfft2(canvas)))

    @cached_property
    def spectrum(self) -> npt.NDArray[np.complex64]:
        """The Fourier transform (32, 17) of the pixels, their mean subtracted."""
        return np.asarray(fft.rfft2(self.pixels - self.pixels.mean(), (COARSE, COARSE)))

    def scale(self, shape: Shape) -> Floats32:
        """Return 1 / the norm of the deviations of each window of a shape by its corner, (32, 32).

        0 for plain windows, and for corners where the window does not lie in the picture.
        """
        if shape not in self._scales:
            area, (height, width) = shape[0] * shape[1], shape
            sums, squares = (
                table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
                for table in self._integrals
            )
            deviations = squares - sums**2 / area
            plain = deviations <= np.maximum(LEAST_SHARE**2 * squares, area * LEAST_SPREAD**2)
            known = 1 / np.sqrt(np.where(plain, np.inf, deviations))
            self._scales[shape] = np.zeros((COARSE, COARSE), np.float32)
            self._scales[shape][: known.shape[0], : known.shape[1]] = known
        return self._scales[shape]

    @cached_property
    def _integrals(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The integral images, (H + 1, W + 1), of the pixels, their mean subtracted, and of their squares."""
        sums, squares = cv2.integral2(self.pixels - self.pixels.mean(), sdepth=cv2.CV_64F, sqdepth=cv2.CV_64F)
        return np.asarray(sums, np.float64), np.asarray(squares, np.float64)


def register(first: CoarseImage, second: CoarseImage) -> Placement:
    """Return the best placement: of the whole second picture on the first in eight orientations, or of a frame."""
    scores = second.whole(first.shape) @ first.unit
    turn = int(scores.argmax())
    whole = Placement(float(scores[turn]), True, turn, (0, 0), first.shape[::-1])
    frames = (_best_frame(second, first, inside=False), _best_frame(first, second, inside=True))
    return max((whole, *(found for found in frames if found is not None)), key=lambda found: found.score)


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


def _best_frame(around: CoarseImage, part: CoarseImage, *, inside: bool) -> Placement | None:
    """Return where a frame of a part correlates best with the picture around it; None where no frame fits."""
    fits = [shape[0] <= around.shape[0] and shape[1] <= around.shape[1] for shape in part.frames.shapes]
    if not any(fits):
        return None
    shapes = [shape for shape, fit in zip(part.frames.shapes, fits, strict=True) if fit]
    spectra = part.frames.spectra if all(fits) else part.frames.spectra[fits]
    scores = fft.irfft2(around.spectrum * spectra, (COARSE, COARSE))  # by frame, turn and corner
    scores *= np.stack([around.scale(shape) for shape in shapes])[:, None]
    frame, turn, top, left = (int(at) for at in np.unravel_index(scores.argmax(), scores.shape))
    return Placement(float(scores[frame, turn, top, left]), inside, turn, (left, top), shapes[frame][::-1])


def _unit(pixels: Floats32) -> Floats32:
    """Return pixels with mean 0 and norm 1; zeros for plain ones."""
    centered = pixels - pixels.mean()
    norm = float(np.linalg.norm(centered))
    plain = norm < LEAST_SPREAD * centered.size**0.5
    return np.zeros_like(centered) if plain else centered / np.float32(norm)
