"""Images as a PyTorch dataset and loader."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from tlkit.data.augment.transforms import Transform, sample_id_of
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import ImageFacts, UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import Frame
from tlkit.data.loading.batch import Batch, Collated, Failure, LoadedImage, collate
from tlkit.data.loading.cached_rows import CachedRows
from tlkit.data.loading.image_cache import CachedPixels
from tlkit.data.loading.pass_check import PassCheck
from tlkit.data.loading.prefetch import prefetch
from tlkit.data.loading.sampler import EpochSampler, part_of_epoch, part_of_table
from tlkit.data.loading.shared_paths import PathTable
from tlkit.data.num_workers import available_cores
from tlkit.data.sources.given_images import EncodedImage, ImageSource
from tlkit.data.sources.read_bytes import file_state, read_bytes
from tlkit.data.sources.tar_stream import ReadAhead, TarStream
from tlkit.errors import DataError
from tlkit.samples import DIGEST, PATH, Samples

logger = logging.getLogger(__name__)


class ImageDataset(Dataset[LoadedImage | Failure]):
    """Images that are decoded and transformed on access.

    `dataset[epoch, index]` (or `dataset[index]`, epoch 0) is a `LoadedImage`, or a `Failure` where the file cannot be
    read; each such file gets one warning in the log, over all worker processes, and so does a file whose content is not
    that of the samples' digest. Rows are stored as tensors, which worker processes share (see `PathTable`).

    Args:
        images: samples; or paths of files, or images in memory, without labels, whose targets are -1.
        transform: from `build_transform`; its preprocessing states the background color.
        decode_options: pixel limit of decoding.
        seed: seed of the augmentation.
        stream: the places of the images in shards that are read sequentially; they are then read ahead.
        quiet: log no warnings about unreadable files.
        cached: the pixels of the images in the image cache; the images are samples with digests.

    Attributes:
        transform: the transform of each image.
        threads: number of threads that decode a batch; see `use_threads`.
    """

    threads = 1

    def __init__(
        self,
        images: Samples | Sequence[ImageSource],
        *,
        transform: Transform,
        decode_options: DecodeOptions = DecodeOptions(),
        seed: int = 0,
        stream: TarStream | None = None,
        quiet: bool = False,
        cached: CachedRows | None = None,
    ) -> None:
        self.transform = transform
        self._cached = cached
        self._read_ahead = ReadAhead(stream) if stream is not None else None
        paths: Iterable[ImageSource]
        self._in_memory: dict[int, EncodedImage] = {}
        digests: Sequence[str] = ()
        if isinstance(images, Samples):
            paths, self._root, targets = images.table[PATH], str(images.root), images.target_values
            digests = images.table[DIGEST].tolist()
        else:
            paths, self._root, targets = images, "", np.full(len(images), -1, dtype=np.int64)
            self._in_memory = {row: image for row, image in enumerate(images) if isinstance(image, EncodedImage)}
        self._targets = torch.tensor(targets)
        self._paths = PathTable(paths)
        self._decode_options = replace(decode_options, background=transform.preprocess.background)
        self._seed = seed
        self._digests = PathTable(digests or [""] * len(images))
        self._quiet = quiet
        self._warned = torch.full((len(images),), quiet)
        self._changed = torch.zeros(len(images), dtype=torch.bool)
        for shared in (self._warned, self._changed):  # every worker process sees and sets them
            shared.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def targets(self) -> npt.NDArray[Any]:
        """The targets, shape (n,) int64; of other tasks as `Samples.target_values` gives them."""
        return self._targets.numpy()

    @property
    def is_streamed(self) -> bool:
        """Whether the images are read from shards, in their order, by one thread."""
        return self._read_ahead is not None

    @property
    def changed(self) -> list[str]:
        """The paths of images that were read with another content than that of their digest, in order."""
        return [self._paths[index] for index in self._changed.nonzero()[:, 0].tolist()]

    def __len__(self) -> int:
        return len(self._paths)

    def path_and_target(self, index: int) -> tuple[str, Any]:
        """Return the path of an image, relative to the root, and its target."""
        target = self.targets[index]
        return self._paths[index], int(target) if self._targets.dtype == torch.int64 else target

    def __getitem__(self, key: int | tuple[int, int]) -> LoadedImage | Failure:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        path, target = self.path_and_target(index)
        try:
            return self._item(path, target, epoch=epoch, index=int(index))
        except UnreadableImageError as error:
            if not self._warned[index]:
                self._warned[index] = True
                logger.warning("%s cannot be read (%s); it is skipped.", path, error.reason)
            return Failure(path, error.reason, "gone" if error.is_gone else "damaged")
        except DataError as error:
            return Failure(path, str(error), "unfit")

    def _item(self, path: str, target: Any, *, epoch: int, index: int) -> LoadedImage | Failure:
        """Return an image with its target.

        Raises:
            UnreadableImageError: the file cannot be opened or decoded.
            DataError: the augmentation cannot be applied to the image.
        """
        return LoadedImage(self._pixels(epoch, index, path), target, index)

    def _opened(self, epoch: int, index: int, path: str) -> tuple[Image.Image, ImageFacts]:
        """Return a decoded image and what its file says of it."""
        if self._read_ahead is not None:
            self._read_ahead(epoch, index)
        return self._open(self._content(index, path), path)

    def _open(self, content: bytes, path: str) -> tuple[Image.Image, ImageFacts]:
        return open_rgb(content, self._decode_options, reduction=self.transform.reduction, name=path)

    def _pixels(self, epoch: int, index: int, path: str) -> npt.NDArray[np.uint8]:
        """Return the transformed image, from the cache where it is there."""
        cached = self._cached
        if cached is None or index not in cached or self._changed[index]:
            image, facts = self._opened(epoch, index, path)
            return self._augmented(image, facts.frame, epoch, path)
        digest, file = self._digests[index], Path(self._root, path)
        found = cached.unchanged(index, file, digest)
        if found is None:
            if self._read_ahead is not None:
                self._read_ahead(epoch, index)
            state = file_state(file)
            content = self._content(index, path)
            if self._changed[index]:
                image, facts = self._open(content, path)
                return self._augmented(image, facts.frame, epoch, path)
            found = cached.read(index, digest, state)
            if found is None:
                found = self._decoded(content, epoch, path)
                cached.add(digest, found)
        return self._transformed(found.pixels, found.frame, epoch, path)

    def _decoded(self, content: bytes, epoch: int, path: str) -> CachedPixels:
        """Return what the cache holds of an image: the decoded pixels, or where nothing is random the result."""
        image, facts = self._open(content, path)
        if self.transform.is_random:
            return CachedPixels(np.asarray(image), facts.frame)
        pixels = self._augmented(image, facts.frame, epoch, path)
        return CachedPixels(pixels, Frame.of(pixels))

    def _transformed(self, pixels: npt.NDArray[np.uint8], frame: Frame, epoch: int, path: str) -> npt.NDArray[np.uint8]:
        """Return the result of cached pixels, where nothing is random a copy of them: a map holds a file open."""
        return self._augmented(pixels, frame, epoch, path) if self.transform.is_random else np.array(pixels)

    def _augmented(
        self, image: Image.Image | npt.NDArray[np.uint8], frame: Frame, epoch: int, path: str
    ) -> npt.NDArray[np.uint8]:
        return self.transform(image, frame=frame, seed=self._seed, epoch=epoch, sample_id=sample_id_of(path))

    def _content(self, index: int, path: str) -> bytes:
        """Return the content of an image's file; one that has changed since its digest was taken is named in the log.

        Raises:
            UnreadableImageError: the file cannot be opened, or the image in memory could not become a file.
        """
        image = self._in_memory.get(index)
        if image is not None:
            if image.problem:
                raise UnreadableImageError(path, image.problem)
            return image.content
        try:
            content = read_bytes(Path(self._root, path))
        except OSError as error:
            raise UnreadableImageError(path, error.strerror or str(error), is_gone=True) from error
        self._note_change(index, content, self._digests[index], path)
        return content

    def _note_change(self, index: int, content: bytes, digest: str, path: str) -> None:
        """Name a file in the log whose content is not that of its digest, "" = unknown; an image is named once."""
        if digest and not self._changed[index] and hashlib.sha256(content).hexdigest() != digest:
            self._changed[index] = True
            level = logging.DEBUG if self._quiet else logging.WARNING
            logger.log(level, "%s has changed since it was checked; its current content is used.", path)

    def use_threads(self, threads: int) -> None:
        """Decode batches in several threads, unless the transform is random or the images are streamed.

        Albumentations keeps its random state in its objects, and a stream reads its shards sequentially.
        """
        self.threads = threads if not self.transform.is_random and not self.is_streamed else 1

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[LoadedImage | Failure]:
        """Return the items of a batch; Pillow decodes and scales without holding the GIL."""
        if self.threads == 1 or len(keys) == 1:
            return [self[key] for key in keys]
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(self.__getitem__, keys))


class ImageLoader(DataLoader[Any]):
    """A DataLoader of `Batch`es that can resume within an epoch.

    It skips a batch of damaged images only, and raises its workers' errors without a traceback in the message. Its
    state, which Lightning stores in every checkpoint, is the position within an epoch.
    """

    is_distributed = False  # if so, other processes would wait for a skipped batch
    _position = (0, 0)  # the epoch of the pass, and the number of batches yielded

    def state_dict(self) -> dict[str, int]:
        """Return the position: the epoch and the number of its batches that have been yielded."""
        epoch, batches = self._position
        return {"epoch": epoch, "batches": batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Start the next pass of the stored epoch at the stored position; other epochs start at 0."""
        self._position = state_dict["epoch"], state_dict["batches"]
        if isinstance(self.sampler, EpochSampler) and self.batch_size is not None:
            self.sampler.resume(state_dict["epoch"], seen=state_dict["batches"] * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches of one epoch, after `load_state_dict` only the remaining ones.

        Raises:
            DataError: files are gone (see `PassCheck`), or an augmentation cannot be applied to an image.
        """
        error: DataError | None = None
        check = PassCheck()
        if isinstance(self.sampler, EpochSampler) and self.batch_size is not None:
            self._position = self.sampler.epoch, self.sampler.seen // self.batch_size
        batches: Iterator[Any] = super().__iter__()
        if self.num_workers == 0 and isinstance(self.dataset, ImageDataset) and self.dataset.threads == 1:
            batches = prefetch(batches)  # with several decoding threads, decoding and network take turns on all cores
        for item in batches:
            self._position = self._position[0], self._position[1] + 1
            batch = item.batch if isinstance(item, Collated) else item
            error = check.error_after(item.failures) if isinstance(item, Collated) else None
            if error is not None:
                break
            if batch is None and self.is_distributed:
                error = DataError(
                    "None of the images of one process's batch can be read (the log names them), and the other "
                    "processes would wait for it. Repair or remove them, then continue with --resume."
                )
                break
            if batch is not None:
                yield batch
        else:
            error = check.error_at_end()
        if error is None:
            return
        # End the workers now. The error's traceback holds this frame and the loader; the garbage collector would
        # delete the queues before the iterator, and each worker would wait 5 s for a lost signal.
        self._iterator = None
        del batches
        try:
            raise error
        finally:
            del item, batch, error


def create_loader(
    dataset: ImageDataset,
    *,
    batch_size: int,
    num_workers: int = 0,
    shuffle: bool = False,
    drop_last: bool = False,
    balance: npt.NDArray[np.int64] | None = None,
    order: Callable[[int], npt.NDArray[np.int64]] | None = None,
    seed: int = 0,
    rank: int = 0,
    processes: int = 1,
) -> ImageLoader:
    """Return a loader whose batches depend on (seed, epoch) and the samples alone, not on the number of workers.

    Args:
        dataset: the images.
        batch_size: images per batch.
        num_workers: worker processes; 0 loads in this process.
        shuffle: a new order every epoch; else the order of the samples.
        drop_last: drop the last batch where it is not full.
        balance: codes, shape (N,), with equal shares of every epoch (see `balanced_order`); None = each image once.
        order: returns the order of an epoch, in place of a shuffle of all images (see `TarStream.order`).
        seed: seed of the order.
        rank: number of this process among those that share the samples, from 0.
        processes: number of processes that share the samples (see `part_of_epoch` and `part_of_table`).
    """
    if num_workers == 0:
        dataset.use_threads(max(1, available_cores() // processes))
    part = None
    if processes > 1 and shuffle:
        part = partial(part_of_epoch, batch_size=batch_size, rank=rank, processes=processes)
    elif processes > 1:
        part = partial(part_of_table, rank=rank, processes=processes)
    loader = ImageLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), shuffle=shuffle, seed=seed, balance=balance, order=order, part=part),
        drop_last=drop_last and part is None,  # `part_of_epoch` drops them
        num_workers=num_workers,
        collate_fn=collate,
        worker_init_fn=_use_one_thread if num_workers else None,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),  # leaves the global generator as it is
    )
    loader.is_distributed = processes > 1
    return loader


def _use_one_thread(_: int) -> None:
    """Restrict a worker process to one thread, and leave signals to the main process.

    Torchrun sends SIGTERM to a rank's whole process group, and a worker that it ends would fail the run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    if (cv2 := sys.modules.get("cv2")) is not None:  # where not loaded, no transform uses it
        cv2.setNumThreads(0)
    torch.set_num_threads(1)
