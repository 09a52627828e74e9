"""Exact nearest neighbors by cosine similarity, in blocks of bounded memory, and the classes among them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.features.heads.head import Features

ROWS_AT_ONCE, OTHERS_AT_ONCE = 512, 4096
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


def iter_nearest_neighbors(x: Features, *, apart: Ints, k: int) -> Iterator[tuple[Ints, Ints, npt.NDArray[np.float32]]]:
    """Yield each image's k nearest other images by cosine similarity, exactly, in blocks of images.

    Time grows with N² · D; memory is about 100 MB for any N, and features may be mapped from disk. (scikit-learn's
    brute-force search normalizes a copy of all features in memory, and cannot exclude images by code.)

    Args:
        x: features, shape (N, D).
        apart: codes, shape (N,); images with equal codes are no neighbors of each other.
        k: how many neighbors.

    Yields:
        Rows (n,); their neighbors (n, K), unordered; and the similarities (n, K) in [-1, 1]; K is the smaller of k and
        N. A similarity of -inf marks a missing neighbor.
    """
    k = min(k, len(x))
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(x)))
        own = _unit(x[rows[0] : rows[-1] + 1])
        best = np.zeros((len(rows), 0), dtype=np.int64)
        similarity = np.zeros((len(rows), 0), dtype=np.float32)
        for at in range(0, len(x), OTHERS_AT_ONCE):
            others = np.arange(at, min(at + OTHERS_AT_ONCE, len(x)))
            near = own @ _unit(x[others[0] : others[-1] + 1]).T
            near[apart[rows][:, None] == apart[others]] = -np.inf
            known = best.shape[1]
            near = np.concatenate([similarity, near], axis=1)
            kept = np.argpartition(near, -k, axis=1)[:, -k:] if near.shape[1] > k else np.argsort(near, axis=1)
            earlier = np.take_along_axis(best, np.minimum(kept, known - 1), axis=1) if known else kept
            best = np.where(kept < known, earlier, at + kept - known)
            similarity = np.take_along_axis(near, kept, axis=1)
        yield rows, best, similarity


def _unit(x: Features) -> npt.NDArray[np.float32]:
    """Return features scaled to length 1, (n, D)."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1.0), dtype=np.float32)
