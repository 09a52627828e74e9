"""The feature cache: features addressed by what made them, kept on disk and shared by runs and processes."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tlkit.choices import CACHE_LIMIT_GB
from tlkit.disk import FULL, PARTIAL, cache_folder, write_text
from tlkit.errors import DataError
from tlkit.features.cache_blocks import CacheBlock, read_block, write_block
from tlkit.features.features import Provenance

try:
    import fcntl
except ImportError:  # Windows has no flock; there two processes may compute the same features
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

DEFAULT_LIMIT_BYTES = int(CACHE_LIMIT_GB * 1e9)
IN_MEMORY_BYTES = 64 * 1024**2
"""Larger features are mapped from a file in place of being held in memory."""
MANIFEST = "manifest.json"

_refuges: dict[Path, tempfile.TemporaryDirectory[str]] = {}  # by the folder that cannot be written


class CacheBlockLostError(Exception):
    """A block has been removed or damaged since it was looked up; look again, and compute what is missing."""


@dataclass(frozen=True)
class CacheEntryInfo:
    """What the cache holds of one provenance.

    Attributes:
        made_by: what made the features.
        images: how many images.
        size_bytes: bytes on disk.
        used_at: when any of it was last used, in seconds since 1970.
    """

    made_by: Provenance
    images: int
    size_bytes: int
    used_at: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "made_by": self.made_by.to_dict(),
            "images": self.images,
            "size_bytes": self.size_bytes,
            "used_at": self.used_at,
        }


class CacheEntry:
    """The cached features of one provenance: a folder of blocks beside a manifest that says what made them.

    Attributes:
        path: the folder.
        made_by: what made the features.
    """

    def __init__(self, path: Path, made_by: Provenance) -> None:
        self.path = path
        self.made_by = made_by
        self._shards: dict[str, CacheBlock] = {}
        self._place: dict[str, tuple[CacheBlock, int]] = {}
        self._sound: set[str] = set()
        self._in_use: set[Path] = set()

    @property
    def in_use(self) -> frozenset[Path]:
        """The blocks that were asked for or added through this object."""
        return frozenset(self._in_use)

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Return the positions of the keys whose features are not here, or not sound; marks the others as used.

        A block is read in full and compared with its checksum once per `CacheEntry`; a damaged one is removed.
        """
        self._look()
        wanted = {self._place[key][0].path.name: self._place[key][0] for key in keys if key in self._place}
        for name, block in wanted.items():
            if name not in self._sound:
                if not block.is_sound:
                    logger.warning(
                        "%s is damaged; the features of its %d images are computed again.", block.path, len(block.keys)
                    )
                    block.remove()
                    self._forget(name)
                    continue
                self._sound.add(name)
            block.mark_used()
            self._in_use.add(block.path)
        return [position for position, key in enumerate(keys) if key not in self._place]

    def count(self, keys: Collection[str]) -> int:
        """Return how many of the keys are here, without reading their features."""
        self._look()
        return sum(key in self._place for key in keys)

    def add(self, keys: Sequence[str], x: npt.NDArray[np.float32]) -> None:
        """Store features (n, D) under their keys (n,)."""
        self.path.mkdir(parents=True, exist_ok=True)
        manifest = self.path / MANIFEST
        if not manifest.is_file():
            values = {"format_version": 1, "made_by": self.made_by.to_dict()}
            write_text(manifest, json.dumps(values, indent=2) + "\n")
        block = write_block(self.path, keys, x)
        self._sound.add(block.path.name)
        self._in_use.add(block.path)
        self._remember(block)

    def read(self, keys: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the features of keys that are all here, (N, D), in the order of the keys.

        Where they would take more than 64 MiB, they are mapped from a temporary file that goes with the process.

        Raises:
            CacheBlockLostError: another process has removed some of them meanwhile.
        """
        places = [self._place[key] for key in keys]
        if not places:
            raise DataError("There are no images to give features of.")
        rows_of: dict[str, tuple[CacheBlock, list[int], list[int]]] = {}
        for position, (block, row) in enumerate(places):
            _, positions, rows = rows_of.setdefault(block.path.name, (block, [], []))
            positions.append(position)
            rows.append(row)
        width = places[0][0].width
        if 4 * len(keys) * width <= IN_MEMORY_BYTES:
            x = np.empty((len(keys), width), dtype=np.float32)
            for block, positions, rows in rows_of.values():
                x[positions] = _open(block)[rows]
            x.flags.writeable = False
            return x
        return self._assembled(list(rows_of.values()), shape=(len(keys), width))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one process at a time compute features of this provenance; the others wait and find them done.

        Where the folder cannot be written, features go to a temporary one, which goes with the process.
        """
        with self._lock_file() as handle:
            if fcntl is not None:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    logger.info("Another process computes features of this backbone; waiting for it.")
                    fcntl.flock(handle, fcntl.LOCK_EX)
                for left in self.path.glob(f".*{PARTIAL}"):  # of a process that was killed
                    left.unlink(missing_ok=True)
            yield

    def blocks(self) -> tuple[CacheBlock, ...]:
        """Return the blocks that are here now."""
        self._look()
        return tuple(self._shards.values())

    def _assembled(
        self, parts: list[tuple[CacheBlock, list[int], list[int]]], *, shape: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Write rows to their positions in one file, block by block, and map it: time grows with N, memory does not."""
        row_bytes = 4 * shape[1]
        beside = self.path if os.access(self.path, os.W_OK) else None  # a cache may be read-only
        with tempfile.TemporaryFile(dir=beside) as file:  # has no name, and goes when the last map of it goes
            file.truncate(shape[0] * row_bytes)
            for block, positions, rows in parts:
                source = np.array(_open(block)[rows])
                ends = np.flatnonzero(np.diff(positions) != 1) + 1  # where runs of neighbouring positions end
                starts = [0, *ends.tolist()]
                for start, end in zip(starts, [*ends.tolist(), len(positions)], strict=True):
                    file.seek(positions[start] * row_bytes)
                    file.write(source[start:end].data)
            file.flush()
            return np.memmap(file, dtype=np.float32, mode="r", shape=shape)

    def _lock_file(self) -> IO[str]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return (self.path / ".lock").open("a")
        except OSError as error:
            if error.errno in FULL:
                raise
            self.path = _refuge(self.path.parent, error) / self.path.name
            self.path.mkdir(exist_ok=True)
            return (self.path / ".lock").open("a")

    def _look(self) -> None:
        """Take up the blocks that other processes have added, and forget those that they have removed."""
        there = {path.stem + ".npy": path for path in self.path.glob("*.json") if path.name != MANIFEST}
        for name in self._shards.keys() - there.keys():
            self._forget(name)
        for name in sorted(there.keys() - self._shards.keys()):
            block = read_block(there[name])
            if block is not None:
                self._remember(block)

    def _remember(self, block: CacheBlock) -> None:
        self._shards[block.path.name] = block
        for row, key in enumerate(block.keys):
            self._place.setdefault(key, (block, row))

    def _forget(self, name: str) -> None:
        block = self._shards.pop(name)
        self._sound.discard(name)
        for key in block.keys:
            if self._place.get(key, (None,))[0] is block:
                del self._place[key]


class FeatureCache:
    """All cached features on this machine, one entry for each provenance.

    Args:
        folder: where they are kept; default: `TLKIT_CACHE`, or else the user's cache folder, and there `features`.
        limit_bytes: what the cache may take; beyond it the least recently used blocks go first.
    """

    def __init__(self, folder: str | Path | None = None, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = Path(folder) if folder is not None else cache_folder() / "features"
        self.limit_bytes = limit_bytes

    def entry(self, made_by: Provenance) -> CacheEntry:
        """Return the place of features made by this; nothing is written until some are added."""
        return CacheEntry(self.folder / made_by.digest[:32], made_by)

    def info(self) -> list[CacheEntryInfo]:
        """Return what the cache holds, the most recently used first."""
        found = []
        for entry in self.entries():
            blocks = entry.blocks()
            images = len({key for block in blocks for key in block.keys})
            used_at = max((block.used_at for block in blocks), default=0.0)
            found.append(CacheEntryInfo(entry.made_by, images, sum(block.size_bytes for block in blocks), used_at))
        return sorted(found, key=lambda info: -info.used_at)

    def prune(self, *, limit_bytes: int | None = None, keep: Collection[Path] = ()) -> int:
        """Remove the least recently used blocks until the cache is within its limit.

        Args:
            limit_bytes: default: the cache's own limit.
            keep: blocks that must stay, by path.

        Returns:
            How many bytes were freed.
        """
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        blocks = sorted((s for entry in self.entries() for s in entry.blocks()), key=lambda block: block.used_at)
        sizes = {block.path: block.size_bytes for block in blocks}
        total, freed = sum(sizes.values()), 0
        for block in blocks:
            if total - freed <= limit:
                break
            if block.path not in keep:
                block.remove()
                freed += sizes[block.path]
        if total - freed > limit:
            logger.warning(
                "The feature cache takes %.1f MB, more than its limit of %.1f MB: what is in use stays.",
                (total - freed) / 1e6,
                limit / 1e6,
            )
        elif freed:
            logger.info("Removed %.1f MB of features that were not used lately from %s.", freed / 1e6, self.folder)
        return freed

    def entries(self) -> list[CacheEntry]:
        """Return what is kept of each provenance; no features are read, nor which images they are of."""
        entries = []
        for manifest in sorted(self.folder.glob(f"*/{MANIFEST}")):
            try:
                made_by = Provenance.from_dict(json.loads(manifest.read_bytes())["made_by"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("%s is damaged (%s) and passed over.", manifest, type(error).__name__)
                continue
            entries.append(CacheEntry(manifest.parent, made_by))
        return entries


def _refuge(folder: Path, error: OSError) -> Path:
    """Return where features go instead of to a folder that cannot be written; it lasts as long as this process."""
    if folder not in _refuges:
        logger.warning(
            "The feature cache %s cannot be written (%s): features are kept for this process only. Set TLKIT_CACHE to "
            "a folder that can be.",
            folder,
            error.strerror,
        )
        _refuges[folder] = tempfile.TemporaryDirectory(prefix="tlkit-features-", ignore_cleanup_errors=True)
    return Path(_refuges[folder].name)


def _open(block: CacheBlock) -> npt.NDArray[np.float32]:
    try:
        return block.open()
    except (OSError, ValueError) as error:
        raise CacheBlockLostError(str(block.path)) from error
