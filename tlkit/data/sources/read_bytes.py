"""Reads the bytes of an image from a file or from a member of a tar shard."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tlkit.data.sources.tar_files import has_member, read_member, split_path


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
