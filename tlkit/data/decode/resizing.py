"""How an image of any size becomes one of the backbone's size: scaled with Pillow's antialiased filters.

Pretrained weights were trained and measured on images scaled by Pillow, which widens its filter when it shrinks an
image; OpenCV's bilinear and bicubic do not, and alias. So training and evaluation scale here, never in Albumentations.
`fit` gives what timm's and torchvision's evaluation transforms give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from tlkit.preprocess import Preprocess

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}

LEAST_MARGIN = 2
"""How many times larger than its target an image that was decoded at a reduced scale must still be, on both axes."""


class Frame(NamedTuple):
    """The size of a picture, and where it lies in decoded pixels that may be a half, a quarter or an eighth of it.

    Attributes:
        width: of the picture in its file, upright, in pixels.
        height: of the picture in its file.
        box: left, top, right and bottom of the picture, in decoded pixels. A decoder that scales rounds up: the last
            row and column may lie partly outside.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, image: Image.Image) -> Frame:
        """Return the frame of an image whose every pixel was decoded."""
        return cls(image.width, image.height, (0, 0, image.width, image.height))

    def part(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return in decoded pixels what `box` (left, top, right, bottom) is in the picture's own."""
        left, top, right, bottom = self.box
        across, down = (right - left) / self.width, (bottom - top) / self.height
        return (
            left + box[0] * across,
            top + box[1] * down,
            min(left + box[2] * across, right),
            min(top + box[3] * down, bottom),
        )


@dataclass(frozen=True)
class Zoom:
    """How far training may depart from the evaluation geometry.

    Attributes:
        area: smallest share of the image's area that a random crop keeps, in (0, 1]; for a letterbox, the square of the
            smallest scale at which the whole image is drawn.
        stretch: largest factor by which a crop's aspect ratio is changed, at least 1.
    """

    area: float
    stretch: float


def fit(image: Image.Image, preprocess: Preprocess, frame: Frame | None = None) -> Image.Image:
    """Return the image in the backbone's size, as evaluation and prediction see it.

    Args:
        image: mode RGB, any size.
        preprocess: says the size, the geometry (crop, letterbox or squash), the filter and the background.
        frame: where the picture lies in the image, if a decoder has scaled it: the same part of the picture is shown
            as of a full decode, on the same grid.

    Returns:
        An RGB image of `preprocess.image_size`. For `crop`: bit for bit that of timm's
        `create_transform(is_training=False)` before normalisation, for images up to four times as long as wide.
    """
    frame = frame or Frame.of(image)
    if preprocess.resize == "crop":
        return _centre_crop(image, frame, preprocess)
    if preprocess.resize == "squash":
        return _scale(image, frame, preprocess, preprocess.image_size)
    return _letterbox(image, frame, preprocess, scale=1.0, offset=(0.5, 0.5))


def random_fit(
    image: Image.Image, preprocess: Preprocess, zoom: Zoom, generator: np.random.Generator, frame: Frame | None = None
) -> Image.Image:
    """Return the image in the backbone's size with a random framing, for training.

    `crop` cuts a random box of `zoom.area`…1 of the area whose aspect ratio is that of the input size, changed by at
    most `zoom.stretch` either way (Inception's crop, Szegedy et al. 2015, section 6). `squash` does the same about the
    image's own aspect ratio. `letterbox` cuts nothing off: it draws the whole image smaller, somewhere on the
    background.

    Args:
        image: RGB, whole or decoded at a reduced scale.
        preprocess: the backbone's size, filter and way to resize.
        zoom: how much is cut and stretched.
        generator: what the framing is drawn from.
        frame: where the picture lies in the image's pixels; default: the whole image.
    """
    frame = frame or Frame.of(image)
    height, width = preprocess.image_size
    if preprocess.resize == "letterbox":
        scale = math.sqrt(generator.uniform(zoom.area, 1.0))
        offset = (float(generator.uniform()), float(generator.uniform()))
        return _letterbox(image, frame, preprocess, scale=scale, offset=offset)
    aspect = width / height if preprocess.resize == "crop" else frame.width / frame.height
    box = _random_box(frame.width, frame.height, aspect, zoom, generator)
    return _scale(image, frame, preprocess, preprocess.image_size, box=box)


def reduction(width: int, height: int, preprocess: Preprocess, zoom: Zoom | None = None) -> int:
    """Return by how much a decoder may divide an image's sides before it is brought to size: 1, 2, 4 or 8.

    What is left has at least twice the pixels on each axis that `fit`, or with `zoom` any box of `random_fit`, scales
    to. So the filter that follows still shrinks, and decides what the backbone sees.

    Args:
        width: of the image, upright, in pixels.
        height: of the image.
        preprocess: the geometry; its `decode: full` gives 1.
        zoom: framing in training; None for `fit`.

    Example:
        >>> reduction(4000, 3000, Preprocess()), reduction(1023, 1023, Preprocess())
        (4, 1)
    """
    if preprocess.decode == "full":
        return 1
    target_height, target_width = preprocess.image_size
    if preprocess.resize == "letterbox":
        spare = max(width / target_width, height / target_height)
    elif zoom is not None:
        aspect = target_width / target_height if preprocess.resize == "crop" else width / height
        area = zoom.area * width * height
        least_width = min(math.sqrt(area * aspect / zoom.stretch), width, height * aspect)
        least_height = min(math.sqrt(area / aspect / zoom.stretch), height, width / aspect)
        spare = min(least_width / target_width, least_height / target_height)
    else:
        cover_height, cover_width = _cover(preprocess) if preprocess.resize == "crop" else preprocess.image_size
        spare = min(width / cover_width, height / cover_height)
    return _largest_scale(spare / LEAST_MARGIN)


def reduction_for_thumbnail(width: int, height: int, *, side: int) -> int:
    """Return by how much a decoder may divide an image's sides that is only looked at, no larger than `side` pixels.

    Example:
        >>> reduction_for_thumbnail(4000, 3000, side=96), reduction_for_thumbnail(500, 375, side=96)
        (8, 2)
    """
    return _largest_scale(max(width, height) / side / LEAST_MARGIN)


def _largest_scale(limit: float) -> int:
    return next(scale for scale in (8, 4, 2, 1) if scale <= limit or scale == 1)


def _cover(preprocess: Preprocess) -> tuple[int, int]:
    """Return the height and width that an image is scaled to cover before its centre is cut."""
    height, width = preprocess.image_size
    return (max(height, math.floor(height / preprocess.crop_pct)), max(width, math.floor(width / preprocess.crop_pct)))


def _random_box(
    width: int, height: int, aspect: float, zoom: Zoom, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draw a box (left, top, right, bottom) inside the image, the largest centred one where ten draws do not fit."""
    limit = math.log(zoom.stretch)
    for _ in range(10):
        area = width * height * generator.uniform(zoom.area, 1.0)
        ratio = aspect * math.exp(generator.uniform(-limit, limit))
        box_width, box_height = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if box_width <= width and box_height <= height:
            left = generator.uniform(0, width - box_width)
            top = generator.uniform(0, height - box_height)
            return left, top, min(left + box_width, width), min(top + box_height, height)
    box_width, box_height = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, min(left + box_width, width), min(top + box_height, height)


def _scale(
    image: Image.Image,
    frame: Frame,
    preprocess: Preprocess,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    part = frame.box if box is None else frame.part(box)
    return image.resize((size[1], size[0]), FILTERS[preprocess.interpolation], box=part)


def _centre_crop(image: Image.Image, frame: Frame, preprocess: Preprocess) -> Image.Image:
    """Scale so that the image covers `image_size / crop_pct`, then cut the centre.

    Rounding follows torchvision's `Resize` and `CenterCrop` where the target is square, timm's `ResizeKeepRatio` where
    it is not. An image so elongated that most of the scaled pixels would be cut away (1 x 5,000 would scale to 256 x
    1,280,000) is cut while it is scaled: the same pixels up to the order of Pillow's two passes.
    """
    height, width = preprocess.image_size
    cover_height, cover_width = _cover(preprocess)
    if cover_height == cover_width:
        short = min(frame.width, frame.height)
        scaled_width = int(cover_width * frame.width / short)
        scaled_height = int(cover_height * frame.height / short)
    else:
        ratio = min(frame.height / cover_height, frame.width / cover_width)
        scaled_height, scaled_width = round(frame.height / ratio), round(frame.width / ratio)
    top, left = round((scaled_height - height) / 2), round((scaled_width - width) / 2)
    if scaled_height * scaled_width <= 4 * cover_height * cover_width:
        scaled = _scale(image, frame, preprocess, (scaled_height, scaled_width))
        return scaled.crop((left, top, left + width, top + height))
    across, down = frame.width / scaled_width, frame.height / scaled_height
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    return _scale(image, frame, preprocess, (height, width), box)


def _letterbox(
    image: Image.Image, frame: Frame, preprocess: Preprocess, *, scale: float, offset: tuple[float, float]
) -> Image.Image:
    """Scale the whole image into `scale` of the canvas and put it at `offset` (0…1 across, down) of the free room."""
    height, width = preprocess.image_size
    factor = scale * min(height / frame.height, width / frame.width)
    inner_height = min(height, max(1, round(frame.height * factor)))
    inner_width = min(width, max(1, round(frame.width * factor)))
    canvas = Image.new("RGB", (width, height), preprocess.background)
    left, top = int((width - inner_width) * offset[0]), int((height - inner_height) * offset[1])
    canvas.paste(_scale(image, frame, preprocess, (inner_height, inner_width)), (left, top))
    return canvas
