"""The queue accepts a bounded number of images, and drops those that nobody waits for."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from tlkit.serving.image_queue import BusyError, ImageQueue


def test_more_than_may_wait_are_refused_with_a_time_and_cancelled_ones_leave():
    gate, seen = threading.Event(), []

    def predict(content):
        seen.append(content)
        gate.wait(30)
        return np.ones(1, dtype=np.float32)

    async def scenario():
        queue = ImageQueue(predict, workers=1, most_waiting=3)
        first = asyncio.create_task(queue.outcomes([b"a", b"b"]))
        while not seen:
            await asyncio.sleep(0.01)
        with pytest.raises(BusyError) as error:
            await queue.outcomes([b"c", b"d"])
        assert error.value.retry_after_s >= 1
        second = asyncio.create_task(queue.outcomes([b"c"]))
        await asyncio.sleep(0.05)
        assert queue.waiting == 3
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert queue.waiting == 2
        gate.set()
        assert len(await first) == 2
        queue.close()
        assert (queue.waiting, seen) == (0, [b"a", b"b"])

    asyncio.run(scenario())
