"""Conformal prediction sets, against MAPIE and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import RAPSConformityScore
from sklearn.base import BaseEstimator, ClassifierMixin

from tlkit.stats.conformal import (
    SET_METHODS,
    conditional_quantiles,
    conformal_quantile,
    fewest_images,
    nonconformity,
    sets_of,
)


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its probabilities."""

    def fit(self, x, y):
        self.classes_ = np.arange(x.shape[1])
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)


def draw(n: int, rng: np.random.Generator, *, classes: int = 5, sharpness: float = 0.6):
    proba = rng.dirichlet(np.full(classes, sharpness), size=n)
    return proba, (proba.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def mapie(method: str, seed: int):
    rng = np.random.default_rng(seed)
    (proba, y), (new, _) = draw(120, rng), draw(60, rng)
    estimator = Given().fit(proba, y)
    found = SplitConformalClassifier(
        estimator, confidence_level=[0.8, 0.95], conformity_score=method, prefit=True, random_state=seed
    )
    return proba, y, new, found.conformalize(proba, y)


@pytest.mark.parametrize("seed", range(5))
def test_lac_sets_are_mapies(seed):
    proba, y, new, oracle = mapie("lac", seed)
    expected = oracle.predict_set(new)[1]
    scores = nonconformity(proba, "lac")[np.arange(len(y)), y]
    for place, coverage in enumerate((0.8, 0.95)):
        held = sets_of(nonconformity(new, "lac"), conformal_quantile(scores, coverage))
        assert (held == expected[:, :, place]).all()


@pytest.mark.parametrize("seed", range(5))
def test_aps_sets_with_the_same_random_numbers_are_mapies(seed):
    proba, y, new, oracle = mapie("aps", seed)
    expected = oracle.predict_set(new, conformity_score_params={"include_last_label": "randomized"})[1]
    share = 1 - np.random.RandomState(seed).uniform(size=len(y))
    scores = nonconformity(proba, "aps", share=share)[np.arange(len(y)), y]
    for place, coverage in enumerate((0.8, 0.95)):
        new_share = 1 - np.random.RandomState(seed).uniform(size=len(new))
        held = sets_of(nonconformity(new, "aps", share=new_share), conformal_quantile(scores, coverage) + 1e-9)
        assert (held == expected[:, :, place]).all()


@pytest.mark.parametrize("seed", range(5))
def test_raps_sets_with_mapies_penalty_and_limit_are_mapies(seed):
    rng = np.random.default_rng(seed)
    (proba, y), (new, _) = draw(300, rng, classes=8), draw(80, rng, classes=8)
    score = RAPSConformityScore(size_raps=0.3)
    oracle = SplitConformalClassifier(
        Given().fit(proba, y), confidence_level=0.9, conformity_score=score, prefit=True, random_state=seed
    ).conformalize(proba, y)
    expected = oracle.predict_set(new, conformity_score_params={"include_last_label": False})[1][:, :, 0]
    penalty, free, limit = (float(np.ravel(one)[0]) for one in (score.lambda_star, score.k_star, score.quantiles_))
    scores = nonconformity(new, "raps", share=1.0, penalty=penalty, free_classes=free)
    assert (sets_of(scores, limit + 1e-9) == expected).all()


def test_the_limit_is_infinite_where_images_are_too_few():
    scores = np.random.default_rng(0).random(57)
    needed = fewest_images(0.95)
    assert needed == 19 and conformal_quantile(scores[:needed], 0.95) == scores[:needed].max()
    assert math.isinf(conformal_quantile(scores[: needed - 1], 0.95)) and math.isinf(conformal_quantile([], 0.95))


@given(st.integers(0, 10_000), st.sampled_from(SET_METHODS), st.integers(2, 30))
@settings(max_examples=40, deadline=None)
def test_a_set_holds_the_most_probable_classes_and_aps_sets_are_never_empty(seed, method, classes):
    rng = np.random.default_rng(seed)
    proba, y = draw(40, rng, classes=classes)
    scores = nonconformity(proba, method)
    held = sets_of(scores, conformal_quantile(scores[np.arange(40), y], 0.8))
    for row, inside in zip(proba, held, strict=True):
        assert not inside.any() or row[inside].min() >= row[~inside].max(initial=0.0)
    assert method == "lac" or held.any(axis=1).all()


@pytest.mark.parametrize("draws", [200, pytest.param(2000, marks=pytest.mark.series)])
@pytest.mark.parametrize("method", SET_METHODS)
def test_mean_coverage_over_calibration_draws_is_the_wanted_one_overall_and_by_group(method, draws):
    """Groups differ in difficulty: one limit covers on average, one limit a group covers in each."""
    rng = np.random.default_rng(7)

    def sample(n):
        hard = rng.random(n) < 0.4
        proba, y = draw(n, rng)
        easy, its = draw(n, rng, sharpness=0.15)
        return np.where(hard[:, None], proba, easy), np.where(hard, y, its), hard.astype(np.int64)

    new, truth, group = sample(4000)
    strange = nonconformity(new, method)[np.arange(4000), truth]
    overall, within = [], []
    for _ in range(draws):
        proba, y, of = sample(300)
        scores = nonconformity(proba, method)[np.arange(300), y]
        overall.append((strange <= conformal_quantile(scores, 0.95)).mean())
        limits = conditional_quantiles(scores, of, 2, 0.95)
        within.append([(strange[group == one] <= limits[one]).mean() for one in (0, 1)])
    assert 0.94 <= np.mean(overall) <= 0.96
    assert (np.mean(within, axis=0) >= 0.94).all() and (np.mean(within, axis=0) <= 0.96).all()
