"""Which images of a dataset have their pixels in the image cache, and what worker processes share about them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tlkit.data.augment.transforms import Transform
from tlkit.data.loading.image_cache import CachedPixels, ImageCache, cache_key, cached_form, size_on_disk
from tlkit.data.sources.read_bytes import file_state
from tlkit.samples import DIGEST, PATH, Samples
from tlkit.tables import format_bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachePlan:
    """Which images of a split are cached.

    Attributes:
        rows: whether each image is cached, shape (n,).
        size_bytes: bytes of those that are.
        whole_bytes: bytes that all images of the split would take.
    """

    rows: npt.NDArray[np.bool_]
    size_bytes: int
    whole_bytes: int


def plan_cache(samples: Samples, sizes: pd.DataFrame, transform: Transform, *, limit_bytes: int) -> CachePlan:
    """Return which images of a split fit into the cache.

    Where they do not all fit, those with the smallest digests are taken: a fixed part of every epoch.

    Args:
        samples: the images of the split; one without a digest is not cached.
        sizes: by path, `height`, `width` and `is_jpeg` of each image; one that it lacks is not cached.
        transform: the transform of the split.
        limit_bytes: the most bytes that they may take.
    """
    found = sizes[~sizes.index.duplicated()].reindex(samples.table[PATH])
    height, width = (found[name].to_numpy(dtype=float, na_value=np.nan) for name in ("height", "width"))
    is_jpeg = found["is_jpeg"].to_numpy(dtype=bool, na_value=False)
    known = np.isfinite(height) & (samples.table[DIGEST] != "").to_numpy()
    size = np.zeros(len(samples), dtype=np.int64)
    for row in np.flatnonzero(known):
        size[row] = _size_of(transform, int(height[row]), int(width[row]), is_jpeg=bool(is_jpeg[row]))
    order = np.argsort(samples.table[DIGEST].to_numpy(dtype=str), kind="stable")
    order = order[known[order]]
    fits = np.cumsum(size[order]) <= limit_bytes
    rows = np.zeros(len(samples), dtype=bool)
    rows[order[fits]] = True
    return CachePlan(rows, int(size[rows].sum()), int(size.sum()))


def _size_of(transform: Transform, height: int, width: int, *, is_jpeg: bool) -> int:
    if not transform.is_random:
        return size_on_disk(*transform.preprocess.image_size)
    scale = transform.reduction(width, height) if is_jpeg else 1
    return size_on_disk(math.ceil(height / scale), math.ceil(width / scale))


def cache_words(plans: Mapping[str, CachePlan]) -> str:
    """Return what the image cache takes in a few words.

    Example:
        >>> cache_words({"train": CachePlan(np.array([True, False]), 1_000_000, 3_000_000)})
        '1.0 MB for 1 of 2 train images (all of them would take 3.0 MB)'
    """
    parts = []
    for split, plan in plans.items():
        cached, images = int(plan.rows.sum()), len(plan.rows)
        count = f"{images:,}" if cached == images else f"{cached:,} of {images:,}"
        whole = "" if cached == images else f" (all of them would take {format_bytes(plan.whole_bytes)})"
        parts.append(f"{format_bytes(plan.size_bytes)} for {count} {split} images{whole}")
    return ", ".join(parts)


class CachedRows:
    """The pixels of a dataset's images in the cache.

    An image is read from the cache while its file is the one whose content was compared with the digest: its size,
    times and number are looked at on every access, its content where they have changed.

    Args:
        cache: where the pixels are.
        digests: sha256 of each image's file, shape (n,).
        rows: whether each image is cached, shape (n,).
        transform: of the dataset.
    """

    def __init__(
        self, cache: ImageCache, digests: list[str], rows: npt.NDArray[np.bool_], transform: Transform
    ) -> None:
        self.cache = cache
        self._how = cached_form(transform.cached_form)
        self._rows = torch.from_numpy(rows)
        self._file = torch.zeros((len(rows), 4), dtype=torch.int64)  # state of the image's file when it was compared
        self._stamp = torch.zeros((len(rows), 2), dtype=torch.int64)  # of the cached file when it was compared
        self._full = torch.zeros(1, dtype=torch.bool)
        for shared in (self._file, self._stamp, self._full):  # every worker process sees and sets them
            shared.share_memory_()  # type: ignore[no-untyped-call]
        self.keys = [cache_key(digest, self._how) for digest in np.array(digests)[rows]]

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "keys": []}  # spawned workers compute a key from the digest

    def __contains__(self, index: int) -> bool:
        return bool(self._rows[index])

    def unchanged(self, index: int, path: Path, digest: str) -> CachedPixels | None:
        """Return the pixels of an image whose file was compared before and has not changed; else None."""
        state = file_state(path)
        if state is None or state != tuple(self._file[index].tolist()):
            return None
        return self._read(index, digest)

    def read(self, index: int, digest: str, state: tuple[int, int, int, int] | None) -> CachedPixels | None:
        """Return the pixels of an image whose content has the digest; None where they are not cached.

        Args:
            index: row of the image.
            digest: of its content.
            state: of its file before the content was read.
        """
        if state is not None:
            self._file[index] = torch.tensor(state)
        return self._read(index, digest)

    def add(self, digest: str, pixels: CachedPixels) -> None:
        """Store the pixels of an image; nothing more is stored once the disk is full."""
        if self._full:
            return
        try:
            self.cache.write(cache_key(digest, self._how), pixels.pixels, pixels.frame)
        except OSError as error:
            if not self._full:
                self._full[0] = True
                logger.warning(
                    "The image cache %s cannot be written (%s): images that it lacks are decoded every epoch.",
                    self.cache.folder,
                    error.strerror,
                )

    def _read(self, index: int, digest: str) -> CachedPixels | None:
        verified, number = self._stamp[index].tolist()
        found = self.cache.read(cache_key(digest, self._how), verified=(verified, number))
        if found is not None and found.stamp != (verified, number):
            self._stamp[index] = torch.tensor(found.stamp)
        return found
