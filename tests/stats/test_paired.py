"""Paired differences against published values, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from tlkit.stats.cluster_sampling import Units
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.paired import (
    Pairs,
    clustered_difference,
    detectable_paired_difference,
    paired_difference,
    pairs_needed,
)

pairs = st.builds(
    Pairs, both=st.integers(0, 80), first=st.integers(0, 30), second=st.integers(0, 30), neither=st.integers(0, 80)
).filter(lambda p: p.n > 0)


def test_newcombes_paired_interval_gives_the_published_result():
    # Fagerland, Lydersen & Laake (2014), Statistics in Medicine 33:2850: airway hyper-responsiveness (1, 1; 7, 12).
    found = paired_difference(Pairs(both=1, first=7, second=1, neither=12))
    assert (found.value, found.low, found.high) == pytest.approx((-0.2857, -0.507, -0.026), abs=5e-4)


def test_there_is_no_difference_without_pairs():
    assert paired_difference(Pairs(0, 0, 0, 0)).note == "no images in common"


@given(pairs)
def test_swapping_the_models_mirrors_the_interval(p):
    one, other = paired_difference(p), paired_difference(Pairs(p.both, p.second, p.first, p.neither))
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert -1 <= one.low <= one.value <= one.high <= 1


def test_the_interval_has_its_nominal_coverage():
    rng = np.random.default_rng(5)
    truth = [0.75, 0.12, 0.05, 0.08]
    drawn = rng.multinomial(150, truth, size=3000)
    found = [paired_difference(Pairs(*map(int, row))) for row in drawn]
    covered = np.mean([one.low <= truth[2] - truth[1] <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_pairs_needed_give_the_requested_power():
    # Connor (1987), page 209, as powerandsamplesize.com computes it: 23 pairs.
    assert pairs_needed(0.4, 0.5) == 23
    n = pairs_needed(0.05, 0.15, power=0.8)
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(n, [0.10, 0.05, 0.85], size=4000)
    found = {(int(b), int(c)) for b, c, _ in drawn}
    p = {pair: mcnemar(*pair).p for pair in found}
    power = np.mean([p[int(b), int(c)] < 0.05 for b, c, _ in drawn])
    assert power == pytest.approx(0.8, abs=0.05)  # the exact test has a little less than the normal one


@pytest.mark.parametrize(("n", "share"), [(100, 0.2), (1000, 0.1), (50, 0.5)])
def test_the_detectable_difference_is_the_inverse_of_the_pairs_needed(n, share):
    gap = detectable_paired_difference(n, share)
    assert pairs_needed(gap, share) == pytest.approx(n, abs=1)


def test_few_or_no_discordant_pairs_have_no_detectable_difference():
    assert detectable_paired_difference(20, 0.05) is None
    assert detectable_paired_difference(0, 0.5) is None
    assert pairs_needed(0.0, 0.3) is None


def test_the_clustered_difference_agrees_with_scipy_and_statsmodels():
    generator = np.random.default_rng(0)
    unit = np.repeat(np.arange(30), 12)
    first = generator.random(360) < np.repeat(generator.uniform(0.6, 0.95, 30), 12)
    second = np.where(generator.random(360) < 0.8, first, generator.random(360) < np.repeat(generator.random(30), 12))
    units = Units(np.ones(360), unit)
    found, p = clustered_difference(first, second, units)
    assert found.value == pytest.approx(second.mean() - first.mean())
    means = np.bincount(unit, weights=second.astype(float) - first) / 12
    assert p == pytest.approx(ttest_1samp(means, 0).pvalue)  # clusters of one size
    theirs = sm.OLS(second.astype(float) - first, np.ones(360)).fit(
        cov_type="cluster", cov_kwds={"groups": unit, "df_correction": True}, use_t=True
    )
    low, high = theirs.conf_int()[0]
    assert found.low <= low + 1e-9
    assert found.high >= high - 1e-9
    assert found.high - found.low < 1.15 * (high - low)


def test_independent_images_have_about_the_interval_of_pairs():
    first = np.repeat([True, True, False, False], [300, 30, 15, 55])
    second = np.repeat([True, False, True, False], [300, 30, 15, 55])
    found, p = clustered_difference(first, second, Units(np.ones(400), np.arange(400)))
    plain = paired_difference(Pairs(both=300, first=30, second=15, neither=55))
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.004)
    assert p == pytest.approx(mcnemar(30, 15).p, rel=0.4)
    same, nothing = clustered_difference(first, first, Units(np.ones(400), np.arange(400)))
    assert (same.value, nothing) == (0, None)
    assert same.low < 0 < same.high
    assert clustered_difference(first, second, Units(np.ones(400), np.zeros(400, dtype=int)))[0].value is None
