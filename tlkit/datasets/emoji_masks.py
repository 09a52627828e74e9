"""Emoji on made backgrounds with exact masks and boxes: the alpha channel of the drawing says where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.openmoji import LICENSE, OPENMOJI, RENDERER, attribution, drawing_folder, render
from tlkit.png_files import png

SIDE = 96
GLYPHS = {
    "apple": "1F34E",
    "bee": "1F41D",
    "bell": "1F514",
    "book": "1F4D6",
    "car": "1F697",
    "fish": "1F41F",
    "guitar": "1F3B8",
    "house": "1F3E0",
    "key": "1F511",
    "mushroom": "1F344",
    "tree": "1F333",
    "umbrella": "2602",
}
IMAGES = {"train": 40, "val": 10, "test": 20}
"""Images of each class."""
SIZES = {"small": (0.25, 0.4), "medium": (0.4, 0.6), "large": (0.6, 0.85)}
"""Side of the drawing as a share of the image's."""


def _sources() -> dict[str, Path]:
    return {name: drawing_folder() / f"{glyph}.svg" for name, glyph in GLYPHS.items()}


def background(rng: np.random.Generator, side: int) -> npt.NDArray[np.uint8]:
    """Return a picture of noise whose amplitude falls with frequency, as in photographs, shape (side, side, 3).

    The power spectrum of natural images falls about as 1 / f²: D. J. Field, "Relations between the statistics of
    natural images and the response properties of cortical cells", JOSA A 4 (1987). Here the amplitude falls as f^-1.2.

    Args:
        rng: source of random numbers.
        side: height and width, in pixels.
    """
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    waves = np.fft.ifft2(np.fft.fft2(rng.normal(size=(3, side, side))) / frequency**1.2).real
    waves = (waves - waves.mean(axis=(1, 2), keepdims=True)) / waves.std(axis=(1, 2), keepdims=True)
    pixels = rng.uniform(60, 190, 3)[:, None, None] + 35 * waves
    levels: npt.NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return levels.transpose(1, 2, 0)


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    for number, (name, path) in enumerate(sources.items()):
        svg = path.read_text(encoding="utf-8")
        for part, (split, count) in enumerate(IMAGES.items()):
            for image in range(count):
                rng = np.random.default_rng((seed, number, part, image))
                size = list(SIZES)[image % len(SIZES)]
                picture, mask = _scene(svg, rng, size, number + 1)
                rows, columns = (
                    np.flatnonzero(np.asarray(mask).any(axis=1)),
                    np.flatnonzero(np.asarray(mask).any(axis=0)),
                )
                box = {
                    "box_left": columns[0],
                    "box_top": rows[0],
                    "box_width": columns[-1] - columns[0] + 1,
                    "box_height": rows[-1] - rows[0] + 1,
                }
                facts = {"size": size, **{key: str(value) for key, value in box.items()}}
                yield SampleImage(f"{split}/{name}/{image:03d}.png", png(picture), facts, mask=png(mask))


def _scene(svg: str, rng: np.random.Generator, size: str, index: int) -> tuple[Any, Any]:
    """Return the picture (RGB), and the mask (palette): `index` where the drawing is opaque, 0 elsewhere."""
    from PIL import Image

    side = round(SIDE * rng.uniform(*SIZES[size]))
    pose = f"rotate({rng.uniform(-20, 20):.3f} 36 36)"
    layer = Image.new("RGBA", (SIDE, SIDE))
    layer.paste(render(svg, side=side, pose=pose, background=None), tuple(rng.integers(0, SIDE - side + 1, 2).tolist()))
    picture = Image.fromarray(background(rng, SIDE)).convert("RGBA")
    picture.alpha_composite(layer)
    mask = Image.fromarray(np.where(np.asarray(layer)[..., 3] > 127, index, 0).astype(np.uint8))
    mask = mask.convert("P")
    mask.putpalette([0, 0, 0, *(level for number in range(len(GLYPHS)) for level in _colour(number))])
    return picture.convert("RGB"), mask


def _colour(number: int) -> tuple[int, int, int]:
    return (80 + 35 * (number % 6), 60 + 60 * (number // 4), 255 - 20 * number)


EMOJI_MASKS = GalleryEntry(
    name="emoji-masks",
    summary="emoji on made backgrounds, with masks and boxes, colour, 96 × 96 pixels",
    task="segmentation",
    images=len(GLYPHS) * sum(IMAGES.values()),
    classes=len(GLYPHS),
    columns=("size",),
    license=LICENSE,
    attribution=attribution("turned, scaled and drawn on a made background"),
    about=(
        "12 of OpenMoji's drawings, each turned, scaled and placed on a background of noise whose spectrum is that of "
        "photographs: 40 images of each in train, 10 in val and 20 in test. The column mask is the path of a PNG with "
        "a palette: 0 is the background, 1 to 12 the classes in the order of their names, where the drawing is opaque "
        "(alpha above 127). box_left, box_top, box_width and box_height are the box around it, in pixels. The column "
        "size says how large the drawing is. Each class is one drawing, so that test asks for places and poses, not "
        "for other pictures of a class."
    ),
    packages=(OPENMOJI, RENDERER),
    megabytes=17.8,
    sha256="7c61eabe1c408131486263279914ee1b73ff1b55fdff59051a9fcbe5bdf5e14d",
    sources=_sources,
    images_of=_images,
)
