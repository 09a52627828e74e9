"""The classes among each image's nearest neighbors."""

from __future__ import annotations

import numpy as np

from tlkit.arrays import Floats, Ints
from tlkit.features.heads.head import Features
from tlkit.stats.nearest_neighbors import iter_nearest_neighbors

MIN_NEIGHBORS, MAX_NEIGHBORS = 5, 50


def choose_neighbor_count(y: Ints) -> int:
    """Return k: half the images of the median class, from 5 to 50."""
    return int(np.clip(np.median(np.unique(y, return_counts=True)[1]) // 2, MIN_NEIGHBORS, MAX_NEIGHBORS))


def neighbor_class_shares(x: Features, y: Ints, fold: Ints, *, classes: int, k: int) -> Floats:
    """Return the share of each class among every image's k nearest neighbors by cosine similarity, shape (N, C).

    Neighbors come from the other folds, so that copies of an image and images of its group do not vote. With fewer than
    k images outside a fold, all of them vote. Time and memory: `iter_nearest_neighbors`.

    `x` (N, D), `y` (N,) codes of the labels below `classes`, `fold` (N,) with at least two different ones.
    """
    shares = np.zeros((len(x), classes))
    for rows, others, similarity in iter_nearest_neighbors(x, apart=fold, k=k):
        voting = np.isfinite(similarity)
        voters = voting.sum(axis=1, keepdims=True)
        np.add.at(
            shares,
            (np.broadcast_to(rows[:, None], others.shape)[voting], y[others[voting]]),
            np.broadcast_to(1.0 / voters, others.shape)[voting],
        )
    return shares
