"""Shrinkage, heterogeneity and effective size against simulation, scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom
from statsmodels.stats.meta_analysis import combine_effects

from tlkit.stats.shrinkage import heterogeneity, kish_n, shrink, spread_beyond_noise

FIVE = (np.array([2276, 900, 360, 258, 46]), np.array([2484, 974, 412, 336, 64]))


def test_groups_that_differ_within_sampling_variance_are_pooled():
    shrunk = shrink([90, 91, 89], [100, 100, 100])
    assert (shrunk.correlation, shrunk.a, shrunk.b) == (0.0, None, None)
    assert shrunk.rate == pytest.approx([0.9] * 3)
    assert (shrunk.low < 0.9).all()
    assert (shrunk.high > 0.9).all()


def test_the_rate_of_an_empty_group_is_the_mean_of_the_prior():
    shrunk = shrink([95, 60, 0], [100, 100, 0])
    assert shrunk.rate[2] == pytest.approx(shrunk.mean)
    assert shrink([95, 0], [100, 0]) is None


@given(st.lists(st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=8))
def test_a_shrunk_rate_lies_between_the_raw_one_and_the_mean(groups):
    k, n = np.array(groups).T
    shrunk = shrink(k, n)
    raw = k / n
    assert (shrunk.rate >= np.minimum(raw, shrunk.mean) - 1e-9).all()
    assert (shrunk.rate <= np.maximum(raw, shrunk.mean) + 1e-9).all()
    assert (shrunk.low <= shrunk.high).all()


def test_the_spread_beyond_noise_needs_two_groups_of_two_images():
    assert spread_beyond_noise([3, 1], [5, 1]) is None


def test_the_spread_beyond_noise_is_unbiased():
    generator = np.random.default_rng(1)
    rates = generator.beta(18, 2, size=(4000, 6))  # variance 18·2/(20²·21)
    sizes = np.array([10, 20, 30, 40, 50, 60])
    seen = [spread_beyond_noise(k, sizes) for k in generator.binomial(sizes, rates)]
    assert np.mean(seen) == pytest.approx(36 / (400 * 21), rel=0.05)


def test_heterogeneity_agrees_with_statsmodels():
    k, n = FIVE
    value, variance = k / n, k / n * (1 - k / n) / n
    ours, theirs = heterogeneity(value, variance), combine_effects(value, variance, method_re="dl")
    assert ours.q == pytest.approx(theirs.q)
    assert ours.p == pytest.approx(theirs.test_homogeneity().pvalue, rel=1e-6)
    assert ours.i_squared == pytest.approx(theirs.i2)
    assert ours.tau_squared == pytest.approx(theirs.tau2)


def test_heterogeneity_is_never_negative_and_needs_two_groups_with_noise():
    ours = heterogeneity([0.9, 0.9], [0.01, 0.02])
    assert (ours.q, ours.i_squared, ours.tau_squared, ours.p) == (0.0, 0.0, 0.0, 1.0)
    assert heterogeneity([0.9], [0.01]) is None
    with pytest.raises(ValueError, match="variance"):
        heterogeneity([1.0, 0.9], [0.0, 0.01])


def test_the_effective_size_of_equal_weights_is_their_number():
    assert kish_n([2.5] * 7) == pytest.approx(7)


@pytest.mark.parametrize("weights", [[1, -1], [1, np.nan], [1, np.inf], [0, 0], []])
def test_negative_infinite_or_zero_weights_are_refused(weights):
    with pytest.raises(ValueError, match="Weights"):
        kish_n(weights)


def test_the_prior_has_the_maximum_likelihood_of_scipys_beta_binomial_on_a_grid():
    k, n = np.array([18, 40, 9, 30]), np.array([20, 60, 10, 33])
    found = shrink(k, n, method="likelihood")
    best = betabinom.logpmf(k, n, found.a, found.b).sum()
    for mean in np.linspace(0.5, 0.95, 10):
        for strength in np.geomspace(0.5, 500, 20):
            assert betabinom.logpmf(k, n, mean * strength, (1 - mean) * strength).sum() <= best + 1e-6


def test_equal_groups_have_one_rate_by_maximum_likelihood():
    found = shrink([50, 50, 50], [100, 100, 100], method="likelihood")
    assert (found.correlation, found.a) == (0.0, None)
    assert found.rate.tolist() == [0.5] * 3
    assert shrink([10, 20], [10, 20], method="likelihood").rate.tolist() == [1.0, 1.0]
