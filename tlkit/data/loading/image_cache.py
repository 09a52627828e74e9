"""The image cache on disk: decoded pixels (uint8 RGB), one file for each picture and way of decoding.

A file is found by a key: the sha256 of the image's bytes, the decoder's version, and what the decoder was asked for. It
holds a header with a checksum, then the pixels, and gets its name only when it is complete. Readers map it into memory,
so processes share its pages, and the kernel keeps in memory what fits there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
import struct
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tlkit.data.decode.decoding import DECODER
from tlkit.data.decode.resizing import Frame
from tlkit.disk import PARTIAL, cache_folder

logger = logging.getLogger(__name__)

CACHE_VERSION = 1
"""Part of every key; raised when the format of the files changes, or the same inputs would give other pixels."""
HEADER = struct.Struct("<8sIIII4d32s")  # MAGIC, height, width, width and height of the picture, its box, checksum
MAGIC = b"tlkit-px"
PIXELS_AT = 128
"""Offset of the pixels in a file, in bytes."""
SUFFIX = ".rgb"
SHARE_OF_FREE_DISK = 0.5
"""Most of the free space on the disk that the cache may take."""
USED_AGAIN_S = 3600
"""Seconds after which reading a file updates the time of its last use."""
ABANDONED_S = 86_400
"""Age in seconds from which a partial file belongs to a process that was killed."""


class CachedPixels(NamedTuple):
    """Pixels of the cache.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, mapped from the file, which does not follow what is written into them.
        frame: where the picture lies in them.
        stamp: time and number of the file; a file of another stamp has not been compared with its checksum.
    """

    pixels: npt.NDArray[np.uint8]
    frame: Frame
    stamp: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ImageCacheInfo:
    """What the image cache holds.

    Attributes:
        folder: where it is.
        images: number of decoded images.
        size_bytes: of their files.
        used_at: when one was written or read last, in seconds since 1970, to the hour; 0 = never.
    """

    folder: Path
    images: int
    size_bytes: int
    used_at: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON can hold them."""
        return {
            "folder": str(self.folder),
            "images": self.images,
            "size_bytes": self.size_bytes,
            "used_at": self.used_at,
        }


class ImageCache:
    """The decoded images on this machine.

    Args:
        folder: where they are kept; default: `images` in `TLKIT_CACHE`, or else in the user's cache folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_folder() / "images" if folder is None else folder

    def path(self, key: str) -> Path:
        """Return the file of a key, which need not exist."""
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def read(self, key: str, *, verified: tuple[int, int] | None = None) -> CachedPixels | None:
        """Return the pixels of a key; None where there are none, or the file is damaged, which is then removed.

        Args:
            key: from `cache_key`.
            verified: the stamp of the file that was compared with its checksum before; that of a file with this stamp
                is not computed again.
        """
        path = self.path(key)
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if status.st_size else b""
        except OSError:
            return None
        stamp = status.st_mtime_ns, status.st_ino
        found = _parse(content, compare=stamp != verified)
        if found is None:
            logger.warning("%s is damaged and is removed; its image is decoded again.", path)
            with suppress(OSError):
                path.unlink()
            return None
        if stamp != verified and time.time() - status.st_mtime > USED_AGAIN_S:
            with suppress(OSError):  # another process may have removed it, or the cache may be read-only
                os.utime(path)
                stamp = path.stat().st_mtime_ns, status.st_ino
        return CachedPixels(*found, stamp)

    def write(self, key: str, pixels: npt.NDArray[np.uint8], frame: Frame) -> None:
        """Store pixels (H, W, 3) under a key. They are not synced to the disk, since the checksum finds what is lost.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
        height, width = pixels.shape[:2]
        fields = (MAGIC, height, width, frame.width, frame.height, *frame.box)
        values = np.ascontiguousarray(pixels).data
        header = HEADER.pack(*fields, _checksum(HEADER.pack(*fields, b""), values))
        try:
            with partial.open("wb") as file:
                file.write(header.ljust(PIXELS_AT, b"\0"))
                file.write(values)
            partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the files of the cache with their sizes and times; partial ones of killed processes are removed."""
        for path in self.folder.glob(f"??/*{SUFFIX}*"):
            with suppress(OSError):  # another process may have removed it
                status = path.stat()
                if path.name.endswith(SUFFIX):
                    yield path, status
                elif time.time() - status.st_mtime > ABANDONED_S:
                    path.unlink()

    def info(self) -> ImageCacheInfo:
        """Return how many images there are, their size, and when one was used last."""
        held = [status for _, status in self.files()]
        size, used = sum(status.st_size for status in held), max((status.st_mtime for status in held), default=0.0)
        return ImageCacheInfo(self.folder, len(held), size, used)

    def prune(self, limit_bytes: int, *, keep: Collection[str] = ()) -> int:
        """Remove the least recently used files, until the others take at most `limit_bytes`.

        Args:
            limit_bytes: the most bytes of all files but those to keep.
            keep: keys whose files stay and are not counted.

        Returns:
            How many bytes were freed.
        """
        kept = {f"{key}{SUFFIX}" for key in keep}
        files = [(status.st_mtime_ns, status.st_size, path) for path, status in self.files() if path.name not in kept]
        total, freed = sum(size for _, size, _ in files), 0
        for _, size, path in sorted(files):
            if total - freed <= limit_bytes:
                break
            with suppress(OSError):
                path.unlink()
                freed += size
        if freed:
            logger.info("Removed %.1f MB of the least recently used images from %s.", freed / 1e6, self.folder)
        return freed

    def limit(self, limit_bytes: int) -> int:
        """Return how many bytes the cache may take: at most half of what is free on its disk, and what it holds."""
        try:
            place = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
            held = sum(status.st_size for _, status in self.files())
            return min(limit_bytes, held + int(SHARE_OF_FREE_DISK * shutil.disk_usage(place).free))
        except (OSError, StopIteration) as error:  # a folder that this user may not look into, or no disk
            logger.warning("The image cache %s cannot be used (%s): every epoch decodes.", self.folder, error)
            return 0


def cache_key(digest: str, how: str) -> str:
    """Return the key of an image.

    Args:
        digest: sha256 of its file, hex.
        how: what the pixels depend on besides the file and the decoder, from `cached_form`.
    """
    return hashlib.sha256("\n".join((str(CACHE_VERSION), DECODER, how, digest)).encode()).hexdigest()[:40]


def cached_form(values: dict[str, Any]) -> str:
    """Return the values that pixels depend on as one text."""
    return json.dumps(values, sort_keys=True)


def size_on_disk(height: int, width: int) -> int:
    """Return the bytes of a file of pixels.

    Example:
        >>> size_on_disk(224, 224)
        150656
    """
    return PIXELS_AT + 3 * height * width


def _parse(content: mmap.mmap | bytes, *, compare: bool) -> tuple[npt.NDArray[np.uint8], Frame] | None:
    """Return the pixels and the frame of a file; None where it is damaged."""
    if len(content) < PIXELS_AT:
        return None
    magic, height, width, frame_width, frame_height, *box, checksum = HEADER.unpack_from(content)
    if magic != MAGIC or len(content) != size_on_disk(height, width) or not height * width:
        return None
    pixels: npt.NDArray[np.uint8] = np.frombuffer(content, dtype=np.uint8, offset=PIXELS_AT)
    fields = (magic, height, width, frame_width, frame_height, *box)
    if compare and _checksum(HEADER.pack(*fields, b""), pixels.data) != checksum:
        return None
    left, top, right, bottom = box
    return pixels.reshape(height, width, 3), Frame(frame_width, frame_height, (left, top, right, bottom))


def _checksum(header: bytes, pixels: memoryview) -> bytes:
    found = hashlib.sha256(header)
    found.update(pixels)
    return found.digest()
