"""Out-of-distribution scores: MSP, energy, k-NN and Mahalanobis distance. Higher = more foreign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax, logsumexp

from tlkit.arrays import Floats, Ints
from tlkit.choices import SEED, OodScoreName
from tlkit.errors import DataError, did_you_mean
from tlkit.stats.nearest_neighbors import iter_nearest_references

SCORES: tuple[OodScoreName, ...] = get_args(OodScoreName)
ON_LOGITS: tuple[OodScoreName, ...] = ("msp", "energy")

MOST_REFERENCES = 10_000
"""Training images that k-NN keeps; more are subsampled, as Sun et al. (2022), section 4.3, show to cost little."""
FEWEST_NEIGHBORS, MOST_NEIGHBORS = 5, 50


@dataclass(frozen=True, eq=False)
class OodScore:
    """A fitted score; call `score` with features and logits.

    Attributes:
        name: which.
        arrays: what it compares with, float32, by name; empty for scores of the logits alone.
        k: which nearest neighbor k-NN takes; 0 for the others.
    """

    name: OodScoreName
    arrays: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    k: int = 0

    def score(self, x: npt.NDArray[np.floating], logits: npt.NDArray[np.floating]) -> Floats:
        """Return the score of each image, shape (N,), higher = more foreign.

        Args:
            x: features (N, D) of the same backbone, in the same arithmetic to rounding error.
            logits: of the model's head, (N, C); only msp and energy use them.
        """
        match self.name:
            case "msp":
                return msp(logits)
            case "energy":
                return energy(logits)
            case "knn":
                return _knn(x, self.arrays["reference"], self.k)
            case "mahalanobis":
                return _mahalanobis(x, self.arrays["means"], self.arrays["factor"])


def msp(logits: npt.NDArray[np.floating]) -> Floats:
    """Return minus the maximum softmax probability, shape (N,), in [-1, -1/C].

    Hendrycks & Gimpel (2017), A Baseline for Detecting Misclassified and Out-of-Distribution Examples, ICLR, section 2.

    Example:
        >>> msp(np.log([[0.7, 0.3], [0.5, 0.5]])).round(3).tolist()
        [-0.7, -0.5]
    """
    return np.asarray(-np.exp(log_softmax(np.asarray(logits, dtype=np.float64), axis=1).max(axis=1)))


def energy(logits: npt.NDArray[np.floating]) -> Floats:
    """Return the free energy −log Σ exp(logit) at temperature 1, shape (N,).

    Liu, Wang, Owens & Li (2020), Energy-based Out-of-distribution Detection, NeurIPS, equation 4; section 3.2 takes
    T = 1.
    """
    return np.asarray(-logsumexp(np.asarray(logits, dtype=np.float64), axis=1))


def neighbor_rank(n: int) -> int:
    """Return k for n reference images: a thousandth of them, from 5 to 50, as Sun et al. (2022) use at each size."""
    return int(min(n, np.clip(n // 1000, FEWEST_NEIGHBORS, MOST_NEIGHBORS)))


def require_score(name: str) -> OodScoreName:
    """Return the name of a score.

    Raises:
        DataError: there is no such score.
    """
    if name not in SCORES:
        raise DataError(f"There is no score {name!r}.{did_you_mean(name, SCORES)} There are {', '.join(SCORES)}.")
    found: OodScoreName = name
    return found


def fit_score(name: OodScoreName, x: npt.NDArray[np.floating], y: Ints, *, seed: int = SEED) -> OodScore:
    """Return a score fitted to training images.

    k-NN: the distance to the k-th nearest training image between features of length 1. Sun, Ming, Zhu & Li (2022),
    Out-of-distribution Detection with Deep Nearest Neighbors, ICML, section 3.

    Mahalanobis: the smallest squared distance to a class mean, with one covariance for all classes. Lee, Lee, Lee &
    Shin (2018), A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS, section 2.1, equations 1
    and 2, on the last layer's features. The covariance is shrunk (Ledoit & Wolf 2004, J. Multivariate Analysis 88:365),
    since it has no inverse with fewer images than features.

    Args:
        name: which.
        x: features of the training images, (N, D).
        y: codes of their classes, (N,); only mahalanobis uses them.
        seed: of the subsample that k-NN keeps.
    """
    if name in ON_LOGITS:
        return OodScore(name)
    if name == "knn":
        rows = np.arange(len(x))
        if len(x) > MOST_REFERENCES:
            rows = np.sort(np.random.default_rng(seed).choice(len(x), MOST_REFERENCES, replace=False))
        return OodScore("knn", {"reference": unit_length(x[rows])}, neighbor_rank(len(rows)))
    from sklearn.covariance import LedoitWolf

    present, code = np.unique(y, return_inverse=True)
    rows64 = np.asarray(x, dtype=np.float64)
    sums = np.zeros((len(present), rows64.shape[1]))
    np.add.at(sums, code, rows64)
    means = sums / np.bincount(code)[:, None]
    precision = LedoitWolf(assume_centered=True).fit(rows64 - means[code]).precision_
    factor = np.linalg.cholesky(precision + 1e-12 * np.trace(precision) / len(precision) * np.eye(len(precision)))
    return OodScore("mahalanobis", {"means": means.astype(np.float32), "factor": factor.astype(np.float32)})


def unit_length(x: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return features scaled to length 1, (N, D)."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def neighbors(
    x: npt.NDArray[np.floating], reference: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.float32], Ints]:
    """Return the distances to the k nearest reference images, ascending, and their rows, both (N, k).

    Args:
        x: features (N, D); they are scaled to length 1.
        reference: features of length 1, (R, D).
        k: at most R.

    Distances are computed from differences: those of products are inexact for images that are very near. So are the
    ranks; the nearest 2k + 8 by products are therefore ranked anew.
    """
    unit = unit_length(x)
    distance, rows = np.zeros((len(x), k), dtype=np.float32), np.zeros((len(x), k), dtype=np.int64)
    for block, near, _ in iter_nearest_references(unit, reference, k=min(2 * k + 8, len(reference))):
        for row, found in zip(block.tolist(), near, strict=True):
            far = np.linalg.norm(reference[found] - unit[row], axis=1)
            order = np.argsort(far, kind="stable")[:k]
            distance[row], rows[row] = far[order], found[order]
    return distance, rows


def _knn(x: npt.NDArray[np.floating], reference: npt.NDArray[np.float32], k: int) -> Floats:
    return np.asarray(neighbors(x, reference, k)[0][:, -1], dtype=np.float64)


def _mahalanobis(
    x: npt.NDArray[np.floating], means: npt.NDArray[np.float32], factor: npt.NDArray[np.float32]
) -> Floats:
    from scipy.spatial.distance import cdist

    white = factor.astype(np.float64)
    return np.asarray(cdist(x.astype(np.float64) @ white, means.astype(np.float64) @ white, "sqeuclidean").min(axis=1))
