"""Times the pass of a frozen backbone over a few images, without storing their features."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkit.data.augment.transforms import augmentation_version, build_transform
from tlkit.features.engines.torch_engine import Engine
from tlkit.features.features import View
from tlkit.inference.embed import choose_maker
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import BATCH, Pixels, read_digests
from tlkit.models.backbone import Backbone
from tlkit.samples import Samples


@dataclass(frozen=True)
class FeatureTiming:
    """What a pass over images would take.

    Attributes:
        images: number of images.
        missing: those whose features are not cached.
        engine: what runs the backbone, such as "onnxruntime/cpu".
        setup_s: seconds to choose and build the engine; 0 where no features are missing.
        batch_s: seconds for 32 images in each timed part of the pass, decoding included; empty where none are missing.
            A part has at least one run of every thread, since the runs of several threads end together.
    """

    images: int
    missing: int
    engine: str
    setup_s: float
    batch_s: tuple[float, ...]

    @property
    def batches(self) -> int:
        """Number of batches of missing images."""
        return -(-self.missing // BATCH)


def time_features(
    samples: Samples,
    *,
    backbone: Backbone,
    options: EmbedOptions,
    augment: str | Sequence[Mapping[str, Any]] | None = None,
    seed: int = 0,
    most: int = 4,
    budget_s: float = 6.0,
) -> FeatureTiming:
    """Return what `embed` would take for images, from a few of them; the cache is read, not written.

    Args:
        samples: the images.
        backbone: what computes the features.
        options: those of `embed`.
        augment: time the first augmented view, as `embed_views` computes it.
        seed: of the augmentation.
        most: number of timed parts after a warm-up, at most.
        budget_s: seconds after which no further part is timed.

    Raises:
        TlkitError: the engine's package is not installed.
    """
    files = read_digests(samples)
    view = None
    if augment is not None:
        stated = augment if isinstance(augment, str) else json.dumps(list(augment), sort_keys=True)
        view = View(stated, seed, 0, augmentation_version())
    pixels = Pixels(build_transform(backbone.preprocess, augment=augment), view, "auto", options.decode)
    begun = time.perf_counter()
    maker = choose_maker(files, backbone, pixels, options)
    missing = options.cache.entry(maker.made_by).missing(files.keys(maker.made_by))
    if not missing:
        return FeatureTiming(len(files), 0, maker.made_by.engine, 0.0, ())
    engine = maker.build()
    engine(pixels.black_batch())
    setup_s = time.perf_counter() - begun
    part = _images_of_part(engine)
    count = min(len(missing), part * (most + 1))
    some = files.take([missing[place] for place in np.linspace(0, len(missing) - 1, count).astype(int)])
    seconds: list[float] = []
    begun_s, part_s, done = time.perf_counter(), time.perf_counter(), 0
    for _, rows in pixels.features(engine, some, quiet=True):
        images = int(rows[-1]) + 1 - done
        if images < part:
            continue
        now = time.perf_counter()
        seconds.append((now - part_s) * BATCH / images)
        part_s, done = now, done + images
        if now - begun_s >= budget_s:
            break
    if not seconds:  # fewer images than a part
        seconds.append((time.perf_counter() - begun_s) * min(1.0, BATCH / count))
    return FeatureTiming(len(files), len(missing), maker.made_by.engine, setup_s, tuple(seconds[1:] or seconds))


def _images_of_part(engine: Engine) -> int:
    """Return the least number of images, from `BATCH` on, that is a whole number of runs of every thread."""
    if engine.images_per_run is None:
        return BATCH
    together = engine.images_per_run * engine.threads
    return together * -(-BATCH // together)
