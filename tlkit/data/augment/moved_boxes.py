"""Moves boxes as an image is moved: by Albumentations' transforms, by a framing, or by scaling to the input's size.

Boxes are float32 (M, 5): class, left, top, right, bottom in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlkit.data.decode.resizing import Framing, letterbox_place
from tlkit.preprocess import Preprocess

if TYPE_CHECKING:
    import albumentations as A

Boxes = npt.NDArray[np.float32]
LEAST_VISIBLE = 0.25
"""Smallest share of a box that must be left on the image; a smaller rest says too little of its object."""


def with_boxes(compose: A.Compose) -> A.Compose:
    """Return the same transforms, which move the boxes of an image, too; what is left of a box is clipped to it."""
    import albumentations as A

    moves = A.BboxParams("pascal_voc", label_fields=["box_rows"], min_visibility=LEAST_VISIBLE, clip=True)
    return A.Compose(compose.transforms, bbox_params=moves)


def framed_boxes(boxes: Boxes, framing: Framing, *, height: int, width: int) -> Boxes:
    """Return what a framing shows of boxes.

    Args:
        boxes: on an image.
        framing: part of the image, its size and place; the part is whole pixels, as `framed` cuts it.
        height: of the image, in pixels.
        width: of the image.
    """
    left, top = min(round(framing.box[0]), width - 1), min(round(framing.box[1]), height - 1)
    right, bottom = min(max(round(framing.box[2]), left + 1), width), min(max(round(framing.box[3]), top + 1), height)
    down, across = framing.size[0] / (bottom - top), framing.size[1] / (right - left)
    y, x = framing.place
    part = (x, y, x + framing.size[1], y + framing.size[0])
    return clipped(_moved(boxes, across, down, x - left * across, y - top * down), part)


def fitted_boxes(boxes: Boxes, preprocess: Preprocess, *, height: int, width: int) -> Boxes:
    """Return boxes on the network's input, as `resize_image` scales the image: as a letterbox or squashed."""
    across, down, x, y = input_place(preprocess, height=height, width=width)
    return clipped(_moved(boxes, across, down, x, y), (x, y, x + width * across, y + height * down))


def input_place(preprocess: Preprocess, *, height: int, width: int) -> tuple[float, float, float, float]:
    """Return how an image lies on the network's input: factors across and down, left and top in its pixels."""
    top, left, tall, wide = 0, 0, *preprocess.image_size
    if preprocess.resize == "letterbox":
        top, left, tall, wide = letterbox_place(height, width, preprocess.image_size)
    return wide / width, tall / height, float(left), float(top)


def clipped(boxes: Boxes, part: tuple[float, float, float, float]) -> Boxes:
    """Return what is left of boxes within left, top, right, bottom, where enough of a box is left."""
    ends = np.array([part[0], part[1], part[0], part[1]]), np.array([part[2], part[3], part[2], part[3]])
    inside: Boxes = boxes.copy()
    inside[:, 1:] = np.clip(boxes[:, 1:], *ends)
    sides = inside[:, 3:] - inside[:, 1:3]
    kept = (sides.min(axis=1, initial=np.inf) >= 1) & (sides.prod(axis=1) >= LEAST_VISIBLE * _areas(boxes))
    found: Boxes = inside[kept]
    return found


def _areas(boxes: Boxes) -> npt.NDArray[np.float32]:
    areas: npt.NDArray[np.float32] = (boxes[:, 3:] - boxes[:, 1:3]).prod(axis=1)
    return areas


def _moved(boxes: Boxes, across: float, down: float, x: float, y: float) -> Boxes:
    scale, shift = np.array([across, down, across, down]), np.array([x, y, x, y])
    moved: Boxes = np.concatenate([boxes[:, :1], boxes[:, 1:] * scale + shift], axis=1, dtype=np.float32)
    return moved
