"""Blocks of the feature cache: one `.npy` file of up to a few hundred images' features, with a JSON sidecar.

The sidecar lists the keys of the images and a checksum. It is written last, so a block without one does not count. The
file name is a hash of the content: writing the same features twice gives the same files.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.disk import atomic_file, write_text
from tlkit.errors import TlkitError
from tlkit.features.cache_format import CACHE_FORMAT, warn_of_format
from tlkit.stored_values import parse_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CacheBlock:
    """A block on disk.

    Attributes:
        path: the `.npy` file, (n, D) float32, or float16 for activations.
        keys: the key of each row.
        width: D.
        checksum: sha256 (hex) of the file.
    """

    path: Path
    keys: tuple[str, ...]
    width: int
    checksum: str

    @property
    def sidecar(self) -> Path:
        """The JSON file of keys, width and checksum."""
        return self.path.with_suffix(".json")

    @property
    def is_intact(self) -> bool:
        """Whether the file exists and has the stored checksum; reads all of it."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.checksum
        except OSError:
            return False

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, sidecar included; 0 where the block was removed."""
        return sum(_size(path) for path in (self.path, self.sidecar))

    @property
    def used_at(self) -> float:
        """When it was last used, in seconds since 1970; 0 where the block was removed."""
        try:
            return self.sidecar.stat().st_mtime
        except OSError:
            return 0.0

    def mark_used(self) -> None:
        """Set the time of last use to now."""
        with suppress(OSError):  # another process may have removed it, or the cache may be read-only
            os.utime(self.sidecar)

    def open(self) -> npt.NDArray[Any]:
        """Map the features from disk, (n, D)."""
        mapped: npt.NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped

    def remove(self) -> None:
        """Delete the block, sidecar first: a block without one does not count."""
        for path in (self.sidecar, self.path):
            with suppress(OSError):
                path.unlink()


def write_block(folder: Path, keys: Sequence[str], x: npt.NDArray[Any]) -> CacheBlock:
    """Write features (n, D) and their keys (n,) and return the block; it survives a crash once this returns.

    Values are stored as float32, or as float16 where they are given so.
    """
    buffer = io.BytesIO()
    dtype = np.float16 if x.dtype == np.float16 else np.float32
    np.save(buffer, np.ascontiguousarray(x, dtype=dtype), allow_pickle=False)
    data = buffer.getbuffer()
    checksum = hashlib.sha256(data).hexdigest()
    name = hashlib.sha256("".join([checksum, *keys]).encode()).hexdigest()[:24]
    block = CacheBlock(folder / f"{name}.npy", tuple(keys), int(x.shape[1]), checksum)
    values = {**CACHE_FORMAT.stamp(), "width": block.width, "checksum": checksum, "keys": list(keys)}
    with atomic_file(block.path) as partial:
        partial.write_bytes(data)
    write_text(block.sidecar, json.dumps(values) + "\n")
    return block


def read_block(sidecar: Path) -> CacheBlock | None:
    """Return the block of a sidecar; None where the sidecar is absent, damaged or of a format that cannot be read."""
    try:
        values = CACHE_FORMAT.current(parse_json(sidecar.read_bytes()), what="Cached features were")
        return CacheBlock(
            sidecar.with_suffix(".npy"), tuple(values["keys"]), int(values["width"]), str(values["checksum"])
        )
    except FileNotFoundError:
        return None
    except TlkitError as error:
        warn_of_format(sidecar.parent, str(error))
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s); its features are computed again.", sidecar, type(error).__name__)
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
