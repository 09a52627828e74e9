"""Pair verification: whether two images show the same picture, also cropped, turned, recolored or written on.

Edges do not depend on brightness, so images are compared as differences of Gaussians. At 32 pixels, `register` tries
the eight orientations of a picture and every smaller frame in it. The best placement is aligned at 64 pixels by the
enhanced correlation coefficient (Evangelidis & Psarakis 2008, "Parametric Image Alignment Using Enhanced Correlation
Coefficient Maximization"; OpenCV's `findTransformECC`). The images are then correlated as a whole and block by block:
writing spoils few blocks and leaves the median.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32
from tlkit.data.checks.registration import (
    COARSE,
    LEAST_SIDE,
    SCALES,
    CoarseImage,
    Placement,
    flipped,
    register,
    scaled_down,
)

LEAST_DETAIL = 1.5
"""Pictures with a smaller standard deviation of their edges, of 255, are plain and are not compared."""
LEAST_COARSE = 0.5
"""Pictures with a smaller correlation at 32 pixels are not aligned; copies reach 0.55 and more."""
LEAST_WHOLE, LEAST_MEDIAN = 0.3, 0.45
"""Smallest correlations of the whole and of the median block: a bright spot or noise can raise one of them alone."""
MOST_CHANGE = 0.2
"""Largest difference between entries of the aligning matrix and those of the coarse alignment."""
GRID, LEAST_BLOCKS = 5, 9
LEAST_SHARE = 0.2
"""Blocks whose standard deviation is a smaller share of the picture's are plain and do not count."""


class Alignment(NamedTuple):
    """Where one picture lies in the other.

    `inside` and `turn` as in `Placement`; `matrix` (2, 3) takes shares of the turned part's width and height, from its
    left upper corner, to shares of the width and height of the picture around it.
    """

    inside: bool
    turn: int
    matrix: npt.NDArray[np.float64]


class PairMatch(NamedTuple):
    """The similarity of two pictures in their best alignment.

    `score` is a correlation of edges in [-1, 1]; copies reach 0.9 and more. `kind` is the change that aligns them:
    "cropped", "turned", "mirrored"; or "edited" where they are aligned already. `alignment` says where they lie.
    """

    score: float
    kind: Literal["cropped", "turned", "mirrored", "edited"]
    alignment: Alignment


class EdgeImage:
    """The edges of one picture.

    Args:
        gray: its gray thumbnail, uint8 (H, W).
    """

    def __init__(self, gray: npt.NDArray[np.uint8]) -> None:
        self.gray = gray.astype(np.float32)

    @cached_property
    def is_plain(self) -> bool:
        """Whether it has too few edges to be compared."""
        return min(self.gray.shape) < LEAST_SIDE or float(_edges(self.gray).std()) < LEAST_DETAIL

    @cached_property
    def coarse(self) -> CoarseImage:
        """The edges at 32 pixels."""
        small = scaled_down(self.gray, COARSE / max(self.gray.shape))
        edges = small - cv2.GaussianBlur(small, (0, 0), 2.5)
        spread = np.sqrt(cv2.GaussianBlur(edges**2, (0, 0), 4.0))  # local contrast, else bright writing dominates
        return CoarseImage(np.asarray(edges / (spread + 0.5 * edges.std() + 1e-3), np.float32))


def verify_pair(first: EdgeImage, second: EdgeImage) -> PairMatch | None:
    """Return the match of two pictures in their best alignment; None where one is plain or they differ clearly.

    Finds frames of at least a quarter of the other picture, upright or mirrored, and whole pictures in any of the eight
    orientations; colors, contrast and format may differ, and text may cover a part.
    """
    if first.is_plain or second.is_plain:
        return None
    best = register(first.coarse, second.coarse)
    if best.score < LEAST_COARSE:
        return None
    score, matrix = _aligned(first, second, best) if best.inside else _aligned(second, first, best)
    cropped = max(best.size) < COARSE * (1 + SCALES[0]) / 2
    kind: Literal["cropped", "edited", "mirrored", "turned"]
    kind = "cropped" if cropped else ("edited", "mirrored", "turned")[min(best.turn, 2)]
    return PairMatch(score, kind, Alignment(best.inside, best.turn, matrix))


def _aligned(around: EdgeImage, part: EdgeImage, best: Placement) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the agreement of the part with the picture around it after an affine alignment, and its matrix."""
    scale = np.array(around.gray.shape[::-1]) / np.array(around.coarse.pixels.shape[::-1])
    width, height = (max(LEAST_SIDE, round(side * by)) for side, by in zip(best.size, scale, strict=True))
    upright = flipped(part.gray, best.turn)
    shrinks = width * height < upright.size
    scaled = cv2.resize(upright, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    ground, template = _edges(around.gray), _edges(scaled)
    start = np.array([[1, 0, best.corner[0] * scale[0]], [0, 1, best.corner[1] * scale[1]]], np.float32)
    unaligned = _agreement(ground, template, start), in_shares(start, template.shape, ground.shape)
    try:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
        _, warp = cv2.findTransformECC(template, ground, start.copy(), cv2.MOTION_AFFINE, stop, None, 3)
    except cv2.error:  # no convergence
        return unaligned
    if np.abs(warp[:, :2] - np.eye(2)).max() > MOST_CHANGE:
        return unaligned
    aligned = _agreement(ground, template, np.asarray(warp, np.float32))
    return max(unaligned, (aligned, in_shares(warp, template.shape, ground.shape)), key=lambda found: found[0])


def in_shares(
    matrix: npt.NDArray[np.floating], part: tuple[int, ...], around: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Return a matrix between pixels, whose centers have whole numbers, as one between shares of width and height."""
    linear, shift = matrix[:, :2].astype(np.float64), matrix[:, 2].astype(np.float64)
    size, size_around = np.array(part[1::-1]), np.array(around[1::-1])
    offset = (shift + 0.5 - linear @ np.array([0.5, 0.5])) / size_around
    return np.column_stack([linear * size / size_around[:, None], offset])


def in_pixels(
    matrix: npt.NDArray[np.float64], part: tuple[int, ...], around: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Return the inverse of `in_shares`: the matrix between the pixels of two pictures of these shapes (H, W, ...)."""
    size, size_around = np.array(part[1::-1]), np.array(around[1::-1])
    linear = matrix[:, :2] * size_around[:, None] / size
    shift = matrix[:, 2] * size_around - 0.5 + linear @ np.array([0.5, 0.5])
    return np.column_stack([linear, shift]).astype(np.float32)


def _agreement(ground: Floats32, template: Floats32, warp: Floats32) -> float:
    """Return the higher of the whole's correlation and the median block's; 0 where either is low."""
    size = (template.shape[1], template.shape[0])
    warped = np.asarray(cv2.warpAffine(ground, warp, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    full = np.ones(ground.shape, np.uint8)
    covered = cv2.warpAffine(full, warp, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    if covered.mean() < 0.5:
        return 0.0
    whole = _correlation(warped[covered], template[covered])
    height, width = covered.shape
    down = np.linspace(0, height, GRID + 1).round().astype(int)
    across = np.linspace(0, width, GRID + 1).round().astype(int)
    least = max(LEAST_DETAIL, LEAST_SHARE * float(template[covered].std()))
    blocks = []
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            part = covered[top:bottom, left:right]
            one, other = warped[top:bottom, left:right][part], template[top:bottom, left:right][part]
            if part.mean() > 0.5 and max(one.std(), other.std()) > least:
                blocks.append(_correlation(one, other))
    if len(blocks) < LEAST_BLOCKS:
        return 0.0
    median = float(np.median(blocks))
    return max(whole, median) if whole >= LEAST_WHOLE and median >= LEAST_MEDIAN else 0.0


def _correlation(a: Floats32, b: Floats32) -> float:
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 1e-6 else 0.0


def _edges(gray: Floats32) -> Floats32:
    """Return a difference of Gaussians, without noise and lighting."""
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.8) - cv2.GaussianBlur(gray, (0, 0), 3.3))
