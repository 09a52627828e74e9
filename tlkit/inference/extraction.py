"""Feature extraction: the image files with their digests, their pixels, and the pass that stores missing features."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from tlkit.data.augment.transforms import Transform, sample_id_of
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.batch import Batch
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.sampler import EpochSampler
from tlkit.data.num_workers import available_cores, choose_num_workers
from tlkit.data.sources.given_images import EncodedImage, ImageSource
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError, first_few
from tlkit.features.cache import CacheEntry
from tlkit.features.engines.engine_choice import PROBE_IMAGES
from tlkit.features.engines.torch_engine import Engine
from tlkit.features.features import Provenance, View
from tlkit.inference.concurrent_runs import filled, first_images, run_concurrently, runs_concurrently
from tlkit.samples import DIGEST, Samples

logger = logging.getLogger(__name__)

BATCH = 32
"""Images per pass; short batches are padded. The bits of an image's features may depend on the size of its batch
(torch and ONNX Runtime choose kernels by it), and must not depend on how many images are missing."""
ROWS_PER_BLOCK = 256
"""Features of one cache block."""
LOG_EVERY_S = 15.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Files:
    """Image files or images in memory, their names, and the sha256 of each."""

    images: Samples | tuple[ImageSource, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> Files:
        """Return the files of some rows, in their order."""
        if isinstance(self.images, Samples):
            images: Samples | tuple[ImageSource, ...] = self.images.take(rows)
        else:
            images = tuple(self.images[row] for row in rows)
        return Files(images, tuple(self.names[i] for i in rows), tuple(self.digests[i] for i in rows))

    def source(self, row: int) -> Path | EncodedImage:
        """Return the path of a file, or the image in memory."""
        if isinstance(self.images, Samples):
            return Path(self.images.root, self.names[row])
        image = self.images[row]
        return image if isinstance(image, EncodedImage) else Path(image)

    def keys(self, made_by: Provenance) -> list[str]:
        """Return the cache key of each file's features."""
        if made_by.view is None:
            return [made_by.key(digest) for digest in self.digests]
        ids = [sample_id_of(name) for name in self.names]
        return [made_by.key(digest, sample_id=i) for digest, i in zip(self.digests, ids, strict=True)]


@dataclass(frozen=True)
class Maker:
    """What computes features: its provenance is known at once, its engine is built when features are missing.

    Attributes:
        made_by: the provenance.
        build: returns the engine.
        dtype: in which values are stored.
        rows_per_block: images of a cache block.
    """

    made_by: Provenance
    build: Callable[[], Engine]
    dtype: type[np.float32 | np.float16] = np.float32
    rows_per_block: int = ROWS_PER_BLOCK


@dataclass(frozen=True)
class Pixels:
    """How image files become batches of pixels."""

    transform: Transform
    view: View | None
    num_workers: int | Literal["auto"]
    decode_options: DecodeOptions

    def batches(self, files: Files, *, quiet: bool = False) -> Iterator[Batch]:
        """Yield batches of decoded files, prefetched by worker processes where there are many; `quiet` logs nothing."""
        dataset = self._dataset(files, quiet=quiet)
        workers = choose_num_workers(self.num_workers, images=len(files))
        loader = create_loader(dataset, batch_size=BATCH, num_workers=workers)
        if self.view is not None:
            cast(EpochSampler, loader.sampler).set_epoch(self.view.number)
        yield from loader

    def features(
        self, engine: Engine, files: Files, *, quiet: bool = False
    ) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield the features (M, D) of some files and their rows (M,), in order; `quiet` logs no unreadable files.

        An engine that several threads may call decodes in these, unless a number of worker processes is given.

        Raises:
            DataError: the files are gone (see `PassCheck`), or an image does not fit the transform.
        """
        dataset = self._dataset(files, quiet=quiet)
        if self.num_workers == "auto" and runs_concurrently(engine, dataset):
            for run in run_concurrently(engine, dataset):
                yield run.features[0, run.places], run.rows
            return
        for batch in self.batches(files, quiet=quiet):
            yield engine(filled(batch.image, BATCH))[: len(batch.image)], batch.index.numpy()

    def comparison_batch(self, files: Files) -> torch.Tensor:
        """Return a full batch that engines are compared on: up to `PROBE_IMAGES` real images, the others black.

        Files that cannot be read are not logged here, but by the pass that computes the features.
        """
        dataset = self._dataset(files, quiet=True)
        dataset.use_threads(available_cores())
        images = first_images(dataset, most=PROBE_IMAGES, epoch=self.view.number if self.view else 0)
        return filled(torch.from_numpy(images), BATCH) if len(images) else self.black_batch()

    def _dataset(self, files: Files, *, quiet: bool) -> ImageDataset:
        return ImageDataset(
            files.images,
            transform=self.transform,
            decode_options=self.decode_options,
            seed=self.view.seed if self.view else 0,
            quiet=quiet,
        )

    def black_batch(self) -> torch.Tensor:
        """Return a batch of black pixels in the shape of every batch, (BATCH, 3, H, W)."""
        return torch.zeros(BATCH, 3, *self.transform.preprocess.image_size, dtype=torch.uint8)


def make(files: Files, entry: CacheEntry, maker: Maker, pixels: Pixels, *, progress: Progress | None) -> Files:
    """Compute and store the features that are missing; return the files with their current digests."""
    unknown = entry.missing(files.keys(entry.made_by))  # another process may have added some while this one waited
    stamps = {row: _stamp(files.source(row)) for row in unknown}
    files = _digested(files, unknown)
    keys = files.keys(entry.made_by)
    first = {keys[row]: row for row in reversed(entry.missing(keys))}  # identical files are computed once
    missing = sorted(first.values())
    logger.log(
        logging.INFO if missing else logging.DEBUG,
        "The backbone runs on %d of the %d images; %d have kept features (engine %s, %s; features.engine changes it).",
        len(missing),
        len(files),
        len(files) - len(missing),
        entry.made_by.engine,
        entry.made_by.dtype,
    )
    if not missing:
        return files
    engine = maker.build()
    todo = files.take(missing)
    rows: list[int] = []
    computed: list[npt.NDArray[np.floating[Any]]] = []
    done, logged_s = 0, time.monotonic()

    def flush() -> None:
        good = [i for i, row in enumerate(rows) if _stamp(todo.source(row)) == stamps[missing[row]]]
        if len(good) < len(rows):
            logger.warning("%d images changed while they were read; they have no features.", len(rows) - len(good))
        if good:
            entry.add([keys[missing[rows[i]]] for i in good], np.concatenate(computed)[good])
        rows.clear()
        computed.clear()

    for found, at in pixels.features(engine, todo):
        computed.append(found.astype(maker.dtype, copy=False))
        rows += at.tolist()
        done += len(at)
        if progress is not None:
            progress(done, len(todo))
        if time.monotonic() - logged_s > LOG_EVERY_S:
            logger.info("Features: %d of %d images.", done, len(todo))
            logged_s = time.monotonic()
        if len(rows) >= maker.rows_per_block:
            flush()
    flush()
    return files


def read_digests(images: Samples | Sequence[ImageSource]) -> Files:
    """Return the files with their digests: those of the samples, and of the files where the samples have none."""
    if isinstance(images, Samples):
        files = Files(images, tuple(map(str, images.paths)), tuple(images.table[DIGEST]))
    else:
        names = tuple(os.fspath(path) for path in images)
        files = Files(tuple(images), names, ("",) * len(names))
    return _digested(files, [row for row, digest in enumerate(files.digests) if not digest])


def _digested(files: Files, rows: Sequence[int]) -> Files:
    """Return the files with the sha256 of some of them computed again; digests that have changed are logged."""
    if not rows:
        return files
    with ThreadPoolExecutor(available_cores()) as pool:
        found = list(pool.map(lambda row: _sha256(files.source(row)), rows))
    digests = list(files.digests)
    changed = [files.names[row] for row, now in zip(rows, found, strict=True) if now and digests[row] not in ("", now)]
    if changed:
        logger.warning(
            "%d images have changed since they were checked: %s. Their features are those of the current files.",
            len(changed),
            first_few(changed),
        )
    for row, now in zip(rows, found, strict=True):
        digests[row] = now or digests[row]
    return replace(files, digests=tuple(digests))


def _sha256(source: Path | EncodedImage) -> str:
    """Return the sha256 (hex) of a file; "" where it cannot be opened, which the loader reports."""
    try:
        content = source.content if isinstance(source, EncodedImage) else read_bytes(source)
        return hashlib.sha256(content).hexdigest()
    except (OSError, DataError):
        return ""


def _stamp(source: Path | EncodedImage) -> tuple[int, int]:
    """Return the modification time in ns and the size of a file; an image in memory does not change."""
    if isinstance(source, EncodedImage):
        return 0, len(source.content)
    try:
        facts = source.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size
