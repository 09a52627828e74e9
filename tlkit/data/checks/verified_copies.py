"""Copies: which of the pictures that look alike are the same picture, by all pixels of their files."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tlkit.arrays import Pixels
from tlkit.data.checks.duplicates import (
    DUPLICATE_KINDS,
    DuplicateKind,
    DuplicateSet,
    Pair,
    find_duplicates,
    find_identical,
)
from tlkit.data.checks.fingerprints import Fingerprints
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.num_workers import available_cores
from tlkit.samples import LABEL, PATH, Samples

logger = logging.getLogger(__name__)

ReadPixels = Callable[[int], Pixels | None]
UPRIGHT: tuple[DuplicateKind, ...] = ("identical", "re-encoded")
"""Kinds that are copies under any label. Orientation may be the label, as in 6 and 9 or in arrows: a mirrored or turned
picture under another label is a near duplicate, on which a person decides."""
MOST_COMPARED = 300_000
"""Pictures that look alike are searched among at most this many images, whose thumbnails fill half a gigabyte."""
CACHED_PICTURES = 16
"""Decoded pictures held by each search; one of 12 megapixels takes 36 MB."""


class _Copies(NamedTuple):
    """A pair of copies, the root mean square of their difference, and the number of values of each."""

    pair: Pair
    difference: float
    pixels: tuple[int, int]


def pixel_reader(root: Path, paths: Sequence[str], decode_options: DecodeOptions) -> ReadPixels:
    """Return a function that decodes the picture of a row in full: RGB (H, W, 3); None where it cannot be read."""

    @lru_cache(CACHED_PICTURES)
    def read(row: int) -> Pixels | None:
        try:
            return np.asarray(open_rgb(root / paths[row], decode_options)[0])
        except UnreadableImageError:
            return None

    return read


def find_copies(samples: Samples, prints: Fingerprints, decode_options: DecodeOptions) -> DuplicateSet:
    """Return the pictures that are alike, and which of them are copies; of more than 300,000 only identical files.

    Both files of a pair that may be copies are decoded in full: 1 ms for images of 32 pixels, 0.3 s for photos of 12
    megapixels. Files with equal pixels are decoded once, and the first of them stands for all.

    Args:
        samples: the images.
        prints: their fingerprints, row for row.
        decode_options: pixel limit and background color of decoding.
    """
    if len(prints) > MOST_COMPARED:
        logger.info("%d images: only identical files are found as copies.", len(prints))
        return find_identical(prints)
    read = pixel_reader(samples.root, samples.table[PATH].tolist(), decode_options)

    labels = samples.table[LABEL].tolist()

    def verify(pairs: Sequence[Pair]) -> list[Pair]:
        with ThreadPoolExecutor(available_cores()) as pool:
            found = [copies for copies in pool.map(partial(_verified, read), pairs) if copies is not None]
        return [
            pair for pair in _of_nearest(found) if pair.kind in UPRIGHT or labels[pair.first] == labels[pair.second]
        ]

    def pixel_digests(rows: Sequence[int]) -> list[str]:
        with ThreadPoolExecutor(available_cores()) as pool:
            return list(pool.map(lambda row: _pixel_digest(read(row)), rows))

    return find_duplicates(prints, verify=verify, pixel_digests=pixel_digests)


def _pixel_digest(pixels: Pixels | None) -> str:
    return "" if pixels is None else f"{pixels.shape} {hashlib.sha256(pixels.tobytes()).hexdigest()}"


def _verified(read: ReadPixels, pair: Pair) -> _Copies | None:
    """Return the pair as copies, in the orientation in which they agree; None where they do not."""
    from tlkit.data.checks.pixel_comparison import likely_turns, picture_difference, turned_pixels  # imports OpenCV

    first, second = read(pair.first), read(pair.second)
    if first is None or second is None:
        return None
    for turn in likely_turns(first, second):
        difference = picture_difference(first, second, turn)
        if difference is not None and difference.is_copy:
            pair = pair._replace(kind=DUPLICATE_KINDS[1 + min(turn, 2)], is_copy=True)
            if np.array_equal(first, turned_pixels(second, turn)):
                pair = pair._replace(kind=pair.kind if turn else "identical", similarity=1.0)
            return _Copies(pair, difference.usual, (first.size, second.size))
    return None


def _of_nearest(found: Sequence[_Copies]) -> list[Pair]:
    """Return the pairs; of those of a picture with larger ones, only the nearest and those of that one's copies.

    Scaling down removes what two drawings differ in, so a small picture may agree with both. It shows the nearer.
    """
    rows = {copies.pair[:2] for copies in found}
    larger: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for pair, difference, (first, second) in found:
        if first != second:
            small, large = (pair.first, pair.second) if first < second else (pair.second, pair.first)
            larger[small].append((difference, large))
    dropped: set[tuple[int, int]] = set()
    for small, others in larger.items():
        nearest = min(others)[1]
        for _, large in others:
            if large != nearest and (min(large, nearest), max(large, nearest)) not in rows:
                dropped.add((min(large, small), max(large, small)))
    return [copies.pair for copies in found if copies.pair[:2] not in dropped]
