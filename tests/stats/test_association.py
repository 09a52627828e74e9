"""Cramér's V against scipy, adjusted gaps against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from messages import saying
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from tlkit.stats.association import adjusted_gap, cramers_v


@pytest.mark.parametrize("seed", range(4))
def test_the_raw_v_and_its_p_agree_with_scipy(seed):
    table = np.random.default_rng(seed).integers(1, 40, (3, 4))
    found = cramers_v(table)
    assert found.raw == pytest.approx(association(table, method="cramer"))
    assert found.p == pytest.approx(chi2_contingency(table, correction=False).pvalue)


def test_the_correction_removes_the_bias_of_independent_attributes():
    generator = np.random.default_rng(3)
    tables = generator.multinomial(60, np.full(20, 1 / 20), size=500).reshape(-1, 4, 5)
    found = [cramers_v(table) for table in tables]
    assert np.mean([one.raw for one in found]) > 0.2
    assert np.mean([one.v for one in found]) < 0.1


def test_attributes_that_determine_each_other_have_a_v_of_1():
    assert cramers_v(np.diag([30, 20, 10])).v == pytest.approx(1)


def test_empty_rows_are_ignored_and_a_single_value_has_no_v():
    assert cramers_v([[40, 10], [0, 0], [10, 40]]) == cramers_v([[40, 10], [10, 40]])
    assert cramers_v([[40, 10]]) is None
    assert cramers_v([[0, 10], [0, 5]]) is None


def patterns(seed, *, separated=False):
    generator = np.random.default_rng(seed)
    member, a, b = (axis.ravel() for axis in np.meshgrid([0, 1], [0, 1], [0, 1, 2], indexing="ij"))
    n = generator.integers(20, 60, len(member))
    p = 1 / (1 + np.exp(-(1.2 - 0.8 * member + 0.5 * a - 0.3 * b)))
    k = generator.binomial(n, np.where((b == 2) & separated, 1.0, p))
    return k, n, member, np.column_stack([a, b == 1, b == 2]).astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_the_adjusted_gap_agrees_with_statsmodels_marginal_effect(seed):
    k, n, member, others = patterns(seed)
    found = adjusted_gap(k, n, member=member, others=others)
    rows = np.repeat(np.arange(len(n)), n)
    right = np.concatenate([np.arange(size) < hits for hits, size in zip(k, n, strict=True)]).astype(float)
    design = sm.add_constant(np.column_stack([member, others])[rows])
    effect = sm.Logit(right, design).fit(disp=0).get_margeff(at="overall", dummy=True)
    assert found.value == pytest.approx(effect.margeff[0], abs=1e-6)
    assert (found.low, found.high) == pytest.approx(effect.conf_int()[0], abs=1e-5)


def test_a_value_that_is_always_right_has_no_finite_fit():
    k, n, member, others = patterns(0, separated=True)
    assert adjusted_gap(k, n, member=member, others=others).note == saying("always right or always wrong")


def test_membership_determined_by_another_attribute_cannot_be_adjusted():
    found = adjusted_gap([5, 8], [10, 10], member=[0, 1], others=[[0], [1]])
    assert found.note == saying("membership", "other attributes")
