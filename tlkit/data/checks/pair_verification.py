"""Whether two images show the same picture, judged by their pixels: also cropped, turned, recoloured or written on.

Brightness differs between a picture and its copy, edges stay where they are, so both are compared as differences of
Gaussians. The coarse look, 32 pixels long, tries the eight ways to turn and mirror a picture, and every smaller frame
in it; the best of them is aligned at 64 pixels by the enhanced correlation coefficient (Evangelidis & Psarakis 2008,
"Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization"; OpenCV's `findTransformECC`), and the
two are then correlated as a whole and block by block. Writing spoils a few blocks, and their median stands.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

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

Floats = npt.NDArray[np.float32]

LEAST_DETAIL = 1.5
"""Pictures with a smaller standard deviation of their edges, of 255, are plain: too little is left to compare."""
LEAST_COARSE = 0.5
"""Below this correlation of the coarse looks two pictures are not aligned at all; copies reach 0.55 and more."""
LEAST_WHOLE, LEAST_MIDDLE = 0.3, 0.45
"""The whole and the blocks must both agree so far: one alone can be won by a single bright spot, or by noise."""
MOST_BEND = 0.2
"""Entries of the aligning matrix may be this far from those of the coarse alignment."""
GRID, LEAST_BLOCKS = 5, 9
LEAST_SHARE = 0.2
"""Blocks with a smaller share of the picture's own spread are plain. A bird in an empty sky fills few others, and any
two birds agree so far."""

Turn = Literal["", "mirrored", "turned"]


class PairMatch(NamedTuple):
    """How alike two pictures are in their best alignment.

    `score` is a correlation of edges in [-1, 1]; copies reach 0.9 and more. `kind` says how the one must be changed to
    lie on the other: "cropped", "turned", "mirrored", or "edited" where it lies there already.
    """

    score: float
    kind: Literal["cropped", "turned", "mirrored", "edited"]


class EdgeImage:
    """What is compared of one picture.

    Args:
        gray: uint8 brightness (H, W), as `tlkit.data.checks.gray_thumbnails` gives it.
    """

    def __init__(self, gray: npt.NDArray[np.uint8]) -> None:
        self.gray = gray.astype(np.float32)

    @cached_property
    def is_plain(self) -> bool:
        """Whether there is too little in it to compare."""
        return min(self.gray.shape) < LEAST_SIDE or float(_edges(self.gray).std()) < LEAST_DETAIL

    @cached_property
    def coarse(self) -> CoarseImage:
        """The edges at 32 pixels."""
        small = scaled_down(self.gray, COARSE / max(self.gray.shape))
        edges = small - cv2.GaussianBlur(small, (0, 0), 2.5)
        spread = np.sqrt(
            cv2.GaussianBlur(edges**2, (0, 0), 4.0)
        )  # evened out, or bright writing would outweigh the rest
        return CoarseImage(np.asarray(edges / (spread + 0.5 * edges.std() + 1e-3), np.float32))


def verify_pair(first: EdgeImage, second: EdgeImage) -> PairMatch | None:
    """Compare two pictures in their best alignment; None where they are plain, or nothing like each other.

    Found are frames of at least a quarter of the other picture, upright or mirrored, and whole pictures turned by 90
    degrees or mirrored in any way; colours, contrast and format may differ, and something may be written on them.
    """
    if first.is_plain or second.is_plain:
        return None
    best = register(first.coarse, second.coarse)
    if best.score < LEAST_COARSE:
        return None
    score = _aligned(first, second, best) if best.inside else _aligned(second, first, best)
    cropped = max(best.size) < COARSE * (1 + SCALES[0]) / 2
    return PairMatch(score, "cropped" if cropped else ("edited", "mirrored", "turned")[min(best.turn, 2)])


def _aligned(around: EdgeImage, part: EdgeImage, best: Placement) -> float:
    """Return how well the part lies on the picture around it, once it is moved and bent a little to fit."""
    scale = np.array(around.gray.shape[::-1]) / np.array(around.coarse.shape[::-1])
    width, height = (max(LEAST_SIDE, round(side * by)) for side, by in zip(best.size, scale, strict=True))
    upright = flipped(part.gray, best.turn)
    shrinks = width * height < upright.size
    laid = cv2.resize(upright, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    ground, laid = _edges(around.gray), _edges(laid)
    start = np.array([[1, 0, best.corner[0] * scale[0]], [0, 1, best.corner[1] * scale[1]]], np.float32)
    as_found = _agreement(ground, laid, start)
    try:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
        _, warp = cv2.findTransformECC(laid, ground, start.copy(), cv2.MOTION_AFFINE, stop, None, 3)
    except cv2.error:  # it does not converge
        return as_found
    if np.abs(warp[:, :2] - np.eye(2)).max() > MOST_BEND:
        return as_found
    return max(as_found, _agreement(ground, laid, np.asarray(warp, np.float32)))


def _agreement(ground: Floats, laid: Floats, warp: Floats) -> float:
    """Return the correlation of the whole or the median over the blocks, whichever is higher; 0 where one is low."""
    size = (laid.shape[1], laid.shape[0])
    seen = np.asarray(cv2.warpAffine(ground, warp, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    full = np.ones(ground.shape, np.uint8)
    held = cv2.warpAffine(full, warp, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    if held.mean() < 0.5:
        return 0.0
    whole = _correlation(seen[held], laid[held])
    height, width = held.shape
    down = np.linspace(0, height, GRID + 1).round().astype(int)
    across = np.linspace(0, width, GRID + 1).round().astype(int)
    least = max(LEAST_DETAIL, LEAST_SHARE * float(laid[held].std()))
    blocks = []
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            part = held[top:bottom, left:right]
            one, other = seen[top:bottom, left:right][part], laid[top:bottom, left:right][part]
            if part.mean() > 0.5 and max(one.std(), other.std()) > least:
                blocks.append(_correlation(one, other))
    if len(blocks) < LEAST_BLOCKS:
        return 0.0
    middle = float(np.median(blocks))
    return max(whole, middle) if whole >= LEAST_WHOLE and middle >= LEAST_MIDDLE else 0.0


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 1e-6 else 0.0


def _edges(gray: Floats) -> Floats:
    """Return a difference of Gaussians: neither noise nor light, but what is in the picture."""
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.8) - cv2.GaussianBlur(gray, (0, 0), 3.3))
