"""Image statistics: brightness, sharpness, entropy and shape, with limits for images that a person should look at.

Measures and limits are those of cleanvision 0.3.7 (`issue_managers/image_property.py`), whose authors chose them on
public datasets. Here brightness is measured on at most 256 x 256 pixels, which takes milliseconds for a photo.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageStat

DARK = 0.32
"""Too dark: 99 % of the pixels are less bright than this, of 1."""
BRIGHT = 0.95
"""Too bright: 95 % of the pixels are brighter than this."""
LEAST_ENTROPY = 3.0
"""Low information: the histogram of the three channels has less entropy than this, in bits."""
LEAST_SHARPNESS = 0.29
LEAST_ASPECT = 0.35
"""Oddly shaped: the shorter side is less than this share of the longer one."""
GRAY_SPREAD, GRAY_SHARE = 8, 0.99
"""Gray: in this share of the pixels the three channels lie within so many of 255. Gray photos that are saved as color
JPEGs of quality 50 to 90, with noise of 2, stay within 3, and a real one reaches 7. Of 1,699 photos in color 3 lie
below 9, all of them nearly without color (ants_bees and CIFAR-10, measured on 2026-12-01)."""
TINY, HUGE = 32, 24_000_000
"""Tiny: the shorter side has fewer pixels than this. Huge: more pixels than this in all."""


def quality_issues(image: Image.Image) -> tuple[str, ...]:
    """Return which of dark, bright, blurred, low-information, odd-aspect, tiny and huge an RGB image is."""
    width, height = image.size
    brightness = brightness_of(image)
    plain = image.entropy() < LEAST_ENTROPY
    found = {
        "dark": float(np.percentile(brightness, 99)) < DARK,
        "bright": float(np.percentile(brightness, 5)) > BRIGHT,
        "low-information": plain,
        "blurred": not plain and _sharpness(image) < LEAST_SHARPNESS,  # a plain picture has no edges to blur
        "odd-aspect": min(width, height) / max(width, height) < LEAST_ASPECT,
        "tiny": min(width, height) < TINY,
        "huge": width * height > HUGE,
    }
    return tuple(name for name, holds in found.items() if holds)


def brightness_of(image: Image.Image) -> npt.NDArray[np.float32]:
    """Return perceived brightness in [0, 1] of at most 256 x 256 pixels: √(0.241 R² + 0.691 G² + 0.068 B²) / 255."""
    pixels = subsampled(image)
    return np.asarray(np.sqrt(pixels**2 @ np.array([0.241, 0.691, 0.068], np.float32)) / 255, np.float32)


def subsampled(image: Image.Image) -> npt.NDArray[np.float32]:
    """Return every n-th pixel of every n-th line of an RGB image, at most 256 x 256 of them, in [0, 255]."""
    step = max(1, math.ceil(max(image.size) / 256))
    return np.asarray(image)[::step, ::step].astype(np.float32)


def is_nearly_gray(image: Image.Image) -> bool:
    """Return whether an RGB image shows no color: its channels differ by no more than the noise of JPEG.

    Example:
        >>> is_nearly_gray(Image.new("RGB", (8, 8), (100, 103, 98))), is_nearly_gray(Image.new("RGB", (8, 8), "red"))
        (True, False)
    """
    step = max(1, math.ceil(max(image.size) / 128))
    red, green, blue = (np.asarray(image)[::step, ::step, channel].astype(np.int16) for channel in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return float((spread <= GRAY_SPREAD).mean()) >= GRAY_SHARE


def edge_strength(image: Image.Image) -> float:
    """Return the variation of the edges at 64 pixels, in [0, 1): near 0 for a blurred or plain picture."""
    edges = _small_gray(image).filter(ImageFilter.FIND_EDGES)
    return 1 - math.exp(-0.01 * math.sqrt(ImageStat.Stat(edges).var[0]))


def _small_gray(image: Image.Image) -> Image.Image:
    ratio = max(image.size) / 64
    small = image.resize((max(int(image.width / ratio), 1), max(int(image.height / ratio), 1))) if ratio > 1 else image
    return small.convert("L")


def _sharpness(image: Image.Image) -> float:
    """Return cleanvision's score: the variation of edges at 64 px, plus that of the histogram above 0.18."""
    spread = 1 - math.exp(-0.01 * float(np.std(_small_gray(image).histogram())))
    return edge_strength(image) + (spread if spread > 0.18 else 0.0)
