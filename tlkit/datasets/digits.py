"""Scikit-learn's handwritten digits as a folder of images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tlkit.datasets.card import DatasetCard, SampleImage, find_dataset, write_dataset
from tlkit.errors import DataError

SHARES = {"train": 3, "val": 1, "test": 1}  # in fifths


def make_digits(dest: str | Path, *, seed: int = 0, image_size: int = 8) -> DatasetCard:
    """Make a folder of the 1,797 handwritten digits that come with scikit-learn, 8 × 8 pixels, white on black.

    Three fifths of each class are in train, one in val and one in test, drawn by the seed. Who wrote a digit is not
    known, so a writer's digits are in all splits.

    Args:
        dest: folder to write to; made where it is missing. A folder that the same call made is used as it is.
        seed: seed of the split, 0 or more.
        image_size: height and width of the images, in pixels; more than 8 enlarges them (bicubic).

    Raises:
        DataError: the folder holds something else, or an argument is out of range.
    """
    problems = []
    if seed < 0:
        problems.append(f"seed is {seed}. Use a whole number from 0.")
    if not 8 <= image_size <= 1024:
        problems.append(f"image_size is {image_size} pixels. Use 8 to 1024.")
    if problems:
        raise DataError(*problems)
    root = Path(dest)
    request = {"seed": seed, "image_size": image_size}
    found = find_dataset(root, name="digits", request=request)
    if found is not None:
        return found
    return write_dataset(
        root,
        _images(seed=seed, image_size=image_size),
        name="digits",
        request=request,
        made_with={"scikit-learn": metadata.version("scikit-learn")},
        about=(
            "1,797 handwritten digits of 8 × 8 pixels (0 = black to 16 = white, stored as 0 to 255), as scikit-learn's "
            "load_digits gives them. Three fifths of each class are in train, one in val and one in test. Who wrote a "
            "digit is not known, so a writer's digits are in all splits."
        ),
        attribution=(
            "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning "
            "Repository, https://doi.org/10.24432/C50P49. License: CC BY 4.0 "
            "(https://creativecommons.org/licenses/by/4.0/). Taken from scikit-learn's copy of the test set. Changed: stored as PNG, split anew."
        ),
    )


def _images(*, seed: int, image_size: int) -> Iterator[SampleImage]:
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
                pixels = np.round(digits.images[row] * (255 / 16)).astype(np.uint8)  # (8, 8), ink is bright
                image = Image.fromarray(pixels)
                if image_size > 8:
                    image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
                target = io.BytesIO()
                image.save(target, format="PNG")
                yield SampleImage(f"{split}/{label}/{row:04d}.png", target.getvalue(), {"row": str(row)})
