"""Tests of counts against closed forms, scipy and statsmodels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import Table
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from tlkit.stats.hypothesis_tests import cochran_armitage, fisher_exact, max_gap, mcnemar, omnibus

FIVE = ([2276, 900, 360, 258, 46], [2484, 974, 412, 336, 64])
counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def all_assignments(k, n):
    """Every assignment of the successes to the images, one by one: successes per group, (assignments, G)."""
    edges = np.cumsum([0, *n])
    chosen = np.array(list(itertools.combinations(range(sum(n)), sum(k))))
    return np.stack([((chosen >= a) & (chosen < b)).sum(axis=1) for a, b in itertools.pairwise(edges)], axis=1)


@given(counts, counts)
def test_fisher_agrees_with_scipy(one, two):
    (k1, n1), (k2, n2) = one, two
    ours = fisher_exact(k1, n1, k2, n2)
    if 0 < k1 + k2 < n1 + n2:
        assert ours == pytest.approx(stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue, rel=1e-7)
        assert ours == fisher_exact(k2, n2, k1, n1)
    else:
        assert ours is None


def test_fisher_agrees_with_scipy_on_a_hundred_thousand_images():
    ours = fisher_exact(45_300, 50_000, 45_000, 50_000)
    assert ours == pytest.approx(stats.fisher_exact([[45_300, 4_700], [45_000, 5_000]]).pvalue, rel=1e-5)


@pytest.mark.parametrize("table", [(0, 0, 3, 5), (3, 5, 0, 0), (0, 5, 0, 5), (5, 5, 7, 7)])
def test_there_is_no_fisher_test_with_an_empty_margin(table):
    assert fisher_exact(*table) is None


@pytest.mark.parametrize(("k", "n"), [((2, 1, 0), (3, 4, 2)), ((3, 1), (4, 5)), ((0, 3, 3, 1), (1, 3, 3, 3))])
def test_the_exact_permutations_are_all_assignments(k, n):
    gaps = np.ptp(all_assignments(k, n) / np.array(n), axis=1)
    test = max_gap(k, n)
    assert test.expected == pytest.approx(gaps.mean())
    assert test.p == pytest.approx((gaps >= test.gap - 1e-9).mean())


def test_random_permutations_agree_with_the_exact_ones_and_the_normal_range(monkeypatch):
    exact = max_gap([90, 80, 95], [100, 90, 100])
    monkeypatch.setattr("tlkit.stats.hypothesis_tests.EXACT_LIMIT", 1)
    drawn = max_gap([90, 80, 95], [100, 90, 100])
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p == pytest.approx(exact.p, abs=0.01)
    assert drawn.expected == pytest.approx(exact.expected, abs=0.002)
    ten = max_gap([90] * 10, [100] * 10)
    assert ten.expected == pytest.approx(0.0923, abs=0.0015)  # d₁₀ √(pq/n)


def test_a_random_p_value_is_above_zero():
    test = max_gap([2000, 1500, 1000], [2000, 2000, 2000], draws=999)
    assert test.p == 1 / 1000


def test_the_largest_gap_needs_two_groups_and_ignores_empty_ones():
    assert max_gap([3], [5]) is None
    assert max_gap([3, 0], [5, 0]) is None
    assert max_gap([5, 0, 3, 1], [5, 0, 5, 5]) == max_gap([5, 3, 1], [5, 5, 5])


def test_groups_without_failures_have_a_gap_of_0_and_a_p_value_of_1():
    test = max_gap([5, 9, 7], [5, 9, 7])
    assert (test.gap, test.expected, test.p) == (0.0, 0.0, 1.0)


@given(st.lists(counts, min_size=2, max_size=6), st.randoms())
def test_results_do_not_depend_on_the_order_of_the_groups(groups, random):
    shuffled = random.sample(groups, len(groups))
    k, n = zip(*groups, strict=True)
    k2, n2 = zip(*shuffled, strict=True)
    assert max_gap(k, n, draws=200) == max_gap(k2, n2, draws=200)
    assert omnibus(k, n, draws=200) == omnibus(k2, n2, draws=200)


def test_the_permutation_test_keeps_its_level_and_the_percentile_interval_of_a_gap_excludes_0_every_time():
    generator = np.random.default_rng(3)
    p = [max_gap(generator.binomial(200, 0.9, size=5), [200] * 5, draws=500, seed=i).p for i in range(400)]
    assert np.mean(np.array(p) < 0.05) <= 0.08
    for k in generator.binomial(200, 0.9, (20, 5)):
        drawn = generator.binomial(200, k / 200, (300, 5)) / 200
        assert np.quantile(np.ptp(drawn, axis=1), 0.025) > 0


def test_the_omnibus_test_agrees_with_scipy():
    test = omnibus(*FIVE)
    k, n = np.array(FIVE)
    theirs = stats.chi2_contingency(np.array([k, n - k]), correction=False)
    assert test.method == "chi-square"
    assert test.df == 4
    assert test.statistic == pytest.approx(theirs.statistic)
    assert test.p == pytest.approx(theirs.pvalue)


def test_the_omnibus_test_permutes_with_small_expected_counts():
    test = omnibus([5, 3, 1], [5, 5, 5])
    assert test.method == "permutation"
    dealt = all_assignments([5, 3, 1], [5, 5, 5])
    chi_square = ((dealt - 3) ** 2 / (3 * (1 - 9 / 15))).sum(axis=1)
    assert test.statistic == pytest.approx(((np.array([5, 3, 1]) - 3) ** 2 / 1.2).sum())
    assert test.p == pytest.approx((chi_square >= test.statistic - 1e-9).mean())


@pytest.mark.parametrize(("k", "n"), [([3], [5]), ([0, 0], [5, 5]), ([5, 5], [5, 5]), ([3, 0], [5, 0])])
def test_there_is_no_omnibus_test_of_one_group_or_equal_outcomes(k, n):
    assert omnibus(k, n) is None


def test_mcnemar_agrees_with_statsmodels_and_scipy():
    assert mcnemar(17, 3).p == pytest.approx(0.0026, abs=1e-4)
    assert mcnemar(14, 6).p == pytest.approx(0.115, abs=1e-3)
    for b, c in itertools.product(range(8), range(8)):
        if b + c:
            theirs = statsmodels_mcnemar([[10, b], [c, 10]], exact=True).pvalue
            assert mcnemar(b, c).p == pytest.approx(min(1.0, theirs))


def test_the_smallest_p_of_mcnemar_depends_on_the_discordant_pairs():
    assert mcnemar(5, 0).smallest_p == mcnemar(3, 2).smallest_p == 0.0625
    assert mcnemar(6, 0).smallest_p == 0.03125
    assert mcnemar(0, 0) is None
    assert mcnemar(3000, 3200).p == pytest.approx(stats.binomtest(3000, 6200).pvalue)


def test_the_trend_test_agrees_with_statsmodels():
    k = np.array([166, 164, 159, 155, 152])
    test = cochran_armitage(k, [172] * 5)
    theirs = Table(np.column_stack([k, 172 - k]), shift_zeros=False).test_ordinal_association(
        np.arange(5.0), np.array([1.0, 0.0])
    )
    assert test.z == pytest.approx(theirs.zscore * math.sqrt(860 / 859), rel=1e-3)  # theirs divides by N - 1


def test_the_trend_test_ignores_a_u_shape_and_uses_its_scores():
    assert cochran_armitage([90, 70, 90], [100] * 3).p == pytest.approx(1.0)
    assert cochran_armitage([90, 80, 70], [100] * 3, scores=[2, 1, 0]).z == -cochran_armitage([90, 80, 70], [100] * 3).z
    assert cochran_armitage([90, 80, 70], [100] * 3, scores=[10, 30, 50]).z == pytest.approx(
        cochran_armitage([90, 80, 70], [100] * 3).z
    )


@pytest.mark.parametrize(("k", "n", "scores"), [([3], [5], None), ([5, 5], [5, 5], None), ([3, 2], [5, 5], [1, 1])])
def test_there_is_no_trend_test_without_different_scores_or_failures(k, n, scores):
    assert cochran_armitage(k, n, scores) is None
