"""Features of images by one pass through a backbone; features that are cached are read instead."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.choices import EngineName
from tlkit.data.augment.transforms import augmentation_version, build_transform
from tlkit.data.decode.decoding import DECODER
from tlkit.data.loading.batch import normalize
from tlkit.data.sources.given_images import GivenImages, read_images
from tlkit.errors import DataError
from tlkit.features.cache import CacheBlockLostError, CacheEntry
from tlkit.features.engines.batch_norm_folding import fold_batch_norm
from tlkit.features.engines.engine_choice import (
    available_engines,
    choose_engine,
    create_engine,
    engine_identity,
    engine_name_of,
)
from tlkit.features.engines.torch_engine import Engine
from tlkit.features.features import Features, Provenance, View, canonical_options
from tlkit.inference.devices import choose_device
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Files, Maker, Pixels, Progress, make, read_digests
from tlkit.models.backbone import Backbone
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 3
"""Attempts to read features that another process may remove from the cache at the same time."""


@dataclass(frozen=True)
class PrefixPart:
    """A part of a backbone that an engine runs: its frozen prefix.

    Attributes:
        module: normalized images (B, 3, H, W) to rows (B, width), in evaluation mode.
        finish: rows (B, width) to the backbone's features (B, D), by which engines are compared.
        layer: what the rows are, for cache keys.
        dtype: in which values are stored.
        rows_per_block: images of a cache block.
    """

    module: nn.Module
    finish: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    layer: str
    dtype: type[np.float32 | np.float16]
    rows_per_block: int


class PixelBackbone(nn.Module):
    """A backbone that takes pixels as a loader gives them: uint8 (B, 3, H, W) to features (B, D)."""

    def __init__(self, module: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.module = module
        self.preprocess = preprocess

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalize and run the backbone."""
        return cast(torch.Tensor, self.module(normalize(pixels, self.preprocess)))


def folded_backbone(module: nn.Module, preprocess: Preprocess) -> PixelBackbone:
    """Return a copy of a backbone on the CPU that takes pixels, with batch normalization folded where possible."""
    stream = torch.Generator().manual_seed(0)  # noise, since black pixels would leave many layers at zero
    example = torch.randn(1, 3, *preprocess.image_size, generator=stream)
    whole = copy.deepcopy(module).cpu()  # the backbone may be in training on another device
    return PixelBackbone(fold_batch_norm(whole, example), preprocess)


def embed(
    images: Samples | GivenImages,
    *,
    backbone: Backbone,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> Features:
    """Return the features of images, and cache them: only images that are new or changed pass through the backbone.

    Args:
        images: samples, or one image or several, of the kinds that `Predictor.predict` takes.
        backbone: what computes the features; it is put into evaluation mode.
        options: engine, device, cache and decoding; default: `EmbedOptions()`.
        progress: called with (images done, images in all) for those that are not in the cache.

    Returns:
        One row per readable image, in the order of the images; unreadable ones are named in the log and left out.

    Raises:
        DataError: none of the images can be read, or one is of another kind or does not exist.

    Example:
        >>> from tlkit.models.backbone import create_backbone
        >>> backbone = create_backbone("test_resnet", weights="none", image_size=(32, 32))
        >>> embed(["photos/cat/00.png", "photos/dog/00.png"], backbone=backbone).x.shape
        (2, 96)
    """
    return _embed(images, backbone, options or EmbedOptions(), view=None, augment=None, progress=progress)


def embed_views(
    images: Samples | GivenImages,
    *,
    backbone: Backbone,
    views: int = 0,
    numbers: Sequence[int] | None = None,
    augment: str | Sequence[Mapping[str, Any]],
    seed: int = 0,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> tuple[Features, ...]:
    """Return the features of several augmented views of every image; view k is what epoch k of a training sees.

    All views use the engine chosen for the first.

    Args:
        images: samples, or one image or several, of the kinds that `Predictor.predict` takes.
        backbone: what computes the features; it is put into evaluation mode.
        views: how many, at least 1, from view 0 on.
        numbers: which views, in place of how many.
        augment: a preset or a list of transforms, as in a recipe.
        seed: of the augmentation.
        options: engine, device, cache and decoding; default: `EmbedOptions()`.
        progress: called with (images done, images in all) for each view.

    Raises:
        DataError: none of the images can be read, one is of another kind or does not exist, or the augmentation cannot
            be used.
    """
    options = options or EmbedOptions()
    stated = augment if isinstance(augment, str) else json.dumps(list(augment), sort_keys=True)
    found: list[Features] = []
    for number in range(views) if numbers is None else numbers:
        view = View(stated, seed, number, augmentation_version())
        features = _embed(images, backbone, options, view=view, augment=augment, progress=progress)
        found.append(features)
        options = replace(options, engine=engine_name_of(features.made_by.engine, features.made_by.dtype))
    return tuple(found)


def _embed(
    images: Samples | GivenImages,
    backbone: Backbone,
    options: EmbedOptions,
    *,
    view: View | None,
    augment: str | Sequence[Mapping[str, Any]] | None,
    progress: Progress | None,
) -> Features:
    files = files_of(images, backbone)
    pixels = Pixels(build_transform(backbone.preprocess, augment=augment), view, options.num_workers, options.decode)
    maker = choose_maker(files, backbone, pixels, options)
    x, known = computed(files, maker, pixels, options, name=backbone.name, read=CacheEntry.read, progress=progress)
    return Features(x, np.array(known.names), np.array(known.digests), maker.made_by)


def files_of(images: Samples | GivenImages, backbone: Backbone) -> Files:
    """Return images with their digests.

    Raises:
        DataError: there are none, or one is of another kind or does not exist.
    """
    if isinstance(images, Samples):
        files = read_digests(images)
    else:
        files = read_digests(read_images(images, background=backbone.preprocess.background))
    if not len(files):
        raise DataError("`images` is empty, so there are no features to compute.")
    return files


def computed(
    files: Files,
    maker: Maker,
    pixels: Pixels,
    options: EmbedOptions,
    *,
    name: str,
    read: Callable[[CacheEntry, Sequence[str]], T],
    progress: Progress | None,
) -> tuple[T, Files]:
    """Return what a maker computes for files, as `read` reads it from the cache, and the files that are readable.

    Raises:
        DataError: none of the images can be read.
    """
    entry = options.cache.entry(maker.made_by)
    for _ in range(TRIES):
        missing = entry.missing(files.keys(maker.made_by))
        if missing:
            with entry.writing():
                files = make(files, entry, maker, pixels, progress=progress)
            missing = entry.missing(files.keys(maker.made_by))
        else:
            logger.debug("All %d images have cached features (%s, %s).", len(files), name, entry.made_by.engine)
        if len(missing) == len(files):
            raise DataError(f"None of the {len(files)} images can be read; the log names them with the reasons.")
        if missing:
            logger.warning("%d of %d images could not be read; they have no features.", len(missing), len(files))
        known = files.take(sorted(set(range(len(files))) - set(missing)))
        try:
            found = read(entry, known.keys(maker.made_by))
        except CacheBlockLostError as error:
            logger.info("%s was removed by another process; trying again.", error)
            continue
        options.cache.prune(keep=entry.in_use)
        return found, known
    raise DataError(
        f"Features in {entry.path} were removed while they were read. Raise features.cache_limit_gb, or stop the "
        "process that prunes the cache."
    )


def choose_maker(
    files: Files, backbone: Backbone, pixels: Pixels, options: EmbedOptions, part: PrefixPart | None = None
) -> Maker:
    """Return what computes the features of some files: the engine of the options, or the one that `auto` prefers.

    With a part of the backbone it computes that part's rows. Engines are compared on the features that follow them.
    """
    device = choose_device(options.device, key="device")
    inner = backbone.module.eval() if part is None else part.module
    module = PixelBackbone(inner, backbone.preprocess)
    folds = part is None and options.fold_batch_norm

    def made_by(name: EngineName) -> Provenance:
        by = engine_identity(name, device, folds=folds)
        return Provenance(
            architecture=backbone.name,
            weights=backbone.weights.digest,
            layer="pooled" if part is None else part.layer,
            preprocess=backbone.preprocess,
            decoder=DECODER,
            engine=by.engine,
            dtype=by.dtype,
            view=pixels.view,
            options=canonical_options(backbone.options),
            engine_build=by.build,
        )

    def folded() -> nn.Module:
        if not folds:
            return copy.deepcopy(module).cpu()
        return folded_backbone(backbone.module, backbone.preprocess)

    def build(name: EngineName) -> Engine:
        return create_engine(name, folded(), pixels.black_batch(), device=device)

    def maker_of(name: EngineName, chosen: Engine | None = None) -> Maker:
        make_engine = partial(build, name) if chosen is None else lambda: chosen
        if part is None:
            return Maker(made_by(name), make_engine)
        return Maker(made_by(name), make_engine, part.dtype, part.rows_per_block)

    if options.engine != "auto":
        return maker_of(options.engine)
    preferred = available_engines(device)[0]  # other engines' features do not count: auto chooses alike on any cache
    maker = maker_of(preferred)
    cached = options.cache.entry(maker.made_by).count(files.keys(maker.made_by))
    if 2 * cached >= len(files):
        logger.debug("features.engine auto chose %s: %d images already have its features.", preferred, cached)
        return maker
    batch = pixels.comparison_batch(files)
    compared = None if part is None else part.finish
    chosen = choose_engine(module, folded, batch, device=device, tolerance=options.tolerance, compared=compared)
    return maker_of(engine_name_of(chosen.name, chosen.dtype), chosen)
