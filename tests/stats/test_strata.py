"""Kitagawa decomposition and Mantel–Haenszel odds ratio against closed forms and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep

from tlkit.stats.cluster_sampling import Units
from tlkit.stats.strata import clustered_kitagawa_split, kitagawa_split, mantel_haenszel


def rng():
    return np.random.default_rng(0)


def test_the_intervals_show_a_gap_that_is_class_mix_only():
    found = kitagawa_split([[855, 60], [95, 540]], [[900, 100], [100, 900]], rng=rng())
    assert found.rate.low < 0 < found.rate.high
    assert found.mix.low > 0.2


def test_a_class_that_one_group_lacks_is_left_out_and_counted():
    found = kitagawa_split([[9, 5, 3], [8, 0, 0]], [[10, 5, 5], [10, 0, 0]], rng=rng())
    assert (found.common, found.only_one, found.left_out) == (1, 2, 10)
    assert found.gap.value == pytest.approx(0.1)
    assert found.mix.value == 0
    nothing = kitagawa_split([[9, 0], [0, 8]], [[10, 0], [0, 10]], rng=rng())
    assert nothing.gap.note == "no class in common"


sizes = st.lists(st.tuples(*[st.integers(1, 40)] * 2, *[st.floats(0, 1)] * 2), min_size=1, max_size=5)


@settings(deadline=None, max_examples=40)
@given(sizes)
def test_mix_and_rate_add_up_to_the_gap_and_swap_sign_with_the_groups(cells):
    n = np.array([[a, b] for a, b, _, _ in cells]).T
    right = np.array([[int(a * x), int(b * y)] for a, b, x, y in cells]).T
    found = kitagawa_split(right, n, rng=rng(), replicates=10)
    gap = right[0].sum() / n[0].sum() - right[1].sum() / n[1].sum()
    assert found.gap.value == pytest.approx(gap, abs=1e-12)
    assert found.mix.value + found.rate.value == pytest.approx(gap, abs=1e-12)
    other = kitagawa_split(right[::-1], n[::-1], rng=rng(), replicates=10)
    assert other.mix.value == pytest.approx(-found.mix.value, abs=1e-12)


def test_bootstrap_intervals_agree_with_resampled_rows():
    right, n = np.array([[50, 30], [20, 70]]), np.array([[60, 40], [30, 90]])
    found = kitagawa_split(right, n, rng=rng(), replicates=4000)
    rows = [(g, c, int(i < right[g, c])) for g in (0, 1) for c in (0, 1) for i in range(n[g, c])]
    rows = np.array(rows)
    generator, drawn = np.random.default_rng(1), []
    for _ in range(2000):
        g, c, y = rows[generator.integers(0, len(rows), len(rows))].T
        size = np.array([[((g == i) & (c == j)).sum() for j in (0, 1)] for i in (0, 1)])
        hits = np.array([[y[(g == i) & (c == j)].sum() for j in (0, 1)] for i in (0, 1)])
        w, r = size / size.sum(axis=1, keepdims=True), hits / size
        drawn.append(((r[0] - r[1]) * (w[0] + w[1]) / 2).sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.rate.low, found.rate.high) == pytest.approx((low, high), abs=0.012)


@pytest.mark.parametrize("seed", range(6))
def test_mantel_haenszel_and_breslow_day_agree_with_statsmodels(seed):
    generator = np.random.default_rng(seed)
    n = generator.integers(5, 60, (2, 4))
    right = generator.binomial(n, [[0.6] * 4, [0.8] * 4])
    theirs = StratifiedTable(
        [np.array([[right[0, s], n[0, s] - right[0, s]], [right[1, s], n[1, s] - right[1, s]]]) for s in range(4)]
    )
    found = mantel_haenszel(right, n)
    assert found.pooled.value == pytest.approx(theirs.oddsratio_pooled)
    assert (found.pooled.low, found.pooled.high) == pytest.approx(theirs.oddsratio_pooled_confint())
    assert found.statistic == pytest.approx(theirs.test_null_odds(correction=False).statistic)
    assert found.equal_statistic == pytest.approx(theirs.test_equal_odds(adjust=False).statistic)
    assert found.equal_p == pytest.approx(theirs.test_equal_odds(adjust=False).pvalue)


def test_odds_ratios_without_an_informative_stratum_are_undefined():
    assert mantel_haenszel([[5], [0]], [[5], [0]]).pooled.note == saying("groups", "no stratum")
    always = mantel_haenszel([[5, 5], [5, 5]], [[5, 5], [5, 5]])
    assert always.pooled.note == saying("outcomes", "stratum")
    assert always.p is None
    assert always.crude is None


def test_one_stratum_has_no_breslow_day_test():
    found = mantel_haenszel([[9], [3]], [[10], [10]])
    assert found.equal_p is None
    assert found.pooled.value == pytest.approx(9 * 7 / 3)


def test_equal_odds_ratios_have_a_breslow_day_statistic_of_0():
    found = mantel_haenszel([[20, 40], [20, 40]], [[40, 60], [40, 60]])
    assert found.pooled.value == pytest.approx(1)
    assert found.equal_statistic == pytest.approx(0)


def test_a_group_that_is_always_right_has_a_cmh_test_but_no_odds_ratio():
    right, n = np.array([[30, 25], [20, 15]]), np.array([[30, 25], [30, 25]])
    found = mantel_haenszel(right, n)
    tables = [np.array([[right[0, s], n[0, s] - right[0, s]], [right[1, s], n[1, s] - right[1, s]]]) for s in (0, 1)]
    expected = StratifiedTable(tables).test_null_odds(correction=False)
    assert found.pooled.value is None
    assert found.pooled.note
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.equal_p is None
    turned = mantel_haenszel(right[::-1], n[::-1])
    assert turned.p == pytest.approx(found.p)


@pytest.mark.parametrize("right", [[[20, 15], [20, 15]], [[20, 0], [20, 0]]])
def test_rates_that_are_all_0_or_1_leave_doubt_about_the_gap(right):
    found = kitagawa_split(right, [[20, 15], [20, 15]], rng=rng())
    for part in (found.rate, found.standardised):
        assert part.value == 0
        assert part.low < -0.05
        assert part.high > 0.05


def test_a_group_that_is_always_right_widens_the_interval_as_newcombes_does():
    found = kitagawa_split([[40], [30]], [[40], [40]], rng=np.random.default_rng(0), replicates=4000)
    low, high = confint_proportions_2indep(40, 40, 30, 40, method="newcomb", compare="diff")
    assert found.rate.low == pytest.approx(low, abs=0.03)
    assert found.rate.high == pytest.approx(high, abs=0.03)
    plain_low = 0.25 - 1.96 * np.sqrt(0.25 * 0.75 / 40)
    assert found.rate.low < plain_low


def test_a_perfect_group_of_clusters_widens_as_images_do_when_each_class_has_one_outcome():
    side, kind = np.repeat([0, 1], 40), np.tile(np.repeat([0, 1], 20), 2)
    found = clustered_kitagawa_split(kind == 0, Units(np.ones(80), np.arange(80)), side=side, kind=kind, kinds=2)
    assert found.rate.value == 0
    assert found.rate.low < -0.05
    assert found.rate.high > 0.05
