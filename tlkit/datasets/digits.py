"""Scikit-learn's handwritten digits as a folder of images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import DatasetCard, SampleImage, make_dataset
from tlkit.errors import DataError

SHARES = {"train": 3, "val": 1, "test": 1}  # fifths of each class
MARGIN = 2  # pixels of white on each side, because a backbone's center crop (often 0.875) would cut into the digits

ATTRIBUTION = (
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, "
    "https://doi.org/10.24432/C50P49. License: CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). "
    "Taken from scikit-learn's copy of the test set. Changed: stored as PNG with a margin, and split."
)
ABOUT = (
    "The 1,797 handwritten digits of scikit-learn's load_digits, 8 × 8 pixels in 17 gray levels, stored dark on white "
    "with a margin of 2 pixels (12 × 12 in all). Three fifths of each class are in train, one fifth in val and one in "
    "test. The writers are unknown, so a writer's digits are in all splits. The column row is the row in load_digits."
)


def make_digits(dest: str | Path, *, seed: int = 0) -> DatasetCard:
    """Make a folder of scikit-learn's 1,797 handwritten digits, dark on white, 12 × 12 pixels; return its card.

    Three fifths of each class are in train, one fifth in val and one in test. The writers are unknown, so a writer's
    digits are in all splits.

    Args:
        dest: folder to write to; created where it is missing. A folder that the same call made is reused.
        seed: seed of the split, 0 or more.

    Raises:
        DataError: the folder holds something else, or the seed is negative.
    """
    if seed < 0:
        raise DataError(f"seed is {seed}. Use a whole number from 0.")
    return make_dataset(
        Path(dest),
        lambda: _images(seed),
        name="digits",
        request={"seed": seed},
        packages=["scikit-learn"],
        about=ABOUT,
        attribution=ATTRIBUTION,
    )


def _images(seed: int) -> Iterator[SampleImage]:
    """Yield the digits, named by their row in scikit-learn's table."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(seed)
    for label in range(10):
        rows = rng.permutation(np.flatnonzero(digits.target == label))
        bounds = np.round(np.cumsum(list(SHARES.values()))[:-1] * len(rows) / sum(SHARES.values())).astype(int)
        for split, part in zip(SHARES, np.split(rows, bounds), strict=True):
            for row in sorted(part.tolist()):
                ink = np.pad(digits.images[row], MARGIN)  # (12, 12), 0 = paper, 16 = ink
                pixels = np.round(255 - ink * (255 / 16)).astype(np.uint8)
                target = io.BytesIO()
                Image.fromarray(pixels).save(target, format="PNG")
                yield SampleImage(f"{split}/{label}/{row:04d}.png", target.getvalue(), {"row": str(row)})
