"""Nonlinear heads by scikit-learn: how each is fitted, how it scores, and what its file may hold.

Features are standardized, shape (N, D); codes of the classes are 0…P-1, each of which occurs, P at least 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.features.heads.linear import Settings

TREES = 200
BOOSTING_ROUNDS = 60
FEATURES_PER_SPLIT = 0.1  # of gradient boosting: a tenth of 1,280 features costs a third of the time, and no accuracy


@dataclass(frozen=True)
class Nonlinear:
    """One kind of nonlinear head.

    Attributes:
        fit: takes features (N, D), codes (N,), one setting, weights (N,), which knn does not use, and a seed; returns a
            fitted scikit-learn estimator.
        scores: takes an estimator and features (N, D); returns logits, or logarithms of smoothed vote shares, (N, P).
        stored_types: types that its skops file may hold besides plain values, each with the loader of skops.
        is_sound: takes an estimator that was read, D and P; returns whether the shapes and indices that scikit-learn's
            compiled code relies on are right.
        grid_scores: yields the scores (M, P) of other images for each setting, sharing distances or kernels; None where
            the settings share nothing.
    """

    fit: Callable[[Floats, Ints, Settings, Floats, int], Any]
    scores: Callable[[Any, npt.NDArray[np.floating]], Floats]
    stored_types: frozenset[tuple[str, str]]
    is_sound: Callable[[Any, int, int], bool]
    grid_scores: Callable[[Floats, Ints, Floats, Sequence[Settings], Floats], Iterator[Floats]] | None = None

    def fit_and_score(
        self, x: Floats, y: Ints, x_new: Floats, grid: Sequence[Settings], *, weights: Floats, seed: int
    ) -> Iterator[Floats]:
        """Yield, for each setting, the scores (M, P) of other images (M, D)."""
        if self.grid_scores is not None:
            yield from self.grid_scores(x, y, x_new, grid, weights)
            return
        for setting in grid:
            yield self.scores(self.fit(x, y, setting, weights, seed), x_new)


def symmetric_decision(decision: Floats) -> Floats:
    """Return decision values of shape (N, P); those of two classes, shape (N,), become ±z/2."""
    values = np.asarray(decision, dtype=np.float64)
    return np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else values


def log_vote_shares(shares: Floats, votes: int) -> Floats:
    """Return the logarithm of shares of votes (N, P), smoothed by one more vote that is spread over all classes."""
    classes = shares.shape[1]
    return np.asarray(np.log((shares * votes + 1.0 / classes) / (votes + 1.0)), dtype=np.float64)


def _decision(estimator: Any, x: npt.NDArray[np.floating]) -> Floats:
    return symmetric_decision(estimator.decision_function(x))


def _fit_knn(x: Floats, y: Ints, setting: Settings, _weights: Floats, _seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(int(setting["n_neighbors"]), len(x)), algorithm="brute").fit(x, y)


def _knn_grid_scores(x: Floats, y: Ints, x_new: Floats, grid: Sequence[Settings], _weights: Floats) -> Iterator[Floats]:
    from sklearn.neighbors import NearestNeighbors

    counts = [min(int(setting["n_neighbors"]), len(x)) for setting in grid]
    nearest = NearestNeighbors(n_neighbors=max(counts), algorithm="brute").fit(x)
    labels = y[nearest.kneighbors(x_new, return_distance=False)]  # (M, K), the nearest first
    for count in counts:
        votes = (labels[:, :count, None] == np.arange(int(y.max()) + 1)).sum(axis=1)
        yield log_vote_shares(votes / count, count)


def _is_sound_knn(estimator: Any, width: int, classes: int) -> bool:
    labels = estimator._y
    return bool(
        estimator._fit_X.shape == (len(labels), width)
        and 0 < estimator.n_neighbors <= len(labels)
        and labels.min() >= 0
        and labels.max() < classes
    )


def _gamma(x: Floats, setting: Settings) -> float:
    """Return the kernel's gamma: a factor times 1/(D · variance), scikit-learn's `gamma="scale"`."""
    return float(setting["gamma_factor"]) / (int(x.shape[1]) * max(float(x.var()), 1e-12))


def _fit_svm(x: Floats, y: Ints, setting: Settings, weights: Floats, _seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(C=setting["C"], gamma=_gamma(x, setting)).fit(x, y, sample_weight=weights)


def _svm_grid_scores(x: Floats, y: Ints, x_new: Floats, grid: Sequence[Settings], weights: Floats) -> Iterator[Floats]:
    from sklearn.metrics.pairwise import euclidean_distances
    from sklearn.svm import SVC

    own, other = euclidean_distances(x, squared=True), euclidean_distances(x_new, x, squared=True)
    kernels: dict[float, tuple[Floats, Floats]] = {}
    for setting in grid:
        gamma = _gamma(x, setting)
        if gamma not in kernels:
            kernels[gamma] = np.exp(-gamma * own), np.exp(-gamma * other)
        model = SVC(C=setting["C"], kernel="precomputed").fit(kernels[gamma][0], y, sample_weight=weights)
        yield _decision(model, kernels[gamma][1])


def _is_sound_svm(estimator: Any, width: int, classes: int) -> bool:
    vectors = len(estimator.support_vectors_)
    return bool(
        estimator.kernel == "rbf"
        and estimator.support_vectors_.shape == (vectors, width)
        and estimator._dual_coef_.shape == (classes - 1, vectors)
        and estimator._n_support.shape == (classes,)
        and estimator._n_support.min() >= 0
        and estimator._n_support.sum() == vectors
        and estimator._intercept_.shape == (classes * (classes - 1) // 2,)
    )


def _fit_forest(x: Floats, y: Ints, setting: Settings, weights: Floats, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    leaf = int(setting["min_samples_leaf"])
    forest = RandomForestClassifier(TREES, min_samples_leaf=leaf, random_state=seed, n_jobs=-1)
    return forest.fit(x, y, sample_weight=weights).set_params(n_jobs=None)


def _is_sound_forest(estimator: Any, width: int, _classes: int) -> bool:
    trees = [tree.tree_ for tree in estimator.estimators_]
    return all(
        tree.n_features == width and _is_tree(tree.children_left, tree.children_right, tree.feature, width)
        for tree in trees
    )


def _fit_boosting(x: Floats, y: Ints, setting: Settings, weights: Floats, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosting = HistGradientBoostingClassifier(
        max_iter=BOOSTING_ROUNDS,
        max_leaf_nodes=int(setting["max_leaf_nodes"]),
        min_samples_leaf=5,
        max_features=FEATURES_PER_SPLIT,
        early_stopping=False,
        random_state=seed,
    ).fit(x, y, sample_weight=weights)
    boosting._feature_subsample_rng = None  # used by fit only; a file may not hold random states
    return boosting


def _is_sound_boosting(estimator: Any, width: int, _classes: int) -> bool:
    parts = [tree.nodes for group in estimator._predictors for tree in group]
    return all(
        _is_tree(
            np.where(nodes["is_leaf"], -1, nodes["left"].astype(np.int64)),
            np.where(nodes["is_leaf"], -1, nodes["right"].astype(np.int64)),
            nodes["feature_idx"].astype(np.int64),
            width,
        )
        and not nodes["is_categorical"].any()
        for nodes in parts
    )


def _is_tree(left: Any, right: Any, feature: Any, width: int) -> bool:
    """Return whether every node's children exist and come after it, so that each path ends, and features are known."""
    inner = left >= 0
    node = np.flatnonzero(inner)
    valid = np.array_equal(inner, right >= 0)
    for child in (left, right):
        valid = valid and bool((child[inner] > node).all() and (child[inner] < len(left)).all())
    return bool(len(left) and valid and (feature[inner] >= 0).all() and (feature[inner] < width).all())


def _objects(*names: str) -> frozenset[tuple[str, str]]:
    return frozenset((f"sklearn.{name}", "ObjectNode") for name in names)


KNN = Nonlinear(
    fit=_fit_knn,
    scores=lambda estimator, x: log_vote_shares(estimator.predict_proba(x), estimator.n_neighbors),
    stored_types=_objects("neighbors._classification.KNeighborsClassifier"),
    is_sound=_is_sound_knn,
    grid_scores=_knn_grid_scores,
)
SVM = Nonlinear(
    fit=_fit_svm,
    scores=_decision,
    stored_types=_objects("svm._classes.SVC"),
    is_sound=_is_sound_svm,
    grid_scores=_svm_grid_scores,
)
FOREST = Nonlinear(
    fit=_fit_forest,
    scores=lambda estimator, x: log_vote_shares(estimator.predict_proba(x), estimator.n_estimators),
    stored_types=_objects("ensemble._forest.RandomForestClassifier", "tree._classes.DecisionTreeClassifier")
    | {("sklearn.tree._tree.Tree", "TreeNode")},
    is_sound=_is_sound_forest,
)
BOOSTING = Nonlinear(
    fit=_fit_boosting,
    scores=_decision,
    stored_types=_objects(
        "ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "ensemble._hist_gradient_boosting.binning._BinMapper",
        "ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "preprocessing._label.LabelEncoder",
        "_loss.loss.HalfBinomialLoss",
        "_loss.loss.HalfMultinomialLoss",
        "_loss.link.Interval",
        "_loss.link.LogitLink",
        "_loss.link.MultinomialLogit",
    )
    | {(f"sklearn._loss._loss.{name}", "LossNode") for name in ("CyHalfBinomialLoss", "CyHalfMultinomialLoss")},
    is_sound=_is_sound_boosting,
)
