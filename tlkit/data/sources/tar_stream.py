"""Tar shards read front to back: where each image lies in them, its turn in an epoch, and what to fetch ahead of it."""

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

STRETCH_BYTES = 4 * 2**20
"""So much of a shard is fetched at once; twice as fast on a cold disk as image by image (`benchmarks/shards.py`)."""


@dataclass(frozen=True, eq=False)
class TarStream:
    """Images in the order in which shards hold them, to be shuffled within a buffer.

    Attributes:
        tars: the shards.
        shard: which of them each image lies in, shape (n,).
        offset: byte at which its content begins, shape (n,).
        buffer: number of images that are shuffled among each other.
    """

    tars: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    buffer: int

    @classmethod
    def of(cls, samples: Samples, *, buffer: int) -> TarStream:
        """Find the images in their shards, by the index of these; no pixel is read.

        Raises:
            DataError: images lie in no shard, or a shard lost some of them.
        """
        tars: list[str] = []
        names: list[list[str]] = []
        rows: list[list[int]] = []
        loose: list[str] = []
        known: dict[str, int] = {}
        below = ""
        for row, path in enumerate(samples.table[PATH]):
            whole = f"{samples.root}/{path}"
            if not below or not whole.startswith(below):  # the table is sorted, so this is true once a shard
                place = split_path(whole)
                if place is None:
                    loose.append(path)
                    continue
                below = f"{place[0]}/"
                if place[0] not in known:
                    known[place[0]] = len(tars)
                    tars.append(place[0])
                    names.append([])
                    rows.append([])
            at = known[below[:-1]]
            names[at].append(whole[len(below) :])
            rows[at].append(row)
        if loose:
            raise DataError(
                f"{len(loose)} of {len(samples)} images lie in no tar shard, so they cannot be read front to back: "
                f"{first_few(loose)}. Remove data.shuffle_buffer."
            )
        shard, offset = np.zeros(len(samples), dtype=np.int32), np.zeros(len(samples), dtype=np.int64)
        for at, tar in enumerate(tars):
            shard[rows[at]], offset[rows[at]] = at, offsets_of(tar, names[at])
        return cls(tuple(tars), shard, offset, buffer)

    def __len__(self) -> int:
        return len(self.offset)

    def order(self, epoch: int, *, seed: int) -> npt.NDArray[np.int64]:
        """Return the order of an epoch, shape (n,): a permutation of 0…n-1 (see `buffered_order`)."""
        return buffered_order(self.shard, self.offset, buffer=self.buffer, seed=seed, epoch=epoch)

    def take(self, rows: npt.NDArray[np.int64]) -> TarStream:
        """Return the stream of some of the images."""
        return TarStream(self.tars, self.shard[rows], self.offset[rows], self.buffer)

    def warn_of_sorted(self, targets: npt.NDArray[np.int64]) -> None:
        """Warn where images that lie together are of fewer classes than a whole shuffle would bring together.

        Args:
            targets: of the images, shape (n,).
        """
        if not len(self):
            return
        in_line = targets[np.lexsort((self.offset, self.shard))]
        blocks = np.array_split(in_line, max(1, len(self) // self.buffer))
        found = float(np.mean([len(np.unique(block)) for block in blocks]))
        share = np.unique(targets, return_counts=True)[1] / len(targets)
        expected = float(np.sum(1 - (1 - share) ** (len(self) / len(blocks))))  # drawn with replacement
        if found < expected / 2:
            logger.warning(
                "Any %d images that follow each other in the shards are of %.1f classes on average; shuffled they "
                "would be of %.1f. Batches will hold few classes, which trains badly: write the shards in a random "
                "order, or use a larger data.shuffle_buffer.",
                self.buffer,
                found,
                expected,
            )


class ReadAhead:
    """Asks the kernel to fetch a whole stretch of a shard when the first image of it is wanted.

    What has been fetched lies in the kernel's page cache, which all workers share, so there is one buffer, not one in
    each of them, and none that could outgrow the memory.

    Args:
        stream: where the images lie.
    """

    def __init__(self, stream: TarStream) -> None:
        self._tars = stream.tars
        self._shard, self._offset = torch.tensor(stream.shard), torch.tensor(stream.offset)  # which workers share
        self._epoch = -1
        self._asked: set[tuple[int, int]] = set()

    def __call__(self, epoch: int, index: int) -> None:
        """Fetch ahead for an image; nothing where its stretch has been asked for in this epoch."""
        if epoch != self._epoch:
            self._epoch, self._asked = epoch, set()
        shard, number = int(self._shard[index]), int(self._offset[index]) // STRETCH_BYTES
        if (shard, number) in self._asked or not hasattr(os, "posix_fadvise"):
            return
        self._asked.add((shard, number))
        with suppress(OSError):  # reading the image will tell
            opened = os.open(self._tars[shard], os.O_RDONLY)
            try:
                os.posix_fadvise(opened, number * STRETCH_BYTES, STRETCH_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(opened)
