"""Sequential reading of tar shards through a shuffle buffer: places of the images, order of an epoch, read-ahead."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tlkit.data.loading.sampler import buffered_order
from tlkit.data.sources.tar_files import offsets_of, split_path
from tlkit.errors import DataError, first_few
from tlkit.samples import PATH, Samples

logger = logging.getLogger(__name__)

BLOCK_BYTES = 4 * 2**20
"""Bytes that are read ahead at once; on a cold disk 1.6 times as fast as image by image (`benchmarks/shards.py`)."""


@dataclass(frozen=True, eq=False)
class TarStream:
    """The places of images in shards, and the shuffle buffer.

    Attributes:
        tars: the shards.
        shard: position in `tars` of each image's shard, shape (n,).
        offset: offset of its content in bytes, shape (n,).
        buffer: number of images that are shuffled among each other.
    """

    tars: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    buffer: int

    @classmethod
    def of(cls, samples: Samples, *, buffer: int) -> TarStream:
        """Return the places of images, from the indices of their shards.

        Raises:
            DataError: images lie in no shard, or a shard lacks some of them.
        """
        members: dict[str, list[tuple[int, str]]] = {}  # row and name of each image by tar
        loose: list[str] = []
        tar = ""
        for row, path in enumerate(samples.table[PATH]):
            whole = f"{samples.root}/{path}"
            if not tar or not whole.startswith(f"{tar}/"):  # once a shard, because the table is sorted
                place = split_path(whole)
                if place is None:
                    loose.append(path)
                    continue
                tar = place[0]
            members.setdefault(tar, []).append((row, whole[len(tar) + 1 :]))
        if loose:
            raise DataError(
                f"{len(loose)} of {len(samples)} images lie in no tar shard, so they cannot be read sequentially: "
                f"{first_few(loose)}. Remove data.shuffle_buffer."
            )
        shard, offset = np.zeros(len(samples), dtype=np.int32), np.zeros(len(samples), dtype=np.int64)
        for at, (tar, found) in enumerate(members.items()):
            rows, names = zip(*found, strict=True)
            shard[list(rows)], offset[list(rows)] = at, offsets_of(tar, names)
        return cls(tuple(members), shard, offset, buffer)

    def __len__(self) -> int:
        return len(self.offset)

    def order(self, epoch: int, *, seed: int) -> npt.NDArray[np.int64]:
        """Return the order of an epoch, shape (n,): a permutation of 0…n-1 (see `buffered_order`)."""
        return buffered_order(self.shard, self.offset, buffer=self.buffer, seed=seed, epoch=epoch)

    def take(self, rows: npt.NDArray[np.int64]) -> TarStream:
        """Return the stream of some of the images."""
        return TarStream(self.tars, self.shard[rows], self.offset[rows], self.buffer)

    def warn_if_sorted(self, targets: npt.NDArray[np.int64]) -> None:
        """Log a warning where neighboring images have less than half as many classes as a full shuffle would give.

        Args:
            targets: targets of the images, shape (n,).
        """
        if not len(self):
            return
        sequential = targets[np.lexsort((self.offset, self.shard))]
        blocks = np.array_split(sequential, max(1, len(self) // self.buffer))
        found = float(np.mean([len(np.unique(block)) for block in blocks]))
        share = np.unique(targets, return_counts=True)[1] / len(targets)
        expected = float(np.sum(1 - (1 - share) ** (len(self) / len(blocks))))  # drawn with replacement
        if found < expected / 2:
            logger.warning(
                "%d consecutive images in the shards have %.1f classes on average, after a full shuffle they would "
                "have %.1f. Batches of few classes train badly: write the shards in random order, or use a larger "
                "data.shuffle_buffer.",
                self.buffer,
                found,
                expected,
            )


class ReadAhead:
    """Asks the kernel to read a block of a shard into the page cache, which all worker processes share.

    Args:
        stream: the places of the images.
    """

    def __init__(self, stream: TarStream) -> None:
        self._tars = stream.tars
        self._shard, self._offset = torch.tensor(stream.shard), torch.tensor(stream.offset)  # shared by workers
        self._epoch = -1
        self._requested: set[tuple[int, int]] = set()

    def __call__(self, epoch: int, index: int) -> None:
        """Read ahead the block of an image, once an epoch."""
        if epoch != self._epoch:
            self._epoch, self._requested = epoch, set()
        shard, number = int(self._shard[index]), int(self._offset[index]) // BLOCK_BYTES
        if (shard, number) in self._requested or not hasattr(os, "posix_fadvise"):
            return
        self._requested.add((shard, number))
        with suppress(OSError):  # reading the image raises the error
            opened = os.open(self._tars[shard], os.O_RDONLY)
            try:
                os.posix_fadvise(opened, number * BLOCK_BYTES, BLOCK_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(opened)
