"""Estimates and differences as text: a value that rounds to zero has no sign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlkit.stats.estimate import Estimate, signed_number


@pytest.mark.parametrize("tiny", [0.0, -0.0, 1e-17, -1e-17, 0.0004, -0.0004])
def test_a_value_that_rounds_to_zero_has_no_sign(tiny):
    assert Estimate(tiny, tiny, tiny, n=9).format() == "0.000 [0.000, 0.000]"
    assert Estimate(tiny, tiny, tiny, n=9).format(signed=True) == "0.000 [0.000, 0.000]"
    assert signed_number(tiny, digits=1) == "0.0"


def test_other_values_keep_their_sign():
    assert Estimate(-0.2, -0.3004, 0.0005, n=9).format(signed=True) == "-0.200 [-0.300, +0.001]"
    assert Estimate(-0.0006, -10.0, 0.0, n=9).format() == "-0.001 [-10.000, 0.000]"
    assert signed_number(100.0, digits=0) == "+100"


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_signed_number_reads_back_as_its_rounded_value(value, digits):
    text = signed_number(value, digits=digits)
    assert float(text) == float(f"{value:.{digits}f}")
    assert (text[0] in "+-") == (float(text) != 0)
