"""`ImageQueue`: images that wait for a worker, a bounded number of them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from tlkit.data.decode.decoding import UnreadableImageError

Outcome = npt.NDArray[np.float32] | UnreadableImageError
"""Probabilities (C,) of an image, or why it cannot be read."""
MEMORY = 0.9
"""Weight of the past in the mean time of an image."""


class BusyError(Exception):
    """Too many images wait already.

    Attributes:
        retry_after_s: whole seconds after which it is worth trying again.
    """

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"busy for {retry_after_s} s")


class _Item:
    """An image that waits for a worker, and the future that its request awaits."""

    __slots__ = ("content", "future", "is_begun", "is_dropped", "loop")

    def __init__(self, content: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.content, self.loop = content, loop
        self.future: asyncio.Future[Outcome] = loop.create_future()
        self.is_begun = self.is_dropped = False


class ImageQueue:
    """Predicts images in threads; each image alone, so that its probabilities do not depend on other requests.

    Workers and the event loop share Python's lock, so an image costs one wake-up in each direction and no more: an
    executor's futures cost four times as much as a tiny network.

    Args:
        predict: returns the probabilities of an image file's content; called in several threads.
        workers: number of threads.
        most_waiting: most images that are accepted and not done.
    """

    def __init__(self, predict: Callable[[bytes], npt.NDArray[np.float32]], *, workers: int, most_waiting: int) -> None:
        self._predict = predict
        self._most_waiting = most_waiting
        self._todo: SimpleQueue[_Item | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._mean_s = 0.0
        self._is_closed = False
        self._threads = [threading.Thread(target=self._work, name=f"serve-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Number of images that are accepted and not done."""
        return self._waiting

    async def outcomes(self, contents: Sequence[bytes]) -> list[Outcome]:
        """Return the outcome of each image, in order. Images that no worker has begun are dropped on cancellation.

        Raises:
            BusyError: they are too many on top of those that wait.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._waiting + len(contents) > self._most_waiting:
                seconds = self._waiting * self._mean_s / len(self._threads)
                raise BusyError(max(1, math.ceil(seconds)))
            self._waiting += len(contents)
        items = [_Item(content, loop) for content in contents]
        for item in items:
            self._todo.put(item)
        try:
            return [await item.future for item in items]
        except BaseException:
            self._drop(items)
            raise

    def close(self) -> None:
        """Finish what a worker has begun, and drop the rest."""
        self._is_closed = True
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def _drop(self, items: Sequence[_Item]) -> None:
        for item in items:
            with self._lock:
                if not item.is_begun and not item.is_dropped:
                    item.is_dropped = True
                    self._waiting -= 1
            item.future.cancel()

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            with self._lock:
                if self._is_closed and not item.is_dropped:
                    item.is_dropped = True
                    self._waiting -= 1
                    _call_in_loop(item, item.future.cancel)
                item.is_begun = not item.is_dropped
            if item.is_begun:
                self._run(item)

    def _run(self, item: _Item) -> None:
        start = time.monotonic()
        outcome: Outcome | BaseException
        try:
            outcome = self._predict(item.content)
        except BaseException as error:  # it is the request's, whatever it is
            outcome = error
        took = time.monotonic() - start
        with self._lock:
            self._mean_s = MEMORY * self._mean_s + (1 - MEMORY) * took if self._mean_s else took
            self._waiting -= 1
        _call_in_loop(item, lambda: _set_outcome(item.future, outcome))


def _call_in_loop(item: _Item, callback: Callable[[], object]) -> None:
    """Run a callback in the event loop of an item's request, unless that has ended."""
    with contextlib.suppress(RuntimeError):
        item.loop.call_soon_threadsafe(callback)


def _set_outcome(future: asyncio.Future[Outcome], outcome: Outcome | BaseException) -> None:
    if future.done():  # nobody waits any longer
        return
    if isinstance(outcome, BaseException) and not isinstance(outcome, UnreadableImageError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
