"""What an importer yields: images with their labels, and entries that cannot be used, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.sources.entries import Entry
from tlkit.data.sources.shard_splits import split_of
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
class DatasetPart:
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


def as_utf8(text: str) -> str:
    """Return a text with half characters, which UTF-8 cannot hold, written out: JSON can state them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_file(root: Path, path: str) -> bool:
    """Return whether a path that a dataset states is a file; a name that no disk can hold, such as a long one, is none.

    Args:
        root: the folder of the paths.
        path: the path below it, already checked by `require_inside`.
    """
    return os.path.isfile(root / path)  # noqa: PTH113  Path.is_file raises where a name is too long


def is_folder(root: Path, path: str) -> bool:
    """Return whether a path that a dataset states is a folder; see `is_file`."""
    return os.path.isdir(root / path)  # noqa: PTH112


def skipped_of(entries: Iterable[Entry]) -> list[Skipped]:
    """Return the entries of a folder that may be lost images, such as HEIC files; not hidden files, nor texts."""
    return [
        Skipped(one.name, KINDS[one.kind].what + (f": {one.reason}" if one.reason else ""))
        for one in entries
        if KINDS[one.kind].severity != "info"
    ]


def split_of_file(file: Path, source: Path | None = None) -> str:
    """Return the split that the name of a file states, else that of a folder; "" = neither does.

    Args:
        file: such as train-00000-of-00002.parquet, or valid/_annotations.coco.json.
        source: the folder whose folders count; None = that of the file alone.

    Example:
        >>> split_of_file(Path("valid/_annotations.coco.json")), split_of_file(Path("instances_train2017.json"))
        ('val', 'train')
    """
    below = Path(file.parent.name, file.name) if source is None else file.relative_to(source)
    return split_of(below.with_suffix("").as_posix()) or ""


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels without repeats, sorted."""
    return tuple(sorted(set(labels)))
