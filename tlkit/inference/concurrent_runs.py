"""Images through an engine in several threads: each decodes a few images and runs the engine on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tlkit.data.loading.batch import Failure, LoadedImage, collate
from tlkit.data.loading.dataset import ImageDataset
from tlkit.data.loading.prefetch import map_ahead
from tlkit.errors import DataError
from tlkit.features.engines.torch_engine import Engine

logger = logging.getLogger(__name__)

MOST_GONE = 32
"""So many files in a row that cannot be opened end the run: the drive is no longer there."""


def runs_concurrently(engine: Engine, dataset: ImageDataset) -> bool:
    """Return whether `run_concurrently` can be used: the engine takes several threads, and each can load any image."""
    is_any_order = not dataset.transform.is_random and not dataset.is_streamed
    return engine.images_per_run is not None and engine.threads > 1 and is_any_order


def run_concurrently(
    engine: Engine, dataset: ImageDataset, answer: Callable[[torch.Tensor], npt.NDArray[Any]]
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
    """Yield the answers (M, ...) to a few images each, and their rows (M,), in order, without unreadable images.

    A thread a core decodes and answers by itself, so no thread waits for another within an image.

    Args:
        engine: one that `runs_concurrently`.
        dataset: the images.
        answer: maps uint8 pixels (B, 3, H, W) to their answers (B, ...); it is called by several threads at once.

    Raises:
        DataError: none of `MOST_GONE` files in a row can be opened, or an image does not fit the transform.
    """
    images = engine.images_per_run or len(dataset)

    def work(start: int) -> tuple[npt.NDArray[Any] | None, list[LoadedImage | Failure]]:
        items = [dataset[row] for row in range(start, min(start + images, len(dataset)))]
        good = [item.image for item in items if isinstance(item, LoadedImage)]
        if not good:
            return None, items
        return answer(torch.from_numpy(np.stack(good)).permute(0, 3, 1, 2)), items

    gone: list[Failure] = []  # in a row
    for found, items in map_ahead(work, range(0, len(dataset), images), threads=engine.threads):
        for item in items:
            gone = [*gone, item] if isinstance(item, Failure) and item.kind == "gone" else []
            if len(gone) == MOST_GONE or (isinstance(item, Failure) and item.kind == "unfit"):
                error = collate(gone or [item])
                assert isinstance(error, DataError), "of such failures it makes an error"
                raise error
        if found is not None:
            yield found, np.array([item.index for item in items if isinstance(item, LoadedImage)], dtype=np.int64)


def filled(pixels: torch.Tensor, images: int) -> torch.Tensor:
    """Return pixels (B, 3, H, W), contiguous, filled with black images up to a number of images."""
    missing = images - len(pixels)
    pixels = torch.cat([pixels, pixels.new_zeros(missing, *pixels.shape[1:])]) if missing > 0 else pixels
    return pixels.contiguous()
