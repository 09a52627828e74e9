"""Flags of countries and territories by two drawers: OpenMoji's to train on, those of Debian's package to test on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.openmoji import LICENSE, OPENMOJI, RENDERER, attribution, drawing_folder, render
from tlkit.datasets.packages import Package
from tlkit.png_files import png

if TYPE_CHECKING:
    from PIL.Image import Image

ISO_FLAGS = Package("iso-flags-png-320x240", "iso-flags-png-320x240", "1.0.2-2", manager="apt")
SIDE = 64
IMAGES = {"train": 6, "val": 2}
"""Images of each flag that are made of OpenMoji's drawing."""
FIRST_LETTER = 0x1F1E6
"""The regional indicator A; a flag is two of these letters (Unicode Technical Standard 51, appendix B)."""


def _sources() -> dict[str, Path]:
    """Return both drawings of each flag that both have."""
    folder = ISO_FLAGS.folder()
    assert folder is not None, "`make` has checked it"
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("[a-z][a-z].png")):
        letters = "-".join(f"{FIRST_LETTER + ord(letter) - ord('a'):X}" for letter in path.stem)
        drawing = drawing_folder() / f"{letters}.svg"
        if drawing.is_file():
            found |= {f"{path.stem}.svg": drawing, path.name: path}
    return found


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    import numpy as np

    for number, country in enumerate(sorted({Path(name).stem for name in sources})):
        svg = sources[f"{country}.svg"].read_text(encoding="utf-8")
        for part, (split, count) in enumerate(IMAGES.items()):
            for image in range(count):
                rng = np.random.default_rng((seed, number, part, image))
                (dx, dy), angle, scale = rng.uniform(-5, 5, 2), rng.uniform(-10, 10), rng.uniform(0.8, 1.1)
                pose = (
                    f"translate({36 + dx:.3f} {36 + dy:.3f}) rotate({angle:.3f}) scale({scale:.4f}) translate(-36 -36)"
                )
                picture = png(render(svg, side=SIDE, pose=pose))
                yield SampleImage(f"{split}/{country}/openmoji_{image}.png", picture, {"drawn_by": "openmoji"})
        picture = png(_on_white(sources[f"{country}.png"].read_bytes()))
        yield SampleImage(f"test/{country}/iso-flags.png", picture, {"drawn_by": "iso-flags"})


def _on_white(content: bytes) -> Image:
    """Return a flag in the middle of a white square, as wide as OpenMoji draws it: 62 of 72 units."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        flag = image.convert("RGBA")
    width = round(SIDE * 62 / 72)
    flag = flag.resize((width, round(width * flag.height / flag.width)), Image.Resampling.BICUBIC)
    page = Image.new("RGBA", (SIDE, SIDE), "white")
    page.alpha_composite(flag, ((SIDE - flag.width) // 2, (SIDE - flag.height) // 2))
    return page.convert("RGB")


FLAGS = GalleryEntry(
    name="flags",
    summary="flags of countries and territories, by another drawer in test; colour, 64 × 64 pixels",
    images=2_250,
    classes=250,
    columns=("drawn_by",),
    license=f"{LICENSE}; public domain (test)",
    attribution=attribution("turned, scaled and rendered as PNG")
    + " The flags of test are those of Linux Mint's flags (https://github.com/linuxmint/flags), in the public domain; "
    "changed: scaled, on white.",
    about=(
        "Flags that both OpenMoji and Debian's package iso-flags-png-320x240 draw; the class is the country's or "
        "territory's code of two letters (ISO 3166-1, and EU). Train has six and val two images of OpenMoji's drawing, "
        "slightly turned, scaled and shifted; test has one image of the other drawer's, with other colours, outlines "
        "and proportions. Many classes, few images of each, and a shift from val to test. Some territories fly the "
        "flag of their country: those classes cannot be told apart."
    ),
    packages=(OPENMOJI, RENDERER, ISO_FLAGS),
    megabytes=3.5,
    sha256="30bd56c49e9821e50b7cc51c2e3f8b4fe7962c46d2b14c8d4fcb51ed7c7952a1",
    sources=_sources,
    images_of=_images,
)
