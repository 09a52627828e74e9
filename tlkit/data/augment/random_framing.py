"""Draws the random part of a picture that training shows: torch's antialiased filters on 8-bit pixels.

torch 2.1 and later scale uint8 by Pillow's antialiased bilinear and bicubic filters with 16-bit weights: on an AVX2
processor in an eighth of Pillow's time, at most 2 of 255 away in less than 1 % of the values. Boxes are whole pixels,
as those of torchvision's RandomResizedCrop. Evaluation, whose pixels are a contract, scales by Pillow: `resize_image`.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from tlkit.arrays import Pixels
from tlkit.data.decode.resizing import FILTERS, PADDING, Frame, Framing
from tlkit.preprocess import Preprocess


def framed(pixels: Pixels, preprocess: Preprocess, framing: Framing, frame: Frame) -> Pixels:
    """Return what a framing shows of pixels (H, W, 3), in the backbone's size.

    Args:
        pixels: uint8 RGB, any size; not changed.
        preprocess: size, filter and background.
        framing: part of the picture, its size and place.
        frame: where the picture lies in the pixels.
    """
    part = np.array(_cut(pixels, frame.part(framing.box)))  # a copy: one block of memory, whatever the image is
    scaled = _scaled(part, framing.size, preprocess)
    return _on_canvas(scaled, preprocess.image_size, framing, preprocess.background)


def framed_mask(mask: Pixels, preprocess: Preprocess, framing: Framing) -> Pixels:
    """Return what a framing shows of a mask (H, W): the same whole pixels, by nearest neighbours; 255 around it."""
    part = Image.fromarray(np.ascontiguousarray(_cut(mask, framing.box)))
    scaled = np.array(part.resize((framing.size[1], framing.size[0]), Image.Resampling.NEAREST))
    return _on_canvas(scaled, preprocess.image_size, framing, PADDING)


def _on_canvas(scaled: Pixels, size: tuple[int, int], framing: Framing, fill: int | tuple[int, int, int]) -> Pixels:
    """Return a part of a picture at its place on a canvas of one color; itself where it fills the canvas."""
    if framing.size == size:
        return scaled
    canvas = np.empty((*size, *scaled.shape[2:]), dtype=np.uint8)
    canvas[:] = fill
    top, left = framing.place
    canvas[top : top + framing.size[0], left : left + framing.size[1]] = scaled
    return canvas


def _cut(pixels: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """Return the whole pixels that are nearest to a box (left, top, right, bottom), at least one."""
    height, width = pixels.shape[:2]
    left, top = min(round(box[0]), width - 1), min(round(box[1]), height - 1)
    right, bottom = min(max(round(box[2]), left + 1), width), min(max(round(box[3]), top + 1), height)
    return pixels[top:bottom, left:right]


def _scaled(part: Pixels, size: tuple[int, int], preprocess: Preprocess) -> Pixels:
    if preprocess.interpolation not in ("bilinear", "bicubic"):  # torch has no antialiased others
        return np.array(Image.fromarray(part).resize((size[1], size[0]), FILTERS[preprocess.interpolation]))
    image = torch.from_numpy(part).permute(2, 0, 1)[None]  # (1, 3, H, W), channels-last
    scaled = torch.nn.functional.interpolate(image, size=size, mode=preprocess.interpolation, antialias=True)
    return np.ascontiguousarray(scaled[0].permute(1, 2, 0).numpy())
