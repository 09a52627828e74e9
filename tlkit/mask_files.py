"""Masks as PNG files: one number for each pixel, which says its class, or that its class is unknown (void)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.disk import atomic_file
from tlkit.errors import reason_of
from tlkit.mask_classes import MaskClasses, UnusableMaskError
from tlkit.png_files import png

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Positions = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PredictedMask:
    """The predicted classes of an image's pixels.

    Attributes:
        path: the image as it was given.
        classes: the classes, with their numbers in files.
        positions: the class of each pixel by its place in `classes.names`, shape (H, W).
    """

    path: str
    classes: MaskClasses
    positions: Positions

    @property
    def numbers(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """The numbers that stand for the classes in the masks of training, shape (H, W)."""
        return self.classes.numbers(self.positions)

    def save(self, file: Path | str) -> None:
        """Write the numbers as a PNG file, atomically."""
        target = Path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as partial:
            Path(partial).write_bytes(mask_png(self.numbers))


def read_mask(content: bytes) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return the numbers of a mask's pixels, shape (H, W): palette indices, or gray levels of 8 or 16 bits.

    Args:
        content: the bytes of a PNG file.

    Raises:
        UnusableMaskError: it is no PNG file, is damaged, or has colours instead of one number for each pixel.
    """
    from PIL import Image

    if not content.startswith(_SIGNATURE) or len(content) < 26:
        raise UnusableMaskError("it is not a PNG file")
    depth, kind = content[24], content[25]
    if kind == 0 and depth in (2, 4):  # Pillow scales them to 0…255
        raise UnusableMaskError(f"its gray levels have {depth} bits; save it with 8 or 16 bits")
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode not in ("P", "L", "1", "I;16", "I;16B", "I"):
                raise UnusableMaskError(
                    f"it has colours (mode {image.mode}) instead of one number for each pixel: save palette indices or "
                    "gray levels"
                )
            pixels = np.asarray(image)
    except UnusableMaskError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise UnusableMaskError(f"it is damaged ({reason_of(error)})") from error
    return pixels.astype(np.uint8) if pixels.dtype.itemsize == 1 else pixels.astype(np.uint16)


def mask_png(numbers: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """Return numbers of pixels (H, W) as the bytes of a PNG file: a palette, or gray levels of 16 bits.

    Example:
        >>> read_mask(mask_png(np.array([[0, 7]], dtype=np.uint8))).tolist()
        [[0, 7]]
    """
    from PIL import Image

    if numbers.dtype == np.uint16:
        return png(Image.fromarray(numbers))
    image = Image.fromarray(numbers).convert("P")
    image.putpalette([level for number in range(256) for level in palette_colour(number)])
    return png(image)


def palette_colour(number: int) -> tuple[int, int, int]:
    """Return a colour for a number from 0 to 255, as the PASCAL VOC challenge gives it; 0 is black.

    Example:
        >>> palette_colour(0), palette_colour(1), palette_colour(255)
        ((0, 0, 0), (128, 0, 0), (224, 224, 192))
    """
    red = green = blue = 0
    for bit in range(8):
        red |= (number & 1) << (7 - bit)
        green |= (number >> 1 & 1) << (7 - bit)
        blue |= (number >> 2 & 1) << (7 - bit)
        number >>= 3
    return red, green, blue
