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

Floats = npt.NDArray[np.float32]

COARSE = 32
SCALES = (0.93, 0.87, 0.81, 0.75, 0.70, 0.65, 0.60, 0.56, 0.52)
"""Sides of a cropped frame, as shares of the whole picture's: at the last, a quarter of its area is left."""
LEAST_SIDE = 8
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


class Match(NamedTuple):
    """How alike two pictures are in their best alignment.

    `score` is a correlation of edges in [-1, 1]; copies reach 0.9 and more. `kind` says how the one must be changed to
    lie on the other: "cropped", "turned", "mirrored", or "edited" where it lies there already.
    """

    score: float
    kind: Literal["cropped", "turned", "mirrored", "edited"]


class _Place(NamedTuple):
    """Where the small picture lies in the large one, by their coarse looks."""

    score: float
    inside: bool
    """Whether the second lies in the first; else the first in the second."""
    turn: int
    corner: tuple[int, int]
    size: tuple[int, int]


class Look:
    """What is compared of one picture.

    Args:
        gray: uint8 brightness (H, W), as `tlkit.data.looks` gives it.
    """

    def __init__(self, gray: npt.NDArray[np.uint8]) -> None:
        self.gray = gray.astype(np.float32)

    @cached_property
    def is_plain(self) -> bool:
        """Whether there is too little in it to compare."""
        return min(self.gray.shape) < LEAST_SIDE or float(_edges(self.gray).std()) < LEAST_DETAIL

    @cached_property
    def coarse(self) -> Floats:
        """The edges at 32 pixels."""
        small = _resized(self.gray, COARSE / max(self.gray.shape))
        edges = small - cv2.GaussianBlur(small, (0, 0), 2.5)
        spread = np.sqrt(
            cv2.GaussianBlur(edges**2, (0, 0), 4.0)
        )  # evened out, or bright writing would outweigh the rest
        return np.asarray(edges / (spread + 0.5 * edges.std() + 1e-3), np.float32)

    @cached_property
    def frames(self) -> tuple[Floats, ...]:
        """The coarse look scaled down, upright and mirrored in turn, as it would lie in a larger picture."""
        scaled = [_resized(self.coarse, scale) for scale in SCALES]
        return tuple(turned for frame in scaled for turned in (frame, _turned(frame, 1)))


def match(first: Look, second: Look) -> Match | None:
    """Compare two pictures in their best alignment; None where they are plain, or nothing like each other.

    Found are frames of at least a quarter of the other picture, upright or mirrored, and whole pictures turned by 90
    degrees or mirrored in any way; colours, contrast and format may differ, and something may be written on them.
    """
    if first.is_plain or second.is_plain:
        return None
    place = _place(first, second)
    if place.score < LEAST_COARSE:
        return None
    score = _aligned(first, second, place) if place.inside else _aligned(second, first, place)
    cropped = max(place.size) < COARSE * (1 + SCALES[0]) / 2
    return Match(score, "cropped" if cropped else ("edited", "mirrored", "turned")[min(place.turn, 2)])


def _place(first: Look, second: Look) -> _Place:
    """Return the best of all coarse alignments."""
    large = first.coarse
    height, width = large.shape
    best = _Place(-1.0, True, 0, (0, 0), (width, height))
    for turn in range(8):
        whole = cv2.resize(_turned(second.coarse, turn), (width, height), interpolation=cv2.INTER_LINEAR)
        score = float(cv2.matchTemplate(large, whole, cv2.TM_CCOEFF_NORMED)[0, 0])
        if score > best.score:
            best = _Place(score, True, turn, (0, 0), (width, height))
    for inside, (around, part) in enumerate(((second, first), (first, second))):
        for number, frame in enumerate(part.frames):
            high, wide = frame.shape
            if high > around.coarse.shape[0] or wide > around.coarse.shape[1] or min(high, wide) < LEAST_SIDE:
                continue
            _, score, _, corner = cv2.minMaxLoc(cv2.matchTemplate(around.coarse, frame, cv2.TM_CCOEFF_NORMED))
            if score > best.score:
                best = _Place(float(score), bool(inside), number % 2, (corner[0], corner[1]), (wide, high))
    return best


def _aligned(around: Look, part: Look, place: _Place) -> float:
    """Return how well the part lies on the picture around it, once it is moved and bent a little to fit."""
    scale = np.array(around.gray.shape[::-1]) / np.array(around.coarse.shape[::-1])
    width, height = (max(LEAST_SIDE, round(side * by)) for side, by in zip(place.size, scale, strict=True))
    turned = _turned(part.gray, place.turn)
    shrinks = width * height < turned.size
    laid = cv2.resize(turned, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    ground, laid = _edges(around.gray), _edges(laid)
    start = np.array([[1, 0, place.corner[0] * scale[0]], [0, 1, place.corner[1] * scale[1]]], np.float32)
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


def _resized(gray: Floats, scale: float) -> Floats:
    height, width = gray.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.float32)


def _turned(gray: Floats, turn: int) -> Floats:
    """Return one of the eight ways to see a picture: bit 0 mirrors, bit 1 stands on its head, bit 2 transposes."""
    if turn & 1:
        gray = gray[:, ::-1]
    if turn & 2:
        gray = gray[::-1]
    return np.ascontiguousarray(gray.T if turn & 4 else gray)
