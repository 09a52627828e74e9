"""Scales images to the backbone's input size with Pillow's antialiased filters.

Pretrained weights were trained and evaluated on images scaled by Pillow, which widens its filter when it shrinks an
image; OpenCV's bilinear and bicubic filters alias. So nothing is scaled in Albumentations. `resize_image` is equal to
the evaluation transforms of timm and torchvision. `random_framing` returns what training shows of a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from tlkit.preprocess import Preprocess

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}

PADDING = 255
"""What pads a mask: its pixels belong to no class."""
LEAST_MARGIN = 2
"""Smallest ratio, on both axes, of an image that was decoded at a reduced scale to its target size."""


class Frame(NamedTuple):
    """The size of a picture, and its place in decoded pixels, which may be a half, a quarter or an eighth of it.

    Attributes:
        width: width of the upright picture in its file, in pixels.
        height: height of the upright picture in its file.
        box: left, top, right and bottom of the picture in decoded pixels. A decoder that scales rounds up: the last row
            and column may lie partly outside.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, image: Image.Image | npt.NDArray[np.uint8]) -> Frame:
        """Return the frame of an image, or of pixels (H, W, 3), that were decoded at full scale."""
        height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
        return cls(width, height, (0, 0, width, height))

    def part(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return a `box` (left, top, right, bottom) in the picture's pixels as a box in decoded pixels."""
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
    """Limits of random framing.

    Attributes:
        area: smallest share of the image's area that a random crop keeps, in (0, 1]; for a letterbox, the square of the
            smallest scale of the whole image.
        stretch: largest factor by which a crop's aspect ratio is changed, at least 1.
    """

    area: float
    stretch: float


def resize_image(image: Image.Image, preprocess: Preprocess, frame: Frame | None = None) -> Image.Image:
    """Return the image in the backbone's size for evaluation and prediction.

    Args:
        image: mode RGB, any size; or a mask of mode L, with the filter "nearest", whose padding is 255.
        preprocess: size, geometry (crop, letterbox or squash), filter and background.
        frame: where the picture lies in an image that was decoded at a reduced scale; the result shows the same part of
            the picture as after a full decode.

    Returns:
        An RGB image of `preprocess.image_size`. For `crop`: bit for bit that of timm's
        `create_transform(is_training=False)` before normalisation, for images up to four times as long as wide.
    """
    frame = frame or Frame.of(image)
    if preprocess.resize == "crop":
        return _center_crop(image, frame, preprocess)
    if preprocess.resize == "squash":
        return _scale(image, frame, preprocess, preprocess.image_size)
    return _letterbox(image, frame, preprocess)


def letterbox_place(
    height: int, width: int, size: tuple[int, int], *, scale: float = 1.0, offset: tuple[float, float] = (0.5, 0.5)
) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a whole picture on the canvas of a letterbox.

    Args:
        height: of the picture.
        width: of the picture.
        size: height and width of the canvas.
        scale: how much of the canvas it takes, up to 1.
        offset: where it lies in the free space, 0 to 1 across and down.

    Example:
        >>> letterbox_place(50, 100, (64, 64))
        (16, 0, 32, 64)
    """
    factor = scale * min(size[0] / height, size[1] / width)
    inner_height = min(size[0], max(1, round(height * factor)))
    inner_width = min(size[1], max(1, round(width * factor)))
    return (
        int((size[0] - inner_height) * offset[1]),
        int((size[1] - inner_width) * offset[0]),
        inner_height,
        inner_width,
    )


class Framing(NamedTuple):
    """What random framing shows of a picture.

    Attributes:
        box: left, top, right and bottom of the part that is shown, in the picture's pixels.
        size: height and width that it is scaled to.
        place: top and left of it in the backbone's input.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    place: tuple[int, int] = (0, 0)


def random_framing(
    width: int, height: int, preprocess: Preprocess, zoom: Zoom, generator: np.random.Generator
) -> Framing:
    """Return a random part of a picture of width x height for training.

    `crop` takes a random box of `zoom.area`…1 of the area whose aspect ratio is that of the input size, changed by at
    most `zoom.stretch` either way (Inception's crop, Szegedy et al. 2015, section 6). `squash` does the same with the
    image's own aspect ratio. `letterbox` cuts nothing off: it draws the whole image smaller, at a random place.
    """
    target = preprocess.image_size
    if preprocess.resize == "letterbox":
        scale = math.sqrt(generator.uniform(zoom.area, 1.0))
        offset = (float(generator.uniform()), float(generator.uniform()))
        top, left, *inner = letterbox_place(height, width, target, scale=scale, offset=offset)
        return Framing((0, 0, width, height), (inner[0], inner[1]), (top, left))
    aspect = target[1] / target[0] if preprocess.resize == "crop" else width / height
    return Framing(_random_box(width, height, aspect, zoom, generator), target)


def reduction(width: int, height: int, preprocess: Preprocess, zoom: Zoom | None = None) -> int:
    """Return by how much a decoder may divide an image's sides before `resize_image` or `random_framing`: 1, 2, 4 or 8.

    The decoded image has at least twice the pixels of the target on each axis, with `zoom` also in the smallest box. So
    the filter that follows still shrinks the image and determines the result.

    Args:
        width: width of the upright image, in pixels.
        height: height of the upright image.
        preprocess: size and geometry; with `decode: full` the result is 1.
        zoom: limits of random framing; None for `resize_image`.

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
    """Return by how much a decoder may divide an image's sides for a thumbnail of at most `side` pixels.

    Example:
        >>> reduction_for_thumbnail(4000, 3000, side=96), reduction_for_thumbnail(500, 375, side=96)
        (8, 2)
    """
    return _largest_scale(max(width, height) / side / LEAST_MARGIN)


def _largest_scale(limit: float) -> int:
    return next(scale for scale in (8, 4, 2, 1) if scale <= limit or scale == 1)


def _cover(preprocess: Preprocess) -> tuple[int, int]:
    """Return the height and width that a scaled image covers before its center crop."""
    height, width = preprocess.image_size
    return (max(height, math.floor(height / preprocess.crop_pct)), max(width, math.floor(width / preprocess.crop_pct)))


def _random_box(
    width: int, height: int, aspect: float, zoom: Zoom, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return a random box (left, top, right, bottom) inside the image; the largest centered one after ten failures."""
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


def _center_crop(image: Image.Image, frame: Frame, preprocess: Preprocess) -> Image.Image:
    """Return the center of the image scaled to cover `image_size / crop_pct`.

    Rounding follows torchvision's `Resize` and `CenterCrop` where the target is square, else timm's `ResizeKeepRatio`.
    A very elongated image (1 x 5,000 would scale to 256 x 1,280,000) is cropped while it is scaled: the same pixels up
    to the order of Pillow's two passes.
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


def _letterbox(image: Image.Image, frame: Frame, preprocess: Preprocess) -> Image.Image:
    """Return the whole image in the middle of the canvas, as large as fits."""
    height, width = preprocess.image_size
    top, left, inner_height, inner_width = letterbox_place(frame.height, frame.width, (height, width))
    canvas = Image.new(image.mode, (width, height), preprocess.background if image.mode == "RGB" else PADDING)
    canvas.paste(_scale(image, frame, preprocess, (inner_height, inner_width)), (left, top))
    return canvas
