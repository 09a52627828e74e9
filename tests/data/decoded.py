"""The pixels of an image file, as the tests compare them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import open_rgb


def decode_image(source: str | Path | bytes, decode_options: DecodeOptions = DecodeOptions()) -> np.ndarray:
    """Return the pixels of an image: RGB, uint8, shape (H, W, 3), upright."""
    return np.asarray(open_rgb(source, decode_options)[0])
