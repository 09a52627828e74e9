"""Scikit-learn's handwritten digits as a folder of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import DatasetCard, SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.packages import Package
from tlkit.datasets.stratified_fifths import stratified_fifths
from tlkit.png_files import png

PACKAGE = Package("scikit-learn", "sklearn", "1.9.1")
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
    return DIGITS.make(dest, seed=seed)


def _sources() -> dict[str, Path]:
    folder = PACKAGE.folder()
    assert folder is not None, "tlkit depends on scikit-learn"
    return {"digits.csv.gz": folder / "datasets" / "data" / "digits.csv.gz"}


def _images(_: Sources, seed: int) -> Iterator[SampleImage]:
    """Yield the digits, named by their row in scikit-learn's table."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    names = [str(target) for target in digits.target.tolist()]
    for row, (name, split) in enumerate(zip(names, stratified_fifths(names, seed=seed), strict=True)):
        ink = np.pad(digits.images[row], MARGIN)  # (12, 12), 0 = paper, 16 = ink
        pixels = np.round(255 - ink * (255 / 16)).astype(np.uint8)
        yield SampleImage(f"{split}/{name}/{row:04d}.png", png(pixels), {"row": str(row)})


DIGITS = GalleryEntry(
    name="digits",
    summary="handwritten digits, gray, 12 × 12 pixels",
    images=1_797,
    classes=10,
    license="CC BY 4.0",
    attribution=ATTRIBUTION,
    about=ABOUT,
    packages=(PACKAGE,),
    megabytes=0.3,
    sha256="e60959b0c92db55bf45d86622446bb33486f82ac0beeef9dd074e99200d8c523",
    sources=_sources,
    images_of=_images,
)
