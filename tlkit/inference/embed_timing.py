"""Times the pass of a frozen backbone over a few images, without storing their features."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkit.data.augment.transforms import augmentation_version, build_transform
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
        batch_s: seconds of each timed batch of up to 32 images, decoding included; empty where none are missing.
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
        most: number of timed batches after a warm-up, at most.
        budget_s: seconds after which no further batch begins.

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
    count = min(len(missing), BATCH * (most + 1))
    some = files.take([missing[place] for place in np.linspace(0, len(missing) - 1, count).astype(int)])
    seconds: list[float] = []
    last, seen = time.perf_counter(), 0
    for _, rows in pixels.features(engine, some, quiet=True):
        seen += len(rows)
        now = time.perf_counter()
        spent = sum(seconds) + now - last >= budget_s
        if seen >= BATCH or (spent and not seconds):
            seconds.append((now - last) * max(1.0, BATCH / seen))
            last, seen = now, 0
        if spent:
            break
    if not seconds:  # fewer images than a batch
        seconds.append(time.perf_counter() - last)
    return FeatureTiming(len(files), len(missing), maker.made_by.engine, setup_s, tuple(seconds[1:] or seconds))
