"""Scores of features compared with naive computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlkit.analysis.feature_scores import knn_leave_one_out, log_me, probe


def naive_evidence(features, target, alpha, beta):
    """The density of the labels under the model itself: t ~ N(0, FFᵀ/α + I/β)."""
    covariance = features @ features.T / alpha + np.eye(len(target)) / beta
    return multivariate_normal.logpdf(target, np.zeros(len(target)), covariance)


@pytest.mark.parametrize(("n", "width"), [(60, 8), (30, 50)])
def test_log_me_is_the_greatest_evidence_of_the_linear_model(make_features, n, width):
    x, y, names = make_features(n=n, width=width, apart=0.8)
    features = x.astype(np.float64)
    naive = []
    for code in range(3):
        target = (y == code).astype(float)
        starts = [(a, b) for a in np.geomspace(0.1, 1e4, 9) for b in np.geomspace(1, 100, 5)]
        best = minimize(
            lambda logs, target=target: -naive_evidence(features, target, *np.exp(logs)),
            np.log(max(starts, key=lambda start, target=target: naive_evidence(features, target, *start))),
            method="L-BFGS-B",
            bounds=[(-5, 15), (-5, 10)],
        )
        naive.append(-best.fun)
    assert log_me(x, y, classes=names) == pytest.approx(np.mean(naive) / n, abs=2e-3)


@pytest.mark.parametrize(("n", "few", "seed"), [(8, 1, 0), (13, 6, 2), (4, 2, 3)])
def test_log_me_of_few_images_in_many_dimensions_is_the_evidence_without_noise(n, few, seed):
    features = 3 * np.maximum(np.random.default_rng(seed).normal(size=(n, 400)), 0).astype(np.float32)
    y = np.array([0] * (n - few) + [1] * few)
    kernel = features.astype(np.float64) @ features.T.astype(np.float64)
    limit = []
    for code in range(2):
        target = (y == code).astype(float)
        alpha = n / (target @ np.linalg.solve(kernel, target))  # where the derivative of the evidence is 0
        limit.append(multivariate_normal.logpdf(target, np.zeros(n), kernel / alpha))
    assert log_me(features, y, classes="ab") == pytest.approx(np.mean(limit) / n, abs=2e-3)


@pytest.mark.parametrize("noise", [0.0, 1e-7, 1e-4])
def test_log_me_with_copies_among_few_images_is_a_number_and_ranks_all_the_same(make_features, noise):
    scores = []
    for apart in (0.1, 1.0, 4.0):
        x, y, names = make_features(n=40, width=300, apart=apart)
        copies = x[:6] + noise * np.random.default_rng(0).normal(size=(6, 300)).astype(np.float32)
        scores.append(log_me(np.concatenate([x, copies]), np.concatenate([y, y[:6]]), classes=names))
        if noise == 0.0:
            assert scores[-1] == pytest.approx(log_me(x, y, classes=names))  # which show nothing new
    assert np.isfinite(scores).all() and scores == sorted(scores)


def test_log_me_ranks_features_by_class_separation(make_features):
    scores = [log_me(*make_features(n=300, apart=apart)[:2], classes="abc") for apart in (0.1, 0.5, 1.0, 2.0)]
    assert scores == sorted(scores) and len(set(scores)) == 4


def test_nearest_neighbor_is_scikit_learns_leave_one_out(make_features):
    x, y, names = make_features(n=60)
    expected = cross_val_score(KNeighborsClassifier(1, metric="cosine"), x, y, cv=LeaveOneOut())
    found = knn_leave_one_out(x, y, classes=names, k=1)
    assert np.array_equal(found.correct, expected.astype(bool))
    assert found.accuracy.value == expected.mean() and found.accuracy.n == 60
    odd = knn_leave_one_out(x, (y > 0).astype(int), classes=("a", "b"), k=5)  # two classes, five votes: no ties
    votes = cross_val_score(KNeighborsClassifier(5, metric="cosine"), x, (y > 0).astype(int), cv=LeaveOneOut())
    assert np.array_equal(odd.correct, votes.astype(bool))


def test_copies_do_not_vote_on_each_other():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(40, 10)), 2, axis=0).astype(np.float32)
    y = np.repeat(rng.integers(0, 2, 40), 2)
    digests = [str(row // 2) for row in range(80)]
    assert knn_leave_one_out(x, y, classes=("a", "b"), k=1).accuracy.value == 1.0
    assert knn_leave_one_out(x, y, classes=("a", "b"), k=1, digests=digests).accuracy.value < 0.8
    alone = knn_leave_one_out(x, y, classes=("a", "b"), k=1, digests=[""] * 80)
    assert alone.accuracy.value == 1.0


def test_probe_is_the_accuracy_of_ridge_fitted_fold_by_fold(make_features):
    x, y, names = make_features(n=120)
    fold = np.arange(120) // 3 % 4
    found = probe(x, y, classes=names, folds=fold)
    by_alpha = {}
    for alpha in (1e5, 3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 10.0):
        right = np.zeros(120, dtype=bool)
        for number in range(4):
            train = fold != number
            model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=alpha)).fit(x[train], y[train])
            right[~train] = model.predict(x[~train]) == y[~train]
        by_alpha[alpha] = right
    assert any(np.array_equal(found.correct, right) for right in by_alpha.values())
    assert found.accuracy.value == found.correct.mean()
