"""Activations of images after the frozen prefix of a backbone, computed once by an engine and kept in the cache."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.data.augment.transforms import augmentation_version, build_transform
from tlkit.features.activations import Activations
from tlkit.features.cache import CacheEntry
from tlkit.features.engines.engine_choice import PROBE_IMAGES, engine_name_of, measure_agreement
from tlkit.features.features import View
from tlkit.inference.embed import PrefixPart, choose_maker, computed, files_of
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import BATCH, Files, Maker, Pixels
from tlkit.models.backbone import Backbone
from tlkit.models.cuts import Cut, Parts
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

BLOCK_BYTES = 32 * 1024**2
"""Bytes of a cache block of activations; each mapped block takes one open file."""
MOST_BLOCKS = 256


@dataclass(frozen=True)
class CachedActivations:
    """The activations that a suffix trains on and is evaluated on.

    Attributes:
        plain: activations of the images as evaluation sees them.
        views: activations of augmented views of the training images, one per view; empty where it trains on `plain`.
    """

    plain: Activations
    views: tuple[Activations, ...] = ()


class _Rows(nn.Module):
    """A prefix whose output is one row per image."""

    def __init__(self, prefix: nn.Module, cut: Cut) -> None:
        super().__init__()
        self.prefix = prefix
        self.cut = cut

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return rows (B, width) of normalized images (B, 3, H, W)."""
        return self.cut.flatten(self.prefix(images))


def embed_activations(
    samples: Samples, *, backbone: Backbone, cut: Cut, half: bool = False, checked: bool = False, options: EmbedOptions
) -> Activations:
    """Return the activations of images at a cut; those that are not cached are computed.

    Args:
        samples: the images.
        backbone: the backbone; its modules below the cut have the weights that its `weights` facts name.
        cut: where it is cut.
        half: store float16 where the features that follow agree with those of float32 within `options.tolerance`.
        checked: whether they are known to agree, as of other images of the run.
        options: engine, device, cache and decoding.

    Raises:
        DataError: none of the images can be read.
    """
    needs_check = half and not checked
    return _embed(samples, backbone, cut, half=half, needs_check=needs_check, options=options, view=None, augment=None)


def embed_activation_views(
    samples: Samples,
    *,
    backbone: Backbone,
    cut: Cut,
    numbers: Sequence[int],
    augment: str | Sequence[Mapping[str, Any]],
    seed: int,
    half: bool = False,
    checked: bool = False,
    options: EmbedOptions,
) -> tuple[Activations, ...]:
    """Return the activations of some augmented views of every image; view k is what epoch k of a training sees.

    `numbers` are the views, all of which use the engine and the storage of the first. The other arguments are those of
    `embed_activations` and of `embed_views`.

    Raises:
        DataError: none of the images can be read, or the augmentation cannot be used.
    """
    stated = augment if isinstance(augment, str) else json.dumps(list(augment), sort_keys=True)
    found: list[Activations] = []
    needs_check = half and not checked
    for number in numbers:
        view = View(stated, seed, number, augmentation_version())
        one = _embed(
            samples, backbone, cut, half=half, needs_check=needs_check, options=options, view=view, augment=augment
        )
        options = replace(options, engine=engine_name_of(one.made_by.engine, one.made_by.dtype))
        half, needs_check = is_half(one), False
        found.append(one)
    return tuple(found)


def is_half(activations: Activations) -> bool:
    """Return whether activations are stored as float16."""
    return activations.made_by.layer.endswith(", float16")


def _embed(
    samples: Samples,
    backbone: Backbone,
    cut: Cut,
    *,
    half: bool,
    needs_check: bool,
    options: EmbedOptions,
    view: View | None,
    augment: str | Sequence[Mapping[str, Any]] | None,
) -> Activations:
    files = files_of(samples, backbone)
    pixels = Pixels(build_transform(backbone.preprocess, augment=augment), view, options.num_workers, options.decode)
    part = prefix_part(backbone, cut, half=half, images=len(files))
    maker = choose_maker(files, backbone, pixels, options, part)
    if needs_check:  # of cached rows, too: another recipe may have stored them under a wider tolerance
        engine = maker.build()
        maker = replace(maker, build=lambda: engine)
        if not _may_be_half(maker, pixels, files, part, tolerance=options.tolerance):
            chosen = replace(options, engine=engine_name_of(maker.made_by.engine, maker.made_by.dtype))
            part = prefix_part(backbone, cut, half=False, images=len(files))
            maker = choose_maker(files, backbone, pixels, chosen, part)
    rows, known = computed(
        files, maker, pixels, options, name=f"{backbone.name} to {cut.after}", read=CacheEntry.map_rows, progress=None
    )
    return Activations(rows, np.array(known.names), np.array(known.digests), maker.made_by)


def prefix_part(backbone: Backbone, cut: Cut, *, half: bool, images: int) -> PrefixPart:
    """Return the prefix of a backbone as an engine runs it, on copies: the backbone may be in training."""
    parts = Parts(backbone.module)
    prefix = parts.prefix(cut.after).eval()
    row_bytes = cut.width * (2 if half else 4)
    block_bytes = max(BLOCK_BYTES, row_bytes * images // MOST_BLOCKS)
    return PrefixPart(
        module=_Rows(prefix, cut).eval(),
        finish=_finisher(copy.deepcopy(parts.suffix(cut.after)).cpu().eval(), cut),
        layer=cut.layer + (", float16" if half else ""),
        dtype=np.float16 if half else np.float32,
        rows_per_block=max(BATCH, block_bytes // row_bytes),
    )


def _finisher(suffix: nn.Module, cut: Cut) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    def finish(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            features: npt.NDArray[np.float32] = suffix(cut.restore(torch.from_numpy(rows))).float().numpy()
        return features

    return finish


def _may_be_half(maker: Maker, pixels: Pixels, files: Files, part: PrefixPart, *, tolerance: float) -> bool:
    """Return whether float16 activations of some real images lead to the features of float32 ones."""
    rows = maker.build()(pixels.comparison_batch(files))[: PROBE_IMAGES + 1]
    with np.errstate(over="ignore"):
        rounded = rows.astype(np.float16).astype(np.float32)
    measured = measure_agreement(part.finish(rounded), part.finish(rows))
    good = bool(np.isfinite(rounded).all()) and measured.within(tolerance)
    logger.info(
        "Activations are stored as %s: rounded to float16, the smallest cosine of the features is %.6f (at least %g is "
        "needed).",
        "float16" if good else "float32",
        measured.cosine,
        tolerance,
    )
    return good
