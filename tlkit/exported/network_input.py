"""Normalized input of a network from uint8 pixels, as in training, without torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlkit.preprocess import Preprocess


def normalize_pixels(pixels: npt.NDArray[np.uint8], preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """Return uint8 RGB (N, H, W, 3) as float32 (N, 3, H, W), (x / 255 - mean) / std in float32.

    The three operations are those of `tlkit.data.loading.batch.normalize`, in the same order and precision: the values
    are equal to the bit. They are done channel by channel, without a copy in another order.

    Example:
        >>> white = np.full((1, 1, 1, 3), 255, dtype=np.uint8)
        >>> normalize_pixels(white, Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3)).flatten().tolist()
        [1.0, 1.0, 1.0]
    """
    count, height, width, _ = pixels.shape
    normalized = np.empty((count, 3, height, width), dtype=np.float32)
    for channel, (mean, std) in enumerate(zip(preprocess.mean, preprocess.std, strict=True)):
        values = normalized[:, channel]
        np.divide(pixels[..., channel], np.float32(255), out=values, dtype=np.float32)
        values -= np.float32(mean)
        values /= np.float32(std)
    return normalized
