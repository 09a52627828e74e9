"""`DecodeOptions`: the pixel limit and the background color of decoding, resolved once and passed whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.preprocess import MAX_PIXELS, Preprocess

if TYPE_CHECKING:
    from tlkit.recipe.sections.data_section import DataSection


@dataclass(frozen=True)
class DecodeOptions:
    """How image files are decoded.

    Attributes:
        max_pixels: images of more pixels (width × height, by the header) are refused before they are decoded.
        background: RGB color in 0–255 behind transparent pixels. Datasets replace it by their backbone's.

    Example:
        >>> DecodeOptions(background=(0, 0, 0)).background
        (0, 0, 0)
    """

    max_pixels: int = MAX_PIXELS
    background: tuple[int, int, int] = Preprocess.background

    @classmethod
    def of(cls, section: DataSection) -> DecodeOptions:
        """Return the options that the `data` section of a recipe states for checks and features."""
        return cls(max_pixels=section.max_pixels)
