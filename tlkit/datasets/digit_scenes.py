"""Scenes of one to four handwritten digits: data for several labels, grades and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import DatasetCard, SampleImage
from tlkit.datasets.digits import ATTRIBUTION, DIGITS, MARGIN, PACKAGE
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.stratified_fifths import SHARES
from tlkit.png_files import png

SCENES = {"train": 900, "val": 300, "test": 300}
SIDE = 12
"""Height and width of a quarter, in pixels."""
FAINT = 0.45
"""Ink of a scene in pencil, as a share."""


def make_digit_scenes(dest: str | Path, *, seed: int = 0) -> DatasetCard:
    """Make 1,500 scenes of one to four of scikit-learn's digits, with a list of them; return the card.

    The list, metadata.csv, has several labels for each scene, a number (total), a grade (count) and a group (pen).

    Args:
        dest: folder to write to; created where it is missing. A folder that the same call made is reused.
        seed: seed of the scenes, 0 or more.

    Raises:
        DataError: the folder holds something else, or the seed is negative.
    """
    return DIGIT_SCENES.make(dest, seed=seed)


def _scenes(_: Sources, seed: int) -> Iterator[SampleImage]:
    """Yield the scenes of each split, from digits that no other split has."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.target))
    bounds = np.round(np.cumsum(list(SHARES.values()))[:-1] * len(order) / sum(SHARES.values())).astype(int)
    for (split, scenes), rows in zip(SCENES.items(), np.split(order, bounds), strict=True):
        for number in range(scenes):
            ink = np.zeros((2 * SIDE, 2 * SIDE))
            quarters = rng.permutation(4)[: rng.integers(1, 5)]
            chosen = rng.choice(rows, size=len(quarters), replace=False)
            for quarter, row in zip(quarters, chosen, strict=True):
                top, left = divmod(int(quarter), 2)
                ink[top * SIDE : (top + 1) * SIDE, left * SIDE : (left + 1) * SIDE] = np.pad(digits.images[row], MARGIN)
            pen = "pencil" if rng.random() < 1 / 3 else "ink"
            pixels = np.round(255 - ink * (255 / 16) * (FAINT if pen == "pencil" else 1.0)).astype(np.uint8)
            found = sorted(digits.target[chosen].tolist())
            columns = {"total": str(sum(found)), "count": str(len(found)), "pen": pen}
            labels = tuple(map(str, dict.fromkeys(found)))
            yield SampleImage(f"{split}/scenes/{number:04d}.png", png(pixels), columns, labels=labels)


DIGIT_SCENES = GalleryEntry(
    name="digit-scenes",
    summary="one to four handwritten digits each, with their sum and number; gray, 24 × 24 pixels",
    task="multilabel",
    images=sum(SCENES.values()),
    classes=10,
    columns=("pen",),
    license=DIGITS.license,
    attribution=ATTRIBUTION.replace("with a margin, and split", "in scenes, and split"),
    about=(
        "1,500 scenes of 24 × 24 pixels. One to four quarters of a scene hold one of scikit-learn's digits each, dark "
        "on white; the others are empty. metadata.csv lists them: label has the digits of a scene, such as 3;7; total "
        "is the sum of its digits, count their number; pen is ink, or pencil for a third of the scenes, which are "
        "drawn with less than half the ink. Every digit of scikit-learn is in the scenes of one split alone."
    ),
    packages=(PACKAGE,),
    megabytes=0.4,
    sha256=DIGITS.sha256,
    sources=DIGITS.sources,
    images_of=_scenes,
)
