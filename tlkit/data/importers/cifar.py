"""Reads CIFAR-10 from its original files: the version for Python, whose pickles run no code here, or the binary one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.array_pickles import read_arrays
from tlkit.data.importers.listed_image import DatasetPart, Found, ListedImage, read_bounded
from tlkit.errors import DataError
from tlkit.png_files import png

PIXELS = 3 * 32 * 32
SPLITS = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")


def read_cifar10(folder: Path) -> DatasetPart:
    """Return the images of CIFAR-10 with their classes; the column `source` holds the file names that it states.

    Args:
        folder: cifar-10-batches-py or cifar-10-batches-bin, or the folder above it.

    Raises:
        DataError: a file is missing or damaged, or holds something other than arrays, numbers and text.
    """
    root = next((folder / name for name in FOLDERS if (folder / name).is_dir()), folder)
    binary = (root / "batches.meta.txt").is_file()
    names = _binary_names(root) if binary else _names(root)
    return DatasetPart(_entries(root, names, binary=binary))


def _entries(root: Path, names: list[str], *, binary: bool) -> Iterator[Found]:
    for split, batches in SPLITS.items():
        for batch in batches:
            file = root / (f"{batch}.bin" if binary else batch)
            pixels, labels, sources = _binary_batch(file) if binary else _batch(file)
            wrong = [label for label in labels if not 0 <= label < len(names)]
            if wrong:
                raise DataError(f"{file} holds the class {wrong[0]}, but there are {len(names)} names. Restore it.")
            for row, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                columns = {"source": sources[row]} if sources else {}
                content = png(image.reshape(3, 32, 32).transpose(1, 2, 0))
                yield ListedImage(f"{split}/{batch}-{row:05d}.png", (names[label],), content, split, columns)


def _binary_names(root: Path) -> list[str]:
    text = read_bounded(root / "batches.meta.txt", what="the names of CIFAR-10's classes").decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _binary_batch(file: Path) -> tuple[npt.NDArray[np.uint8], list[int], list[str]]:
    content = np.frombuffer(read_bounded(file, what="a batch of CIFAR-10"), dtype=np.uint8)
    if not len(content) or len(content) % (PIXELS + 1):
        raise DataError(
            f"{file} has {len(content):,} bytes, no multiple of {PIXELS + 1:,}, the size of "
            "an image with its class. Restore it."
        )
    rows = content.reshape(-1, PIXELS + 1)
    return rows[:, 1:], rows[:, 0].tolist(), []


def _names(root: Path) -> list[str]:
    file = root / "batches.meta"
    names = _unpickled(file).get(b"label_names")
    if not isinstance(names, list) or not names:
        raise DataError(f"{file} holds no label_names. Restore it.")
    return [_text(name) for name in names]


def _batch(file: Path) -> tuple[npt.NDArray[np.uint8], list[int], list[str]]:
    values = _unpickled(file)
    pixels, labels, sources = values.get(b"data"), values.get(b"labels"), values.get(b"filenames") or []
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != PIXELS
        or not isinstance(labels, list)
        or any(type(label) is not int for label in labels)
        or not isinstance(sources, list)
        or len(labels) != len(pixels)
        or len(sources) not in (0, len(pixels))
    ):
        raise DataError(f"{file} holds no data (N, {PIXELS}) of bytes with N labels. Restore it.")
    return pixels, labels, [_text(name) for name in sources]


def _unpickled(file: Path) -> dict[Any, Any]:
    content = read_bounded(file, what="a file of CIFAR-10")
    try:
        values = read_arrays(content)
    except ValueError as error:
        raise DataError(f"{file} is no file of CIFAR-10: {error}. Restore it.") from None
    if not isinstance(values, dict):
        raise DataError(f"{file} is no file of CIFAR-10: it holds no dict. Restore it.")
    return {key.encode() if isinstance(key, str) else key: value for key, value in values.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
