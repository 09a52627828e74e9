"""Shape, trend and nonlinearity of rates along ordered groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency

from tlkit.stats.ordered_trend import ordered_rates


@pytest.mark.parametrize(
    ("k", "shape", "turn"),
    [
        ([50, 40, 30, 40, 50], "U", 2),
        ([30, 40, 50, 45, 45], "inverted U", 2),
        ([50, 40, 45, 30, 35], "irregular", None),
        ([30, 30, 40, 41, 41], "rising", None),
        ([40, 40, 40, 40, 40], "level", None),
        ([50, 30, 30, 40, 50], "U", 1),
    ],
)
def test_the_shape_and_its_turn_follow_from_the_rates(k, shape, turn):
    found = ordered_rates(k, [60] * 5)
    assert (found.shape, found.turn) == (shape, turn)


def test_a_u_shape_has_no_trend_but_is_nonlinear():
    found = ordered_rates([95, 80, 70, 80, 95], [100] * 5)
    assert found.trend.p == pytest.approx(1)
    assert found.bend_p < 0.001


def test_nonlinearity_is_pearsons_chi_square_minus_the_trend():
    k, n = np.array([40, 70, 55, 60]), np.array([50, 90, 80, 70])
    found = ordered_rates(k, n)
    remainder = chi2_contingency(np.stack([k, n - k]), correction=False).statistic - found.trend.z**2
    assert found.bend_p == pytest.approx(chi2.sf(remainder, 2))


def test_empty_groups_are_ignored_and_keep_their_positions():
    found = ordered_rates([50, 0, 30, 50], [60, 0, 60, 60])
    assert (found.shape, found.turn) == ("U", 2)


def test_shapes_compare_rates_and_not_counts():
    assert ordered_rates([9, 90, 900], [10, 100, 1000]).shape == "level"


def test_there_is_no_test_of_equal_outcomes_and_no_nonlinearity_of_two_groups():
    assert ordered_rates([5, 5], [5, 5]) is None
    assert ordered_rates([5], [9]) is None
    assert ordered_rates([5, 8], [10, 10]).bend_p is None
