"""The augmentation presets as Albumentations transforms (descriptions: `PRESETS` of `transforms`)."""

from __future__ import annotations

import albumentations as A
import cv2

from tlkit.data.augment.jpeg_compression import jpeg_compression
from tlkit.data.decode.resizing import PADDING
from tlkit.preprocess import Preprocess


def preset(name: str, preprocess: Preprocess) -> A.Compose:
    """Return the transforms that follow the random framing of a preset."""
    flip = A.HorizontalFlip(p=0.5)
    if name == "light":
        return A.Compose([flip])
    letterbox = preprocess.resize == "letterbox"
    border = {
        "border_mode": cv2.BORDER_CONSTANT if letterbox else cv2.BORDER_REFLECT_101,
        "fill": preprocess.background,
        "interpolation": cv2.INTER_LINEAR,
        "fill_mask": PADDING,
    }
    if name == "medium":
        return A.Compose(
            [
                flip,
                A.Affine(rotate=(-10, 10), p=0.5, **border),
                A.ColorJitter(
                    brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.8
                ),
            ]
        )
    erased = tuple(round(255 * value) for value in preprocess.mean)  # 0 after normalisation
    return A.Compose(
        [
            flip,
            A.Affine(rotate=(-20, 20), shear={"x": (-8, 8), "y": (-8, 8)}, p=0.5, **border),
            A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.6, 1.4), hue=(-0.1, 0.1), p=0.8),
            A.ToGray(num_output_channels=3, method="weighted_average", p=0.1),
            A.OneOf(
                [
                    A.GaussianBlur(blur_limit=0, sigma_limit=(0.5, 2.0), p=1),
                    A.GaussNoise(std_range=(0.02, 0.1), mean_range=(0, 0), per_channel=True, p=1),
                    jpeg_compression(40, 90),
                ],
                p=0.3,
            ),
            A.CoarseDropout(
                num_holes_range=(1, 1), hole_height_range=(0.1, 0.35), hole_width_range=(0.1, 0.35), fill=erased, p=0.25
            ),
        ]
    )
