"""Fashion-MNIST, from Debian's package: 70,000 pictures of articles of clothing, 28 × 28 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.labelled_arrays import class_of_each
from tlkit.datasets.packages import Package
from tlkit.idx_files import read_idx
from tlkit.png_files import png

PACKAGE = Package("dataset-fashion-mnist", "datasets/fashion-mnist", "0.0~git20200523.55506a9-1", manager="apt")
CLASSES = ("t-shirt_top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")
FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
VAL = 10_000
"""Images of the training set that are held out for validation, a thousand of each class."""


def _sources() -> dict[str, Path]:
    folder = PACKAGE.folder()
    assert folder is not None, "`make` has checked it"
    return {name: folder / name for name in FILES}


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    import numpy as np

    rng = np.random.default_rng(seed)
    for part in ("train", "t10k"):
        files = [sources[f"{part}-{kind}-ubyte.gz"] for kind in ("images-idx3", "labels-idx1")]
        pixels, labels = read_idx(files[0], dimensions=3), read_idx(files[1], dimensions=1)
        names = class_of_each(pixels, labels, CLASSES, images_file=files[0], labels_file=files[1], package=PACKAGE)
        held_out: set[int] = set()
        if part == "train":
            for label in range(len(CLASSES)):
                rows = np.flatnonzero(labels == label)
                count = min(VAL // len(CLASSES), len(rows))  # another version may have fewer
                held_out.update(rng.choice(rows, count, replace=False).tolist())
        for row, (image, name) in enumerate(zip(pixels, names, strict=True)):
            split = "test" if part == "t10k" else "val" if row in held_out else "train"
            yield SampleImage(f"{split}/{name}/{row:05d}.png", png(image), {"row": str(row)})


FASHION_MNIST = GalleryEntry(
    name="fashion-mnist",
    summary="articles of clothing, gray, 28 × 28 pixels",
    images=70_000,
    classes=10,
    license="MIT",
    attribution=(
        "Fashion-MNIST, H. Xiao, K. Rasul and R. Vollgraf, 2017, https://github.com/zalandoresearch/fashion-mnist. "
        "Copyright 2017 Zalando SE. License: MIT (https://opensource.org/license/mit). "
        "Changed: stored as PNG, and a part of the training set held out for validation."
    ),
    about=(
        "The 70,000 pictures of Fashion-MNIST, white on black, 28 × 28 pixels in 256 gray levels. Test is the official "
        "test set of 10,000; val is 10,000 of the 60,000 training images, a thousand of each class. The column row is "
        "the row in the original file."
    ),
    packages=(PACKAGE,),
    megabytes=37.4,
    sha256="80e24defb4a50a047745e308b2814972914ad88b81cdc20b6bb2370f513ec782",
    sources=_sources,
    images_of=_images,
)
