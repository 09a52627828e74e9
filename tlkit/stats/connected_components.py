"""Rows that belong together: whatever several ties join is one unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


def connected_components(n: int, groups: Iterable[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Return the unit of each of `n` rows, shape (n,), numbered from 0 in the order of their first rows.

    Args:
        n: number of rows.
        groups: rows that belong together; groups that share a row are one unit.

    Example:
        >>> connected_components(5, [[0, 3], [3, 4]])
        array([0, 1, 2, 0, 0])
    """
    parent = list(range(n))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for group in groups:
        for row in group[1:]:
            first, second = sorted((root(group[0]), root(row)))
            parent[second] = first
    return np.unique([root(row) for row in range(n)], return_inverse=True)[1].astype(np.int64)
