"""Nonlinear heads by scikit-learn: nearest neighbors, kernel SVM, random forest and gradient boosting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.features.heads.head_kinds import HeadKind, Settings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TREES = 200
BOOSTING_ROUNDS = 60
FEATURES_PER_SPLIT = 0.1  # of gradient boosting: a tenth of 1,280 features costs a third of the time, and no accuracy


@dataclass(frozen=True)
class EstimatorScores:
    """Scores of a fitted scikit-learn estimator on standardized features.

    Attributes:
        kind: which kind of head it is.
        estimator: fitted on codes 0…P-1.
    """

    kind: HeadKind
    estimator: Any

    def scores(self, x: npt.NDArray[np.floating]) -> Floats:
        """Return scores of shape (N, P): logits, or the logarithm of smoothed shares of votes."""
        match self.kind:
            case "svm" | "gradient_boosting":
                return symmetric_decision(self.estimator.decision_function(x))
            case "knn":
                return log_vote_shares(self.estimator.predict_proba(x), self.estimator.n_neighbors)
            case _:
                return log_vote_shares(self.estimator.predict_proba(x), self.estimator.n_estimators)


def fit_estimator(
    kind: HeadKind, x: Floats, y: Ints, setting: Settings, *, weights: Floats, seed: int
) -> EstimatorScores:
    """Return the fitted estimator of a nonlinear head.

    `x` (N, D) is standardized, `y` (N,) holds the codes 0…P-1, P at least 2. knn does not use the `weights` (N,).
    """
    match kind:
        case "knn":
            from sklearn.neighbors import KNeighborsClassifier

            neighbors = min(int(setting["n_neighbors"]), len(x))
            return EstimatorScores(kind, KNeighborsClassifier(neighbors, algorithm="brute").fit(x, y))
        case "svm":
            from sklearn.svm import SVC

            model = SVC(C=setting["C"], gamma=_gamma(x, setting))
            return EstimatorScores(kind, model.fit(x, y, sample_weight=weights))
        case "random_forest":
            from sklearn.ensemble import RandomForestClassifier

            leaf = int(setting["min_samples_leaf"])
            forest = RandomForestClassifier(TREES, min_samples_leaf=leaf, random_state=seed, n_jobs=-1)
            return EstimatorScores(kind, forest.fit(x, y, sample_weight=weights).set_params(n_jobs=None))
        case "gradient_boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            boosting = HistGradientBoostingClassifier(
                max_iter=BOOSTING_ROUNDS,
                max_leaf_nodes=int(setting["max_leaf_nodes"]),
                min_samples_leaf=5,
                max_features=FEATURES_PER_SPLIT,
                early_stopping=False,
                random_state=seed,
            )
            return EstimatorScores(kind, boosting.fit(x, y, sample_weight=weights))
        case _:
            raise AssertionError(f"{kind} is linear")


def fit_and_score_estimators(
    kind: HeadKind, x: Floats, y: Ints, x_new: Floats, grid: Sequence[Settings], *, weights: Floats, seed: int
) -> Iterator[Floats]:
    """Yield, for each setting, the scores (M, P) of other images; settings share distances and kernels.

    Arguments as in `fit_estimator`; `x_new` (M, D) is standardized.
    """
    if kind == "knn":
        yield from _knn_scores(x, y, x_new, grid)
    elif kind == "svm":
        yield from _svm_scores(x, y, x_new, grid, weights)
    else:
        for setting in grid:
            yield fit_estimator(kind, x, y, setting, weights=weights, seed=seed).scores(x_new)


def symmetric_decision(decision: Floats) -> Floats:
    """Return decision values of shape (N, P); those of two classes, shape (N,), become ±z/2."""
    values = np.asarray(decision, dtype=np.float64)
    return np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else values


def log_vote_shares(shares: Floats, votes: int) -> Floats:
    """Return the logarithm of shares of votes (N, P), smoothed by one more vote that is spread over all classes."""
    classes = shares.shape[1]
    return np.asarray(np.log((shares * votes + 1.0 / classes) / (votes + 1.0)), dtype=np.float64)


def _gamma(x: Floats, setting: Settings) -> float:
    """Return the kernel's gamma: a factor times 1/(D · variance), scikit-learn's `gamma="scale"`."""
    factor = float(setting["gamma_factor"])
    return factor / (int(x.shape[1]) * max(float(x.var()), 1e-12))


def _knn_scores(x: Floats, y: Ints, x_new: Floats, grid: Sequence[Settings]) -> Iterator[Floats]:
    from sklearn.neighbors import NearestNeighbors

    counts = [min(int(setting["n_neighbors"]), len(x)) for setting in grid]
    nearest = NearestNeighbors(n_neighbors=max(counts), algorithm="brute").fit(x)
    labels = y[nearest.kneighbors(x_new, return_distance=False)]  # (M, K), the nearest first
    for count in counts:
        votes = (labels[:, :count, None] == np.arange(int(y.max()) + 1)).sum(axis=1)
        yield log_vote_shares(votes / count, count)


def _svm_scores(x: Floats, y: Ints, x_new: Floats, grid: Sequence[Settings], weights: Floats) -> Iterator[Floats]:
    from sklearn.metrics.pairwise import euclidean_distances
    from sklearn.svm import SVC

    own, other = euclidean_distances(x, squared=True), euclidean_distances(x_new, x, squared=True)
    kernels: dict[float, tuple[Floats, Floats]] = {}
    for setting in grid:
        gamma = _gamma(x, setting)
        if gamma not in kernels:
            kernels[gamma] = np.exp(-gamma * own), np.exp(-gamma * other)
        model = SVC(C=setting["C"], kernel="precomputed").fit(kernels[gamma][0], y, sample_weight=weights)
        yield symmetric_decision(model.decision_function(kernels[gamma][1]))
