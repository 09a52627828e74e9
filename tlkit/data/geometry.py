"""How an image of any size becomes one of the backbone's size: scaled with Pillow's antialiased filters.

Pretrained weights were trained and measured on images scaled by Pillow, which widens its filter when it shrinks an
image; OpenCV's bilinear and bicubic do not, and alias. So training and evaluation scale here, never in Albumentations.
`fit` gives what timm's and torchvision's evaluation transforms give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def fit(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Return the image in the backbone's size, as evaluation and prediction see it.

    Args:
        image: mode RGB, any size.
        preprocess: says the size, the geometry (crop, letterbox or squash), the filter and the background.

    Returns:
        An RGB image of `preprocess.image_size`. For `crop`: bit for bit that of timm's
        `create_transform(is_training=False)` before normalisation, for images up to four times as long as wide.
    """
    if preprocess.resize == "crop":
        return _centre_crop(image, preprocess)
    if preprocess.resize == "squash":
        return _scale(image, preprocess, preprocess.image_size)
    return _letterbox(image, preprocess, scale=1.0, offset=(0.5, 0.5))


def random_fit(image: Image.Image, preprocess: Preprocess, zoom: Zoom, generator: np.random.Generator) -> Image.Image:
    """Return the image in the backbone's size with a random framing, for training.

    `crop` cuts a random box of `zoom.area`…1 of the area whose aspect ratio is that of the input size, changed by at
    most `zoom.stretch` either way (Inception's crop, Szegedy et al. 2015, section 6). `squash` does the same about the
    image's own aspect ratio. `letterbox` cuts nothing off: it draws the whole image smaller, somewhere on the
    background.
    """
    height, width = preprocess.image_size
    if preprocess.resize == "letterbox":
        scale = math.sqrt(generator.uniform(zoom.area, 1.0))
        offset = (float(generator.uniform()), float(generator.uniform()))
        return _letterbox(image, preprocess, scale=scale, offset=offset)
    aspect = width / height if preprocess.resize == "crop" else image.width / image.height
    return _scale(
        image, preprocess, preprocess.image_size, box=_random_box(image.width, image.height, aspect, zoom, generator)
    )


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
    preprocess: Preprocess,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    return image.resize((size[1], size[0]), FILTERS[preprocess.interpolation], box=box)


def _centre_crop(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Scale so that the image covers `image_size / crop_pct`, then cut the centre.

    Rounding follows torchvision's `Resize` and `CenterCrop` where the target is square, timm's `ResizeKeepRatio` where
    it is not. An image so elongated that most of the scaled pixels would be cut away (1 x 5,000 would scale to 256 x
    1,280,000) is cut while it is scaled: the same pixels up to the order of Pillow's two passes.
    """
    height, width = preprocess.image_size
    cover_height = max(height, math.floor(height / preprocess.crop_pct))
    cover_width = max(width, math.floor(width / preprocess.crop_pct))
    if cover_height == cover_width:
        short = min(image.width, image.height)
        scaled_width = int(cover_width * image.width / short)
        scaled_height = int(cover_height * image.height / short)
    else:
        ratio = min(image.height / cover_height, image.width / cover_width)
        scaled_height, scaled_width = round(image.height / ratio), round(image.width / ratio)
    top, left = round((scaled_height - height) / 2), round((scaled_width - width) / 2)
    if scaled_height * scaled_width <= 4 * cover_height * cover_width:
        scaled = _scale(image, preprocess, (scaled_height, scaled_width))
        return scaled.crop((left, top, left + width, top + height))
    across, down = image.width / scaled_width, image.height / scaled_height
    right, bottom = min((left + width) * across, image.width), min((top + height) * down, image.height)
    return _scale(image, preprocess, (height, width), (left * across, top * down, right, bottom))


def _letterbox(image: Image.Image, preprocess: Preprocess, *, scale: float, offset: tuple[float, float]) -> Image.Image:
    """Scale the whole image into `scale` of the canvas and put it at `offset` (0…1 across, down) of the free room."""
    height, width = preprocess.image_size
    factor = scale * min(height / image.height, width / image.width)
    inner_height = min(height, max(1, round(image.height * factor)))
    inner_width = min(width, max(1, round(image.width * factor)))
    canvas = Image.new("RGB", (width, height), preprocess.background)
    left, top = int((width - inner_width) * offset[0]), int((height - inner_height) * offset[1])
    canvas.paste(_scale(image, preprocess, (inner_height, inner_width)), (left, top))
    return canvas
