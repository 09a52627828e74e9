"""A split of labelled images: three fifths of each class for training, one for validation, one for the test."""

from __future__ import annotations

from collections.abc import Sequence

SHARES = {"train": 3, "val": 1, "test": 1}


def stratified_fifths(labels: Sequence[str], *, seed: int) -> list[str]:
    """Return the split of each image: three fifths of each class in train, one in val and one in test.

    Args:
        labels: class of each image.
        seed: seed of the choice, 0 or more.

    Example:
        >>> sorted(stratified_fifths(["cat"] * 5, seed=0))
        ['test', 'train', 'train', 'train', 'val']
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    names = np.asarray(labels)
    splits = np.empty(len(names), dtype=object)
    for label in sorted(set(labels)):
        rows = rng.permutation(np.flatnonzero(names == label))
        bounds = np.round(np.cumsum(list(SHARES.values()))[:-1] * len(rows) / sum(SHARES.values())).astype(int)
        for split, part in zip(SHARES, np.split(rows, bounds), strict=True):
            splits[part] = split
    return [str(split) for split in splits]
