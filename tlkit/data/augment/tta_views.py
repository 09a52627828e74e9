"""Test-time augmentation: the fixed views of an image over whose predictions a model averages."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
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


def windows_of(views: Views, *, picture: tuple[int, int], size: tuple[int, int]) -> list[tuple[slice, slice, bool]]:
    """Return the views of a picture: the rows and columns of each, and whether it is mirrored.

    - `none`: the picture itself.
    - `flip`: the picture and its mirror image.
    - `ten_crop`: the four corners and the center, and their mirror images (Krizhevsky et al. 2012, section 4.1).

    Args:
        views: none, flip or ten_crop.
        picture: height and width of a picture preprocessed by `tta_preprocess`.
        size: height and width of the network's input.

    Example:
        >>> windows_of("flip", picture=(4, 6), size=(4, 6))
        [(slice(0, 4, None), slice(0, 6, None), False), (slice(0, 4, None), slice(0, 6, None), True)]
    """
    height, width = size
    corners = [(0, 0)]
    if views == "ten_crop":
        down, right = picture[0] - height, picture[1] - width
        corners = [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
    mirrored = (False,) if views == "none" else (False, True)
    return [
        (slice(top, top + height), slice(left, left + width), mirror) for top, left in corners for mirror in mirrored
    ]


def views_of(pictures: torch.Tensor, views: Views, *, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Yield the views of pictures (B, 3, H, W), each of shape (B, 3, *size); see `windows_of`."""
    tall, wide = pictures.shape[-2:]
    for rows, columns, mirror in windows_of(views, picture=(tall, wide), size=size):
        view = pictures[..., rows, columns]
        yield view.flip(-1) if mirror else view


def array_views_of(
    pictures: npt.NDArray[np.uint8], views: Views, *, size: tuple[int, int]
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the views of pictures (B, 3, H, W) as `views_of` does, without torch: views of the same memory."""
    tall, wide = pictures.shape[-2:]
    for rows, columns, mirror in windows_of(views, picture=(tall, wide), size=size):
        view = pictures[..., rows, columns]
        yield view[..., ::-1] if mirror else view
