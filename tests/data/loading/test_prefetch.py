"""Prefetched items come in order, stop with the loop and raise errors in place."""

from __future__ import annotations

import threading

import pytest

from tlkit.data.loading.prefetch import map_ahead, prefetch


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


def test_results_come_in_order_whichever_thread_is_done_first():
    later = threading.Event()

    def squared(number):
        if number == 0:
            assert later.wait(10)
        if number == 3:
            later.set()
        return number**2

    assert list(map_ahead(squared, range(50), threads=4)) == [number**2 for number in range(50)]
    assert list(map_ahead(squared, [], threads=4)) == []


def test_items_are_read_as_results_are_taken():
    given = []

    def numbers():
        for number in range(100):
            given.append(number)
            yield number

    stream = map_ahead(abs, numbers(), threads=3)
    assert given == [] and next(stream) == 0
    assert len(given) == 7  # the one that is taken, and two for each thread
    stream.close()
    assert len(given) == 7 and not [one for one in threading.enumerate() if one.name.startswith("prefetch")]


def test_an_error_in_a_thread_is_raised_in_place_of_its_result():
    def failing(number):
        if number == 2:
            raise ValueError("the third")
        return number

    stream = map_ahead(failing, range(100), threads=3)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(stream)
    assert not [one for one in threading.enumerate() if one.name.startswith("prefetch")]
