"""Images through an engine in several threads: each decodes a few images and runs the engine on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Semaphore
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from tlkit.arrays import Pixels
from tlkit.data.loading.batch import Failure, LoadedImage
from tlkit.data.loading.dataset import ImageDataset
from tlkit.data.loading.pass_check import PassCheck
from tlkit.data.loading.prefetch import map_ahead
from tlkit.features.engines.torch_engine import Engine


class EngineRun(NamedTuple):
    """The features of one run of an engine.

    Attributes:
        features: float32, shape (V, B, D): of V views of B images; places without an image hold those of a black one.
        places: the places of the M readable images among the B, shape (M,).
        rows: the rows of these images in the dataset, shape (M,).
    """

    features: npt.NDArray[np.float32]
    places: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def runs_concurrently(engine: Engine, dataset: ImageDataset) -> bool:
    """Return whether `run_concurrently` can be used: the engine takes several threads, and each can load any image."""
    return engine.images_per_run is not None and not dataset.transform.is_random and not dataset.is_streamed


def run_concurrently(
    engine: Engine, dataset: ImageDataset, *, views: Callable[[Pixels], Iterable[Pixels]] = lambda pixels: [pixels]
) -> Iterator[EngineRun]:
    """Yield the runs of an engine over all images, in order, without those that have no readable image.

    A thread a core decodes the images of a run and calls the engine by itself, so no thread waits for another within an
    image. At most `engine.threads` of them call it at once; the others decode. There are two at least, so that one
    decodes while the other computes. Image `row` has the place `row % B` of its run, however many threads there are
    and whichever images cannot be read. The threads compute nothing in torch, which would start threads of its own in
    each.

    Args:
        engine: one that `runs_concurrently`.
        dataset: the images.
        views: returns the views of pictures (B, 3, H, W) that the engine gets: the pictures alone.

    Raises:
        DataError: the files are gone (see `PassCheck`), or an image does not fit the transform.
    """
    assert engine.images_per_run is not None, "see `runs_concurrently`"
    images, calls = engine.images_per_run, Semaphore(engine.threads)

    def work(start: int) -> tuple[EngineRun | None, list[Failure | None]]:
        items = [dataset[row] for row in range(start, min(start + images, len(dataset)))]
        failures = [item if isinstance(item, Failure) else None for item in items]
        places = np.array([place for place, item in enumerate(items) if isinstance(item, LoadedImage)], dtype=np.int64)
        if not len(places):
            return None, failures
        pictures = _stacked(items, images)
        del items
        with calls:
            seen = [engine(torch.from_numpy(np.ascontiguousarray(view))) for view in views(pictures)]
        return EngineRun(np.stack(seen), places, start + places), failures

    check = PassCheck()
    for run, failures in map_ahead(work, range(0, len(dataset), images), threads=max(2, torch.get_num_threads())):
        error = check.error_after(failures)
        if error is not None:
            raise error
        if run is not None:
            yield run
    error = check.error_at_end()
    if error is not None:
        raise error


def _stacked(items: list[LoadedImage | Failure], images: int) -> Pixels:
    """Return the pixels of items, contiguous, shape (images, 3, H, W); black where there is no image."""
    height, width, _ = next(item.image.shape for item in items if isinstance(item, LoadedImage))
    pixels = np.zeros((images, 3, height, width), dtype=np.uint8)
    for place, item in enumerate(items):
        if isinstance(item, LoadedImage):
            pixels[place] = item.image.transpose(2, 0, 1)
    return pixels


def first_images(dataset: ImageDataset, *, most: int, epoch: int = 0) -> Pixels:
    """Return the first readable images of a dataset, uint8 (B, 3, H, W), `most` at most; (0, 3, 0, 0) where none is.

    Where the files are gone it stops, and the pass over all images raises the error.
    """
    check = PassCheck()
    for start in range(0, len(dataset), most):
        items = dataset.__getitems__([(epoch, row) for row in range(start, min(start + most, len(dataset)))])
        good = [item for item in items if isinstance(item, LoadedImage)]
        if good:
            return _stacked([*good], len(good))
        if check.error_after(item if isinstance(item, Failure) else None for item in items) is not None:
            break
    return np.zeros((0, 3, 0, 0), dtype=np.uint8)


def filled(pixels: torch.Tensor, images: int) -> torch.Tensor:
    """Return pixels (B, 3, H, W), contiguous, filled with black images up to a number of images."""
    missing = images - len(pixels)
    pixels = torch.cat([pixels, pixels.new_zeros(missing, *pixels.shape[1:])]) if missing > 0 else pixels
    return pixels.contiguous()
