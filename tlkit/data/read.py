"""Reading the bytes of an image."""

from __future__ import annotations

import os
from pathlib import Path


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an image file.

    Raises:
        OSError: it cannot be opened.
    """
    return Path(path).read_bytes()


def file_exists(path: str) -> bool:
    """Tell whether there is such an image file."""
    return os.path.isfile(path)  # noqa: PTH113  a Path for each of a million names is slow
