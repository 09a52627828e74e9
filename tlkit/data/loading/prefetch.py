"""Prefetching: other threads compute the next items of an iterator."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _End:
    pass


def prefetch(items: Iterable[T], *, depth: int = 2) -> Iterator[T]:
    """Yield the items in order; another thread computes up to `depth` of them in advance.

    An error is raised in place of its item. Nothing more is computed once the loop ends.

    Args:
        items: an iterable whose items take time without holding the GIL, as decoding does.
        depth: largest number of items that wait, at least 1.

    Example:
        >>> list(prefetch("abc"))
        ['a', 'b', 'c']
    """
    source = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        waiting: deque[Future[T | _End]] = deque(pool.submit(next, source, _End()) for _ in range(depth))
        while not isinstance(item := waiting.popleft().result(), _End):
            waiting.append(pool.submit(next, source, _End()))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


def map_ahead(function: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """Yield `function(item)` for each item, in order; several threads compute the next ones in advance.

    At most two results for each thread wait to be taken. An error is raised in place of its item. Nothing more is
    computed once the loop ends.

    Args:
        function: called by several threads at once.
        items: read in this thread.
        threads: number of threads, at least 1.

    Example:
        >>> list(map_ahead(str.upper, "abc", threads=2))
        ['A', 'B', 'C']
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    try:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
