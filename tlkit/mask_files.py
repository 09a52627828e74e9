"""Masks as PNG files: one number for each pixel, which says its class, or that its class is unknown (void)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.errors import first_few, reason_of
from tlkit.png_files import png

MOST_VALUE = 65_535
"""Largest number of a pixel: 16 bits."""
VOID = -1
"""The position of a pixel whose class is unknown."""
_STRANGE = -2
_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Positions = npt.NDArray[np.int32]


class UnusableMaskError(Exception):
    """A mask cannot be used.

    Attributes:
        reason: why, without the name of the file.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class MaskClasses:
    """The classes of pixels, and the numbers that stand for them in the files of masks.

    Attributes:
        names: class names; their order is that of every table.
        values: the number of each class in a file, 0 to 65,535, all different.
        void: the number of a pixel that counts nowhere; None = there is none.

    Example:
        >>> classes = MaskClasses.of(["road", "car"], void=255)
        >>> classes.positions(np.array([[0, 1], [255, 1]], dtype=np.uint8)).tolist()
        [[0, 1], [-1, 1]]
        >>> MaskClasses.of({"background": 0, "object": 255}).values
        (0, 255)
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    void: int | None = None

    @classmethod
    def of(cls, classes: Sequence[str] | Mapping[str, int], *, void: int | None = None) -> MaskClasses:
        """Return the classes in the order of their numbers from 0, or with the numbers of a mapping.

        Raises:
            ValueError: there are fewer than two classes, names or numbers repeat, or a number is out of its range.
        """
        given = dict(classes) if isinstance(classes, Mapping) else {name: place for place, name in enumerate(classes)}
        names, values = tuple(given), tuple(given.values())
        if len(names) < 2 or len(names) < len(classes):
            raise ValueError(f"Masks need two or more different classes. Got {first_few(list(classes))}.")
        numbers = [*values, *([] if void is None else [void])]
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"Each class, and void, needs a number of its own. Got {first_few(numbers, most=20)}.")
        if not all(0 <= number <= MOST_VALUE for number in numbers):
            raise ValueError(f"The numbers of classes in masks go from 0 to {MOST_VALUE:,}. Got {first_few(numbers)}.")
        return cls(names, values, void)

    def __len__(self) -> int:
        return len(self.names)

    def positions(self, mask: npt.NDArray[np.unsignedinteger]) -> Positions:
        """Return the position of each pixel's class in `names`, -1 where it is void.

        Args:
            mask: numbers as in a file, shape (H, W).

        Raises:
            UnusableMaskError: it holds other numbers; they are named, with their pixels.
        """
        table = np.full(MOST_VALUE + 1, _STRANGE, dtype=np.int32)
        table[list(self.values)] = np.arange(len(self.values))
        if self.void is not None:
            table[self.void] = VOID
        found: Positions = table[mask]
        strange = found == _STRANGE
        if strange.any():
            numbers, pixels = np.unique(mask[strange], return_counts=True)
            seen = first_few([f"{number} ({count:,} pixels)" for number, count in zip(numbers, pixels, strict=True)])
            raise UnusableMaskError(f"it holds values of no class: {seen}")
        return found

    def numbers(self, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """Return the numbers that a file holds for positions, shape (H, W); 16 bits only where 8 do not suffice."""
        largest = max((*self.values, self.void or 0))
        kind = np.uint8 if largest < 256 else np.uint16
        table = np.array([*self.values, 0 if self.void is None else self.void], dtype=kind)
        found: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] = table[positions]
        return found


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
