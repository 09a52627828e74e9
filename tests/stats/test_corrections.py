"""Corrections for multiple tests against closed forms, statsmodels and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from tlkit.stats.corrections import benjamini_hochberg, benjamini_yekutieli, hochberg, holm

METHODS = {holm: "holm", hochberg: "simes-hochberg", benjamini_hochberg: "fdr_bh", benjamini_yekutieli: "fdr_by"}


def test_a_missing_p_value_is_not_counted_in_the_family():
    # statsmodels 0.15 counts it in Holm's m and turns all of Benjamini and Hochberg's into NaN
    for missing in (None, math.nan):
        assert holm([0.01, missing, 0.03]) == pytest.approx((0.02, None, 0.03))
        assert benjamini_hochberg([0.01, missing, 0.03]) == pytest.approx((0.02, None, 0.03))
    assert holm([None, None]) == (None, None)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_hochberg_and_false_discovery_rates_agree_with_statsmodels_and_scipy(p):
    for correct, name in METHODS.items():
        if correct is not holm:
            assert correct(p) == pytest.approx(multipletests(p, method=name)[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p), abs=1e-12)


def test_holm_agrees_with_statsmodels():  # 40 ms a call, so once
    p = np.random.default_rng(0).beta(0.3, 1, 30)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_bonferroni_in_every_family_that_holds_a_test(p):
    # Marcus, Peritz & Gabriel (1976): closed testing
    families = [family for size in range(1, len(p) + 1) for family in itertools.combinations(range(len(p)), size)]
    closed = [max(min(1, len(f) * min(p[j] for j in f)) for f in families if i in f) for i in range(len(p))]
    assert holm(p) == pytest.approx(closed, abs=1e-12)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12), st.randoms())
def test_adjusted_values_do_not_depend_on_the_order_and_are_at_least_the_p_values(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for correct in METHODS:
        adjusted = correct(p)
        assert correct([p[i] for i in order]) == tuple(adjusted[i] for i in order)
        for raw, corrected in zip(p, adjusted, strict=True):
            assert (raw is None) == (corrected is None)
            assert raw is None or raw <= corrected <= 1.0


@pytest.mark.parametrize("p", [-0.1, 1.1, np.inf])
def test_values_outside_0_to_1_are_refused(p):
    with pytest.raises(ValueError, match="p-value"):
        holm([0.5, p])
