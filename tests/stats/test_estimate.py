"""Numbers as text: what rounds to zero is zero, on whichever side it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlkit.stats.estimate import Estimate, signed_number
from tlkit.tables import format_estimate


@pytest.mark.parametrize("tiny", [0.0, -0.0, 1e-17, -1e-17, 0.0004, -0.0004])
def test_what_rounds_to_zero_is_printed_without_a_sign(tiny):
    assert Estimate(tiny, tiny, tiny, n=9).format() == "0.000 [0.000, 0.000]"
    assert format_estimate(Estimate(tiny, tiny, tiny, n=9), signed=True) == "0.000 [0.000, 0.000]"
    assert signed_number(tiny, digits=1) == "0.0"


def test_what_does_not_round_to_zero_keeps_its_sign():
    assert format_estimate(Estimate(-0.2, -0.3004, 0.0005, n=9), signed=True) == "-0.200 [-0.300, +0.001]"
    assert Estimate(-0.0006, -10.0, 0.0, n=9).format() == "-0.001 [-10.000, 0.000]"
    assert signed_number(100.0, digits=0) == "+100"


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_signed_number_reads_back_as_what_it_was_rounded_to(value, digits):
    text = signed_number(value, digits=digits)
    assert float(text) == float(f"{value:.{digits}f}")
    assert (text[0] in "+-") == (float(text) != 0)
