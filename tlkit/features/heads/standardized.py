"""Features that are standardized block by block, as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tlkit.arrays import Floats, Ints, Matrix

BLOCK_BYTES = 16_000_000
"""Bytes of a block of standardized features in double precision."""
HELD_BYTES = 64_000_000
"""Standardized features of at most so many bytes stay in memory between passes."""


class Standardized:
    """Rows of a matrix of features, minus the mean and divided by the scale of each feature.

    A pass yields blocks of at most 16 MB in double precision, so large features, which may be mapped from disk, are
    never copied as a whole. Small ones are standardized once. Both give the same numbers.

    Attributes:
        shape: (N, D) of the selected rows.
    """

    def __init__(self, x: Matrix, mean: Floats, scale: Floats, rows: Ints | None = None) -> None:
        """Select `rows` (N,) of `x` (M, D), or all; `mean` and `scale` have shape (D,)."""
        self._x, self._mean, self._scale, self._rows = x, mean, scale, rows
        self.shape = (len(x) if rows is None else len(rows), x.shape[1])
        self._held: dict[type[np.floating[Any]], list[Matrix]] = {}

    @classmethod
    def by_itself(cls, x: Matrix, rows: Ints | None = None) -> Standardized:
        """Return features standardized by their own mean and standard deviation."""
        return cls(x, *feature_mean_and_scale(x, rows), rows)

    def like(self, x: Matrix, rows: Ints | None = None) -> Standardized:
        """Return other features, shape (M, D), on the scale of these."""
        return Standardized(x, self._mean, self._scale, rows)

    @property
    def mean_and_scale(self) -> tuple[Floats, Floats]:
        """Mean and scale of each feature, shapes (D,)."""
        return self._mean, self._scale

    def blocks(self, dtype: type[np.floating[Any]]) -> Iterator[tuple[slice, Matrix]]:
        """Yield a slice of the rows and their standardized features (B, D), over all rows in order."""
        slices = list(row_blocks(*self.shape))
        if dtype not in self._held and self.shape[0] * self.shape[1] * np.dtype(dtype).itemsize <= HELD_BYTES:
            self._held[dtype] = [self._block(rows, dtype) for rows in slices]
        if dtype in self._held:
            yield from zip(slices, self._held[dtype], strict=True)
            return
        for rows in slices:
            yield rows, self._block(rows, dtype)

    def dense(self, dtype: type[np.floating[Any]]) -> Matrix:
        """Return all of them as one array (N, D)."""
        found = np.empty(self.shape, dtype=dtype)
        for rows, block in self.blocks(dtype):
            found[rows] = block
        return found

    def _block(self, rows: slice, dtype: type[np.floating[Any]]) -> Matrix:
        values = self._x[rows if self._rows is None else self._rows[rows]]
        return np.asarray((values - self._mean) / self._scale, dtype=dtype)


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Yield slices that part n rows of a width into blocks of at most `BLOCK_BYTES` in double precision."""
    step = max(1, BLOCK_BYTES // (8 * max(1, width)))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def feature_mean_and_scale(x: Matrix, rows: Ints | None = None) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature, shapes (D,); the latter is 1 for a constant feature.

    scikit-learn's StandardScaler in double precision, block by block; `rows` (N,) selects rows of `x` (M, D).
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for block in row_blocks(len(x) if rows is None else len(rows), x.shape[1]):
        scaler.partial_fit(np.asarray(x[block if rows is None else rows[block]], dtype=np.float64))
    return np.asarray(scaler.mean_), np.asarray(scaler.scale_)
