"""The feature cache on disk: features addressed by what they were computed from, shared by runs and processes."""

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
from tlkit.disk import DISK_FULL_ERRNOS, PARTIAL, cache_folder, write_text, writing
from tlkit.errors import DataError, TlkitError
from tlkit.features.activations import MappedRows
from tlkit.features.cache_blocks import CacheBlock, read_block, write_block
from tlkit.features.cache_format import CACHE_FORMAT, warn_of_format
from tlkit.features.features import Provenance
from tlkit.stored_values import parse_json

try:
    import fcntl
except ImportError:  # Windows has no flock; there two processes may compute the same features
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

DEFAULT_LIMIT_BYTES = int(CACHE_LIMIT_GB * 1e9)
IN_MEMORY_BYTES = 64 * 1024**2
"""Larger features are mapped from a file instead of being held in memory."""
MANIFEST = "manifest.json"

_temporary_folders: dict[Path, tempfile.TemporaryDirectory[str]] = {}  # by the folder that is not writable


class CacheBlockLostError(Exception):
    """A block was removed or damaged after `CacheEntry.missing` found it; call `missing` again."""


@dataclass(frozen=True)
class CacheEntryInfo:
    """Size and age of the cached features of one provenance.

    Attributes:
        made_by: what made the features.
        images: how many images.
        size_bytes: bytes on disk.
        used_at: when a block of it was last used, in seconds since 1970.
    """

    made_by: Provenance
    images: int
    size_bytes: int
    used_at: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "made_by": self.made_by.to_dict()}


class CacheEntry:
    """The cached features of one provenance: a folder of blocks and a manifest.

    Attributes:
        path: the folder.
        made_by: what made the features.
    """

    def __init__(self, path: Path, made_by: Provenance) -> None:
        self.path = path
        self.made_by = made_by
        self._blocks: dict[str, CacheBlock] = {}  # by file name
        self._rows: dict[str, tuple[CacheBlock, int]] = {}  # by key of the image
        self._verified: set[str] = set()  # file names of blocks whose checksum was compared
        self._in_use: set[Path] = set()

    @property
    def in_use(self) -> frozenset[Path]:
        """The blocks that were looked up or added through this object."""
        return frozenset(self._in_use)

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Return the positions of the keys whose features are absent or damaged; marks the others as used.

        A block is read in full and compared with its checksum once per `CacheEntry`; a damaged one is removed.
        """
        self._scan_folder()
        found = {self._rows[key][0].path.name: self._rows[key][0] for key in keys if key in self._rows}
        for name, block in found.items():
            if name not in self._verified:
                if not block.is_intact:
                    logger.warning(
                        "%s is damaged; the features of its %d images are computed again.", block.path, len(block.keys)
                    )
                    block.remove()
                    self._drop(name)
                    continue
                self._verified.add(name)
            block.mark_used()
            self._in_use.add(block.path)
        return [position for position, key in enumerate(keys) if key not in self._rows]

    def count(self, keys: Collection[str]) -> int:
        """Return how many of the keys have features, without reading the features."""
        self._scan_folder()
        return sum(key in self._rows for key in keys)

    def add(self, keys: Sequence[str], x: npt.NDArray[Any]) -> None:
        """Store features (n, D), float32 or float16, under their keys (n,)."""
        self.path.mkdir(parents=True, exist_ok=True)
        manifest = self.path / MANIFEST
        if not manifest.is_file():
            values = {**CACHE_FORMAT.stamp(), "made_by": self.made_by.to_dict()}
            write_text(manifest, json.dumps(values, indent=2) + "\n")
        block = write_block(self.path, keys, x)
        self._verified.add(block.path.name)
        self._in_use.add(block.path)
        self._index(block)

    def read(self, keys: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the features of keys that are all present, (N, D), read-only, in the order of the keys.

        Features of more than 64 MiB are mapped from a temporary file that is deleted with the process.

        Raises:
            CacheBlockLostError: another process has removed some of them since `missing` found them.
        """
        if not keys:
            raise DataError("`keys` is empty.")
        parts: dict[str, tuple[CacheBlock, list[int], list[int]]] = {}  # file name: block, positions, rows
        for position, key in enumerate(keys):
            block, row = self._rows[key]
            _, positions, rows = parts.setdefault(block.path.name, (block, [], []))
            positions.append(position)
            rows.append(row)
        width = block.width
        if 4 * len(keys) * width > IN_MEMORY_BYTES:
            return self._read_mapped(list(parts.values()), shape=(len(keys), width))
        x = np.empty((len(keys), width), dtype=np.float32)
        for block, positions, rows in parts.values():
            x[positions] = _open(block)[rows]
        x.flags.writeable = False
        return x

    def map_rows(self, keys: Sequence[str]) -> MappedRows:
        """Return the rows of keys that are all present, read from their blocks when asked for.

        The blocks are mapped, so a block that is removed from the cache later can still be read.

        Raises:
            CacheBlockLostError: another process has removed some of them since `missing` found them.
        """
        found = [self._rows[key] for key in keys]
        blocks = {block.path.name: block for block, _ in found}
        place = {name: number for number, name in enumerate(blocks)}
        return MappedRows(
            tuple(_open(block) for block in blocks.values()),
            np.array([place[block.path.name] for block, _ in found], dtype=np.int64),
            np.array([row for _, row in found], dtype=np.int64),
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the entry, so that one process computes features of this provenance while the others wait.

        Where the folder is not writable, features go to a temporary one, which is deleted with the process.
        """
        with self._open_lock_file() as handle:
            if fcntl is not None:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    logger.info("Another process computes features of this backbone; waiting for it.")
                    fcntl.flock(handle, fcntl.LOCK_EX)
                for partial in self.path.glob(f".*{PARTIAL}"):  # of a process that was killed
                    partial.unlink(missing_ok=True)
            yield

    def blocks(self) -> tuple[CacheBlock, ...]:
        """Return the blocks that the folder holds now."""
        self._scan_folder()
        return tuple(self._blocks.values())

    def _read_mapped(
        self, parts: list[tuple[CacheBlock, list[int], list[int]]], *, shape: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Write rows to their positions in one file, block by block, and map it: memory does not grow with N."""
        row_bytes = 4 * shape[1]
        folder = self.path if os.access(self.path, os.W_OK) else None  # a cache may be read-only
        place = folder or Path(tempfile.gettempdir())
        with writing(place), tempfile.TemporaryFile(dir=place) as file:  # unnamed; deleted when the last memmap closes
            file.truncate(shape[0] * row_bytes)
            for block, positions, rows in parts:
                source = np.array(_open(block)[rows])
                ends = np.flatnonzero(np.diff(positions) != 1) + 1  # where runs of consecutive positions end
                starts = [0, *ends.tolist()]
                for start, end in zip(starts, [*ends.tolist(), len(positions)], strict=True):
                    file.seek(positions[start] * row_bytes)
                    file.write(source[start:end].data)
            file.flush()
            return np.memmap(file, dtype=np.float32, mode="r", shape=shape)

    def _open_lock_file(self) -> IO[str]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return (self.path / ".lock").open("a")
        except OSError as error:
            if error.errno in DISK_FULL_ERRNOS:
                raise
            self.path = _temporary_folder(self.path.parent, error) / self.path.name
            self.path.mkdir(exist_ok=True)
            return (self.path / ".lock").open("a")

    def _scan_folder(self) -> None:
        """Index blocks that other processes have added, and drop those that they have removed."""
        sidecars = {path.stem + ".npy": path for path in self.path.glob("*.json") if path.name != MANIFEST}
        for name in self._blocks.keys() - sidecars.keys():
            self._drop(name)
        for name in sorted(sidecars.keys() - self._blocks.keys()):
            block = read_block(sidecars[name])
            if block is not None:
                self._index(block)

    def _index(self, block: CacheBlock) -> None:
        self._blocks[block.path.name] = block
        for row, key in enumerate(block.keys):
            self._rows.setdefault(key, (block, row))

    def _drop(self, name: str) -> None:
        block = self._blocks.pop(name)
        self._verified.discard(name)
        for key in block.keys:
            if self._rows.get(key, (None,))[0] is block:
                del self._rows[key]


class FeatureCache:
    """All cached features on this machine, one entry for each provenance.

    Args:
        folder: where they are kept; default: `features` in `TLKIT_CACHE`, or else in the user's cache folder.
        limit_bytes: the most bytes that the cache may take; beyond it the least recently used blocks are removed first.
    """

    def __init__(self, folder: str | Path | None = None, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = Path(folder) if folder is not None else cache_folder() / "features"
        self.limit_bytes = limit_bytes

    def entry(self, made_by: Provenance) -> CacheEntry:
        """Return the entry of features of this provenance; nothing is written before features are added."""
        return CacheEntry(self.folder / made_by.digest[:32], made_by)

    def info(self) -> list[CacheEntryInfo]:
        """Return size and age of each entry, the most recently used first."""
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
                "The feature cache takes %.1f MB, more than its limit of %.1f MB: blocks that this call uses are kept.",
                (total - freed) / 1e6,
                limit / 1e6,
            )
        elif freed:
            logger.info("Removed %.1f MB of the least recently used features from %s.", freed / 1e6, self.folder)
        return freed

    def entries(self) -> list[CacheEntry]:
        """Return the entries on disk; reads their manifests only."""
        entries = []
        for manifest in sorted(self.folder.glob(f"*/{MANIFEST}")):
            try:
                values = CACHE_FORMAT.current(parse_json(manifest.read_bytes()), what="Cached features were")
                made_by = Provenance.from_dict(values["made_by"])
            except TlkitError as error:
                warn_of_format(manifest.parent, str(error))
                continue
            except (AttributeError, OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("%s is damaged (%s) and is ignored.", manifest, type(error).__name__)
                continue
            entries.append(CacheEntry(manifest.parent, made_by))
        return entries


def _temporary_folder(folder: Path, error: OSError) -> Path:
    """Return the temporary folder that replaces one that is not writable; it is deleted with the process."""
    if folder not in _temporary_folders:
        logger.warning(
            "The feature cache %s cannot be written (%s): features are kept for this process only. Set TLKIT_CACHE to "
            "a writable folder.",
            folder,
            error.strerror,
        )
        _temporary_folders[folder] = tempfile.TemporaryDirectory(prefix="tlkit-features-", ignore_cleanup_errors=True)
    return Path(_temporary_folders[folder].name)


def _open(block: CacheBlock) -> npt.NDArray[np.float32]:
    try:
        return block.open()
    except (OSError, ValueError) as error:
        raise CacheBlockLostError(str(block.path)) from error
