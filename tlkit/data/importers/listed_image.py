"""What an importer yields: images with their labels, and entries that cannot be used, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.errors import DataError, first_few

MOST_FILE_BYTES = 1 << 30
"""Largest file of annotations, 1 GiB; COCO's own are up to 470 MB."""


@dataclass(frozen=True)
class ListedImage:
    """An image of another tool's dataset.

    Attributes:
        path: path below the folder of images, with "/".
        labels: its labels, without repeats; an image of a single class has one.
        content: the bytes of the image file; None = the file at `path`.
        split: train, val or test; "" = none is stated.
        columns: further columns by name.
    """

    path: str
    labels: tuple[str, ...]
    content: bytes | None = None
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """An entry of a dataset that cannot be used.

    Attributes:
        name: what it is, such as the path of an image.
        reason: why it cannot be used.
    """

    name: str
    reason: str


Found = ListedImage | Skipped


@dataclass(frozen=True)
class Part:
    """A part of a dataset.

    Attributes:
        entries: images and what was skipped.
        root: folder of the images' paths; None where the images are not files.
    """

    entries: Iterable[Found]
    root: Path | None = None


def read_bounded(path: Path, *, most: int = MOST_FILE_BYTES, what: str) -> bytes:
    """Return the content of a file of annotations.

    Args:
        path: the file.
        most: its largest size.
        what: what it should be, for messages.

    Raises:
        DataError: it is missing, no file, or too large.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file. Name {what}.")
    size = path.stat().st_size
    if size > most:
        raise DataError(f"{path} has {size:,} bytes, and at most {most:,} are read as {what}.")
    return path.read_bytes()


def require_inside(paths: Iterable[str], *, where: Path, root: Path | None = None) -> None:
    """Check that paths stay within a folder.

    Args:
        paths: the paths, as the dataset states them.
        where: the file that states them.
        root: the folder, to follow links; None = the paths alone are judged.

    Raises:
        DataError: one is absolute, or leads out of the folder by "..", or by a link.
    """
    outside = [path for path in paths if leads_out(path)]
    if not outside and root is not None:
        real = os.path.realpath(root)
        outside = [path for path in paths if os.path.commonpath([real, os.path.realpath(root / path)]) != real]
    if outside:
        raise DataError(
            f"{where} names {len(outside)} images outside of their folder: {first_few(outside)}. Write their paths "
            "relative to the folder of images, without '..'."
        )


def leads_out(path: str) -> bool:
    r"""Return whether a path is empty, absolute, or leaves its folder.

    Example:
        >>> leads_out("cats/1.jpg"), leads_out("../1.jpg"), leads_out("C:\\1.jpg")
        (False, True, True)
    """
    parts = path.replace("\\", "/").split("/")
    return not path.strip() or "\0" in path or not parts[0] or parts[0].endswith(":") or ".." in parts


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels without repeats, sorted."""
    return tuple(sorted(set(labels)))
