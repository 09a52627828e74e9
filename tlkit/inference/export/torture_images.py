"""Images made to find faults of exported models: every mode of Pillow, and sizes from 1 px to 8,000 px."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "La",
    "RGBa",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
    "I;16",
    "I",
    "F",
)
MODE_SIZE = (61, 47)
SIZES = (
    (1, 1),
    (1, 7),
    (7, 1),
    (2, 3),
    (3, 1000),
    (1000, 3),
    (333, 500),
    (500, 333),
    (300, 900),
    (1200, 400),
    (40, 8000),
    (8000, 40),
    (600, 8000),
)
"""Width and height: tiny, usual, taller than 2:1 (Pillow 13 then scales vertically first), and very elongated."""


def torture_images(image_size: tuple[int, int]) -> Iterator[tuple[str, Image.Image]]:
    """Yield names and images.

    Args:
        image_size: height and width of the network's input; images of this size, and of twice this size, are among
            them.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    for mode in MODES:
        yield f"mode {mode}", _in_mode(mode, _picture(*MODE_SIZE, generator))
    height, width = image_size
    for across, down in (*SIZES, (width, height), (2 * width, 2 * height), (width - 1 or 1, height + 1)):
        yield f"size {across} x {down}", Image.fromarray(_picture(across, down, generator))


def _picture(
    width: int, height: int, generator: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return smooth waves with noise on them, uint8 (height, width, 3)."""
    down = np.linspace(0, 6, height, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 12, width, dtype=np.float32)[:, None]
    values = np.sin(down + across + generator.uniform(0, 6, size=3).astype(np.float32))
    values *= 90
    values += 127
    values += 25 * generator.standard_normal(values.shape, dtype=np.float32)
    np.clip(values, 0, 255, out=values)
    return np.asarray(values, dtype=np.uint8)


def _in_mode(mode: str, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image.Image:
    image = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    if mode in ("La", "RGBa"):
        return image.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    if mode == "LAB":
        return Image.frombytes("LAB", image.size, image.tobytes())
    if mode == "PA":
        return image.convert("P").convert("PA")
    return image.convert(mode)
