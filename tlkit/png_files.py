"""Pixels as PNG files, without loss."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image


def png(picture: npt.NDArray[Any] | Image) -> bytes:
    """Return a picture as the bytes of a PNG file.

    Args:
        picture: gray levels (H, W) or colours (H, W, 3), bytes from 0 to 255; or a picture of Pillow.

    Example:
        >>> import numpy as np
        >>> png(np.zeros((2, 3), dtype=np.uint8))[1:4]
        b'PNG'
    """
    from PIL import Image as pillow

    target = io.BytesIO()
    image = picture if isinstance(picture, pillow.Image) else pillow.fromarray(picture)
    image.save(target, format="PNG")
    return target.getvalue()
