"""Test-time augmentation: the fixed views of an image over whose predictions a model averages."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tlkit.choices import Views
from tlkit.preprocess import Preprocess

CROP_MARGIN = 8 / 7
"""Smallest ratio of the picture's sides to those of its crops: 256 over 224 pixels, as in AlexNet's paper."""


def tta_preprocess(preprocess: Preprocess, views: Views) -> Preprocess:
    """Return the preprocessing of an image before its views are taken: for crops the picture before the center crop."""
    if views != "ten_crop":
        return preprocess
    factor = max(CROP_MARGIN, 1 / preprocess.crop_pct) if preprocess.resize == "crop" else CROP_MARGIN
    height, width = (math.floor(side * factor) for side in preprocess.image_size)
    return preprocess.replace(image_size=(height, width), crop_pct=1.0)


def views_of(pictures: torch.Tensor, views: Views, *, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Yield the views of a batch of pictures, each of shape (B, 3, *size).

    - `none`: the picture itself.
    - `flip`: the picture and its mirror image.
    - `ten_crop`: the four corners and the center, and their mirror images (Krizhevsky et al. 2012, section 4.1).

    Args:
        pictures: shape (B, 3, H, W), preprocessed by `tta_preprocess`.
        views: none, flip or ten_crop.
        size: height and width of the network's input.
    """
    height, width = size
    tall, wide = pictures.shape[-2:]
    corners = [(0, 0)]
    if views == "ten_crop":
        down, right = tall - height, wide - width
        corners = [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
    for top, left in corners:
        view = pictures[..., top : top + height, left : left + width]
        yield view
        if views != "none":
            yield view.flip(-1)
