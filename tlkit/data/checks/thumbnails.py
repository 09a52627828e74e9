"""Small images: decoded at a reduced scale, and as thumbnails for HTML pages, JPEGs without metadata."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PIL import Image

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import reduction_for_thumbnail


def open_small(file: str | Path, *, side: int, decode_options: DecodeOptions = DecodeOptions()) -> Image.Image | None:
    """Return an image decoded at the smallest scale that suits a thumbnail of `side` pixels; None if unreadable."""
    try:
        return open_rgb(file, decode_options, reduction=partial(reduction_for_thumbnail, side=side))[0]
    except UnreadableImageError:
        return None


def draw_thumbnails(
    root: str | Path, paths: Iterable[str], *, side: int = 96, most: int | None = None, most_bytes: int | None = None
) -> dict[str, str]:
    """Return JPEGs, base64, of at most `side` pixels per side, by path; also of images in tar shards.

    They hold no EXIF and no comment. Unreadable images are skipped. At most `most` thumbnails are drawn, and none after
    those that take `most_bytes` as text.
    """
    drawn: dict[str, str] = {}
    size = 0
    for path in dict.fromkeys(paths):
        if (most is not None and len(drawn) >= most) or (most_bytes is not None and size >= most_bytes):
            break
        image = open_small(Path(root, path), side=side)
        if image is not None:
            image.thumbnail((side, side))
            image.info = {}  # else Pillow 13 writes a JPEG's comment into the copy
            drawn[path] = as_jpeg(image)
            size += len(drawn[path])
    return drawn


def as_jpeg(image: Image.Image) -> str:
    """Return an image as a JPEG, base64."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
