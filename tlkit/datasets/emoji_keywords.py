"""Emoji with keywords, from OpenMoji: several labels for each image, by the words of Unicode's names."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.occupations import SKIN_TONES
from tlkit.datasets.openmoji import LICENSE, OPENMOJI, RENDERER, attribution, drawing_folder, render
from tlkit.datasets.stratified_fifths import stratified_fifths
from tlkit.png_files import png

SIDE = 64
WORDS: dict[str, tuple[str, ...]] = {
    "arrow": ("ARROW", "ARROWS"),
    "cat": ("CAT",),
    "child": ("BABY", "BOY", "CHILD", "GIRL"),
    "circle": ("CIRCLE",),
    "clock": ("CLOCK",),
    "cloud": ("CLOUD",),
    "eyes": ("EYE", "EYES"),
    "face": ("FACE",),
    "hair": ("HAIR",),
    "hand": ("FINGER", "FINGERS", "FIST", "HAND", "HANDS"),
    "heart": ("HEART", "HEARTS"),
    "man": ("MALE", "MAN", "MEN"),
    "moon": ("MOON",),
    "mouth": ("MOUTH",),
    "person": ("ADULT", "PERSON"),
    "smiling": ("GRINNING", "SMILING"),
    "square": ("SQUARE",),
    "star": ("STAR", "STARS"),
    "triangle": ("TRIANGLE",),
    "woman": ("FEMALE", "WOMAN", "WOMEN"),
}
"""Label, and the words of a name that give it."""
TONES = {int(code, 16): name for name, code in SKIN_TONES.items() if code}
JOINERS = (0x200D, 0xFE0F)
NEWER = range(0x1FA70, 0x1FB00)
"""A block that still grows: Pythons of several versions name different parts of it."""


def keywords(codes: list[int]) -> tuple[str, ...]:
    """Return the labels of an emoji, sorted; none where no word of its name is a keyword.

    Args:
        codes: its code points.

    Example:
        >>> keywords([0x1F63A])  # SMILING CAT FACE WITH OPEN MOUTH
        ('cat', 'face', 'mouth', 'smiling')
    """
    words = {
        word
        for code in codes
        if code not in JOINERS and code not in TONES
        for word in unicodedata.name(chr(code), "").replace("-", " ").split()
    }
    return tuple(sorted(label for label, some in WORDS.items() if words & set(some)))


def _codes(name: str) -> list[int]:
    return [int(part, 16) for part in Path(name).stem.split("-")]


def _sources() -> dict[str, Path]:
    """Return the drawings with a keyword and at most one skin tone; no flags, and nothing that OpenMoji invented."""
    found = {}
    for path in sorted(drawing_folder().glob("*.svg")):
        codes = _codes(path.name)
        usual = all(code < 0xE000 or 0xF900 <= code < 0xE0000 for code in codes)
        recent = any(code in NEWER for code in codes)
        if usual and not recent and sum(code in TONES for code in codes) <= 1 and keywords(codes):
            found[path.name] = path
    return found


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    plain = {name: "-".join(f"{one:04X}" for one in _codes(name) if one not in TONES) for name in sources}
    labels = {one: keywords([int(part, 16) for part in one.split("-")]) for one in sorted(set(plain.values()))}
    count = Counter(label for some in labels.values() for label in some)
    rarest = [min(some, key=lambda label: (count[label], label)) for some in labels.values()]
    split_of = dict(zip(labels, stratified_fifths(rarest, seed=seed), strict=True))
    for name, path in sources.items():
        codes = _codes(name)
        tone = next((TONES[code] for code in codes if code in TONES), "none")
        picture = png(render(path.read_text(encoding="utf-8"), side=SIDE))
        columns = {"emoji": plain[name], "skin_tone": tone}
        yield SampleImage(f"{split_of[plain[name]]}/{path.stem}.png", picture, columns, labels=labels[plain[name]])


EMOJI_KEYWORDS = GalleryEntry(
    name="emoji-keywords",
    summary="emoji with several keywords each, colour, 64 × 64 pixels",
    task="multilabel",
    images=1_907,
    classes=len(WORDS),
    columns=("emoji", "skin_tone"),
    license=LICENSE,
    attribution=attribution("rendered as PNG, and labelled by the words of Unicode's names"),
    about=(
        "OpenMoji's drawings with at least one of 20 keywords, which are words of their names in Unicode: face, hand, "
        "heart, woman and so on; an emoji has one to five. Drawings of one emoji in several skin tones are in one "
        "split, and share the value of the column emoji; the column skin_tone is the tone, or none. Three fifths of "
        "the emoji are in train, one fifth in val and one in test, stratified by the rarest keyword of each. The "
        "labels are in metadata.csv, separated by semicolons."
    ),
    packages=(OPENMOJI, RENDERER),
    megabytes=4.0,
    sha256="6760075c29526fe6760825a4115943552e10d306a9de442fa10a33345ff6ca80",
    sources=_sources,
    images_of=_images,
)
