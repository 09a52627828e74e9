"""One pass through the backbone: the features of images, from the cache where they are known."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.data.batch import Batch, normalise
from tlkit.data.cores import available_cores, choose_workers
from tlkit.data.dataset import ImageDataset, create_loader
from tlkit.data.decode import DECODER, MAX_PIXELS
from tlkit.data.sampler import EpochSampler
from tlkit.data.transforms import Transform, build_transform, sample_id_of
from tlkit.errors import DataError, first_few
from tlkit.features.cache import FeatureCache, ShardLostError, Shelf
from tlkit.features.engines import Engine, TorchEngine
from tlkit.features.features import Features, Provenance, View
from tlkit.models.backbone import Backbone
from tlkit.models.network import load_network
from tlkit.models.weights import tensors_digest
from tlkit.pipeline.devices import choose_device
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory
from tlkit.samples import DIGEST, Samples

logger = logging.getLogger(__name__)

BATCH = 32
"""Images per pass; short batches are filled up, so that features do not depend on how many images are missing."""
ROWS_PER_SHARD = 256
TRIES = 3

Progress = Callable[[int, int], None]


class PixelBackbone(nn.Module):
    """A backbone that takes pixels as a loader gives them: uint8 (B, 3, H, W) to features (B, D)."""

    def __init__(self, module: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.module = module
        self.preprocess = preprocess

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise and run the backbone."""
        return cast(torch.Tensor, self.module(normalise(pixels, self.preprocess)))


@dataclass(frozen=True)
class _Files:
    """Image files, what they are called, and the sha256 of each."""

    images: Samples | tuple[str | Path, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> _Files:
        if isinstance(self.images, Samples):
            table = self.images.table.iloc[list(rows)].reset_index(drop=True)
            images: Samples | tuple[str | Path, ...] = Samples(self.images.root, self.images.classes, table)
        else:
            images = tuple(self.images[row] for row in rows)
        return _Files(images, tuple(self.names[i] for i in rows), tuple(self.digests[i] for i in rows))

    def path(self, row: int) -> Path:
        return Path(self.images.root if isinstance(self.images, Samples) else "", self.names[row])

    def keys(self, made_by: Provenance) -> list[str]:
        if made_by.view is None:
            return [made_by.key(digest) for digest in self.digests]
        ids = [sample_id_of(name) for name in self.names]
        return [made_by.key(digest, sample_id=i) for digest, i in zip(self.digests, ids, strict=True)]


def embed(
    images: Samples | Sequence[str | Path],
    *,
    backbone: Backbone,
    device: str = "auto",
    cache: FeatureCache | None = None,
    num_workers: int | str = "auto",
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> Features:
    """Return the features of images, and keep them: only images that are new or changed pass through the backbone.

    Args:
        images: samples, or paths of image files.
        backbone: what makes the features; it is put into evaluation mode.
        device: auto, cpu, cuda or mps.
        cache: where features are kept; default: `FeatureCache()`.
        num_workers: processes that decode ahead, or "auto".
        max_pixels: larger images count as unreadable.
        progress: called with (images done, images in all) for those that are not in the cache.

    Returns:
        One row per readable image, in the order of the images; unreadable ones are named in the log and left out.

    Raises:
        DataError: none of the images can be read.

    Example:
        >>> features = embed(run.samples, backbone=create_backbone("resnet18"))  # doctest: +SKIP
        >>> features.of(run.samples.split("val").paths).x.shape  # doctest: +SKIP
        (153, 512)
    """
    return _embed(
        images, backbone, view=None, augment=None, device=device, cache=cache, num_workers=num_workers,
        max_pixels=max_pixels, progress=progress,
    )  # fmt: skip


def embed_views(
    images: Samples | Sequence[str | Path],
    *,
    backbone: Backbone,
    views: int,
    augment: str | Sequence[Mapping[str, Any]],
    seed: int = 0,
    device: str = "auto",
    cache: FeatureCache | None = None,
    num_workers: int | str = "auto",
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> tuple[Features, ...]:
    """Return the features of several augmented views of every image; view k is what epoch k of a training sees.

    Args:
        images: samples, or paths of image files.
        backbone: what makes the features; it is put into evaluation mode.
        views: how many, at least 1.
        augment: a preset or a list of transforms, as in a recipe.
        seed: of the augmentation.
        device: auto, cpu, cuda or mps.
        cache: where features are kept; default: `FeatureCache()`.
        num_workers: processes that decode ahead, or "auto".
        max_pixels: larger images count as unreadable.
        progress: called with (images done, images in all) for each view.

    Raises:
        DataError: none of the images can be read, or the augmentation cannot be used.
    """
    stated = augment if isinstance(augment, str) else json.dumps(list(augment), sort_keys=True)
    return tuple(
        _embed(
            images, backbone, view=View(stated, seed, number), augment=augment, device=device, cache=cache,
            num_workers=num_workers, max_pixels=max_pixels, progress=progress,
        )
        for number in range(views)
    )  # fmt: skip


def embed_run(
    run: str | Path | object,
    *,
    splits: Sequence[str] = ("train", "val", "test"),
    device: str = "auto",
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Features:
    """Return the features of a run's images by the backbone of its stored model.

    Args:
        run: a run or its directory.
        splits: which of its images.
        device: auto, cpu, cuda or mps.
        cache: where features are kept; default: `FeatureCache()`.
        progress: called with (images done, images in all) for those that are not in the cache.

    Raises:
        TlkitError: there is no such run, it has no stored model, or none of the images can be read.
    """
    directory = RunDirectory.open(Path(getattr(run, "path", run)))  # type: ignore[arg-type]
    environment = directory.read_json(directory.environment)
    samples = Samples.from_csv(directory.split, root=Path(environment["data"]["root"]))
    chosen = samples.table["split"].isin(list(splits))
    samples = Samples(samples.root, samples.classes, samples.table[chosen].reset_index(drop=True))
    return embed(samples, backbone=stored_backbone(directory.model), device=device, cache=cache, progress=progress)


def stored_backbone(folder: Path) -> Backbone:
    """Return the backbone of a stored model, with its weights as they are after training.

    Raises:
        ModelError: there is no stored model in the folder, or it does not fit this timm.
    """
    network, card = load_network(folder)
    weights = replace(card.weights, digest=tensors_digest(network.backbone.state_dict()))
    return Backbone(
        name=card.architecture, module=network.backbone, num_features=network.head.in_features,
        preprocess=card.preprocess, weights=weights, options=card.options,
    )  # fmt: skip


def _embed(
    images: Samples | Sequence[str | Path],
    backbone: Backbone,
    *,
    view: View | None,
    augment: str | Sequence[Mapping[str, Any]] | None,
    device: str,
    cache: FeatureCache | None,
    num_workers: int | str,
    max_pixels: int,
    progress: Progress | None,
) -> Features:
    cache = cache or FeatureCache()
    files = _read_digests(images)
    device = choose_device(device)
    engine: Engine = TorchEngine(PixelBackbone(backbone.module, backbone.preprocess), device=device)
    made_by = Provenance(
        architecture=backbone.name, weights=backbone.weights.digest, layer="pooled", preprocess=backbone.preprocess,
        decoder=DECODER, engine=engine.name, dtype=engine.dtype, view=view,
    )  # fmt: skip
    shelf = cache.shelf(made_by)
    for _ in range(TRIES):
        missing = shelf.missing(files.keys(made_by))
        if missing:
            with shelf.writing():
                pixels = _Pixels(build_transform(backbone.preprocess, augment=augment), view, num_workers, max_pixels)
                files = _make(files, shelf, engine, pixels, progress=progress)
            missing = shelf.missing(files.keys(made_by))
        else:
            logger.info("All %d images have cached features (%s, %s).", len(files), backbone.name, engine.name)
        if len(missing) == len(files):
            raise DataError(f"None of the {len(files)} images can be read; the log names them with the reasons.")
        if missing:
            logger.warning("%d of %d images could not be read; they have no features.", len(missing), len(files))
        known = files.take(sorted(set(range(len(files))) - set(missing)))
        try:
            x = shelf.gather(known.keys(made_by))
        except ShardLostError as error:
            logger.info("%s was removed by another process; looking again.", error)
            continue
        cache.prune(keep=shelf.in_use)
        return Features(x, np.array(known.names), np.array(known.digests), made_by)
    raise DataError(
        f"Features in {shelf.path} vanish while they are read. Is the disk full, or the cache's limit small?"
    )


@dataclass(frozen=True)
class _Pixels:
    """How image files become batches of pixels."""

    transform: Transform
    view: View | None
    num_workers: int | str
    max_pixels: int

    def batches(self, files: _Files) -> Iterator[Batch]:
        dataset = ImageDataset(
            files.images, transform=self.transform, max_pixels=self.max_pixels, seed=self.view.seed if self.view else 0
        )
        workers = choose_workers(self.num_workers, images=len(files))  # type: ignore[arg-type]
        loader = create_loader(dataset, batch_size=BATCH, num_workers=workers)
        if self.view is not None:
            cast(EpochSampler, loader.sampler).set_epoch(self.view.number)
        yield from loader


def _make(files: _Files, shelf: Shelf, engine: Engine, pixels: _Pixels, *, progress: Progress | None) -> _Files:
    """Compute and store what is not on the shelf; return the files with their digests as they are now."""
    unknown = shelf.missing(files.keys(shelf.made_by))  # another process may have made some while this one waited
    stamps = {row: _stamp(files.path(row)) for row in unknown}
    files = _digested(files, unknown)
    keys = files.keys(shelf.made_by)
    first = {keys[row]: row for row in reversed(shelf.missing(keys))}  # identical files are computed once
    missing = sorted(first.values())
    logger.info(
        "Features: %d of %d images are in the cache, %d pass through the backbone (%s, %s).",
        len(files) - len(missing), len(files), len(missing), engine.name, engine.dtype,
    )  # fmt: skip
    todo = files.take(missing)
    rows: list[int] = []
    made: list[npt.NDArray[np.float32]] = []
    done = 0

    def flush() -> None:
        good = [i for i, row in enumerate(rows) if _stamp(todo.path(row)) == stamps[missing[row]]]
        if len(good) < len(rows):
            logger.warning("%d images changed while they were read; they have no features.", len(rows) - len(good))
        if good:
            shelf.add([keys[missing[rows[i]]] for i in good], np.concatenate(made)[good])
        rows.clear()
        made.clear()

    for batch in pixels.batches(todo) if missing else ():
        count = len(batch.image)
        made.append(engine(_filled(batch.image))[:count])
        rows += batch.index.tolist()
        done += count
        if progress is not None:
            progress(done, len(todo))
        if len(rows) >= ROWS_PER_SHARD:
            flush()
    flush()
    return files


def _filled(pixels: torch.Tensor) -> torch.Tensor:
    """Fill a short batch up with black images, so that every batch has the same shape."""
    short = BATCH - len(pixels)
    return torch.cat([pixels, pixels.new_zeros(short, *pixels.shape[1:])]) if short else pixels


def _read_digests(images: Samples | Sequence[str | Path]) -> _Files:
    """Take the digests from the samples, and from the files where the samples have none."""
    if isinstance(images, Samples):
        files = _Files(images, tuple(map(str, images.paths)), tuple(images.table[DIGEST]))
    else:
        names = tuple(os.fspath(path) for path in images)
        files = _Files(tuple(images), names, ("",) * len(names))
    return _digested(files, [row for row, digest in enumerate(files.digests) if not digest])


def _digested(files: _Files, rows: Sequence[int]) -> _Files:
    """Take the sha256 of some of the files anew; where it differs from what was stated, the log says so."""
    if not rows:
        return files
    with ThreadPoolExecutor(available_cores()) as pool:
        found = list(pool.map(lambda row: _sha256(files.path(row)), rows))
    digests = list(files.digests)
    changed = [files.names[row] for row, now in zip(rows, found, strict=True) if now and digests[row] not in ("", now)]
    if changed:
        logger.warning("%d images are not what they were when they were checked: %s. Their features are those of the "
                       "files as they are now.", len(changed), first_few(changed))  # fmt: skip
    for row, now in zip(rows, found, strict=True):
        digests[row] = now or digests[row]
    return replace(files, digests=tuple(digests))


def _sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file; "" where it cannot be opened, which the loader will say in words."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written: its time in ns and its size."""
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size
