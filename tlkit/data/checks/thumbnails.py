"""Thumbnails for HTML pages: small JPEGs without metadata."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import reduction_for_thumbnail


def draw_thumbnails(
    root: str | Path, paths: Iterable[str], *, side: int = 96, most: int | None = None
) -> dict[str, str]:
    """Return JPEGs, base64, of at most `side` pixels per side, by path; also of images in tar shards.

    They hold no EXIF and no comment. Unreadable images are skipped. At most `most` thumbnails are drawn.
    """
    drawn: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        if most is not None and len(drawn) >= most:
            break
        try:
            image, _ = open_rgb(Path(root, path), reduction=partial(reduction_for_thumbnail, side=side))
        except UnreadableImageError:
            continue
        image.thumbnail((side, side))
        image.info = {}  # else Pillow 13 writes a JPEG's comment into the copy
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        drawn[path] = base64.b64encode(buffer.getvalue()).decode()
    return drawn
