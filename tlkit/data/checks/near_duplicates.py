"""Cropped, recolored and written-on copies, found by features.

Each picture is compared with the few whose features are nearest to its own. The pair is aligned (see
`pair_verification`) and is a near duplicate only if its edges correlate far better than those of similar pictures
usually do in this dataset. It is a copy if all pixels agree where the two lie on each other (see `pixel_comparison`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32
from tlkit.data.checks.duplicates import MARGIN, MOST_COPIES, DuplicateKind, DuplicateSet, Pair
from tlkit.data.checks.gray_thumbnails import Gray, GrayThumbnails, read_gray_thumbnail
from tlkit.data.checks.leaks import EARLIER
from tlkit.data.checks.pair_verification import EdgeImage, PairMatch, verify_pair
from tlkit.data.checks.pixel_comparison import same_where_aligned
from tlkit.data.checks.verified_copies import pixel_reader
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.num_workers import available_cores
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples
from tlkit.stats.nearest_neighbors import iter_nearest_references

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.intp]

NEAREST = 3
"""Number of nearest neighbors that are verified; in benchmarks, copies of photos were always among them."""
MOST_COMPARED = 100_000
"""With more images, comparing all pairs of features takes longer than reading the images."""
LEAST_SCORE = 0.9
"""Smallest correlation of the edges of copies."""
PROBED = 100
CACHED_EDGE_IMAGES = 512
"""Number of edge images held in memory, about 180 kB each with the transforms of their frames."""


class _Nearest(NamedTuple):
    """Pairs of places whose features are near.

    `pairs` (M, 2) holds each query's nearest few, without those that are less similar than usual; `usual` (N, 2) holds
    each query with its 20th nearest neighbor, or in small datasets that at a third of the images. It is taken to be a
    different picture, and sets the baseline score. `usual` is empty where there are too few images.
    """

    pairs: Rows
    usual: Rows


def find_near_duplicates(
    samples: Samples,
    x: Floats32,
    rows: Rows,
    *,
    known: DuplicateSet,
    across: bool = False,
    gray_thumbnails: GrayThumbnails | None = None,
    decode_options: DecodeOptions = DecodeOptions(),
    progress: Callable[[int, int], None] | None = None,
) -> DuplicateSet:
    """Return the known duplicates, and those that are cropped, recolored or written on.

    Crops of at least a quarter of the picture's area are found. Takes N² · D multiplications, about 0.5 ms for each
    of at most 3 N pairs, and for each duplicate 2 ms and the time to decode both files and align them.

    Args:
        samples: the images.
        x: features (n, D) of some of them.
        rows: their rows in the samples, shape (n,), ascending.
        known: known duplicates; one image of each group is compared.
        across: compare val and test with earlier splits only.
        gray_thumbnails: gray thumbnails by digest; images without one are decoded.
        decode_options: pixel limit and background color of decoding.
        progress: called with (pairs compared, pairs in all).
    """
    if len(rows) > MOST_COMPARED:
        logger.info("%d images: too many to search for cropped or edited copies.", len(rows))
        return known
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    near = [_nearest(unit, queries, others) for queries, others in _sides(samples, rows, known, across=across)]
    pairs = np.unique(np.concatenate([np.empty((0, 2), np.intp), *(one.pairs for one in near)]), axis=0)
    usual = np.concatenate([np.empty((0, 2), np.intp), *(one.usual for one in near)])
    usual = usual[np.sort(np.random.default_rng(0).permutation(len(usual))[:PROBED])]
    places = np.unique(np.concatenate([pairs, usual]))
    gray = _read_gray(samples, rows, places, gray_thumbnails or {}, decode_options)

    @lru_cache(CACHED_EDGE_IMAGES)
    def edge_image(place: int) -> EdgeImage | None:
        pixels = gray[place]
        return None if pixels is None else EdgeImage(pixels)

    def compare(first: int, second: int) -> PairMatch | None:
        one, other = edge_image(first), edge_image(second)
        return None if one is None or other is None else verify_pair(one, other)

    scores = [found.score if (found := compare(first, second)) else 0.0 for first, second in usual.tolist()]
    usual_score = float(np.quantile(scores, 0.9)) if scores else 0.0
    if usual_score >= LEAST_SCORE:
        logger.debug(
            "The backbone gives different pictures features as alike as those of copies (correlation %.2f), so cropped "
            "and edited copies are not searched for.",
            usual_score,
        )
        return known
    threshold = max(LEAST_SCORE, 1 - (1 - usual_score) / MARGIN)
    labels = samples.table[LABEL].tolist()
    read, new = pixel_reader(samples.root, samples.table[PATH].tolist(), decode_options), []
    for done, (first, second) in enumerate(pairs.tolist(), start=1):
        found = compare(first, second)
        if found is not None and found.score >= threshold:
            pair = Pair(int(rows[first]), int(rows[second]), found.kind, min(found.score, 1.0), False)
            one, other = read(pair.first), read(pair.second)
            decides = not found.alignment.turn or labels[pair.first] == labels[pair.second]
            if decides and one is not None and other is not None and same_where_aligned(one, other, found.alignment):
                kind: DuplicateKind = "re-encoded" if found.kind == "edited" else found.kind
                pair = pair._replace(kind=kind, is_copy=True)
            new.append(pair)
        if progress is not None and (done % 256 == 0 or done == len(pairs)):
            progress(done, len(pairs))
    logger.info(
        "Cropped and edited copies: %d new ones in %d pairs with similar features (correlation %.2f or more).",
        len(new),
        len(pairs),
        threshold,
    )
    return known.joined(new)


def _sides(samples: Samples, rows: Rows, known: DuplicateSet, *, across: bool) -> Iterator[tuple[Rows, Rows]]:
    """Yield (queries, others): places among the features to compare, one for each group of known duplicates."""
    splits = samples.table[SPLIT].to_numpy()
    place_of = {int(row): place for place, row in enumerate(rows)}
    keep = np.ones(len(rows), bool)
    leaked = np.zeros(len(rows), bool)
    for group in known.groups:
        seen: set[str] = set()
        for row in filter(place_of.__contains__, group):
            side = str(splits[row]) if across else ""
            keep[place_of[row]] = side not in seen
            seen.add(side)
            leaked[place_of[row]] = any(splits[other] in EARLIER.get(str(splits[row]), ()) for other in group)
    if not across:
        places = np.flatnonzero(keep)
        yield places, places
        return
    for split, earlier in EARLIER.items():
        queries = np.flatnonzero(keep & ~leaked & (splits[rows] == split))
        others = np.flatnonzero(keep & np.isin(splits[rows], earlier))
        if len(queries) and len(others):
            yield queries, others


def _nearest(unit: Floats32, queries: Rows, others: Rows) -> _Nearest:
    """Return the nearest neighbors of the queries among the others, computed in blocks."""
    itself = int(len(queries) > 0 and np.array_equal(queries, others))
    rank = min(max((len(others) - itself) // 3, 1), MOST_COPIES)
    depth = min(max(rank, NEAREST) + itself, len(others))
    if depth <= itself:
        return _Nearest(np.empty((0, 2), np.intp), np.empty((0, 2), np.intp))
    found = list(iter_nearest_references(unit[queries], unit[others], k=depth - itself, apart=(queries, others)))
    neighbors = others[np.concatenate([near for _, near, _ in found])]
    similarity = np.concatenate([similar for _, _, similar in found])
    usual_similarity = float(np.median(similarity[:, min(rank, similarity.shape[1]) - 1]))
    left = np.repeat(queries[:, None], neighbors.shape[1], axis=1)
    close = similarity >= usual_similarity
    close[:, NEAREST:] = False
    pairs = np.sort(np.stack([left[close], neighbors[close]], axis=1), axis=1)
    usual = np.stack([queries, neighbors[:, min(rank, neighbors.shape[1]) - 1]], axis=1)
    return _Nearest(pairs, usual if rank > 1 else usual[:0])


def _read_gray(
    samples: Samples, rows: Rows, places: Rows, known: GrayThumbnails, decode_options: DecodeOptions
) -> dict[int, Gray | None]:
    """Return the gray thumbnail of each place; those that are not known are read from the files."""
    paths, digests = samples.table[PATH].tolist(), samples.table[DIGEST].tolist()
    gray = {place: known.get(digests[rows[place]]) for place in places.tolist()}
    missing = [place for place, pixels in gray.items() if pixels is None]
    with ThreadPoolExecutor(available_cores()) as pool:
        read = pool.map(lambda place: read_gray_thumbnail(samples.root / paths[rows[place]], decode_options), missing)
        gray.update(zip(missing, read, strict=True))
    return gray
