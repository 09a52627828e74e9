"""Pictures that are like photographs to whatever compares pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scene(seed: int) -> Image.Image:
    """Draw something photo-like: noise whose power falls with frequency, as in photographs, and a few solid shapes."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(80, 130)), int(rng.integers(80, 130))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(3, height, width))) / frequency**1.2
    waves = np.fft.ifft2(spectrum).real
    waves = (waves - waves.mean(axis=(1, 2), keepdims=True)) / waves.std(axis=(1, 2), keepdims=True)
    pixels = rng.uniform(60, 190, 3)[:, None, None] + 35 * waves
    rows, columns = np.mgrid[:height, :width]
    for _ in range(4):
        y, x, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(6, 30)
        pixels[:, (rows - y) ** 2 + (columns - x) ** 2 < r**2] = rng.uniform(0, 255, 3)[:, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0))
