"""JPEG compression of RGB images as an Albumentations transform."""

from __future__ import annotations

import albumentations as A
import numpy as np
import numpy.typing as npt


def jpeg_compression(lowest: int, highest: int) -> A.Sequential:
    """Return the compression of RGB images at a quality that is drawn between two, from 1 to 100.

    Albumentations 2.0.8 hands RGB to OpenCV's encoder, which takes it for BGR, so the channels are swapped before and
    after (`findings/albumentations_jpeg_channels.sh`).
    """
    swap = A.Lambda(image=_reversed_channels, p=1)
    compress = A.ImageCompression(compression_type="jpeg", quality_range=(lowest, highest), p=1)
    return A.Sequential([swap, compress, swap], p=1)


def _reversed_channels(image: npt.NDArray[np.uint8], **_: object) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(image[..., ::-1])
