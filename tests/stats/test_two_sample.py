"""Two-sample tests: values by scikit-learn, level under the null hypothesis with and without clusters, power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics.pairwise import rbf_kernel

from tlkit.stats import two_sample
from tlkit.stats.two_sample import classifier_test, mmd_test


def keys(n):
    return [f"image {number}" for number in range(n)]


def sample(rng, n, *, clusters=1, width=12):
    """Return features of clusters of equal size and their numbers."""
    centres = rng.standard_t(4, size=(n // clusters, width))
    unit = np.repeat(np.arange(n // clusters), clusters)
    return centres[unit] + 0.3 * rng.normal(size=(n, width)) * (clusters > 1), unit


def test_mmd_is_the_unbiased_estimate_with_the_median_distance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(31, 5))
    second = np.arange(31) >= 18
    found = mmd_test(x, second, permutations=19)
    distances = np.linalg.norm(x[:, None] - x, axis=2)[np.triu_indices(31, 1)]
    assert found.bandwidth == pytest.approx(np.median(distances))
    kernel = rbf_kernel(x, gamma=1 / (2 * found.bandwidth**2))
    a, b, ab = kernel[:18, :18], kernel[18:, 18:], kernel[:18, 18:]
    expected = (a.sum() - 18) / (18 * 17) + (b.sum() - 13) / (13 * 12) - 2 * ab.mean()
    assert found.mmd2 == pytest.approx(expected)


@pytest.mark.parametrize("width", [6, 80])
def test_the_classifier_is_ridge_regression_with_the_threshold_between_the_means(width):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, width)) @ rng.normal(size=(width, width)) + 2 * rng.normal(size=(60, 1))
    x[40:, 0] += 2
    second = np.arange(60) >= 40
    found = classifier_test(x, second, keys=keys(60), permutations=19)
    from sklearn.covariance import ledoit_wolf_shrinkage

    z = (x - x.mean(axis=0)) / x.std(axis=0)
    shrinkage = ledoit_wolf_shrinkage(z, assume_centered=True)
    assert shrinkage < two_sample.MOST_SHRINKAGE
    fold = two_sample._dealt(keys(60), None, 5, 0)
    called, score = np.zeros(60, dtype=bool), np.zeros(60)
    for number in range(5):
        train, test = fold != number, fold == number
        own = z[train] - z[train].mean(axis=0)
        penalty = shrinkage / (1 - shrinkage) * (own**2).sum() / width + 1e-9 * train.sum()
        model = Ridge(alpha=penalty).fit(z[train], second[train])
        means = [model.predict(z[train & (second == side)]).mean() for side in (False, True)]
        score[test] = model.predict(z[test]) - np.mean(means)
        called[test] = score[test] > 0
    assert found.score == pytest.approx(score)
    assert found.accuracy.value == pytest.approx(balanced_accuracy_score(second, called))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def p_values(draws, *, n=60, new=20, clusters=1, named=True, shift=0.0, permutations=39, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for draw in range(draws):
        x, unit = sample(rng, n, clusters=clusters)
        second = np.arange(n) >= n - new
        x[second, :4] += shift
        units = unit if named else None
        found.append(
            (
                classifier_test(x, second, keys=keys(n), unit=units, permutations=permutations, seed=draw).p,
                mmd_test(x, second, unit=units, permutations=permutations, seed=draw).p,
            )
        )
    return np.array(found)


def most_alarms(draws):
    return 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws)


def test_the_level_holds_and_a_shift_is_found():
    level = (p_values(200) <= 0.05).mean(axis=0)
    assert (level <= most_alarms(200)).all(), level
    assert ((p_values(30, shift=2.0) <= 0.05).mean(axis=0) > 0.8).all()


def test_clusters_change_sides_together_and_unnamed_ones_break_the_level():
    assert ((p_values(150, clusters=4, named=True) <= 0.05).mean(axis=0) <= most_alarms(150)).all()
    assert ((p_values(60, clusters=4, named=False) <= 0.05).mean(axis=0) > 0.15).all()


@pytest.mark.series
@pytest.mark.parametrize(("n", "new", "clusters"), [(60, 20, 1), (200, 100, 1), (120, 12, 1), (120, 40, 4)])
def test_the_level_holds_in_a_long_series(n, new, clusters):
    found = p_values(2000, n=n, new=new, clusters=clusters, permutations=99, seed=1)
    assert ((found <= 0.05).mean(axis=0) <= most_alarms(2000)).all()
    corrected = np.minimum(1, 2 * found.min(axis=1))  # the verdict's
    assert (corrected <= 0.05).mean() <= most_alarms(2000)


@pytest.mark.series
def test_power_grows_with_the_shift():
    power = [(p_values(200, shift=shift, seed=2) <= 0.05).mean(axis=0) for shift in (0.5, 1.0, 2.0)]
    assert (np.diff(power, axis=0) > 0).all() and (power[-1] > 0.9).all()
