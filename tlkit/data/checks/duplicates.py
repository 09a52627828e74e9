"""Pictures that are alike: as they are, or mirrored or turned by multiples of 90 degrees.

A pair of them has one of three degrees of certainty: identical pixels; the same picture saved again, scaled or turned,
which `find_copies` finds out from all of their pixels; or a near duplicate, which a person decides on.

1. Files with equal digests are identical.
2. The others get a perceptual hash (`fingerprints`), which gives the hashes of the eight orientations of a picture.
3. `hash_search` finds the hashes that differ in up to 7 bits.
4. A pair is a near duplicate if its color thumbnails correlate far better than those of different pictures of the
   dataset. It may be a copy, which only its pixels tell, if its thumbnails are nearly equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.fingerprints import THUMBNAIL, Fingerprints, swapped_axes, turned_hashes
from tlkit.data.checks.hash_search import similar_hashes
from tlkit.stats.connected_components import connected_components

LEAST_CONTRAST = 2.0
"""Thumbnails with a smaller standard deviation, of 255, are plain: their hash is noise; they are compared by digest."""
LEAST_SIMILARITY, CERTAIN_SIMILARITY = 0.93, 0.998
"""The threshold on the correlation of thumbnails lies between these two."""
MOST_COPIES, PROBED = 20, 200
MARGIN = 3.5
"""A duplicate's correlation is this many times nearer to 1 than that of 90 % of the pictures with their 20th nearest
neighbor (of n < 60 pictures: the n/3-th). A picture may have that many copies before they count as usual."""
PAIRS_AT_ONCE = 20_000
"""Pairs whose thumbnails are compared at a time, in 120 MB."""
QUERIES_AT_ONCE = 4096
MOST_APART = 45.0
"""Largest difference of the thumbnails of copies in brightness, of 255, at any pixel; 30 for most small images."""

Number = TypeVar("Number", bound=np.generic)


DuplicateKind = Literal["identical", "re-encoded", "mirrored", "turned", "cropped", "edited"]
DUPLICATE_KINDS: tuple[DuplicateKind, ...] = get_args(DuplicateKind)
"""Kinds of duplicates, closest first."""


class Pair(NamedTuple):
    """Two rows whose pictures are alike, `first` < `second`.

    `kind`: "identical" pixels, "re-encoded" (saved again or scaled), "mirrored" (left and right swapped), "turned" (by
    90, 180 or 270 degrees, mirrored or not); with features (see `near_duplicates`) also "cropped" and "edited"
    (recolored, written on). `similarity` is the correlation of their thumbnails or edges, 1 for identical pixels.
    `is_copy`: all pixels agree, so that it is the same picture; else a near duplicate, and `kind` is the change after
    which it looks alike.
    """

    first: int
    second: int
    kind: DuplicateKind
    similarity: float
    is_copy: bool


Verify = Callable[[Sequence[Pair]], list[Pair]]
"""Returns the pairs that are copies among some that may be, by their pixels."""
PixelDigests = Callable[[Sequence[int]], Sequence[str]]
"""Returns a digest of the pixels of each of some rows; "" for one that cannot be decoded."""


@dataclass(frozen=True)
class DuplicateSet:
    """Pairs of rows whose pictures are alike.

    Attributes:
        pairs: the pairs, sorted. Of k identical files each is paired with the first: k - 1 pairs.
        threshold: smallest correlation of the thumbnails of near duplicates, in [0.93, 0.998].
    """

    pairs: tuple[Pair, ...]
    threshold: float

    @classmethod
    def of(cls, pairs: Iterable[Pair], threshold: float) -> DuplicateSet:
        """Return the set of some pairs, each once, without near duplicates that chains of copies join anyway."""
        closest: dict[tuple[int, int], Pair] = {}
        for pair in sorted(pairs, key=lambda pair: (pair.is_copy, pair.similarity)):
            closest[pair[:2]] = pair
        copies = [pair for pair in closest.values() if pair.is_copy]
        group_of = {row: number for number, group in enumerate(_groups(copies)) for row in group}
        near = [
            pair
            for pair in closest.values()
            if not pair.is_copy and group_of.get(pair.first, -1) != group_of.get(pair.second, -2)
        ]
        return cls(tuple(sorted([*copies, *near])), threshold)

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Rows of one picture, joined by any chain of copies; each group sorted, at least two rows."""
        return _groups([pair for pair in self.pairs if pair.is_copy])

    @property
    def near(self) -> tuple[Pair, ...]:
        """The near duplicates, which are no copies."""
        return tuple(pair for pair in self.pairs if not pair.is_copy)

    @cached_property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """Rows joined by any chain of copies and near duplicates; each group sorted, at least two rows."""
        return _groups(self.pairs)

    def joined(self, pairs: Iterable[Pair]) -> DuplicateSet:
        """Return the set with more pairs."""
        return DuplicateSet.of([*self.pairs, *pairs], self.threshold)

    def across(self, values: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return the groups of one picture whose rows differ in `values` (N,), such as the splits or the labels."""
        return tuple(group for group in self.groups if len({values[row] for row in group}) > 1)


def find_duplicates(
    prints: Fingerprints, *, verify: Verify | None = None, pixel_digests: PixelDigests | None = None
) -> DuplicateSet:
    """Return the pictures that are alike: identical files, and near duplicates, also mirrored or turned.

    With `verify`, those whose pixels agree become copies; without it, only identical files are. Cropped and recolored
    pictures are found by `find_near_duplicates` only. Plain pictures (one color) are compared by digest only. Of
    pictures with equal fingerprints each is paired with the first: without `verify` all of them, else those with equal
    pixels, if `pixel_digests` is given. Time and memory grow linearly with the number of images.

    Example:
        >>> from PIL import Image
        >>> from tlkit.data.checks.fingerprints import fingerprint
        >>> noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        >>> views = (noise, noise[:, ::-1], noise[:24])
        >>> prints = [fingerprint(Image.fromarray(np.ascontiguousarray(view))) for view in views]
        >>> find_duplicates(Fingerprints.of(["a", "b", "c"], prints)).alike
        ((0, 1),)
    """
    pairs, rows = _identical(prints)
    vectors, contrast = _vectors(prints.thumbnail[rows])
    rows, vectors = rows[contrast >= LEAST_CONTRAST], vectors[contrast >= LEAST_CONTRAST]
    equal = [] if verify is not None and pixel_digests is None else _equal(prints, rows, pixel_digests)
    kept = ~np.isin(rows, [pair.second for pair in equal])
    pairs, rows, vectors = [*pairs, *equal], rows[kept], vectors[kept]
    threshold = _threshold(vectors)
    near: dict[tuple[int, int], Pair] = {}
    possible: dict[tuple[int, int], Pair] = {}
    for found, may_be_copy in _alike(prints, rows, vectors, threshold if verify is None else LEAST_SIMILARITY):
        for pairs_of, holds in ((near, found.similarity >= threshold), (possible, may_be_copy)):
            if holds and (found[:2] not in pairs_of or found.similarity > pairs_of[found[:2]].similarity):
                pairs_of[found[:2]] = found
    copies = [] if verify is None else verify(sorted(possible.values()))
    near.update({pair[:2]: pair for pair in copies})
    return DuplicateSet.of([*pairs, *near.values()], threshold)


def _equal(prints: Fingerprints, rows: npt.NDArray[np.intp], pixel_digests: PixelDigests | None) -> list[Pair]:
    """Return the pairs of the first and each further one of some rows with equal fingerprints and equal pixels.

    Without digests of the pixels they are near duplicates.
    """
    alike: dict[bytes, list[int]] = {}
    for row in rows.tolist():
        key = prints.hash[row].tobytes() + prints.absent[row].tobytes() + prints.thumbnail[row].tobytes()
        alike.setdefault(key, []).append(row)
    groups = [group for group in alike.values() if len(group) > 1]
    if pixel_digests is None:
        return [Pair(first, row, "re-encoded", 1.0, False) for first, *others in groups for row in others]
    compared = [row for group in groups for row in group]
    digest_of = dict(zip(compared, pixel_digests(compared), strict=True))
    pairs = []
    for group in groups:
        first_of: dict[str, int] = {}
        for row in group:
            first = first_of.setdefault(digest_of[row] or f"row {row}", row)
            if first != row:
                pairs.append(Pair(first, row, "identical", 1.0, True))
    return pairs


def _alike(
    prints: Fingerprints, rows: npt.NDArray[np.intp], vectors: npt.NDArray[np.float16], least: float
) -> Iterator[tuple[Pair, bool]]:
    """Yield pairs whose thumbnails correlate by `least` in an orientation, and whether they may be copies.

    Pairs may repeat. `vectors` (N, 768) are the thumbnails of the rows.
    """
    hashes, absent, thumbnails = prints.hash[rows], prints.absent[rows], prints.thumbnail[rows]
    for way in range(8):
        kind = DUPLICATE_KINDS[1 + min(way, 2)]
        turned = _turned(vectors, way)
        queries = turned_hashes(hashes, way) & ~swapped_axes(absent, way)
        candidates = similar_hashes(hashes & ~absent, queries)
        for key in _each_once(one * len(rows) + other for one, other in candidates):
            left, right = np.divmod(key, len(rows))
            similarity = np.einsum("ij,ij->i", vectors[left].astype(np.float32), turned[right].astype(np.float32))
            for at in np.flatnonzero(similarity >= least):
                first, second = sorted((int(rows[left[at]]), int(rows[right[at]])))
                apart = thumbnails[left[at]].astype(np.int16) - _turned(thumbnails[right[at]], way)
                close = np.abs(apart.reshape(-1, 3).mean(axis=1)).max() <= MOST_APART
                yield Pair(first, second, kind, min(float(similarity[at]), 1.0), False), bool(close)


def _each_once(keys: Iterable[npt.NDArray[np.int64]]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield each of the keys once, at most `PAIRS_AT_ONCE` at a time; the bands yield most pairs more than once.

    New keys wait until they are as many as the known ones, since a union takes time by the number of both: so the time
    grows with the number of keys, and not with its square.
    """
    known = np.empty(0, np.int64)
    waiting: list[npt.NDArray[np.int64]] = []
    count = 0

    def new() -> npt.NDArray[np.int64]:
        return np.setdiff1d(np.concatenate([known[:0], *waiting]), known)

    for some in keys:
        waiting.append(some)
        count += len(some)
        if count >= max(len(known), PAIRS_AT_ONCE):
            added = new()
            yield from _parts(added)
            known, waiting, count = np.union1d(known, added), [], 0
    yield from _parts(new())


def _parts(keys: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for at in range(0, len(keys), PAIRS_AT_ONCE):
        yield keys[at : at + PAIRS_AT_ONCE]


def find_identical(prints: Fingerprints) -> DuplicateSet:
    """Return the identical files, by their digests."""
    pairs, _ = _identical(prints)
    return DuplicateSet.of(pairs, 1.0)


def _identical(prints: Fingerprints) -> tuple[list[Pair], npt.NDArray[np.intp]]:
    """Return the pairs of identical files, and the first row of each distinct file that could be read."""
    known = np.flatnonzero(prints.digest != "")
    _, firsts, which = np.unique(prints.digest[known], return_index=True, return_inverse=True)
    rows = known[firsts]
    pairs = [
        Pair(int(rows[group]), int(row), "identical", 1.0, True)
        for row, group in zip(known, which, strict=True)
        if row != rows[group]
    ]
    return pairs, np.sort(rows)


def _vectors(thumbnails: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]:
    """Return the thumbnails (N, 768) with mean 0 and length 1, and their standard deviations."""
    vectors = np.empty((len(thumbnails), THUMBNAIL * THUMBNAIL * 3), np.float16)
    contrast = np.empty(len(thumbnails), np.float32)
    for at in range(0, len(thumbnails), QUERIES_AT_ONCE):
        part = thumbnails[at : at + QUERIES_AT_ONCE].reshape(-1, vectors.shape[1]).astype(np.float32)
        part -= part.mean(axis=1, keepdims=True)
        length = np.linalg.norm(part, axis=1)
        contrast[at : at + QUERIES_AT_ONCE] = length / np.sqrt(vectors.shape[1])
        vectors[at : at + QUERIES_AT_ONCE] = part / np.maximum(length, 1e-6)[:, None]
    return vectors, contrast


def _turned(vectors: npt.NDArray[Number], way: int) -> npt.NDArray[Number]:
    """Return the thumbnails in another orientation: bit 0 mirrors, bit 1 flips upside down, bit 2 transposes."""
    turned: npt.NDArray[Number] = vectors.reshape(vectors.size // (THUMBNAIL**2 * 3), THUMBNAIL, THUMBNAIL, 3)
    turned = turned[:, :, ::-1] if way & 1 else turned
    turned = turned[:, ::-1] if way & 2 else turned
    turned = turned.swapaxes(1, 2) if way & 4 else turned
    return turned.reshape(vectors.shape)


def _threshold(vectors: npt.NDArray[np.float16]) -> float:
    """Return the correlation that duplicates must reach, from the similarity of different pictures of the dataset."""
    n = len(vectors)
    rank = min(n // 3, MOST_COPIES)
    if rank < 2:
        return LEAST_SIMILARITY
    probed = np.sort(np.random.default_rng(0).permutation(n)[:PROBED])
    nearest = np.full((len(probed), 0), -1.0, np.float32)
    for at in range(0, n, QUERIES_AT_ONCE):
        part = vectors[at : at + QUERIES_AT_ONCE].astype(np.float32)
        similarity = vectors[probed].astype(np.float32) @ part.T
        nearest = np.sort(np.concatenate([nearest, similarity], axis=1), axis=1)[:, -rank - 1 :]  # and itself
    usual = float(np.quantile(nearest[:, 0], 0.9))
    return min(max(LEAST_SIMILARITY, 1 - (1 - usual) / MARGIN), CERTAIN_SIMILARITY)


def _groups(pairs: Sequence[Pair]) -> tuple[tuple[int, ...], ...]:
    """Return the connected components of the pairs, each sorted, by their first rows."""
    rows = sorted({row for pair in pairs for row in pair[:2]})
    place = {row: number for number, row in enumerate(rows)}
    component = connected_components(len(rows), [(place[pair.first], place[pair.second]) for pair in pairs])
    groups: dict[int, list[int]] = {}
    for row, number in zip(rows, component.tolist(), strict=True):
        groups.setdefault(number, []).append(row)
    return tuple(tuple(group) for group in groups.values())
