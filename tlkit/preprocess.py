"""`Preprocess`: size, resizing, normalization and decoding of images for a backbone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Resize = Literal["crop", "letterbox", "squash"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]
Decode = Literal["full", "reduced"]

MAX_PIXELS = 178_956_970
"""Default limit of width × height, against decompression bombs: 512 MiB of RGB, twice Pillow's warning threshold."""

MAX_SIDE = 8192
"""Largest height and width of a backbone's input, in pixels."""
MAX_INPUT_PIXELS = 4096 * 4096
"""Most pixels of a backbone's input: 192 MiB as float32."""
MIN_CROP_PCT = 0.05
"""Smallest share that a center crop keeps; below it the scaled image would be more than 20 times the input."""


@dataclass(frozen=True)
class Preprocess:
    """How a decoded image becomes the backbone's input.

    Attributes:
        image_size: height and width of the input, in pixels; at most `MAX_SIDE` each and `MAX_INPUT_PIXELS` together.
        resize: `crop` scales the shorter side to `image_size / crop_pct` and cuts the center; `letterbox` scales the
            longer side to `image_size` and pads with `background`; `squash` ignores the aspect ratio.
        crop_pct: share of the scaled image that the center crop keeps, from `MIN_CROP_PCT` to 1, which keeps the
            whole shorter side. Used by `crop` only.
        interpolation: filter used for scaling.
        mean: per-channel mean in RGB order, in units of [0, 1] intensities.
        std: per-channel standard deviation in RGB order, same units.
        background: RGB color in 0–255 that shows through transparent pixels and fills a letterbox.
        decode: `reduced` lets the decoder of a large JPEG scale it by 1/2, 1/4 or 1/8, never below twice the size that
            it is scaled to next; `full` decodes every pixel. Models stored by a tlkit that did not know the word have
            `full`.

    Example:
        >>> Preprocess().replace(image_size=(320, 320), crop_pct=1.0).image_size
        (320, 320)
    """

    image_size: tuple[int, int] = (224, 224)
    resize: Resize = "crop"
    crop_pct: float = 0.875
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    background: tuple[int, int, int] = (255, 255, 255)
    decode: Decode = "reduced"

    def __post_init__(self) -> None:
        if not is_image_size(self.image_size) or not MIN_CROP_PCT <= self.crop_pct <= 1:
            raise ValueError(
                f"not a usable preprocessing: {self}; image_size is limited to {MAX_SIDE} px a side and "
                f"{MAX_INPUT_PIXELS:,} px, crop_pct to {MIN_CROP_PCT}–1"
            )
        if not (_three(self.mean, -1e3, 1e3) and _three(self.std, 1e-6, 1e3) and _three(self.background, 0, 255)):
            raise ValueError(f"mean, std or background is not three numbers in their range: {self}")
        if self.resize not in get_args(Resize) or self.interpolation not in get_args(Interpolation):
            raise ValueError(f"unknown resize or interpolation: {self.resize!r}, {self.interpolation!r}")
        if self.decode not in get_args(Decode):
            raise ValueError(f"unknown decode: {self.decode!r}")

    def replace(self, **changes: Any) -> Preprocess:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back.

        A full decode is not written: what was stored, and cached under such a key, before the word came stays valid.
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        if self.decode == "full":
            del values["decode"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """Read what `to_dict` wrote.

        Example:
            >>> Preprocess.from_dict(Preprocess(crop_pct=0.9).to_dict()).crop_pct
            0.9
        """
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**{"decode": "full", **fields})


def is_image_size(size: Any) -> bool:
    """Return whether a value is a height and width that a backbone's input may have.

    Example:
        >>> is_image_size((224, 224)), is_image_size((100_000, 100_000))
        (True, False)
    """
    return (
        isinstance(size, tuple)
        and len(size) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE for side in size)
        and size[0] * size[1] <= MAX_INPUT_PIXELS
    )


def _three(values: Any, least: float, most: float) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(value, int | float) and math.isfinite(value) and least <= value <= most for value in values)
    )
