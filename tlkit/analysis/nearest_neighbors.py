"""What an image's nearest neighbors are labelled: a second opinion that no head has a part in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tlkit.features.heads.head import Features

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROWS_AT_ONCE, OTHERS_AT_ONCE = 512, 4096
FEWEST, MOST = 5, 50


def neighbours_for(y: Ints) -> int:
    """Return how many neighbors to ask: half the images of a class (the median one), from 5 to 50."""
    return int(np.clip(np.median(np.unique(y, return_counts=True)[1]) // 2, FEWEST, MOST))


def neighbour_shares(x: Features, y: Ints, fold: Ints, *, classes: int, k: int) -> Floats:
    """Return the share of each class among every image's k nearest neighbors by cosine similarity, shape (N, C).

    Neighbours come from the other folds, so that no copy of an image and nothing of its group has a vote. With fewer
    than k images outside a fold, all of them vote. Time and memory are those of `nearest`, beside the result.

    Args:
        x: features, shape (N, D).
        y: codes of the labels, shape (N,).
        fold: of each image, shape (N,), at least two different ones.
        classes: C.
        k: how many neighbors.
    """
    shares = np.zeros((len(x), classes))
    for rows, others, likeness in nearest(x, apart=fold, k=k):
        voting = np.isfinite(likeness)
        voters = voting.sum(axis=1, keepdims=True)
        np.add.at(
            shares,
            (np.broadcast_to(rows[:, None], others.shape)[voting], y[others[voting]]),
            np.broadcast_to(1.0 / voters, others.shape)[voting],
        )
    return shares


def nearest(x: Features, *, apart: Ints, k: int) -> Iterator[tuple[Ints, Ints, npt.NDArray[np.float32]]]:
    """Find each image's k nearest others by cosine similarity, exactly, in blocks.

    Takes N² · D multiplications, so time grows with the square of N; memory stays the same, about 100 MB, however many
    images there are, and features may be mapped from disk.

    Args:
        x: features, shape (N, D).
        apart: codes, shape (N,); images with the same code are not neighbors of each other, nor of themselves.
        k: how many neighbors.

    Yields:
        Rows (n,); their neighbors (n, K) in no order; and how alike they are, from -1 to 1; K is the smaller of k and
        N. -inf = there is no such neighbour.
    """
    k = min(k, len(x))
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(x)))
        own = _unit(x[rows[0] : rows[-1] + 1])
        best = np.zeros((len(rows), 0), dtype=np.int64)
        likeness = np.zeros((len(rows), 0), dtype=np.float32)
        for at in range(0, len(x), OTHERS_AT_ONCE):
            others = np.arange(at, min(at + OTHERS_AT_ONCE, len(x)))
            near = own @ _unit(x[others[0] : others[-1] + 1]).T
            near[apart[rows][:, None] == apart[others]] = -np.inf
            known = best.shape[1]
            near = np.concatenate([likeness, near], axis=1)
            kept = np.argpartition(near, -k, axis=1)[:, -k:] if near.shape[1] > k else np.argsort(near, axis=1)
            earlier = np.take_along_axis(best, np.minimum(kept, known - 1), axis=1) if known else kept
            best = np.where(kept < known, earlier, at + kept - known)
            likeness = np.take_along_axis(near, kept, axis=1)
        yield rows, best, likeness


def _unit(x: Features) -> npt.NDArray[np.float32]:
    """Return features of length 1, (n, D)."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1.0), dtype=np.float32)
