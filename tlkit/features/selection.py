"""Selection of images to label next: smallest margin, k-center coverage, typicality. Needs no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.choices import SEED
from tlkit.features.ood.scores import neighbors, unit_length

TYPICAL_NEIGHBORS = 20
MOST_CLUSTERS = 500
BLOCK = 2048


def margins(proba: npt.NDArray[np.floating]) -> Floats:
    """Return the difference of the two largest probabilities, shape (N,), in [0, 1]; small = unsure.

    Scheffer, Decomain & Wrobel (2001), Active Hidden Markov Models for Information Extraction, IDA, section 3; Settles
    (2009), Active Learning Literature Survey, section 3.1.

    Example:
        >>> margins(np.array([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0]])).round(3).tolist()
        [0.2, 0.8]
    """
    top = np.partition(np.asarray(proba, dtype=np.float64), -2, axis=1)
    return np.asarray(top[:, -1] - top[:, -2])


def smallest_margins(proba: npt.NDArray[np.floating], count: int) -> Ints:
    """Return the rows with the smallest margins, in their order, shape (count,) or fewer."""
    return np.argsort(margins(proba), kind="stable")[:count].astype(np.int64)


def k_center(pool: npt.NDArray[np.floating], labelled: npt.NDArray[np.floating], count: int) -> tuple[Ints, Floats]:
    """Return pool rows that cover the pool: each is the farthest from all labelled and chosen images.

    Sener & Savarese (2018), Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR, algorithm 1;
    its cover radius is at most twice the optimal one. Distances are between features of length 1.

    Args:
        pool: features of the images to choose from, (N, D).
        labelled: features of the labelled images, (M, D), M of at least 1.
        count: how many.

    Returns:
        Rows in the order of the choice, and the distance of each to the nearest image at its choice.
    """
    rows, known = unit_length(pool), unit_length(labelled)
    nearest = neighbors(pool, known, 1)[0][:, 0].astype(np.float64)
    chosen, radius = [], []
    for _ in range(min(count, len(rows))):
        row = int(nearest.argmax())
        chosen.append(row)
        radius.append(float(nearest[row]))
        own = np.sqrt(np.maximum(2 - 2 * (rows @ rows[row]).astype(np.float64), 0.0))
        nearest = np.minimum(nearest, own)
        nearest[row] = -1.0
    return np.array(chosen, dtype=np.int64), np.array(radius)


def typical(
    pool: npt.NDArray[np.floating], labelled: npt.NDArray[np.floating], count: int, *, seed: int = SEED
) -> tuple[Ints, Floats]:
    """Return the most typical pool rows of clusters that hold no labelled image, the largest cluster first.

    TypiClust: Hacohen, Dekel & Weinshall (2022), Active Learning on a Budget: Opposite Strategies Suit High and Low
    Budgets, ICML, section 3: k-means with as many clusters as labelled and requested images (at most 500); typicality
    is one over the mean distance to the 20 nearest images of the cluster (equation 2). Where all clusters are covered,
    those with the fewest labelled images come next, which the paper leaves open.

    Arguments as in `k_center`; `seed` is that of the clustering.

    Returns:
        Rows in the order of the choice, and their typicality.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    rows, known = unit_length(pool), unit_length(labelled)
    every = np.concatenate([rows, known])
    clusters = int(min(len(known) + count, MOST_CLUSTERS, len(every)))
    kind = KMeans if clusters <= 50 else MiniBatchKMeans
    code = kind(clusters, n_init=1, random_state=seed).fit_predict(every)
    covered = np.bincount(code[len(rows) :], minlength=clusters)
    left = {number: np.flatnonzero(code[: len(rows)] == number).tolist() for number in range(clusters)}
    sizes = np.bincount(code, minlength=clusters)
    chosen: list[int] = []
    values: list[float] = []
    ranked: dict[int, list[tuple[float, int]]] = {}
    while len(chosen) < min(count, len(rows)):
        open_clusters = [number for number, members in left.items() if members]
        best = min(open_clusters, key=lambda number: (covered[number], -sizes[number], number))
        if best not in ranked:
            members = left[best]
            typicality = _typicality(rows[members], every[code == best])
            ranked[best] = sorted(zip((-typicality).tolist(), members, strict=True))
        value, row = ranked[best].pop(0)
        left[best].remove(row)
        covered[best] += 1
        chosen.append(row)
        values.append(-value)
    return np.array(chosen, dtype=np.int64), np.array(values)


def _typicality(rows: npt.NDArray[np.float32], cluster: npt.NDArray[np.float32]) -> Floats:
    """Return one over the mean distance of rows to their nearest images of their cluster, themselves apart, (n,)."""
    k = min(TYPICAL_NEIGHBORS + 1, len(cluster))
    if k < 2:
        return np.zeros(len(rows))
    distance = neighbors(rows, cluster, k)[0].astype(np.float64)
    return np.asarray(1.0 / np.maximum(distance[:, 1:].mean(axis=1), 1e-6))
