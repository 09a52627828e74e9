"""The frozen path: a backbone that never changes runs once per image, and the head trains on what it said."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from tlkit.data.loading.batch import Batch
from tlkit.data.loading.dataset import ImageLoader
from tlkit.data.loading.sampler import EpochSampler
from tlkit.features.engines.engine_choice import engine_name_of
from tlkit.features.features import Features
from tlkit.inference.devices import one_thread
from tlkit.inference.recipe_features import CachedFeatures, features_for
from tlkit.lightning import pl
from tlkit.preflight.recipe_queries import can_use_cache
from tlkit.samples import Samples
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

SMALL_STEP = 50_000_000
"""Multiplications of a forward pass of the head, below which one thread is faster than several."""


def cached_features(prepared: Prepared, *, resumed_engine: Mapping[str, Any] | None = None) -> CachedFeatures | None:
    """Return the features of a run's images, computing those that are not cached; None where pixels are needed.

    Args:
        prepared: the recipe, made concrete.
        resumed_engine: what made the features of a run that is resumed, as its environment says; its engine goes on.

    Raises:
        TlkitError: an engine's package is not installed, or no image can be read.
    """
    recipe = prepared.recipe
    if not can_use_cache(recipe):
        if recipe.strategy.kind == "frozen" and recipe.features.cache == "auto":
            mixed = recipe.train.mixup > 0 or recipe.train.cutmix > 0
            logger.info(
                "%s for new pixels every epoch, so the frozen backbone runs every epoch. With %s, the head would train "
                "on cached features.",
                "Mixup and cutmix ask" if mixed else "The augmentation asks",
                "neither of them" if mixed else "augment: none, or features.views: 4",
            )
        return None
    engine = recipe.features.engine
    if engine == "auto" and resumed_engine is not None:
        engine = engine_name_of(resumed_engine["engine"], resumed_engine["dtype"])
        logger.info("features.engine is auto: %s goes on, which the run was begun with.", engine)
    if recipe.features.views:
        logger.info("The backbone is frozen: the head trains on %d cached views of every image.", recipe.features.views)
    else:
        logger.info("The backbone is frozen and nothing varies the images: the head trains on cached features.")
    return features_for(
        recipe, prepared.data.samples, backbone=prepared.classifier.source, engine=engine, device=prepared.device
    )


class FeatureDataset(Dataset[Batch]):
    """Features that come as whole batches; epoch e takes view e modulo their number.

    Args:
        views: features of the same images, at least one.
        samples: a split; images of it without features are left out.
    """

    def __init__(self, views: Sequence[Features], samples: Samples) -> None:
        known = set.intersection(*({*view.path.tolist()} for view in views))
        rows = [row for row, path in enumerate(samples.paths) if path in known]
        self._index = np.array(rows, dtype=np.int64)
        self._targets = samples.targets[self._index]
        self._x: list[npt.NDArray[np.float32]] = []
        self._row: list[npt.NDArray[np.int64]] = []
        for view in views:
            row_of = {path: row for row, path in enumerate(view.path.tolist())}
            self._x.append(view.x)
            self._row.append(np.array([row_of[samples.paths[row]] for row in rows], dtype=np.int64))

    @property
    def index(self) -> npt.NDArray[np.int64]:
        """The rows of the split's samples, shape (n,)."""
        return self._index

    def __len__(self) -> int:
        return len(self._index)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Return the batch of some (epoch, index) pairs of one epoch; features come in place of images."""
        number = keys[0][0] % len(self._x)
        chosen = np.array([index for _, index in keys], dtype=np.int64)
        x = np.asarray(self._x[number][self._row[number][chosen]])
        return Batch(
            torch.from_numpy(x), torch.from_numpy(self._targets[chosen]), torch.from_numpy(self._index[chosen])
        )


class FeatureBatches(pl.LightningDataModule):
    """Batches of cached features, in the order in which the images would come.

    Args:
        prepared: the recipe, made concrete.
        cached: its features.
    """

    def __init__(self, prepared: Prepared, cached: CachedFeatures) -> None:
        super().__init__()
        self._samples = prepared.data.samples
        self._batch_size = prepared.recipe.data.batch_size
        self._seed = prepared.recipe.seed
        self._batches = prepared.data.steps_per_epoch
        self._balance = prepared.data.balance_of_train
        self._stream = prepared.data.stream_of_train
        self._cached = cached

    def train_dataloader(self) -> ImageLoader:
        """Return the training batches, shuffled as images are."""
        dataset = FeatureDataset(self._cached.views or (self._cached.plain,), self._samples.split("train"))
        one_over = self._batches * self._batch_size < len(dataset)
        return self._loader(dataset, shuffle=True, drop_last=one_over)

    def val_dataloader(self) -> ImageLoader | list[ImageLoader]:
        """Return the validation batches; no loader where there are no val images."""
        samples = self._samples.split("val")
        return self._loader(FeatureDataset((self._cached.plain,), samples)) if len(samples) else []

    def _loader(self, dataset: FeatureDataset, *, shuffle: bool = False, drop_last: bool = False) -> ImageLoader:
        return ImageLoader(
            dataset,
            batch_size=self._batch_size,
            sampler=EpochSampler(
                len(dataset),
                shuffle=shuffle,
                seed=self._seed if shuffle else 0,
                balance=self._balance[dataset.index] if shuffle and self._balance is not None else None,
                order=partial(self._stream.take(dataset.index).order, seed=self._seed)
                if shuffle and self._stream is not None
                else None,
            ),
            drop_last=drop_last,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # the dataset gives whole batches
            generator=torch.Generator().manual_seed(self._seed if shuffle else 0),
        )


def threads_for(prepared: Prepared, cached: CachedFeatures | None) -> AbstractContextManager[None]:
    """Train a small head on one thread: for so little arithmetic, several spend their time waiting for each other."""
    classes = len(prepared.data.samples.classes)
    small = cached is not None and prepared.recipe.data.batch_size * cached.plain.width * classes < SMALL_STEP
    return one_thread() if small else nullcontext()


def _as_it_is(batch: Batch) -> Batch:
    return batch
