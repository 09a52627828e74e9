"""A block: the features of up to a few hundred images in one `.npy` file, with a sidecar that says what they are.

The sidecar is written last, so a block either is there whole or is not there; its checksum shows later damage. The name
is taken from the content: writing the same features twice gives the same files.
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

import numpy as np
import numpy.typing as npt

from tlkit.disk import whole_file, write_text

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


@dataclass(frozen=True)
class CacheBlock:
    """A block on disk.

    Attributes:
        path: the `.npy` file, (n, D) float32.
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
        """The file that says what the block holds."""
        return self.path.with_suffix(".json")

    @property
    def is_sound(self) -> bool:
        """Whether the file is there with the bytes that were written; reads all of it."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.checksum
        except OSError:
            return False

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, sidecar included; 0 where it is gone."""
        return sum(_size(path) for path in (self.path, self.sidecar))

    @property
    def used_at(self) -> float:
        """When it was last used, in seconds since 1970; 0 where it is gone."""
        try:
            return self.sidecar.stat().st_mtime
        except OSError:
            return 0.0

    def mark_used(self) -> None:
        """Note that the block was used now."""
        with suppress(OSError):  # another process may have removed it, or the cache may be read-only
            os.utime(self.sidecar)

    def open(self) -> npt.NDArray[np.float32]:
        """Map the features from disk, (n, D)."""
        mapped: npt.NDArray[np.float32] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped

    def remove(self) -> None:
        """Delete the block, sidecar first: what has no sidecar is not there."""
        for path in (self.sidecar, self.path):
            with suppress(OSError):
                path.unlink()


def write_block(folder: Path, keys: Sequence[str], x: npt.NDArray[np.float32]) -> CacheBlock:
    """Write features (n, D) under their keys (n,); they survive a crash of the machine once this returns."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(x, dtype=np.float32), allow_pickle=False)
    data = buffer.getbuffer()
    checksum = hashlib.sha256(data).hexdigest()
    name = hashlib.sha256("".join([checksum, *keys]).encode()).hexdigest()[:24]
    block = CacheBlock(folder / f"{name}.npy", tuple(keys), int(x.shape[1]), checksum)
    values = {"format_version": FORMAT_VERSION, "width": block.width, "checksum": checksum, "keys": list(keys)}
    with whole_file(block.path) as partial:
        partial.write_bytes(data)
    write_text(block.sidecar, json.dumps(values) + "\n")
    return block


def read_block(sidecar: Path) -> CacheBlock | None:
    """Read what a block holds; None where the sidecar is gone, damaged or of a newer format."""
    try:
        values = json.loads(sidecar.read_bytes())
        if values["format_version"] > FORMAT_VERSION:
            return None
        return CacheBlock(
            sidecar.with_suffix(".npy"), tuple(values["keys"]), int(values["width"]), str(values["checksum"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s); its features are computed again.", sidecar, type(error).__name__)
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
