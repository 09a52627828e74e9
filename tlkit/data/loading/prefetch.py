"""What a loop will need next is made while it works on what it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class _End:
    pass


def prefetch(items: Iterable[T], *, depth: int = 2) -> Iterator[T]:
    """Yield the items in their order, made by another thread that stays up to `depth` of them ahead.

    An error in the making is raised where its item would have come. Nothing more is made once the loop is left.

    Args:
        items: anything that takes time without holding Python's lock, as decoding does.
        depth: how many items wait at most, at least 1.

    Example:
        >>> list(prefetch(iter("abc")))
        ['a', 'b', 'c']
    """
    making = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        waiting: deque[Future[T | _End]] = deque(pool.submit(next, making, _End()) for _ in range(depth))
        while not isinstance(item := waiting.popleft().result(), _End):
            waiting.append(pool.submit(next, making, _End()))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
