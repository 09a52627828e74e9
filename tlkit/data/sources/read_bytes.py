"""Reads the bytes of an image from a file or from a member of a tar shard."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from tlkit.data.sources.tar_files import has_member, read_member, split_path

SETTLED_NS = 2_000_000_000
"""Age of a file's times from which a later change shows in them: file systems keep them in steps of up to 2 s."""


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an image file, or of a member of a tar: `shards/train-000.tar/cat/1.jpg`.

    Raises:
        OSError: it cannot be opened.
        DataError: the tar is damaged.
    """
    try:
        return Path(path).read_bytes()
    except NotADirectoryError:
        place = split_path(os.fspath(path))
        if place is None:
            raise
        return read_member(*place)


def file_state(path: str | Path) -> tuple[int, int, int, int] | None:
    """Return size, times of the last changes (of content and of status, in ns) and number of an image's file.

    Of a member of a tar it is that of the tar. None where it cannot be opened, or was changed so lately that another
    change might leave the times as they are.
    """
    try:
        status = _status(os.fspath(path))
    except OSError:
        return None
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < SETTLED_NS:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116  a Path for each image of each epoch is slow
    except NotADirectoryError:
        place = split_path(path)
        if place is None:
            raise
        return os.stat(place[0])  # noqa: PTH116


def image_digest(path: str | Path) -> str:
    """Return the sha256 (hex) of an image's bytes; "" where it cannot be opened."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError:
        return ""


def file_exists(path: str) -> bool:
    """Return whether a path names a file or a member of a tar."""
    if os.path.isfile(path):  # noqa: PTH113  a Path for each of a million names is slow
        return True
    place = split_path(path) if ".tar/" in path.lower() else None
    return place is not None and has_member(*place)
