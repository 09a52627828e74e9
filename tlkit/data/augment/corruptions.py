"""Corruptions as Albumentations transforms: one for each severity of each kind in `corruption_kinds`."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlkit.data.augment.corruption_kinds import CORRUPTIONS, SEVERITIES

if TYPE_CHECKING:
    import albumentations as A

REFERENCE_SIDE = 224
"""Shorter side, in pixels, of the images that lengths in pixels are stated for; others scale them."""

Build = Callable[[float, float], "A.BasicTransform | A.BaseCompose"]


class Corruptor:
    """Applies corruptions to images of one size; a pure function of (pixels, corruption, severity, seed, sample id).

    The random numbers of an image are the same at every severity: its noise grows, its occluded place stays. Threads
    must not share a corruptor: Albumentations keeps its random state in its objects.
    """

    def __init__(self, names: Sequence[str], *, side: int, seed: int) -> None:
        """Build the transforms.

        Args:
            names: of corruptions.
            side: shorter side of the images in pixels.
            seed: at least 0.
        """
        import albumentations as A

        self._seed = seed
        self._transforms = {
            (name, severity): A.Compose([BUILDERS[name](value, side / REFERENCE_SIDE)])
            for name in names
            for severity, value in zip(SEVERITIES, CORRUPTIONS[name].values, strict=True)
        }

    def __call__(
        self, pixels: npt.NDArray[np.uint8], name: str, severity: int, *, sample_id: int
    ) -> npt.NDArray[np.uint8]:
        """Return a corrupted copy of an image, uint8 RGB (H, W, 3)."""
        generator = np.random.Generator(np.random.PCG64([self._seed, sample_id, zlib.crc32(name.encode())]))
        transform = self._transforms[name, severity]
        transform.set_random_state(generator, random.Random(int(generator.integers(2**63))))  # noqa: S311
        corrupted: npt.NDArray[np.uint8] = transform(image=pixels.copy())["image"]
        return corrupted


def _value_shift(amount: float, _: float) -> A.BasicTransform:
    import albumentations as A

    shift = (round(255 * amount), round(255 * amount))  # of the value channel, as in ImageNet-C
    return A.HueSaturationValue(hue_shift_limit=(0, 0), sat_shift_limit=(0, 0), val_shift_limit=shift, p=1)


def _factors(name: str) -> Build:
    def build(factor: float, _: float) -> A.BasicTransform:
        import albumentations as A

        neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        return A.ColorJitter(**{**neutral, name: (factor, factor)}, p=1)

    return build


def _defocus(radius: float, scale: float) -> A.BasicTransform:
    import albumentations as A

    alias = 0.1 if radius == 3 else 0.5  # ImageNet-C's second parameter
    pixels = max(1, round(radius * scale))
    return A.Defocus(radius=(pixels, pixels), alias_blur=(alias, alias), p=1)


def _motion_blur(length: float, scale: float) -> A.BasicTransform:
    import albumentations as A

    pixels = max(3, 2 * round(length * scale / 2) + 1)
    return A.MotionBlur(blur_limit=(pixels, pixels), allow_shifted=False, p=1)


def _glass_blur(severity: float, scale: float) -> A.BasicTransform:
    import albumentations as A

    sigma, delta, iterations = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[int(severity) - 1]
    delta = max(1, round(delta * scale))
    return A.GlassBlur(sigma=sigma * scale, max_delta=delta, iterations=iterations, mode="exact", p=1)


def _gaussian_noise(std: float, _: float) -> A.BasicTransform:
    import albumentations as A

    return A.GaussNoise(std_range=(std, std), mean_range=(0, 0), per_channel=True, p=1)


def _impulse_noise(share: float, _: float) -> A.BasicTransform:
    import albumentations as A

    return A.SaltAndPepper(amount=(share, share), salt_vs_pepper=(0.5, 0.5), p=1)


def _jpeg(quality: float, _: float) -> A.BaseCompose:
    from tlkit.data.augment.jpeg_compression import jpeg_compression

    return jpeg_compression(int(quality), int(quality))


def _pixelate(factor: float, _: float) -> A.BasicTransform:
    import albumentations as A
    import cv2

    filters = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST_EXACT}
    return A.Downscale(scale_range=(factor, factor), interpolation_pair=filters, p=1)


def _rotation(degrees: float, _: float) -> A.BaseCompose:
    import albumentations as A
    import cv2

    return A.OneOf(
        [
            A.Rotate((angle, angle), interpolation=cv2.INTER_LINEAR, border_mode=cv2.BORDER_REFLECT_101, p=1)
            for angle in (degrees, -degrees)
        ],
        p=1,
    )


def _occlusion(area: float, _: float) -> A.BasicTransform:
    import albumentations as A

    side = (math.sqrt(area), math.sqrt(area))
    return A.CoarseDropout(num_holes_range=(1, 1), hole_height_range=side, hole_width_range=side, fill=127, p=1)


def _fog(density: float, _: float) -> A.BasicTransform:
    import albumentations as A

    return A.RandomFog(fog_coef_range=(density, density), alpha_coef=0.1, p=1)


def _snow(point: float, _: float) -> A.BasicTransform:
    import albumentations as A

    return A.RandomSnow(snow_point_range=(point, point), brightness_coeff=2.5, method="bleach", p=1)


BUILDERS: dict[str, Build] = {
    "brightness": _value_shift,
    "darkness": _factors("brightness"),
    "contrast": _factors("contrast"),
    "defocus_blur": _defocus,
    "motion_blur": _motion_blur,
    "gaussian_noise": _gaussian_noise,
    "impulse_noise": _impulse_noise,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
    "rotation": _rotation,
    "occlusion": _occlusion,
    "snow": _snow,
    "fog": _fog,
    "glass_blur": _glass_blur,
}
"""For each kind the transform of a value and of the ratio of the image's shorter side to 224 pixels."""
