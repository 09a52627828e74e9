"""Corrections for many tests against closed forms, statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from tlkit.stats.corrections import benjamini_hochberg, benjamini_yekutieli, hochberg, holm

METHODS = {holm: "holm", hochberg: "simes-hochberg", benjamini_hochberg: "fdr_bh", benjamini_yekutieli: "fdr_by"}
BH_1995 = (
    0.0001,
    0.0004,
    0.0019,
    0.0095,
    0.0201,
    0.0278,
    0.0298,
    0.0344,
    0.0459,
    0.3240,
    0.4262,
    0.5719,
    0.6528,
    0.7590,
    1.0,
)


@pytest.mark.parametrize(
    ("correct", "expected"),
    [
        (holm, (0.03, 0.06, 0.06, 0.02)),
        (hochberg, (0.03, 0.04, 0.04, 0.02)),
        (benjamini_hochberg, (0.02, 0.04, 0.04, 0.02)),
        (benjamini_yekutieli, (0.041667, 0.083333, 0.083333, 0.041667)),
    ],
)
def test_four_p_values_give_the_known_answers(correct, expected):
    assert correct([0.01, 0.04, 0.03, 0.005]) == pytest.approx(expected, abs=1e-6)


def test_ties_are_treated_alike():
    assert holm([0.02] * 3) == pytest.approx((0.06,) * 3)
    assert benjamini_hochberg([0.02] * 3) == pytest.approx((0.02,) * 3)


def test_the_fifteen_p_values_of_benjamini_and_hochberg_give_four_and_three_rejections():
    assert sum(p <= 0.05 for p in benjamini_hochberg(BH_1995)) == 4
    assert sum(p <= 0.05 for p in holm(BH_1995)) == 3


def test_a_missing_p_value_is_not_counted_in_the_family():
    # statsmodels 0.15 counts it in Holm's m and turns all of Benjamini and Hochberg's into NaN
    for missing in (None, math.nan):
        assert holm([0.01, missing, 0.03]) == pytest.approx((0.02, None, 0.03))
        assert benjamini_hochberg([0.01, missing, 0.03]) == pytest.approx((0.02, None, 0.03))
    assert holm([None, None]) == (None, None)
    assert holm([]) == ()


@settings(max_examples=20, deadline=None)  # statsmodels' Holm takes 80 ms
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections_agree_with_statsmodels_and_scipy(p):
    for correct, name in METHODS.items():
        assert correct(p) == pytest.approx(multipletests(p, method=name)[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p), abs=1e-12)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12), st.randoms())
def test_adjusted_values_follow_their_p_value_in_any_order_and_never_shrink(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for correct in METHODS:
        adjusted = correct(p)
        assert correct([p[i] for i in order]) == tuple(adjusted[i] for i in order)
        for raw, corrected in zip(p, adjusted, strict=True):
            assert (raw is None) == (corrected is None)
            assert raw is None or raw <= corrected <= 1.0


@pytest.mark.parametrize("p", [-0.1, 1.1, np.inf])
def test_a_value_that_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match=r"A p-value must be in \[0, 1\]. Got"):
        holm([0.5, p])
