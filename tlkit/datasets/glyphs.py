"""Letters and digits in the fonts that Matplotlib brings; test shows fonts that train does not."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.packages import Package
from tlkit.png_files import png

PACKAGE = Package("matplotlib", "matplotlib", "3.11.2")
SIDE = 32
FONTS = {
    "DejaVu Sans": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique"),
    "DejaVu Sans Mono": (
        "DejaVuSansMono",
        "DejaVuSansMono-Bold",
        "DejaVuSansMono-BoldOblique",
        "DejaVuSansMono-Oblique",
    ),
    "DejaVu Serif": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic"),
    "STIX": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic"),
}
"""Family, and the fonts of it."""
VAL_FAMILIES = 2
"""Families that have a font in val; each has one in test."""
COPIES = 4
"""Images of each letter in each font, of other sizes, places and angles."""
CLASSES = {
    **{letter: f"upper_{letter}" for letter in string.ascii_uppercase},
    **{letter: f"lower_{letter}" for letter in string.ascii_lowercase},
    **{digit: f"digit_{digit}" for digit in string.digits},
}
"""Character, and its class: a folder's name on disks that do not tell A from a."""


def _sources() -> dict[str, Path]:
    folder = PACKAGE.folder()
    assert folder is not None, "`make` has checked it"
    return {name: folder / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf" for fonts in FONTS.values() for name in fonts}


def splits_of_fonts(seed: int) -> dict[str, str]:
    """Return the split of each font: one of each family is in test, one of two families in val, the others in train.

    Args:
        seed: seed of the choice, 0 or more.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    split_of: dict[str, str] = {}
    in_val = set(rng.choice(len(FONTS), VAL_FAMILIES, replace=False).tolist())
    for number, fonts in enumerate(FONTS.values()):
        order = [fonts[place] for place in rng.permutation(len(fonts))]
        splits = ["test", *(["val"] if number in in_val else [])]
        split_of |= {name: splits[place] if place < len(splits) else "train" for place, name in enumerate(order)}
    return split_of


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    split_of = splits_of_fonts(seed)
    family_of = {name: family for family, fonts in FONTS.items() for name in fonts}
    for number, (name, path) in enumerate(sources.items()):
        rng = np.random.default_rng((seed, number))
        fonts = {size: ImageFont.truetype(str(path), size) for size in range(18, 25)}
        for character, label in CLASSES.items():
            for copy in range(COPIES):
                font = fonts[int(rng.integers(18, 25))]
                page = Image.new("L", (2 * SIDE, 2 * SIDE), 255)
                left, top, right, bottom = font.getbbox(character)
                dx, dy = rng.uniform(-2, 2, 2)
                place = (SIDE - (left + right) / 2 + dx, SIDE - (top + bottom) / 2 + dy)
                ImageDraw.Draw(page).text(place, character, font=font, fill=0)
                page = page.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, fillcolor=255)
                pixels = np.asarray(page.crop((SIDE // 2, SIDE // 2, SIDE * 3 // 2, SIDE * 3 // 2)))
                columns = {"font": name, "family": family_of[name]}
                yield SampleImage(f"{split_of[name]}/{label}/{name}_{copy}.png", png(pixels), columns)


GLYPHS = GalleryEntry(
    name="glyphs",
    summary="letters and digits, by other fonts in test; gray, 32 × 32 pixels",
    images=sum(map(len, FONTS.values())) * len(CLASSES) * COPIES,
    classes=len(CLASSES),
    columns=("font", "family"),
    license="Bitstream Vera Fonts; STIX Font License",
    attribution=(
        "Letters of the fonts DejaVu (https://dejavu-fonts.github.io; Copyright (c) 2003 by Bitstream, Inc., and (c) "
        "2006 by Tavmjong Bah; Bitstream Vera Fonts licence) and STIX (https://www.stixfonts.org; Copyright (c) "
        "2001-2010 by the STI Pub Companies; STIX Font License), from Matplotlib's copies. Changed: drawn as PNG."
    ),
    about=(
        "The 62 letters and digits in 16 fonts that Matplotlib brings, dark on white, 32 × 32 pixels, four images of "
        "each, slightly turned, shifted and scaled. Test is a font of each of four families, val a font of two; the "
        "others are in train. The columns font and family name them. Pictures of some classes are the same but for "
        "their size, such as O and o."
    ),
    packages=(PACKAGE,),
    megabytes=1.6,
    sha256="67911a038e31c396ad751e1721f684c61b9713b1fb01b1f2457590ea3a2a381f",
    sources=_sources,
    images_of=_images,
)
