"""Arrays of gray levels as PNG files."""

from __future__ import annotations

import io
from typing import Any

import numpy.typing as npt


def gray_png(pixels: npt.NDArray[Any]) -> bytes:
    """Return gray levels from 0 to 255, shape (H, W), as the bytes of a PNG file."""
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="PNG")
    return target.getvalue()
