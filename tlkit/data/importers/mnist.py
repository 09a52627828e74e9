"""Reads MNIST and its relatives from their original IDX files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.data.importers.listed_image import DatasetPart, Found, ListedImage
from tlkit.errors import DataError
from tlkit.idx_files import read_idx
from tlkit.png_files import png

PARTS = {"train": "train", "test": "t10k"}


def read_mnist(folder: Path) -> DatasetPart:
    """Return the images of a folder with train-images-idx3-ubyte and the other three files, plain or with .gz.

    The class is the digit; Fashion-MNIST, KMNIST and others have the same files, whose classes are numbers.

    Args:
        folder: the folder.

    Raises:
        DataError: a file is missing, damaged or without a pixel, or images and labels are of different numbers.
    """
    files = {(split, kind): _file(folder, f"{part}-{kind}") for split, part in PARTS.items() for kind in KINDS}
    arrays = {key: read_idx(path, dimensions=KINDS[key[1]]) for key, path in files.items()}
    for split in PARTS:
        images, labels = arrays[split, IMAGES], arrays[split, LABELS]
        if not images.size:
            raise DataError(f"{files[split, IMAGES]} holds no pixel: its shape is {images.shape}. Restore it.")
        if len(images) != len(labels):
            raise DataError(
                f"{files[split, IMAGES]} has {len(images):,} images, but {files[split, LABELS]} {len(labels):,} labels."
            )
    return DatasetPart(
        entry for split in PARTS for entry in _entries(split, arrays[split, IMAGES], arrays[split, LABELS])
    )


IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
KINDS = {IMAGES: 3, LABELS: 1}


def _file(folder: Path, name: str) -> Path:
    tried = [folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx")]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        raise DataError(f"{folder} has no {name}, plain or with .gz. Name the folder of MNIST's four files.")
    return found


def _entries(split: str, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Iterator[Found]:
    for row, (pixels, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        yield ListedImage(f"{split}/{row:06d}.png", (str(label),), png(pixels), split, {"row": str(row)})
