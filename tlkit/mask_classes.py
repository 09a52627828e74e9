"""The classes of the pixels of masks, and their numbers in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.errors import first_few

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Positions = npt.NDArray[np.int32]

MOST_VALUE = 65_535
"""Largest number of a pixel: 16 bits."""
VOID = -1
"""The position of a pixel whose class is unknown."""
_STRANGE = -2


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
        >>> import numpy as np
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
        import numpy as np

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
        import numpy as np

        largest = max((*self.values, self.void or 0))
        kind = np.uint8 if largest < 256 else np.uint16
        table = np.array([*self.values, 0 if self.void is None else self.void], dtype=kind)
        found: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] = table[positions]
        return found
