"""Kinds of corruptions with the values of their five severities, and where these are from. Needs no library.

The values of ImageNet-C (Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", and their `make_imagenet_c.py`) are taken wherever Albumentations has the same operation. Lengths in
pixels are those for images whose shorter side has 224 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlkit.errors import DataError, did_you_mean, first_few

SEVERITIES = (1, 2, 3, 4, 5)
HENDRYCKS = "Hendrycks & Dietterich 2019"
OWN = "values of tlkit"


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: its name in commands and results.
        parameter: what the values of the severities mean.
        values: one for each severity, 1 to 5.
        source: where the values are from.
        slow: whether it takes longer than a forward pass of a small network, and is left out unless it is named.
    """

    name: str
    parameter: str
    values: tuple[float, float, float, float, float]
    source: str
    slow: bool = False


CORRUPTIONS: dict[str, Corruption] = {
    one.name: one
    for one in (
        Corruption("brightness", "added to the value channel", (0.1, 0.2, 0.3, 0.4, 0.5), HENDRYCKS),
        Corruption("darkness", "factor of every pixel", (0.8, 0.6, 0.45, 0.3, 0.2), OWN),
        Corruption(
            "contrast",
            "factor of the distance from the mean gray",
            (0.4, 0.3, 0.2, 0.1, 0.05),
            f"{HENDRYCKS}, whose mean is that of each channel",
        ),
        Corruption("defocus_blur", "radius of the disk in pixels", (3, 4, 6, 8, 10), HENDRYCKS),
        Corruption("motion_blur", "length in pixels", (7, 11, 15, 19, 23), OWN),
        Corruption("gaussian_noise", "standard deviation", (0.08, 0.12, 0.18, 0.26, 0.38), HENDRYCKS),
        Corruption("impulse_noise", "share of pixels", (0.03, 0.06, 0.09, 0.17, 0.27), HENDRYCKS),
        Corruption("jpeg", "JPEG quality", (25, 18, 15, 10, 7), HENDRYCKS),
        Corruption("pixelate", "factor of the sides", (0.6, 0.5, 0.4, 0.3, 0.25), HENDRYCKS),
        Corruption(
            "rotation",
            "degrees, to either side",
            (6, 12, 18, 24, 30),
            "up to the 30° of Engstrom et al. 2019, in equal steps",
        ),
        Corruption("occlusion", "area of a gray square", (0.05, 0.1, 0.2, 0.3, 0.4), OWN),
        Corruption("snow", "threshold of bleached pixels", (0.1, 0.2, 0.3, 0.4, 0.5), OWN),
        Corruption("fog", "density", (0.2, 0.35, 0.5, 0.7, 0.9), OWN, slow=True),
        Corruption("glass_blur", "ImageNet-C's triple of this severity", (1, 2, 3, 4, 5), HENDRYCKS, slow=True),
    )
}
"""The corruptions by name."""


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
