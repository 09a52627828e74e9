"""Prefetched items come in order, stop with the loop and raise errors in place."""

from __future__ import annotations

import threading

import pytest

from tlkit.data.loading.prefetch import prefetch


def test_items_come_in_order_at_any_depth():
    assert list(prefetch(range(20), depth=1)) == list(prefetch(range(20), depth=7)) == list(range(20))
    assert list(prefetch([])) == []


def test_at_most_depth_items_are_prefetched():
    made = []
    reached = threading.Event()

    def numbers():
        for number in range(10):
            made.append(number)
            if number == 2:
                reached.set()
            yield number

    stream = prefetch(numbers(), depth=2)
    assert made == [], "nothing is made before the first item is asked for"
    assert next(stream) == 0
    assert reached.wait(10)
    stream.close()
    assert made == [0, 1, 2]


def test_an_error_is_raised_in_place_of_its_item():
    def failing():
        yield 1
        yield 2
        raise ValueError("the third")

    stream = prefetch(failing())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(stream)
