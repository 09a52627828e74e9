"""What an image's nearest neighbours are labelled: a second opinion that no head has a part in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlkit.features.heads.head import Features

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROWS_AT_ONCE = 512
FEWEST, MOST = 5, 50


def neighbours_for(y: Ints) -> int:
    """Return how many neighbours to ask: half the images of a class (the median one), from 5 to 50."""
    return int(np.clip(np.median(np.unique(y, return_counts=True)[1]) // 2, FEWEST, MOST))


def neighbour_shares(x: Features, y: Ints, fold: Ints, *, classes: int, k: int) -> Floats:
    """Return the share of each class among every image's k nearest neighbours by cosine similarity, shape (N, C).

    Neighbours come from the other folds, so that no copy of an image and nothing of its group has a vote. With fewer
    than k images outside a fold, all of them vote. Takes N² · D multiplications and 512 · N numbers of memory.

    Args:
        x: features, shape (N, D).
        y: codes of the labels, shape (N,).
        fold: of each image, shape (N,), at least two different ones.
        classes: C.
        k: how many neighbours.
    """
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = (x / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    shares = np.zeros((len(x), classes))
    for number in np.unique(fold):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        voters = min(k, len(outside))
        others = unit[outside].T
        for at in range(0, len(inside), ROWS_AT_ONCE):
            rows = inside[at : at + ROWS_AT_ONCE]
            likeness = unit[rows] @ others
            nearest = np.argpartition(-likeness, voters - 1, axis=1)[:, :voters]
            np.add.at(shares, (rows[:, None], y[outside[nearest]]), 1.0 / voters)
    return shares
