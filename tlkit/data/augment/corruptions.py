"""Corruptions of five severities for robustness checks: light, blur, noise, compression, geometry, occlusion, weather.

Each severity is one Albumentations transform, so that a figure names exactly what was done to the pixels. The values of
ImageNet-C (Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", and their `make_imagenet_c.py`) are taken wherever Albumentations has the same operation. They are meant
for images of 224 pixels; lengths in pixels scale with the shorter side.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlkit.errors import DataError, did_you_mean, first_few

if TYPE_CHECKING:
    import albumentations as A

SEVERITIES = (1, 2, 3, 4, 5)
REFERENCE_SIDE = 224
"""Side of the images, in pixels, that lengths in pixels are stated for."""

HENDRYCKS = "Hendrycks & Dietterich 2019"
OWN = "values of tlkit"

Build = Callable[[float, float], "A.BasicTransform | A.BaseCompose"]


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: its name in commands and results.
        parameter: what the values of the severities mean.
        values: one for each severity, 1 to 5.
        source: where the values are from.
        build: returns the transform, from the value and the ratio of the image's shorter side to 224 pixels.
        slow: whether it takes longer than a forward pass of a small network, and is left out unless it is named.
    """

    name: str
    parameter: str
    values: tuple[float, float, float, float, float]
    source: str
    build: Build
    slow: bool = False


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
            (name, severity): A.Compose([CORRUPTIONS[name].build(value, side / REFERENCE_SIDE)])
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


def corruption_names(names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of corruptions after checking them; by default those that are not slow.

    Raises:
        DataError: there is no corruption of a name, or no name at all.
    """
    if names is None:
        return tuple(name for name, one in CORRUPTIONS.items() if not one.slow)
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise DataError(
            f"There is no corruption {first_few([repr(name) for name in unknown])}."
            f"{did_you_mean(unknown[0], CORRUPTIONS)} There are {', '.join(CORRUPTIONS)}."
        )
    if not names:
        raise DataError(f"No corruption is named. There are {', '.join(CORRUPTIONS)}.")
    return tuple(dict.fromkeys(names))


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
    import albumentations as A

    # Albumentations 2.0.8 hands RGB to OpenCV, which takes it for BGR: JPEG would keep blue rather than red
    swap = A.Lambda(image=_reversed_channels, p=1)
    values = (int(quality), int(quality))
    return A.Sequential([swap, A.ImageCompression(compression_type="jpeg", quality_range=values, p=1), swap], p=1)


def _reversed_channels(image: npt.NDArray[np.uint8], **_: object) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(image[..., ::-1])


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


CORRUPTIONS: dict[str, Corruption] = {
    one.name: one
    for one in (
        Corruption("brightness", "added to the value channel", (0.1, 0.2, 0.3, 0.4, 0.5), HENDRYCKS, _value_shift),
        Corruption("darkness", "factor of every pixel", (0.8, 0.6, 0.45, 0.3, 0.2), OWN, _factors("brightness")),
        Corruption(
            "contrast",
            "factor of the distance from the mean gray",
            (0.4, 0.3, 0.2, 0.1, 0.05),
            f"{HENDRYCKS}, whose mean is that of each channel",
            _factors("contrast"),
        ),
        Corruption("defocus_blur", "radius of the disk in pixels", (3, 4, 6, 8, 10), HENDRYCKS, _defocus),
        Corruption("motion_blur", "length in pixels", (7, 11, 15, 19, 23), OWN, _motion_blur),
        Corruption("gaussian_noise", "standard deviation", (0.08, 0.12, 0.18, 0.26, 0.38), HENDRYCKS, _gaussian_noise),
        Corruption("impulse_noise", "share of pixels", (0.03, 0.06, 0.09, 0.17, 0.27), HENDRYCKS, _impulse_noise),
        Corruption("jpeg", "JPEG quality", (25, 18, 15, 10, 7), HENDRYCKS, _jpeg),
        Corruption("pixelate", "factor of the sides", (0.6, 0.5, 0.4, 0.3, 0.25), HENDRYCKS, _pixelate),
        Corruption(
            "rotation",
            "degrees, to either side",
            (6, 12, 18, 24, 30),
            "up to the 30° of Engstrom et al. 2019, in equal steps",
            _rotation,
        ),
        Corruption("occlusion", "area of a gray square", (0.05, 0.1, 0.2, 0.3, 0.4), OWN, _occlusion),
        Corruption("snow", "threshold of bleached pixels", (0.1, 0.2, 0.3, 0.4, 0.5), OWN, _snow),
        Corruption("fog", "density", (0.2, 0.35, 0.5, 0.7, 0.9), OWN, _fog, slow=True),
        Corruption(
            "glass_blur", "ImageNet-C's triple of this severity", (1, 2, 3, 4, 5), HENDRYCKS, _glass_blur, slow=True
        ),
    )
}
"""The corruptions by name."""
