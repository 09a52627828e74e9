"""Splits images into a searched and a tested half by a hash of their paths, without separating duplicates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tlkit.arrays import Ints, Mask
from tlkit.stats.connected_components import connected_components


def split_units(n: int, groups: Sequence[Sequence[int]] = (), *, together: pd.Series[str] | None = None) -> Ints:
    """Return the unit of each image, shape (n,): duplicates and images with the same value are one unit.

    Args:
        n: number of images.
        groups: rows that belong together, such as the groups of `DuplicateSet`.
        together: a column whose equal values belong together; missing = the image is a unit of its own.
    """
    joined = [list(group) for group in groups]
    if together is not None:
        known = np.flatnonzero(together.notna().to_numpy())
        codes, _ = pd.factorize(together.iloc[known])
        rows = pd.Series(known).groupby(codes).apply(list)
        joined += rows.tolist()
    return connected_components(n, joined)


def search_half(paths: Sequence[str], units: Ints) -> Mask:
    """Return which images are in the first half, shape (N,): units in the order of sha256(first path), up to N/2.

    Example:
        >>> search_half(["a", "b", "c", "d"], np.array([0, 0, 1, 2])).tolist()
        [False, False, True, True]
    """
    return unit_ranks(paths, units) < len(paths) / 2


def unit_ranks(paths: Sequence[str], units: Ints) -> Ints:
    """Return for each image how many images lie in units before its own, in the order of a hash of their first path."""
    sizes = np.bincount(units)
    named: dict[int, str] = {}
    for unit, path in zip(units.tolist(), paths, strict=True):
        named[unit] = min(named.get(unit, str(path)), str(path))
    order = sorted(named, key=lambda unit: hashlib.sha256(named[unit].encode()).hexdigest())
    before = np.empty(len(sizes), np.int64)
    before[order] = np.cumsum(sizes[order]) - sizes[order]
    return np.asarray(before[units])
