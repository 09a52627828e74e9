from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlkit.tables.shares import percent, points

SHARES = st.floats(0, 1)


@given(SHARES, SHARES)
def test_two_shares_of_a_sentence_read_alike_only_where_they_are_within_a_tenth_of_a_percent(one, other):
    texts = percent(one, apart_from=other), percent(other, apart_from=one)
    assert abs(float(texts[0][:-1]) - 100 * one) <= 0.5001
    if texts[0] == texts[1]:
        assert abs(one - other) <= 0.0010001


@given(st.floats(-1, 1))
def test_points_are_the_rounded_distance(difference):
    number, word = points(difference).split()
    assert abs(float(number) - abs(100 * difference)) <= 0.0500001
    assert word == ("point" if number == "1" else "points")
    assert not number.endswith(".0")


def test_whole_tens_keep_their_zeros():
    assert points(0.2) == "20 points" and points(0.105, decimals=2) == "10.5 points" and points(0.0) == "0 points"
