"""Exact nearest neighbors by cosine similarity: blocked matrix products of bounded memory, in float32.

The same neighbors as of scikit-learn's brute-force `NearestNeighbors(metric="cosine")`. Of rows that are equally near
at the k-th place any may be kept, the same ones every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Ints, Matrix

BYTES_AT_ONCE = 32_000_000
"""Bytes of a block of similarities, and at most of a block of features. All temporary arrays take about five times as
much."""
FEW_CANDIDATES = 64
"""Up to 4 k and so many more candidates of a row are merged one by one; of more, the k nearest are selected first."""

Similarities = npt.NDArray[np.float32]
Found = tuple[Ints, Ints, Similarities]


def iter_nearest_neighbors(x: Matrix, *, apart: Ints, k: int) -> Iterator[Found]:
    """Yield each row's k nearest other rows by cosine similarity, exactly, in blocks of rows.

    Each pair of blocks is multiplied once, and serves the rows of both. Time grows with N² · D / 2; memory is about 160
    MB and 8 k bytes a row; features may be mapped from disk.

    Args:
        x: features, shape (N, D).
        apart: codes, shape (N,); rows with equal codes are no neighbors of each other.
        k: how many neighbors.

    Yields:
        Rows (n,); their neighbors (n, K), unordered; and the similarities (n, K) in [-1, 1]; K is the smaller of k and
        N. A similarity of -inf marks a missing neighbor.

    Example:
        >>> x = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> [near.tolist() for _, near, _ in iter_nearest_neighbors(x, apart=np.arange(3), k=1)]
        [[[1], [0], [1]]]
    """
    scale, best = _inverse_norms(x), _Nearest(len(x), min(k, len(x)))
    blocks = list(_blocks(len(x), width=x.shape[1]))
    for place, rows in enumerate(blocks):
        own = _unit(x, scale, rows)
        for columns in blocks[place:]:
            near = own @ (own if columns == rows else _unit(x, scale, columns)).T
            near[apart[rows][:, None] == apart[columns]] = -np.inf
            best.add(rows, near, first=columns.start)
            if columns != rows:
                best.add(columns, near.T, first=rows.start)
        yield np.arange(rows.start, rows.stop), *best.of(rows)


def iter_nearest_references(
    x: Matrix, reference: Matrix, *, k: int, apart: tuple[Ints, Ints] | None = None
) -> Iterator[Found]:
    """Yield each row's k nearest reference rows by cosine similarity, exactly, in blocks of rows.

    Time grows with N · R · D, memory as for `iter_nearest_neighbors`.

    Args:
        x: features, shape (N, D).
        reference: features, shape (R, D).
        k: how many neighbors.
        apart: codes of both, (N,) and (R,); a row and a reference with equal codes are no neighbors. None = all are.

    Yields:
        Rows (n,); their neighbors (n, K), the nearest first; and the similarities (n, K); K is the smaller of k and R.
        A similarity of -inf marks a missing neighbor.
    """
    scales = _inverse_norms(x), _inverse_norms(reference)
    for rows in _blocks(len(x), width=x.shape[1]):
        own, best = _unit(x, scales[0], rows), _Nearest(rows.stop - rows.start, min(k, len(reference)))
        for columns in _blocks(len(reference), width=x.shape[1]):
            near = own @ _unit(reference, scales[1], columns).T
            if apart is not None:
                near[apart[0][rows][:, None] == apart[1][columns]] = -np.inf
            best.add(slice(0, len(own)), near, first=columns.start)
        found, similarity = best.of(slice(0, len(own)))
        order = np.argsort(-similarity, axis=1, kind="stable")
        yield (
            np.arange(rows.start, rows.stop),
            np.take_along_axis(found, order, axis=1),
            np.take_along_axis(similarity, order, axis=1),
        )


class _Nearest:
    """The k nearest columns that are known of each row so far."""

    def __init__(self, rows: int, k: int) -> None:
        self._columns = np.zeros((rows, k), dtype=np.int32)
        self._similarity = np.full((rows, k), -np.inf, dtype=np.float32)
        self._k = k

    def of(self, rows: slice) -> tuple[Ints, Similarities]:
        """Return the columns (n, k) and similarities (n, k) of some rows."""
        return self._columns[rows].astype(np.int64), self._similarity[rows].copy()

    def add(self, rows: slice, near: Similarities, *, first: int) -> None:
        """Take in the similarities (n, m) of some rows and the columns from `first` on."""
        some = 4 * self._k + FEW_CANDIDATES
        if near.shape[1] > 2 * some and np.isneginf(self._similarity[rows, :1]).any():
            self._add(rows, near[:, :some], first=first)  # after these few rows have many candidates
            self._add(rows, near[:, some:], first=first + some)
        else:
            self._add(rows, near, first=first)

    def _add(self, rows: slice, near: Similarities, *, first: int) -> None:
        is_nearer = near > self._similarity[rows].min(axis=1, keepdims=True)
        counts = is_nearer.sum(axis=1)
        few = counts <= 4 * self._k + FEW_CANDIDATES
        many = np.flatnonzero(~few)
        if len(many):
            some = near[many]
            kept = np.argpartition(some, -self._k, axis=1)[:, -self._k :]
            self._merge(rows.start + many, kept + first, np.take_along_axis(some, kept, axis=1))
        is_nearer[many] = False
        row, column = np.nonzero(is_nearer)
        if len(row):
            changed, (place, nth) = np.unique(row), _places(row)
            width = int(nth.max()) + 1
            columns = np.zeros((len(changed), width), dtype=np.int64)
            similarity = np.full((len(changed), width), -np.inf, dtype=np.float32)
            columns[place, nth], similarity[place, nth] = column + first, near[row, column]
            self._merge(rows.start + changed, columns, similarity)

    def _merge(self, rows: Ints, columns: Ints, similarity: Similarities) -> None:
        """Keep the k nearest of those known and those found, of different rows."""
        columns = np.concatenate([self._columns[rows], columns], axis=1)
        similarity = np.concatenate([self._similarity[rows], similarity], axis=1)
        kept = np.argpartition(similarity, -self._k, axis=1)[:, -self._k :]
        self._columns[rows] = np.take_along_axis(columns, kept, axis=1)
        self._similarity[rows] = np.take_along_axis(similarity, kept, axis=1)


def _places(row: Ints) -> tuple[Ints, Ints]:
    """Return, for ascending rows, the place of each among the different ones, and its place within its row."""
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    place = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(row)))
    return place, np.arange(len(row)) - begins[place]


def _blocks(rows: int, *, width: int) -> Iterator[slice]:
    """Yield the slices of rows whose blocks are held at a time."""
    size = max(1, min(math.isqrt(BYTES_AT_ONCE // 4), BYTES_AT_ONCE // (4 * max(width, 1))))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def _inverse_norms(x: Matrix) -> npt.NDArray[np.float64]:
    """Return 1 / the length of each row, shape (N,); 1 for a row of zeros."""
    norms = np.concatenate(
        [np.zeros(0)]
        + [np.linalg.norm(x[rows].astype(np.float64), axis=1) for rows in _blocks(len(x), width=2 * x.shape[1])]
    )
    return 1.0 / np.where(norms > 0, norms, 1.0)


def _unit(x: Matrix, scale: npt.NDArray[np.float64], rows: slice) -> npt.NDArray[np.float32]:
    """Return some rows scaled to length 1, (n, D)."""
    return np.asarray(x[rows], dtype=np.float32) * scale[rows].astype(np.float32)[:, None]
