"""Copies that no hash finds: cropped, recoloured or written on. Features say who is alike, pixels who is the same.

Each picture is compared with the few whose features are nearest to its own. That alone would call every two photos of
one species copies; so the two are laid on each other (see `pair_verification`), and count as one picture only if
their edges agree far better than those of pictures that are usually alike in this dataset.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.duplicates import MARGIN, MOST_COPIES, DuplicateSet, Pair
from tlkit.data.checks.gray_thumbnails import GrayThumbnails, read_gray_thumbnail
from tlkit.data.checks.leaks import EARLIER
from tlkit.data.checks.pair_verification import EdgeImage, PairMatch, verify_pair
from tlkit.data.decode.decoding import MAX_PIXELS
from tlkit.data.num_workers import available_cores
from tlkit.samples import DIGEST, SPLIT, Samples

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float32]

NEAREST = 3
"""So many of the nearest by features are looked at; copies of photos were always among them."""
MOST_COMPARED = 100_000
"""Beyond so many images all pairs of features take longer to compare than the images took to read."""
NUMBERS_AT_ONCE = 16_000_000
"""Similarities held in memory at a time: 64 MB."""
LEAST_SCORE = 0.9
"""Copies' edges agree at least so well."""
PROBED = 100
LOOKS_AT_ONCE = 2048
"""What is derived of looks is held for so many pictures, 90 kB each."""


class _Nearest(NamedTuple):
    """What lies near each asked image, by features.

    `pairs` (M, 2) holds the nearest few, each pair once, less those that are further apart than what is usual;
    `usual` (N, 2) one pair for each image, of the rank that copies rarely fill; none where there are too few images.
    """

    pairs: Rows
    usual: Rows


def find_near_duplicates(
    samples: Samples,
    x: Floats,
    rows: Rows,
    *,
    known: DuplicateSet,
    across: bool = False,
    gray_thumbnails: GrayThumbnails | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> DuplicateSet:
    """Find the images that show the same picture where only their features tell: cropped, recoloured, written on.

    A frame is found from a quarter of the picture's area on. Takes N² · D multiplications, and for each of at most 3 N
    pairs less than half a millisecond, two more for those that are copies.

    Args:
        samples: the images.
        x: features (n, D) of some of them.
        rows: their rows in the samples, shape (n,), ascending.
        known: copies that are known already; each picture is looked at once.
        across: compare val and test with the splits before them, and nothing else.
        gray_thumbnails: what is known already of the pictures, by digest; only the others are read.
        max_pixels: larger images count as unreadable.
        progress: called with (pairs compared, pairs in all).

    Returns:
        The known copies and the new ones.
    """
    if len(rows) > MOST_COMPARED:
        logger.info("%d images: cropped or edited copies are not looked for.", len(rows))
        return known
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    near = [_nearest(unit, asked, others) for asked, others in _sides(samples, rows, known, across=across)]
    pairs = np.unique(np.concatenate([np.empty((0, 2), np.intp), *(one.pairs for one in near)]), axis=0)
    usual = np.concatenate([np.empty((0, 2), np.intp), *(one.usual for one in near)])
    usual = usual[np.sort(np.random.default_rng(0).permutation(len(usual))[:PROBED])]
    compare = _Comparer(samples, rows, [pairs, usual], gray_thumbnails=gray_thumbnails or {}, max_pixels=max_pixels)
    scores = [found.score if (found := compare(first, second)) else 0.0 for first, second in usual.tolist()]
    usual_score = float(np.quantile(scores, 0.9)) if scores else 0.0
    if usual_score >= LEAST_SCORE:
        logger.info("Different pictures agree as copies do here (%.2f): edited copies cannot be told.", usual_score)
        return known
    threshold = max(LEAST_SCORE, 1 - (1 - usual_score) / MARGIN)
    new = []
    for done, (first, second) in enumerate(pairs.tolist(), start=1):
        found = compare(first, second)
        if found is not None and found.score >= threshold:
            new.append(Pair(int(rows[first]), int(rows[second]), found.kind, min(found.score, 1.0)))
        if progress is not None and (done % 256 == 0 or done == len(pairs)):
            progress(done, len(pairs))
    logger.info(
        "Cropped and edited copies: %d%s in %d pairs that are alike by their features (agreement %.2f or more).",
        len(new),
        " beside those known already" if known.pairs else "",
        len(pairs),
        threshold,
    )
    return known.joined(new)


def _sides(samples: Samples, rows: Rows, known: DuplicateSet, *, across: bool) -> Iterator[tuple[Rows, Rows]]:
    """Yield places among the features that are to be compared with other places, one for each picture."""
    splits = samples.table[SPLIT].to_numpy()
    place_of = {int(row): place for place, row in enumerate(rows)}
    keep = np.ones(len(rows), bool)
    leaked = np.zeros(len(rows), bool)
    for group in known.groups:
        there = [row for row in group if row in place_of]
        seen: set[str] = set()
        for row in there:
            side = str(splits[row]) if across else ""
            keep[place_of[row]] = side not in seen
            seen.add(side)
            leaked[place_of[row]] = any(splits[other] in EARLIER.get(str(splits[row]), ()) for other in group)
    if not across:
        places = np.flatnonzero(keep)
        yield places, places
        return
    for split, earlier in EARLIER.items():
        asked = np.flatnonzero(keep & ~leaked & (splits[rows] == split))
        others = np.flatnonzero(keep & np.isin(splits[rows], earlier))
        if len(asked) and len(others):
            yield asked, others


def _nearest(unit: Floats, asked: Rows, others: Rows) -> _Nearest:
    """Find what lies near each of the asked places among the others, a block of them at a time."""
    itself = int(len(asked) > 0 and np.array_equal(asked, others))
    rank = min(max((len(others) - itself) // 3, 1), MOST_COPIES)
    depth = min(max(rank, NEAREST) + itself, len(others))
    if depth <= itself:
        return _Nearest(np.empty((0, 2), np.intp), np.empty((0, 2), np.intp))
    at_once = max(1, NUMBERS_AT_ONCE // len(others))
    found, closeness = [], []
    for at in range(0, len(asked), at_once):
        similar = unit[asked[at : at + at_once]] @ unit[others].T
        if itself:
            similar[np.arange(len(similar)), np.arange(at, at + len(similar))] = np.inf
        nearest = np.argpartition(-similar, depth - 1, axis=1)[:, :depth]
        values = np.take_along_axis(similar, nearest, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, itself:]
        found.append(others[np.take_along_axis(nearest, order, axis=1)])
        closeness.append(np.take_along_axis(values, order, axis=1))
    neighbors, similarity = np.concatenate(found), np.concatenate(closeness)
    far = float(np.median(similarity[:, min(rank, similarity.shape[1]) - 1]))
    left = np.repeat(asked[:, None], neighbors.shape[1], axis=1)
    close = similarity >= far
    close[:, NEAREST:] = False
    pairs = np.sort(np.stack([left[close], neighbors[close]], axis=1), axis=1)
    usual = np.stack([asked, neighbors[:, min(rank, neighbors.shape[1]) - 1]], axis=1)
    return _Nearest(pairs, usual if rank > 1 else usual[:0])


class _Comparer:
    """Compares images by the places of their features; those whose looks are not known are decoded, once."""

    def __init__(
        self, samples: Samples, rows: Rows, pairs: Sequence[Rows], *, gray_thumbnails: GrayThumbnails, max_pixels: int
    ) -> None:
        places = np.unique(np.concatenate([part.ravel() for part in pairs])).tolist()
        paths, digests = samples.paths, samples.table[DIGEST].tolist()
        self._gray = {place: gray_thumbnails.get(digests[rows[place]]) for place in places}
        lacking = [place for place, gray in self._gray.items() if gray is None]
        files = [samples.root / paths[rows[place]] for place in lacking]
        with ThreadPoolExecutor(available_cores()) as pool:
            self._gray.update(
                zip(lacking, pool.map(partial(read_gray_thumbnail, max_pixels=max_pixels), files), strict=True)
            )
        self._look = lru_cache(LOOKS_AT_ONCE)(self._make)

    def _make(self, place: int) -> EdgeImage | None:
        gray = self._gray[place]
        return None if gray is None else EdgeImage(gray)

    def __call__(self, first: int, second: int) -> PairMatch | None:
        one, other = self._look(first), self._look(second)
        return None if one is None or other is None else verify_pair(one, other)
