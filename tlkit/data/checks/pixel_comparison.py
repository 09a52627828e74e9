"""Whether two files hold the same picture, by all of their pixels: identical, or only saved again, scaled or turned.

The larger picture is scaled down to the smaller one. JPEG and scaling spread small errors over all detail but keep the
local means of brightness and color; another picture differs in a local mean somewhere, if only by a tie. So both are
compared as means of 5 x 5 pixels in brightness and of 9 x 9 in color (which JPEG stores at half the size), by the
largest difference. It may be larger where the picture has more contrast, since JPEG's errors grow with it, and where
the others are large, too. The weaker detail must also be part of the stronger: two exposures of one scene have equal
means but different noise, of which saving again only removes some. What is left must lie where saving again puts it
(see `saving_noise`): at all edges alike, not at a few.

The limits are set by `benchmarks/copies.py`: JPEG at quality 75 stays below them, different drawings do not, those
included that differ in a small region or are another one drawn again mirrored or turned.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32, Pixels
from tlkit.data.checks.duplicates import MOST_APART
from tlkit.data.checks.pair_verification import Alignment, in_pixels, in_shares
from tlkit.data.checks.registration import flipped
from tlkit.data.checks.saving_noise import concentration, luma

LEAST_SIDE = 8
"""Pictures that are smaller on a side are the same only if all pixels are equal."""
BRIGHTNESS_WINDOW, COLOR_WINDOW = 5, 9
BLOCK = 2 * BRIGHTNESS_WINDOW
LEAST_LIMIT, LIMIT_PER_CONTRAST = 3.0, 0.17
"""Largest difference of local means, of 255: this much, and so much for each unit of the standard deviation."""
MOST_BRIGHTNESS, MOST_COLOR = 14.0, 20.0
LEAST_EDGE, ALONE, PER_USUAL = 20.0, 4.5, 1.0
"""A difference is also limited by the usual one, the third quartile of the pixels' differences where brightness changes
by `LEAST_EDGE` within the window: saving again changes all edges a little, another picture few of them much."""
UNCHANGED = 0.1
"""Where the usual difference is smaller, three quarters of the edges are equal to the bit, so that a picture was edited
or drawn again and not saved again: only `LEAST_LIMIT` is allowed. One step of blue changes brightness by 0.11."""
ROUNDING = 1.001
"""What sums in another order may change."""
AREAS, AREA_SHARE = 4, 0.5
"""Over a quarter of the shorter side, half of the difference is allowed."""
LEAST_SHARED_DETAIL = 0.7
LEAST_COVERED = 0.5
PLAIN_DETAIL = 1.0
"""Detail with a smaller standard deviation is rounding and is not compared."""


class PixelDifference(NamedTuple):
    """How far two aligned pictures lie apart.

    `brightness`, `color`, `detail` and `concentration` are shares of what saving again may change: at most 1 for
    copies; the last is compared only where the others are, and 0 for small differences. `usual` is the root mean square
    over all pixels and channels, of 255.
    """

    brightness: float
    color: float
    detail: float
    usual: float
    concentration: float = 0.0

    @property
    def is_copy(self) -> bool:
        """Whether nothing differs by more than saving again explains."""
        return max(self.brightness, self.color, self.detail, self.concentration) <= 1.0


def picture_difference(first: Pixels, second: Pixels, turn: int = 0) -> PixelDifference | None:
    """Return how far the second picture, turned as in `flipped`, lies from the first one, at the smaller size of both.

    None where the pixels are not equal and a side is shorter than 8, or brightness alone shows other pictures.

    Args:
        first: RGB, shape (H, W, 3).
        second: RGB; any size, also of other proportions.
        turn: bit 0 mirrors, bit 1 flips upside down, bit 2 transposes.
    """
    second = turned_pixels(second, turn)
    if first.shape == second.shape and np.array_equal(first, second):
        return PixelDifference(0.0, 0.0, 0.0, 0.0)
    height, width = (min(sides) for sides in zip(first.shape[:2], second.shape[:2], strict=True))
    if min(height, width) < LEAST_SIDE:
        return None
    one, other = _scaled(first, height, width), _scaled(second, height, width)
    if surely_apart(one, other):
        return None
    difference = pixel_difference(one, other)
    if not difference.is_copy or _largest(luma(one - other)[..., None], BRIGHTNESS_WINDOW) <= ALONE:
        return difference
    edges = _detailed(luma(one))
    source = None if first.shape == second.shape else max(first, second, key=lambda pixels: pixels.size)
    return difference._replace(concentration=concentration(one, other, edges, source))


def surely_apart(first: Floats32, second: Floats32) -> bool:
    """Return whether brightness differs by more than `pixel_difference` ever allows a copy, in a tenth of its time.

    Args:
        first: RGB, shape (H, W, 3).
        second: RGB of the same shape.
    """
    one, other = luma(first), luma(second)
    return float(_local_means((one - other)[..., None], BRIGHTNESS_WINDOW).max()) > _most_apart(one, other)


def _most_apart(one: Floats32, other: Floats32) -> float:
    """Return the largest difference of local means that brightness (H, W) of copies may have, of 255."""
    limit = min(LEAST_LIMIT + LIMIT_PER_CONTRAST * float(max(one.std(), other.std())), MOST_BRIGHTNESS)
    return ROUNDING * limit


def likely_turns(first: Pixels, second: Pixels) -> list[int]:
    """Return the orientations, as in `flipped`, in which the second picture may be the first.

    By thumbnails, and where both have one size by means of brightness over blocks of 10 x 10 pixels. Such a block is
    four windows, so it differs by no more than the window that differs most.
    """
    one, other = (_scaled(pixels, LEAST_SIDE, LEAST_SIDE).mean(axis=-1) for pixels in (first, second))
    turns = [turn for turn in range(8) if np.abs(one - flipped(other, turn)).max() <= MOST_APART]
    if not turns or min(first.shape[:2]) < BLOCK or sorted(first.shape[:2]) != sorted(second.shape[:2]):
        return turns
    one, other = luma(first.astype(np.float32)), luma(second.astype(np.float32))
    most = _most_apart(one, other)
    return [turn for turn in turns if not _blocks_apart(one, flipped(other, turn), most)]


def _blocks_apart(one: Floats32, other: Floats32, most: float) -> bool:
    """Return whether the mean brightness of a block differs by more than `most`; False for other proportions."""
    if one.shape != other.shape:
        return False
    down, across = (side // BLOCK for side in one.shape)
    apart = (one - other)[: down * BLOCK, : across * BLOCK]
    return float(np.abs(cv2.resize(apart, (across, down), interpolation=cv2.INTER_AREA)).max()) > most


def turned_pixels(pixels: Pixels, turn: int) -> Pixels:
    """Return RGB pixels (H, W, 3) in one of eight orientations, as in `flipped`."""
    if turn & 1:
        pixels = pixels[:, ::-1]
    if turn & 2:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if turn & 4 else pixels)


def pixel_difference(
    first: Floats32, second: Floats32, covered: npt.NDArray[np.bool_] | None = None
) -> PixelDifference:
    """Return how far two aligned pictures (H, W, 3) lie apart, where `covered` (H, W) is true; default: everywhere."""
    one, other = _brightness_and_color(first), _brightness_and_color(second)
    inside = np.ones(first.shape[:2], np.bool_) if covered is None else covered
    apart = (one - other) * inside[..., None]
    contrast = float(max(one[..., 0][inside].std(), other[..., 0][inside].std()))
    limit = LEAST_LIMIT + LIMIT_PER_CONTRAST * contrast
    means = _local_means(apart[..., :1], BRIGHTNESS_WINDOW)
    detailed = inside & _detailed(one[..., 0])
    at_edges = float(np.quantile(np.abs(apart[..., 0][detailed if detailed.any() else inside]), 0.75))
    explained = LEAST_LIMIT if at_edges < UNCHANGED else ALONE + PER_USUAL * at_edges
    brightness = float(means[inside].max()) / min(limit, MOST_BRIGHTNESS, explained)
    area = max(COLOR_WINDOW, min(inside.shape) // AREAS)
    brightness = max(brightness, _largest(apart[..., :1], area, inside) / (limit * AREA_SHARE))
    color = _largest(apart[..., 1:], COLOR_WINDOW, inside) / min(limit + 2 * LEAST_LIMIT, MOST_COLOR)
    details = [(part[..., 0] - cv2.GaussianBlur(part[..., 0], (0, 0), 2.0))[inside] for part in (one, other)]
    covariance = np.cov(*details)
    least = float(covariance.diagonal().min())
    shared = 1.0 if least < PLAIN_DETAIL**2 else float(covariance[0, 1]) / least
    detail = (1.0 - shared) / (1.0 - LEAST_SHARED_DETAIL)
    return PixelDifference(brightness, color, detail, float(np.sqrt((apart[inside] ** 2).mean())))


def _detailed(brightness: Floats32) -> npt.NDArray[np.bool_]:
    """Return where brightness (H, W) changes by more than `LEAST_EDGE` within the window."""
    kernel = np.ones((BRIGHTNESS_WINDOW, BRIGHTNESS_WINDOW), np.uint8)
    return np.asarray(cv2.dilate(brightness, kernel) - cv2.erode(brightness, kernel) > LEAST_EDGE)


def _largest(apart: Floats32, window: int, inside: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the largest local mean of a difference (H, W, C), by amount, where `inside` (H, W) is true."""
    means = _local_means(apart, window)
    return float((means if inside is None else means[inside]).max())


def _local_means(apart: Floats32, window: int) -> Floats32:
    """Return the amounts of the local means of a difference (H, W, C), of all channels the largest, shape (H, W)."""
    means = np.abs(cv2.blur(apart, (window, window), borderType=cv2.BORDER_REFLECT_101))
    return np.asarray(means.reshape(*apart.shape[:2], -1).max(axis=-1), np.float32)


def _scaled(pixels: Pixels, height: int, width: int) -> Floats32:
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return pixels.astype(np.float32)


def _brightness_and_color(pixels: Floats32) -> Floats32:
    """Return Y, Cb and Cr of ITU-R BT.601 (without offset), as JPEG stores them, of RGB pixels (H, W, 3)."""
    y = luma(pixels)
    return np.stack([y, 0.564 * (pixels[..., 2] - y), 0.713 * (pixels[..., 0] - y)], axis=-1)


def same_where_aligned(first: Pixels, second: Pixels, alignment: Alignment) -> bool:
    """Return whether two pictures are the same where one lies on the other, such as a crop on the whole picture.

    The alignment is refined from coarse to fine, at last at all pixels of the one with fewer of them, by the enhanced
    correlation coefficient.

    Args:
        first: RGB, shape (H, W, 3).
        second: RGB.
        alignment: of the two, roughly, as from `verify_pair`.
    """
    around, part = (first, second) if alignment.inside else (second, first)
    part, matrix = turned_pixels(part, alignment.turn), alignment.matrix
    for longest in (128, 512, max(part.shape)):
        ground, template = _at_one_scale(around, part, matrix, longest)
        if min(template.shape[:2]) < LEAST_SIDE:
            return False
        warp = _refined(ground, template, in_pixels(matrix, template.shape, ground.shape))
        if warp is None:
            return False
        matrix = in_shares(warp, template.shape, ground.shape)
        if longest >= max(part.shape):
            break
    size, flags = (template.shape[1], template.shape[0]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    covered = np.asarray(cv2.warpAffine(np.ones(ground.shape[:2], np.float32), warp, size, flags=flags)) > 0.999
    if covered.mean() < LEAST_COVERED:
        return False
    warped = np.asarray(cv2.warpAffine(ground.astype(np.float32), warp, size, flags=flags))
    return pixel_difference(template.astype(np.float32), warped, covered).is_copy


def _refined(ground: Pixels, template: Pixels, warp: Floats32) -> Floats32 | None:
    """Return the matrix that aligns the template with the ground, begun at `warp`; None where there is none."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    gray, around = (np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)) for pixels in (template, ground))
    try:
        _, found = cv2.findTransformECC(gray, around, warp, cv2.MOTION_AFFINE, stop, None, 3)
    except cv2.error:  # no convergence
        return None
    return np.asarray(found, np.float32)


def _at_one_scale(around: Pixels, part: Pixels, matrix: npt.NDArray[np.float64], longest: int) -> tuple[Pixels, Pixels]:
    """Return both pictures at the scale of the coarser one, the part's longest side at most `longest`."""
    warp = in_pixels(matrix, part.shape, around.shape)[:, :2].astype(np.float64)
    enlarged = float(np.sqrt(abs(np.linalg.det(warp))))  # pixels of the picture around, for one of the part
    by = min(1.0, enlarged, longest / max(part.shape))
    scaled = [
        pixels
        if scale >= 1
        else cv2.resize(
            pixels, tuple(max(1, round(side * scale)) for side in pixels.shape[1::-1]), interpolation=cv2.INTER_AREA
        )
        for pixels, scale in ((around, by / max(enlarged, 1e-6)), (part, by))
    ]
    return np.asarray(scaled[0], np.uint8), np.asarray(scaled[1], np.uint8)
