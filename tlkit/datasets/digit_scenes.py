"""Scenes of one to four handwritten digits: data for several labels, grades and numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import DatasetCard, SampleImage, make_dataset
from tlkit.datasets.digits import ATTRIBUTION, SHARES
from tlkit.errors import DataError

SCENES = {"train": 900, "val": 300, "test": 300}
SIDE = 12  # pixels of a quarter
FAINT = 0.45  # ink of a scene in pencil
ABOUT = (
    "1,500 scenes of 24 × 24 pixels. One to four quarters of a scene hold one of scikit-learn's digits each, dark on "
    "white; the others are empty. metadata.csv lists them: label has the digits of a scene, such as 3;7; total is the "
    "sum of its digits, count their number; pen is ink, or pencil for a third of the scenes, which are drawn with less "
    "than half the ink. Every digit of scikit-learn is in the scenes of one split alone."
)


def make_digit_scenes(dest: str | Path, *, seed: int = 0) -> DatasetCard:
    """Make 1,500 scenes of one to four of scikit-learn's digits, with a list of them; return the card.

    The list, metadata.csv, has several labels for each scene, a number (total), a grade (count) and a group (pen).

    Args:
        dest: folder to write to; created where it is missing. A folder that the same call made is reused.
        seed: seed of the scenes, 0 or more.

    Raises:
        DataError: the folder holds something else, or the seed is negative.
    """
    if seed < 0:
        raise DataError(f"seed is {seed}. Use a whole number from 0.")
    return make_dataset(
        Path(dest),
        lambda: _scenes(seed),
        name="digit-scenes",
        request={"seed": seed},
        packages=["scikit-learn"],
        about=ABOUT,
        attribution=ATTRIBUTION.replace("with a margin, and split", "in scenes, and split"),
    )


def _scenes(seed: int) -> Iterator[SampleImage]:
    """Yield the scenes of each split, from digits that no other split has."""
    import numpy as np
    from PIL import Image
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
                ink[top * SIDE : (top + 1) * SIDE, left * SIDE : (left + 1) * SIDE] = np.pad(digits.images[row], 2)
            pen = "pencil" if rng.random() < 1 / 3 else "ink"
            pixels = np.round(255 - ink * (255 / 16) * (FAINT if pen == "pencil" else 1.0)).astype(np.uint8)
            target = io.BytesIO()
            Image.fromarray(pixels).save(target, format="PNG")
            found = sorted(digits.target[chosen].tolist())
            columns = {
                "label": ";".join(map(str, dict.fromkeys(found))),
                "split": split,
                "total": str(sum(found)),
                "count": str(len(found)),
                "pen": pen,
            }
            yield SampleImage(f"{split}/scenes/{number:04d}.png", target.getvalue(), columns)
