"""Pairs of perceptual hashes that differ in at most 7 of 64 bits.

Multi-index hashing, after Norouzi, Punjani & Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing",
section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

MOST_BITS = 7
"""Largest difference in bits between the hashes of duplicates. Four bands of 16 bits, each probed with up to one bit
changed, find every pair that differs in up to 7 bits: with 8, each band could differ in two."""
BANDS, BAND_BITS = 4, 16
WINDOW = 128
"""Where very many pictures share a hash, each is compared with this many neighbors on either side."""
QUERIES_AT_ONCE = 4096
FEW = 2048
"""Up to so many hashes, a search for each bucket takes less time than a table of all buckets."""


def similar_hashes(
    hashes: npt.NDArray[np.uint64], turned: npt.NDArray[np.uint64]
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield pairs of positions (left, right) with the hash of left within 7 bits of the turned hash of right.

    Pairs may repeat. Each band of 16 bits is rotated to the top, so that hashes that share it are neighbors once
    sorted.
    """
    shift = np.uint64(64 - BAND_BITS)
    for band in range(BANDS):
        stored, query_hashes = _rotated(hashes, band), _rotated(turned, band)
        order, queries = np.argsort(stored, kind="stable"), np.argsort(query_hashes, kind="stable")
        stored, query_hashes = stored[order], query_hashes[queries]
        keys = (stored >> shift).astype(np.intp)
        bounds = np.searchsorted(keys, np.arange((1 << BAND_BITS) + 1)) if len(keys) > FEW else None
        for bit in range(-1, BAND_BITS):
            probes = query_hashes if bit < 0 else query_hashes ^ np.uint64(1 << (64 - BAND_BITS + bit))
            bucket = (probes >> shift).astype(np.intp)
            if bounds is None:
                start, stop = np.searchsorted(keys, bucket), np.searchsorted(keys, bucket, side="right")
            else:
                start, stop = bounds[bucket], bounds[bucket + 1]
            if not (stop > start).any():
                continue
            full = stop - start > 2 * WINDOW
            middle = np.searchsorted(stored, probes[full])
            start[full] = np.maximum(start[full], middle - WINDOW)
            stop[full] = np.minimum(stop[full], middle + WINDOW)
            yield from _near(hashes, turned, queries=queries, order=order, start=start, stop=stop, full=full)


def _rotated(hashes: npt.NDArray[np.uint64], band: int) -> npt.NDArray[np.uint64]:
    by = band * BAND_BITS
    return (hashes << np.uint64(by)) | (hashes >> np.uint64(64 - by)) if band else hashes


def _near(
    hashes: npt.NDArray[np.uint64],
    turned: npt.NDArray[np.uint64],
    *,
    queries: npt.NDArray[np.intp],
    order: npt.NDArray[np.intp],
    start: npt.NDArray[np.intp],
    stop: npt.NDArray[np.intp],
    full: npt.NDArray[np.bool_],
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield the pairs whose hashes differ in at most 7 bits: each query with the hashes of `order[start:stop]`.

    Only left < right is yielded: the search for the inverse orientation yields the other. Both are yielded where a
    bucket is too full to be searched completely.
    """
    for at in range(0, len(queries), QUERIES_AT_ONCE):
        begin, length = start[at : at + QUERIES_AT_ONCE], (stop - start)[at : at + QUERIES_AT_ONCE]
        right = np.repeat(queries[at : at + QUERIES_AT_ONCE], length)
        offsets = np.arange(len(right)) - np.repeat(np.cumsum(length) - length, length)
        left = order[np.repeat(begin, length) + offsets]
        close = np.bitwise_count(hashes[left] ^ turned[right]) <= MOST_BITS
        close &= (left < right) | (np.repeat(full[at : at + QUERIES_AT_ONCE], length) & (left != right))
        if close.any():
            yield left[close], right[close]
