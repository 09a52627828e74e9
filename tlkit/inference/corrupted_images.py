"""Predictions of corrupted images: each file is decoded once, its corrupted copies are predicted batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from tlkit.arrays import Ints
from tlkit.choices import BATCH_SIZE, ENGINE_TOLERANCE
from tlkit.data.augment.corruption_kinds import SEVERITIES
from tlkit.data.augment.corruptions import Corruptor
from tlkit.data.augment.transforms import build_transform, sample_id_of
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.batch import Batch
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.prefetch import prefetch
from tlkit.data.num_workers import choose_num_workers
from tlkit.errors import DataError
from tlkit.features.engines.engine_choice import choose_engine
from tlkit.inference.concurrent_runs import filled
from tlkit.inference.embed import PixelBackbone, folded_backbone
from tlkit.inference.prediction_engine import head_probabilities
from tlkit.inference.predictor import Predictor
from tlkit.predictions import Predictions
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

PREFETCHED_BATCHES = 4
"""Corrupted batches that another thread prepares while the network runs."""


@dataclass(frozen=True, eq=False)
class CorruptedPredictions:
    """Predictions of the same images, clean and corrupted.

    Attributes:
        clean: of the images as they are, with labels and groups; M readable images.
        corrupted: predicted classes by corruption, shape (5, M), one row per severity; codes in `clean.classes`.
    """

    clean: Predictions
    corrupted: dict[str, Ints]


def predict_corrupted(
    predictor: Predictor,
    samples: Samples,
    corruptions: Sequence[str],
    *,
    seed: int,
    batch_size: int = BATCH_SIZE,
    num_workers: int | Literal["auto"] = "auto",
    decode_options: DecodeOptions = DecodeOptions(),
    tolerance: float = ENGINE_TOLERANCE,
    progress: Callable[[int, int], None] | None = None,
) -> CorruptedPredictions:
    """Return predictions of labelled samples, clean and under corruptions at every severity.

    An image is decoded and brought to the network's input size once, as for any prediction; the corruptions apply to
    the result, as those of ImageNet-C do. They depend on the seed and the image's path, not on batches or workers.

    Args:
        predictor: the model.
        samples: labelled images.
        corruptions: names, from `corruption_names`.
        seed: seed of the random corruptions.
        batch_size: images per forward pass.
        num_workers: processes that decode.
        decode_options: pixel limit of decoding.
        tolerance: smallest cosine similarity of an engine's features with those of float32 torch, in (0, 1].
        progress: called with (images done, images in all) after each batch.

    Raises:
        DataError: a class of the samples is unknown to the model, or no image can be read.
    """
    predictor.require_known(samples)
    preprocess = predictor.facts.preprocess
    dataset = ImageDataset(samples, transform=build_transform(preprocess), decode_options=decode_options)
    workers = choose_num_workers(num_workers, images=len(samples))
    loader = create_loader(dataset, batch_size=batch_size, num_workers=workers)
    corruptor = Corruptor(corruptions, side=min(preprocess.image_size), seed=seed)
    ids = [sample_id_of(path) for path in samples.paths.tolist()]
    cells = [(name, severity) for name in corruptions for severity in SEVERITIES]
    index: list[npt.NDArray[np.int64]] = []
    proba: list[npt.NDArray[np.float32]] = []
    codes: dict[tuple[str, int], list[Ints]] = {cell: [] for cell in cells}
    predictor.network.eval()
    runner: BackboneRunner | None = None
    with torch.inference_mode():
        for batch in loader:
            runner = runner or BackboneRunner(
                predictor, batch.image, size=min(batch_size, len(samples)), tolerance=tolerance
            )
            index.append(batch.index.numpy())
            proba.append(runner(batch.image))
            copies = prefetch(_corrupted(batch, cells, corruptor, ids), depth=PREFETCHED_BATCHES)
            for cell, images in zip(cells, copies, strict=True):
                codes[cell].append(runner(images).argmax(axis=1).astype(np.int64))
            if progress is not None:
                progress(int(index[-1][-1]) + 1, len(samples))
    if not index:
        raise DataError(f"None of the {len(samples)} images can be read; the log says why.")
    rows = np.concatenate(index)
    if len(rows) < len(samples):
        logger.warning("%d of %d images could not be read; they are left out.", len(samples) - len(rows), len(samples))
    return CorruptedPredictions(
        clean=predictor.labelled(samples, np.concatenate(proba), rows),
        corrupted={
            name: np.stack([np.concatenate(codes[name, severity]) for severity in SEVERITIES]) for name in corruptions
        },
    )


def _corrupted(
    batch: Batch, cells: Sequence[tuple[str, int]], corruptor: Corruptor, ids: Sequence[int]
) -> Iterator[torch.Tensor]:
    """Yield the batch's images under each corruption and severity, uint8 (B, 3, H, W)."""
    pictures = np.ascontiguousarray(batch.image.permute(0, 2, 3, 1).numpy())
    places = batch.index.tolist()
    for name, severity in cells:
        copies = [
            corruptor(one, name, severity, sample_id=ids[place]) for one, place in zip(pictures, places, strict=True)
        ]
        yield torch.from_numpy(np.stack(copies)).permute(0, 3, 1, 2)


class BackboneRunner:
    """Maps uint8 images (B, 3, H, W) to probabilities (B, C): the backbone runs in the engine that `auto` chooses.

    Args:
        predictor: the model.
        images: a first batch, on which the engine is compared with float32 torch.
        size: images per batch; smaller ones are filled up with black images.
        tolerance: smallest cosine similarity of the engine's features with those of float32 torch.
    """

    def __init__(self, predictor: Predictor, images: torch.Tensor, *, size: int, tolerance: float) -> None:
        backbone, preprocess = predictor.network.backbone.eval(), predictor.facts.preprocess
        self._network, self._size = predictor.network, max(size, len(images))
        self._engine = choose_engine(
            PixelBackbone(backbone, preprocess),
            lambda: folded_backbone(backbone, preprocess),
            filled(images, self._size),
            device=predictor.device,
            tolerance=tolerance,
        )
        backbone.to(predictor.device)

    def __call__(self, images: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the probabilities of the images (N, 3, H, W), shape (N, C)."""
        return head_probabilities(self._network, self._engine(filled(images, self._size))[: len(images)])
