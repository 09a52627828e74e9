"""Animal-MNIST, from the package animal-mnist: 10,000 silhouettes of animals, 28 × 28 pixels."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlkit.array_pickles import MOST_PICKLE_BYTES, read_arrays
from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.labelled_arrays import class_of_each
from tlkit.datasets.packages import Package
from tlkit.datasets.stratified_fifths import stratified_fifths
from tlkit.errors import DataError
from tlkit.png_files import png

PACKAGE = Package("animal-mnist", "animal_mnist", "0.4", dependencies=False)
CLASSES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
IMAGES, LABELS = "animal_data_version_3.gz", "animal_label_version_3.gz"


def _sources() -> dict[str, Path]:
    folder = PACKAGE.folder()
    assert folder is not None, "`make` has checked it"
    return {name: folder / "data" / "Animal_MNIST" / name for name in (IMAGES, LABELS)}


def _read(path: Path) -> Any:
    """Return what one of the package's files holds; no code that it names is run."""
    try:
        with gzip.open(path) as file:
            return read_arrays(file.read(MOST_PICKLE_BYTES + 1))
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: {error}. Install animal-mnist again.") from None


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    pixels, labels = _read(sources[IMAGES]), _read(sources[LABELS])
    files = {"images_file": sources[IMAGES], "labels_file": sources[LABELS]}
    names = class_of_each(pixels, labels, CLASSES, **files, package=PACKAGE)
    for row, (name, split) in enumerate(zip(names, stratified_fifths(names, seed=seed), strict=True)):
        yield SampleImage(f"{split}/{name}/{row:05d}.png", png(pixels[row]), {"row": str(row)})


ANIMALS = GalleryEntry(
    name="animals",
    summary="silhouettes of animals, gray, 28 × 28 pixels",
    images=10_000,
    classes=10,
    license="MIT",
    attribution=(
        "Animal-MNIST, Sina Mohammadi, 2025, package animal-mnist. Copyright (c) 2025 SinaSR-6. License: MIT "
        "(https://opensource.org/license/mit). Changed: stored as PNG, and split."
    ),
    about=(
        "The 10,000 silhouettes of Animal-MNIST, white on black, 28 × 28 pixels, a thousand of each of ten animals. "
        "Three fifths of each class are in train, one fifth in val and one in test. The package does not say which "
        "pictures are of one animal. The column row is the row in its file."
    ),
    packages=(PACKAGE,),
    megabytes=4.2,
    sha256="28aabee94f3bd58978f8a3ecb01e7355f141f97553fc50468986496587f5d169",
    sources=_sources,
    images_of=_images,
)
