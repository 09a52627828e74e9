"""Whether the difference of two pictures lies where saving one picture again would put it.

JPEG and scaling change a picture where it has detail, and all places of like detail alike. Another drawing of the same
thing differs along some edges and not along others. So the energy of the difference around each edge is compared with
what saving these very pictures again does there: requantized by JPEG, filtered by another resampling where the sizes
differ, or both. What remains is one factor, the same everywhere, or the difference is concentrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from tlkit.arrays import Floats32, Pixels

QUALITIES = (30, 40, 50, 60, 75, 85, 92)
"""Of JPEG. Two of them stand for two saves."""
RESAMPLED_SHARES = (0.3, 1.0)
"""How much of a resampling's energy is added to that of JPEG."""
FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
UNFILTERED = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)
"""Resamplings that skip pixels, as OpenCV's do."""
WINDOW = 9
ROUNDING = 1.0
"""Energy of a difference that may be anywhere, in squared gray levels."""
MOST_ABOVE, MOST_AT_ONE_PLACE = 1.45, 2.0
"""Largest root mean square of a difference around an edge, in multiples of what saving again explains, relative to the
median of all edges: of all but a hundredth of the edges, and at any."""
LONGEST, GRID = 1024, 16
"""Of larger pictures a square around the largest difference is compared, which begins where a block of JPEG does."""


def concentration(first: Floats32, second: Floats32, edges: npt.NDArray[np.bool_], source: Pixels | None) -> float:
    """Return how much more two aligned pictures differ at some edges than at others, beyond what saving again explains.

    At most 1 for copies, whose differences saving again explains everywhere by one factor.

    Takes 14 rounds of JPEG of at most a megapixel each: 5 ms for 96 pixels, 0.5 s for photos.

    Args:
        first: RGB in 0…255, shape (H, W, 3).
        second: RGB, of the same shape.
        edges: (H, W), where brightness changes; at least one is true.
        source: the larger picture before it was scaled to (H, W), upright; None where neither was.
    """
    apart = luma(first) - luma(second)
    part = _around_largest(apart)
    edges = edges[part] if edges[part].any() else np.ones_like(edges[part])
    found = _energy(apart[part], edges)
    saved = [_saved_energy((first[part], second[part]), quality, edges) for quality in QUALITIES]
    filtered: list[Floats32] = []
    if source is not None:  # one at a time: each fills as much memory as the picture
        resampled = chain(_filtered(source, first.shape), _enlarged((first, second), source.shape))
        filtered = [_energy(one[part], edges) for one in resampled]
    return min(_concentration(found, expected) for expected in _mixtures(saved, filtered))


def luma(pixels: Floats32) -> Floats32:
    """Return the brightness of RGB pixels (H, W, 3) by ITU-R BT.601, shape (H, W)."""
    return pixels @ np.array([0.299, 0.587, 0.114], np.float32)


def _mixtures(saved: list[Floats32], filtered: list[Floats32]) -> Iterator[Floats32]:
    """Yield the energies that one save, two saves, a resampling, or a resampling and a save explain."""
    yield from saved
    yield from filtered
    yield from (one + other for one, other in combinations(saved, 2))
    yield from (share * one + other for one in filtered for other in saved for share in RESAMPLED_SHARES)


def _concentration(found: Floats32, expected: Floats32) -> float:
    ratio = np.sqrt((found + ROUNDING) / (expected + ROUNDING))
    level, most = (float(np.quantile(ratio, share)) for share in (0.5, 0.99))
    return max(most / MOST_ABOVE, float(ratio.max()) / MOST_AT_ONE_PLACE) / level


def _energy(apart: Floats32, edges: npt.NDArray[np.bool_]) -> Floats32:
    """Return the mean square of a difference (H, W) around each edge, shape (number of edges,)."""
    blurred = cv2.blur(apart * apart, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT_101)
    return np.maximum(np.asarray(blurred, np.float32)[edges], 0.0)


def _saved_energy(pair: tuple[Floats32, Floats32], quality: int, edges: npt.NDArray[np.bool_]) -> Floats32:
    """Return the energy around each edge of what saving by JPEG changes, the mean of two pictures."""
    one, other = (_energy(luma(_requantized(pixels, quality)) - luma(pixels), edges) for pixels in pair)
    return np.asarray((one + other) / 2, np.float32)


def _requantized(pixels: Floats32, quality: int) -> Floats32:
    bgr = np.clip(pixels[..., ::-1], 0, 255).round().astype(np.uint8)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.float32)[..., ::-1]


def _filtered(source: Pixels, shape: tuple[int, ...]) -> Iterator[Floats32]:
    """Yield what other ways to scale the larger picture down than by area change in its brightness, shape (H, W)."""
    height, width = shape[:2]
    by_area = luma(_area(source, shape))
    yield np.asarray(cv2.GaussianBlur(by_area, (0, 0), 0.7) - by_area, np.float32)
    picture = Image.fromarray(source)
    yield from (luma(np.asarray(picture.resize((width, height), how), np.float32)) - by_area for how in FILTERS)
    for how in UNFILTERED:
        yield luma(np.asarray(cv2.resize(source, (width, height), interpolation=how), np.float32)) - by_area


def _enlarged(pair: tuple[Floats32, Floats32], shape: tuple[int, ...]) -> Iterator[Floats32]:
    """Yield what enlarging each of two pictures changes in its brightness, seen at its own size again."""
    for brightness in map(luma, pair):
        enlarged = cv2.resize(brightness, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
        yield _area(enlarged, brightness.shape) - brightness


def _area(source: npt.NDArray[np.generic], shape: tuple[int, ...]) -> Floats32:
    return np.asarray(cv2.resize(source, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)


def _around_largest(apart: Floats32) -> tuple[slice, slice]:
    """Return where a square of about `LONGEST` lies around the largest difference; it begins on JPEG's grid."""
    blurred = cv2.blur(apart * apart, (WINDOW, WINDOW))
    place = np.unravel_index(int(blurred.argmax()), apart.shape)
    starts = [
        max(0, min(int(at) - LONGEST // 2, side - LONGEST)) // GRID * GRID
        for at, side in zip(place, apart.shape, strict=True)
    ]
    top, left = starts
    return slice(top, top + LONGEST + GRID), slice(left, left + LONGEST + GRID)  # up to the border, off the grid or not
