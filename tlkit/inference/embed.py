"""One pass through the backbone: the features of images, from the cache where they are known."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from tlkit.choices import EngineName
from tlkit.data.augment.transforms import augmentation_version, build_transform
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import DECODER
from tlkit.data.loading.batch import normalize
from tlkit.errors import DataError
from tlkit.features.cache import CacheBlockLostError, FeatureCache
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
from tlkit.inference.extraction import Files, Maker, Pixels, Progress, make, read_digests
from tlkit.models.backbone import Backbone
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

TOLERANCE = 0.9999
"""Smallest cosine similarity with float32 torch that `engine: auto` accepts, unless told otherwise."""
TRIES = 3


class PixelBackbone(nn.Module):
    """A backbone that takes pixels as a loader gives them: uint8 (B, 3, H, W) to features (B, D)."""

    def __init__(self, module: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.module = module
        self.preprocess = preprocess

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise and run the backbone."""
        return cast(torch.Tensor, self.module(normalize(pixels, self.preprocess)))


def embed(
    images: Samples | Sequence[str | Path],
    *,
    backbone: Backbone,
    engine: EngineName | Literal["auto"] = "auto",
    tolerance: float = TOLERANCE,
    device: str = "auto",
    cache: FeatureCache | None = None,
    num_workers: int | str = "auto",
    decode_options: DecodeOptions = DecodeOptions(),
    progress: Progress | None = None,
) -> Features:
    """Return the features of images, and keep them: only images that are new or changed pass through the backbone.

    Args:
        images: samples, or paths of image files.
        backbone: what makes the features; it is put into evaluation mode.
        engine: what runs the backbone; auto takes the one that made the features already cached, else chooses by rule.
        tolerance: smallest cosine similarity with float32 torch that auto accepts, in (0, 1].
        device: auto, cpu, cuda or mps.
        cache: where features are kept; default: `FeatureCache()`.
        num_workers: processes that decode ahead, or "auto".
        decode_options: pixel limit and background color of decoding.
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
        images,
        backbone,
        view=None,
        augment=None,
        engine=engine,
        tolerance=tolerance,
        device=device,
        cache=cache,
        num_workers=num_workers,
        decode_options=decode_options,
        progress=progress,
    )


def embed_views(
    images: Samples | Sequence[str | Path],
    *,
    backbone: Backbone,
    views: int,
    augment: str | Sequence[Mapping[str, Any]],
    seed: int = 0,
    engine: EngineName | Literal["auto"] = "auto",
    tolerance: float = TOLERANCE,
    device: str = "auto",
    cache: FeatureCache | None = None,
    num_workers: int | str = "auto",
    decode_options: DecodeOptions = DecodeOptions(),
    progress: Progress | None = None,
) -> tuple[Features, ...]:
    """Return the features of several augmented views of every image; view k is what epoch k of a training sees.

    One engine makes all of them: the first one's.

    Args:
        images: samples, or paths of image files.
        backbone: what makes the features; it is put into evaluation mode.
        views: how many, at least 1.
        augment: a preset or a list of transforms, as in a recipe.
        seed: of the augmentation.
        engine: what runs the backbone; auto takes the one that made the features already cached, else chooses by rule.
        tolerance: smallest cosine similarity with float32 torch that auto accepts, in (0, 1].
        device: auto, cpu, cuda or mps.
        cache: where features are kept; default: `FeatureCache()`.
        num_workers: processes that decode ahead, or "auto".
        decode_options: pixel limit and background color of decoding.
        progress: called with (images done, images in all) for each view.

    Raises:
        DataError: none of the images can be read, or the augmentation cannot be used.
    """
    stated = augment if isinstance(augment, str) else json.dumps(list(augment), sort_keys=True)
    made: list[Features] = []
    for number in range(views):
        one = _embed(
            images,
            backbone,
            view=View(stated, seed, number, augmentation_version()),
            augment=augment,
            engine=engine,
            tolerance=tolerance,
            device=device,
            cache=cache,
            num_workers=num_workers,
            decode_options=decode_options,
            progress=progress,
        )
        made.append(one)
        engine = engine_name_of(one.made_by.engine, one.made_by.dtype)
    return tuple(made)


def _embed(
    images: Samples | Sequence[str | Path],
    backbone: Backbone,
    *,
    view: View | None,
    augment: str | Sequence[Mapping[str, Any]] | None,
    engine: EngineName | Literal["auto"],
    tolerance: float,
    device: str,
    cache: FeatureCache | None,
    num_workers: int | str,
    decode_options: DecodeOptions,
    progress: Progress | None,
) -> Features:
    cache = cache or FeatureCache()
    files = read_digests(images)
    if not len(files):
        raise DataError("No image is named, so there is nothing to make features of.")
    pixels = Pixels(build_transform(backbone.preprocess, augment=augment), view, num_workers, decode_options)
    maker = _choose_maker(files, backbone, cache, pixels, engine=engine, tolerance=tolerance, device=device)
    entry = cache.entry(maker.made_by)
    for _ in range(TRIES):
        missing = entry.missing(files.keys(maker.made_by))
        if missing:
            with entry.writing():
                files = make(files, entry, maker, pixels, progress=progress)
            missing = entry.missing(files.keys(maker.made_by))
        else:
            logger.info("All %d images have cached features (%s, %s).", len(files), backbone.name, entry.made_by.engine)
        if len(missing) == len(files):
            raise DataError(f"None of the {len(files)} images can be read; the log names them with the reasons.")
        if missing:
            logger.warning("%d of %d images could not be read; they have no features.", len(missing), len(files))
        known = files.take(sorted(set(range(len(files))) - set(missing)))
        try:
            x = entry.read(known.keys(maker.made_by))
        except CacheBlockLostError as error:
            logger.info("%s was removed by another process; looking again.", error)
            continue
        cache.prune(keep=entry.in_use)
        return Features(x, np.array(known.names), np.array(known.digests), maker.made_by)
    raise DataError(
        f"Features in {entry.path} vanish while they are read. Is the disk full, or the cache's limit small?"
    )


def _choose_maker(
    files: Files,
    backbone: Backbone,
    cache: FeatureCache,
    pixels: Pixels,
    *,
    engine: EngineName | Literal["auto"],
    tolerance: float,
    device: str,
) -> Maker:
    device = choose_device(device)
    module = PixelBackbone(backbone.module.eval(), backbone.preprocess)

    def made_by(name: EngineName) -> Provenance:
        by = engine_identity(name, device)
        return Provenance(
            architecture=backbone.name,
            weights=backbone.weights.digest,
            layer="pooled",
            preprocess=backbone.preprocess,
            decoder=DECODER,
            engine=by.engine,
            dtype=by.dtype,
            view=pixels.view,
            options=canonical_options(backbone.options),
            engine_build=by.build,
        )

    def folded() -> nn.Module:
        stream = torch.Generator().manual_seed(0)  # noise, since black pixels would leave many layers at zero
        example = torch.randn(1, 3, *backbone.preprocess.image_size, generator=stream)
        return PixelBackbone(fold_batch_norm(backbone.module.cpu(), example), backbone.preprocess)

    def build(name: EngineName) -> Engine:
        return create_engine(name, folded(), pixels.black_batch(), device=device)

    if engine != "auto":
        return Maker(made_by(engine), partial(build, engine))
    makers = {name: Maker(made_by(name), partial(build, name)) for name in available_engines(device)}
    there = {name: cache.entry(m.made_by).count(files.keys(m.made_by)) for name, m in makers.items()}
    name = max(there, key=lambda name: there[name])
    if 2 * there[name] >= len(files):
        logger.info("features.engine is auto: %s, whose features of %d images are cached already.", name, there[name])
        return makers[name]
    chosen = choose_engine(module, folded, pixels.comparison_batch(files), device=device, tolerance=tolerance)
    return Maker(made_by(engine_name_of(chosen.name, chosen.dtype)), lambda: chosen)
