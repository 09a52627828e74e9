"""Intervals against closed forms, statsmodels and scipy, and at rates of 0 and 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import (
    clopper_pearson,
    clopper_pearson_bounds,
    jeffreys_bounds,
    newcombe,
    newcombe_bounds,
    ratio_log,
    ratio_score_bounds,
    wilson,
    wilson_bounds,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_a_rate_without_images_is_undefined_with_a_note():
    assert wilson(0, 0) == Estimate(None, None, None, n=0, note="no images")
    assert wilson(0, 0, nothing="no positives").format() == "undefined (no positives)"
    assert clopper_pearson(0, 0).value is None


@pytest.mark.parametrize("function", [wilson, clopper_pearson])
@pytest.mark.parametrize("n", [1, 3, 7, 10, 49, 1000])
def test_the_ends_are_exact_at_rates_of_0_and_1(function, n):
    assert function(0, n).low == 0.0
    assert function(n, n).high == 1.0
    assert 0.0 < function(0, n).high < 1.0
    assert 0.0 < function(n, n).low < 1.0


@given(counts, st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_jeffreys_interval_is_that_of_statsmodels_but_reaches_0_and_1(count, confidence):
    k, n = count
    low, high = jeffreys_bounds(k, n, confidence)
    theirs = proportion_confint(k, n, alpha=1 - confidence, method="jeffreys")
    assert low == pytest.approx(theirs[0] if k else 0.0, abs=1e-9)
    assert high == pytest.approx(theirs[1] if k < n else 1.0, abs=1e-9)


@given(counts, st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_intervals_of_a_rate_agree_with_scipy(count, confidence):
    k, n = count
    for method, function in (("wilson", wilson), ("exact", clopper_pearson)):
        theirs = binomtest(k, n).proportion_ci(confidence, method=method)
        ours = function(k, n, confidence)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(counts)
def test_the_interval_contains_the_rate_and_mirrors_that_of_failures(count):
    k, n = count
    ours, mirrored = wilson(k, n), wilson(n - k, n)
    assert ours.low <= ours.value <= ours.high
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - ours.high, 1 - ours.low), abs=1e-12)


def test_bounds_of_many_groups_equal_single_intervals_and_are_nan_for_empty_groups():
    k, n = np.array([0, 0, 5, 46, 10**6]), np.array([0, 9, 5, 64, 2 * 10**6])
    for bounds, single in ((wilson_bounds, wilson), (clopper_pearson_bounds, clopper_pearson)):
        low, high = bounds(k, n)
        assert np.isnan(low[0])
        assert np.isnan(high[0])
        for i in range(1, len(k)):
            estimate = single(int(k[i]), int(n[i]))
            assert (low[i], high[i]) == (estimate.low, estimate.high)
    theirs = proportion_confint(k[1:], n[1:], method="wilson")
    assert wilson_bounds(k, n)[0][1:] == pytest.approx(np.clip(theirs[0], 0, 1), abs=1e-9)
    assert wilson_bounds(k, n)[1][1:] == pytest.approx(np.clip(theirs[1], 0, 1), abs=1e-9)


@given(counts, counts)
def test_newcombe_agrees_with_statsmodels_and_is_antisymmetric(one, two):
    ours, turned = newcombe(*one, *two), newcombe(*two, *one)
    theirs = confint_proportions_2indep(*one, *two, compare="diff", method="newcomb")
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1e-9)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-ours.value, -ours.high, -ours.low), abs=1e-12)
    assert -1.0 <= ours.low <= ours.value + 1e-12
    assert ours.value - 1e-12 <= ours.high <= 1.0


def test_a_difference_with_an_empty_group_is_undefined():
    assert newcombe(3, 4, 0, 0, nothing="no positives").format() == "undefined (no positives)"
    low, high = newcombe_bounds([3, 9], [4, 10], [0, 3], [0, 10])
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert (low[1], high[1]) == pytest.approx((0.170523, 0.809018), abs=1e-6)


def test_the_log_interval_of_a_ratio_agrees_with_statsmodels():
    estimate = ratio_log(56, 70, 48, 80)
    theirs = confint_proportions_2indep(56, 70, 48, 80, compare="ratio", method="log", correction=False)
    assert (estimate.low, estimate.high) == pytest.approx(theirs, abs=1e-9)


def test_a_ratio_to_a_rate_of_0_is_undefined():
    assert ratio_log(10, 10, 0, 20).note == saying("divided by", "0")
    assert ratio_log(1, 4, 0, 0).note == saying("no images", "one side")


def test_a_ratio_whose_log_interval_collapses_has_the_score_interval():
    zero = ratio_log(0, 10, 3, 12)
    theirs = confint_proportions_2indep(0, 10, 3, 12, compare="ratio", method="score", correction=False)
    assert (zero.value, zero.low, zero.high) == (0.0, 0.0, pytest.approx(theirs[1]))
    one, z2 = ratio_log(5, 5, 2, 2), 1.959963985**2  # the log interval would be [1, 1]; statsmodels has [1, 2.92]
    assert (one.value, one.low, one.high) == (1.0, pytest.approx(5 / (5 + z2)), pytest.approx(1 + z2 / 2))


@pytest.mark.parametrize(
    "counts", [(56, 70, 48, 80), (9, 10, 3, 10), (1, 400, 7, 30), (5, 100_000, 7, 100), (199, 200, 150, 200)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_the_score_interval_of_a_ratio_agrees_with_statsmodels(counts, confidence):
    theirs = confint_proportions_2indep(
        *counts, compare="ratio", method="score", correction=False, alpha=1 - confidence
    )
    assert ratio_score_bounds(*counts, confidence) == pytest.approx(theirs, rel=1e-7)


@given(counts, counts, st.floats(0.1, 10))
def test_the_score_interval_contains_the_ratio_and_inverts_with_it(one, other, scale):
    (k1, n1), (k2, n2) = one, other
    if min(k1, k2) == 0:
        return
    low, high = ratio_score_bounds(k1, n1, k2, n2)
    assert low < (k1 / n1) / (k2 / n2) < high
    back = ratio_score_bounds(k2, n2, k1, n1)
    assert (1 / back[1], 1 / back[0]) == pytest.approx((low, high), rel=1e-6)
    wider = ratio_score_bounds(k1 * scale, n1 * scale, k2 * scale, n2 * scale)
    assert (wider[1] - wider[0] > high - low) is (scale < 1) or scale == pytest.approx(1)


def test_the_score_interval_of_a_ratio_to_0_is_refused():
    with pytest.raises(ValueError, match="denominator"):
        ratio_score_bounds(1, 2, 0, 3)


@pytest.mark.parametrize(("k", "n"), [(5, 4), (-1, 4), (0, -1), (math.nan, 4)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="denominator"):
        wilson_bounds(k, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_an_impossible_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence)
    with pytest.raises(ValueError, match="confidence"):
        clopper_pearson(1, 2, confidence)


@pytest.mark.parametrize(
    ("n", "p", "of_wilson", "of_exact", "of_bootstrap"),
    [(10, 0.95, 0.914, 0.988, 0.400), (20, 0.95, 0.925, 0.984, 0.64), (50, 0.99, 0.911, 0.986, 0.39)],
)
def test_the_coverage_of_nominal_95_percent_intervals_is_known(n, p, of_wilson, of_exact, of_bootstrap):
    k, size = np.arange(n + 1), np.full(n + 1, n)
    chance = binom.pmf(k, n, p)
    percentile = (binom.ppf(0.025, n, k / n) / n, binom.ppf(0.975, n, k / n) / n)  # the bootstrap without its noise
    for (low, high), expected, within in (
        (wilson_bounds(k, size), of_wilson, 6e-4),
        (clopper_pearson_bounds(k, size), of_exact, 6e-4),
        (percentile, of_bootstrap, 6e-3),
    ):
        assert chance[(low <= p) & (p <= high)].sum() == pytest.approx(expected, abs=within)
