"""`ImageQueue`: images that wait for a worker, a bounded number of them."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

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


class ImageQueue:
    """Predicts images in threads; each image alone, so that its probabilities do not depend on other requests.

    Args:
        predict: returns the probabilities of an image file's content; called in several threads.
        workers: number of threads.
        most_waiting: most images that are accepted and not done.
    """

    def __init__(self, predict: Callable[[bytes], npt.NDArray[np.float32]], *, workers: int, most_waiting: int) -> None:
        self._predict = predict
        self._workers = workers
        self._most_waiting = most_waiting
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="serve")
        self._lock = threading.Lock()
        self._waiting = 0
        self._mean_s = 0.0

    @property
    def waiting(self) -> int:
        """Number of images that are accepted and not done."""
        return self._waiting

    async def outcomes(self, contents: Sequence[bytes]) -> list[Outcome]:
        """Return the outcome of each image, in order. Images that no worker has begun are dropped on cancellation.

        Raises:
            BusyError: they are too many on top of those that wait.
        """
        with self._lock:
            if self._waiting + len(contents) > self._most_waiting:
                seconds = self._waiting * self._mean_s / self._workers
                raise BusyError(max(1, math.ceil(seconds)))
            self._waiting += len(contents)
        futures = [self._pool.submit(self._outcome, content) for content in contents]
        for future in futures:
            future.add_done_callback(self._count_done)
        return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    def close(self) -> None:
        """Finish what a worker has begun, and drop the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _outcome(self, content: bytes) -> Outcome:
        start = time.monotonic()
        try:
            return self._predict(content)
        except UnreadableImageError as error:
            return error
        finally:
            took = time.monotonic() - start
            self._mean_s = MEMORY * self._mean_s + (1 - MEMORY) * took if self._mean_s else took

    def _count_done(self, _: Future[Outcome]) -> None:
        with self._lock:
            self._waiting -= 1
