"""Checks of arrays of images and labels that a package carries, before images are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.datasets.packages import Package, install_command
from tlkit.errors import DataError


def class_of_each(
    pixels: Any, labels: Any, classes: Sequence[str], *, images_file: Path, labels_file: Path, package: Package
) -> list[str]:
    """Return the class name of each image.

    Args:
        pixels: gray images, uint8 (N, H, W).
        labels: numbers of classes (N,), from 0.
        classes: names of the classes.
        images_file: the file of the pixels, for messages.
        labels_file: the file of the labels, for messages.
        package: the package that brings both.

    Raises:
        DataError: an array has another type or shape, the two differ in length, or a label is the number of no class.
    """
    remedy = f"It was tested with {package.name} {package.tested}; install it with: {install_command([package])}"
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or not pixels.size:
        raise DataError(f"{images_file} holds no gray images (N, H, W) of bytes. {remedy}")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(f"{labels_file} holds no whole numbers, one for each image. {remedy}")
    if len(labels) != len(pixels):
        raise DataError(
            f"{images_file} holds {len(pixels):,} images, but {labels_file} {len(labels):,} labels. {remedy}"
        )
    numbers: npt.NDArray[Any] = labels
    wrong = numbers[(numbers < 0) | (numbers >= len(classes))]
    if len(wrong):
        raise DataError(
            f"{labels_file} holds {len(wrong):,} labels of no class, such as {wrong[0]}; there are {len(classes)} "
            f"classes, numbered from 0. {remedy}"
        )
    return [classes[number] for number in numbers.tolist()]
