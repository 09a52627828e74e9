"""Scenes of two to four emoji on made backgrounds, with a box around each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tlkit.box_labels import BoxLabel, boxes_text
from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.emoji_masks import GLYPHS, background
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.openmoji import LICENSE, OPENMOJI, RENDERER, attribution, drawing_folder, render
from tlkit.png_files import png

SIDE = 128
NAMES = ("apple", "bee", "car", "house", "key", "tree")
IMAGES = {"train": 160, "val": 32, "test": 64}
BRIGHTNESS = {"day": 1.0, "night": 0.45}
"""Factor of all pixels by light."""


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    drawings = [sources[name].read_text(encoding="utf-8") for name in NAMES]
    for part, (split, count) in enumerate(IMAGES.items()):
        for image in range(count):
            light = "night" if image % 4 == 0 else "day"
            picture, boxes = _scene(drawings, np.random.default_rng((seed, part, image)), BRIGHTNESS[light])
            names = tuple(sorted({one.name for one in boxes}))
            facts = {"light": light, "boxes": boxes_text(boxes)}
            yield SampleImage(f"{split}/{image:03d}.png", png(picture), facts, labels=names)


def _scene(drawings: list[str], rng: np.random.Generator, factor: float) -> tuple[Any, list[BoxLabel]]:
    """Return a picture (RGB), and the boxes around the opaque pixels (alpha above 127) of two to four drawings."""
    from PIL import Image

    picture = Image.fromarray(background(rng, SIDE)).convert("RGBA")
    boxes, half = [], SIDE // 2
    for quarter in rng.permutation(4)[: rng.integers(2, 5)].tolist():
        kind, side = int(rng.integers(len(drawings))), int(rng.integers(30, half))
        layer = Image.new("RGBA", (SIDE, SIDE))
        place = (rng.integers(0, half - side + 1, 2) + np.array([quarter % 2, quarter // 2]) * half).tolist()
        pose = f"rotate({rng.uniform(-20, 20):.3f} 36 36)"
        layer.paste(render(drawings[kind], side=side, pose=pose, background=None), tuple(place))
        picture.alpha_composite(layer)
        opaque = np.asarray(layer)[..., 3] > 127
        rows, columns = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
        ends = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        boxes.append(BoxLabel(NAMES[kind], int(columns[0]), int(rows[0]), *ends))
    return picture.convert("RGB").point(lambda level: round(level * factor)), boxes


EMOJI_SCENES = GalleryEntry(
    name="emoji-scenes",
    summary="two to four emoji on made backgrounds, with a box around each, colour, 128 × 128 pixels",
    task="detection",
    images=sum(IMAGES.values()),
    classes=len(NAMES),
    columns=("light",),
    license=LICENSE,
    attribution=attribution("turned, scaled and drawn on a made background"),
    about=(
        "Six of OpenMoji's drawings, two to four in a scene, each turned, scaled and placed in a quarter of its own. "
        "The background is noise whose spectrum is that of photographs: 160 scenes in train, 32 in val and 64 in test. "
        "The column boxes has class, left, top, width and height of each drawing in pixels, and 0 for no crowd, as "
        "JSON; label has the classes that a scene shows; light is night for a quarter of the scenes, which are less "
        "than half as bright. Each class is one drawing."
    ),
    packages=(OPENMOJI, RENDERER),
    megabytes=9.5,
    sha256="1e821833bf92bbb5a30016286c33a64dd2f7cdd99be853e07da3656a63a23fdf",
    sources=lambda: {name: drawing_folder() / f"{GLYPHS[name]}.svg" for name in NAMES},
    images_of=_images,
)
