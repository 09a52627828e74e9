"""Connected components: rows that are linked, directly or through other rows, form one unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array, csgraph

from tlkit.arrays import Ints


def connected_components(n: int, groups: Iterable[Sequence[int]]) -> Ints:
    """Return the component of each of `n` rows, shape (n,), numbered from 0 in the order of their first rows.

    Args:
        n: number of rows.
        groups: linked rows; groups that share a row are one component.

    Example:
        >>> connected_components(5, [[0, 3], [3, 4]])
        array([0, 1, 2, 0, 0])
    """
    edges = [(group[0], row) for group in groups for row in group[1:]]
    first, second = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(edges)), (first, second)), shape=(n, n))
    return np.asarray(csgraph.connected_components(links, directed=False)[1], dtype=np.int64)
