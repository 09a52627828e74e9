"""Pixels as PNG files, without loss."""

from __future__ import annotations

import io
from typing import Any

import numpy.typing as npt
from PIL import Image


def png(pixels: npt.NDArray[Any] | Image.Image) -> bytes:
    """Return gray levels (H, W) or colours (H, W, 3), 0 to 255, or a picture, as the bytes of a PNG file."""
    target = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(target, format="PNG")
    return target.getvalue()
