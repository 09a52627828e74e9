"""Training data of a frozen backbone: its features of every image, computed once, as batches for the head."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from tlkit.data.loading.batch import Batch, CutBatch
from tlkit.data.loading.dataset import ImageLoader
from tlkit.data.loading.sampler import EpochSampler
from tlkit.features.activations import Activations
from tlkit.features.engines.engine_choice import engine_name_of
from tlkit.features.features import Features
from tlkit.inference.devices import one_thread
from tlkit.inference.embed_activations import CachedActivations
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.recipe_features import CachedFeatures, features_for
from tlkit.lightning import pl
from tlkit.models.cuts import Cut
from tlkit.preflight.recipe_queries import can_use_cache
from tlkit.recipe import Recipe
from tlkit.samples import Samples
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

SMALL_STEP = 50_000_000
"""Multiplications of a forward pass of the head, below which one thread is faster than several."""


def cached_features(
    prepared: Prepared,
    *,
    resumed_engine: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CachedFeatures | None:
    """Return the features of a run's images, computing those that are not cached; None where training needs pixels.

    `resumed_engine` is the provenance of a resumed run's features, which fixes `features.engine: auto`; `progress` is
    called with (images done, images in all).

    Raises:
        TlkitError: an engine's package is not installed, or no image can be read.
    """
    recipe = prepared.recipe
    if not can_use_cache(recipe):
        if (reason := why_pixels(recipe)) is not None:
            logger.info("%s", reason)
        return None
    options = replace(EmbedOptions.of_recipe(recipe), device=prepared.device)
    if options.engine == "auto" and resumed_engine is not None:
        options = replace(options, engine=engine_name_of(resumed_engine["engine"], resumed_engine["dtype"]))
        logger.info("features.engine is auto: the run continues with %s, which it started with.", options.engine)
    if recipe.features.views:
        logger.info(
            "The head trains on cached features of %d augmented views of every image (recipe key: features.views).",
            recipe.features.views,
        )
    else:
        logger.info(
            "The head trains on cached features: each image passes through the backbone once, since it is frozen and "
            "no image is augmented (recipe keys: strategy, augment)."
        )
    return features_for(
        recipe, prepared.data.samples, backbone=prepared.classifier.source, options=options, progress=progress
    )


def why_pixels(recipe: Recipe) -> str | None:
    """Return why a frozen backbone runs in every epoch, and what would avoid it; None where nothing is to be said."""
    if recipe.task in ("segmentation", "detection"):
        return None
    if can_use_cache(recipe) or recipe.strategy.kind != "frozen" or recipe.features.cache != "auto":
        return None
    mixes = recipe.train.mixup > 0 or recipe.train.cutmix > 0
    changes = "Mixup or cutmix changes" if mixes else "The augmentation changes"
    remedy = "neither of them" if mixes else "augment: none, or features.views: 4"
    return (
        f"{changes} the pixels in every epoch, so the frozen backbone runs in every epoch. With {remedy}, the head "
        "would train on cached features."
    )


class FeatureDataset(Dataset[Batch | CutBatch]):
    """Features or activations of a split as whole batches; epoch e takes view e modulo the number of views.

    Args:
        views: features or activations of the same images, at least one.
        samples: a split; images without features are left out.
        cut: where the activations come from; None for features.

    Attributes:
        index: the rows of the split's samples that have features, shape (n,).
    """

    def __init__(self, views: Sequence[Features | Activations], samples: Samples, cut: Cut | None = None) -> None:
        self.index = reduce(np.intersect1d, [view.rows_in(samples.paths) for view in views])
        self._targets = samples.target_values[self.index]
        self._views, self._cut = tuple(views), cut
        self._row: list[npt.NDArray[np.int64]] = []
        for view in views:
            row_of = {path: row for row, path in enumerate(view.path.tolist())}
            self._row.append(np.array([row_of[path] for path in samples.paths[self.index].tolist()], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.index)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch | CutBatch:
        """Return the batch of some (epoch, index) pairs of one epoch, with features in place of images."""
        number = keys[0][0] % len(self._views)
        chosen = np.array([index for _, index in keys], dtype=np.int64)
        # a copy in torch's own memory, which is aligned: the bits of a matrix product may depend on the alignment
        x = torch.from_numpy(self._views[number].values(self._row[number][chosen])).clone()
        batch = Batch(x, torch.from_numpy(self._targets[chosen]), torch.from_numpy(self.index[chosen]))
        if self._cut is None:
            return batch
        return CutBatch(self._cut.restore(x), batch.target, batch.index, self._cut.after)


class FeatureBatches(pl.LightningDataModule):
    """Batches of cached features or activations, in the order that training on the images would have.

    Args:
        prepared: the recipe with its data.
        cached: features of the whole backbone, or activations.
        cut: where the activations come from; None for features.
    """

    def __init__(self, prepared: Prepared, cached: CachedFeatures | CachedActivations, cut: Cut | None = None) -> None:
        super().__init__()
        self._data, self._cached, self._cut = prepared.data, cached, cut
        self._batch_size, self._seed = prepared.recipe.data.batch_size, prepared.recipe.seed

    def train_dataloader(self) -> ImageLoader:
        """Return the training batches, shuffled as images are."""
        data = self._data
        views = self._cached.views or (self._cached.plain,)
        dataset = FeatureDataset(views, data.samples.split("train"), self._cut)
        balance, stream = data.balance_of_train, data.stream_of_train
        sampler = EpochSampler(
            len(dataset),
            shuffle=True,
            seed=self._seed,
            balance=None if balance is None else balance[dataset.index],
            order=None if stream is None else partial(stream.take(dataset.index).order, seed=self._seed),
        )
        one_over = data.steps_per_epoch * self._batch_size < len(dataset)
        return self._loader(dataset, sampler, drop_last=one_over, seed=self._seed)

    def val_dataloader(self) -> ImageLoader | list[ImageLoader]:
        """Return the validation batches; an empty list where there are no val images."""
        samples = self._data.samples.split("val")
        if not len(samples):
            return []
        dataset = FeatureDataset((self._cached.plain,), samples, self._cut)
        return self._loader(dataset, EpochSampler(len(dataset), shuffle=False, seed=0))

    def _loader(
        self, dataset: FeatureDataset, sampler: EpochSampler, *, drop_last: bool = False, seed: int = 0
    ) -> ImageLoader:
        return ImageLoader(
            dataset,
            batch_size=self._batch_size,
            sampler=sampler,
            drop_last=drop_last,
            collate_fn=_identity,  # type: ignore[arg-type]  # the dataset gives whole batches
            generator=torch.Generator().manual_seed(seed),
        )


def threads_for(prepared: Prepared, cached: CachedFeatures | None) -> AbstractContextManager[None]:
    """Return a context of one thread for a small head, where several threads would wait for each other."""
    classes = len(prepared.data.samples.classes)
    small = cached is not None and prepared.recipe.data.batch_size * cached.plain.width * classes < SMALL_STEP
    return one_thread() if small else nullcontext()


def _identity(batch: Batch | CutBatch) -> Batch | CutBatch:
    return batch
