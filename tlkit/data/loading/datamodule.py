"""A folder of images as a Lightning DataModule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from tlkit.choices import BATCH_SIZE, IMAGE_CACHE, IMAGE_CACHE_LIMIT_GB, ImageCacheUse
from tlkit.data.augment.transforms import PRESETS, Transform, build_transform
from tlkit.data.dataset_source import LoadedDataset, Source
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.batch import Batch, normalize
from tlkit.data.loading.box_dataset import BoxDataset
from tlkit.data.loading.cached_rows import CachedRows, CachePlan, cache_words, plan_cache
from tlkit.data.loading.dataset import ImageDataset, ImageLoader, create_loader
from tlkit.data.loading.image_cache import ImageCache
from tlkit.data.loading.mask_dataset import MaskDataset
from tlkit.data.loading.sampler import count_dropped
from tlkit.data.num_workers import choose_num_workers
from tlkit.data.sources.read_samples import Root
from tlkit.data.sources.tar_stream import TarStream
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.errors import DataError
from tlkit.lightning import pl
from tlkit.preprocess import Preprocess
from tlkit.samples import DIGEST, SPLITS, Samples

logger = logging.getLogger(__name__)


class ImageFolderDataModule(pl.LightningDataModule):
    """Batches of uint8 images from a folder of class folders, normalised on the device.

    Works with any LightningModule: a batch is a named tuple `(image, target, index)`. `setup` scans the folder,
    decodes every image once, excludes unreadable ones, holds out val and test where the folder has none, and logs its
    decisions. Outside a Trainer the batches stay uint8; apply `normalize` to them.

    Args:
        source: a folder (see `scan_folder` for its layout), several folders, a file that lists images or tar shards
            (see `read_samples`), or samples, of which shares are held out where there is no val or test split; a
            `Source` to state groups, lists or shards; or what `Source.load` returned.
        val: share to hold out for validation where there is no val split, in [0, 1); default: 0.2.
        test: share to hold out for test where there is no test split; default: none.
        preprocess: input of the backbone; default: 224 px, ImageNet's mean and std.
        augment: a preset (none, light, medium, heavy) or a list of Albumentations transforms; training only.
        batch_size: images per batch.
        num_workers: worker processes, or "auto".
        seed: seed of the order and the augmentation, and of the hold-out unless `source` states it.
        shuffle_buffer: read tar shards sequentially and shuffle within this many images (see `buffered_order`);
            None = shuffle all images.
        sampling: "shuffled" = each training image once an epoch; "balanced" = equally many images of each class.
        decode_options: pixel limit of decoding.
        rank: number of this process among those that train together, from 0; for training and validation only.
        processes: number of processes that train together; each takes `batch_size` images per step.
        progress: called with (images checked, images in all).
        image_cache: "auto" = decoded images of train and val are kept in the image cache for later epochs, bit for bit
            what decoding gives, where they were checked; "never" = every epoch decodes them.
        image_cache_limit_gb: gigabytes that the image cache may take.

    Attributes:
        preprocess: input of the backbone.
        batch_size: images per batch, of loaders made from now on.
        memory_format: order of the values of normalized batches in memory: "contiguous" or "channels_last".

    Example:
        >>> from tlkit.data import Source, SplitPlan
        >>> source = Source(root="photos", plan=SplitPlan(val=0.1, test=0.2))
        >>> data = ImageFolderDataModule(source, batch_size=8, num_workers=0)
        >>> data.setup("fit")
        >>> image, target, index = next(iter(data.train_dataloader()))
        >>> image.shape, image.dtype
        (torch.Size([8, 3, 224, 224]), torch.uint8)

        With any LightningModule: `Trainer(max_epochs=3).fit(model, datamodule=data)`.
    """

    def __init__(
        self,
        source: Root | Samples | Source | LoadedDataset,
        *,
        val: float | None = None,
        test: float | None = None,
        preprocess: Preprocess | None = None,
        augment: str | Sequence[Mapping[str, Any]] | None = "light",
        batch_size: int = BATCH_SIZE,
        num_workers: int | Literal["auto"] = "auto",
        seed: int = 0,
        shuffle_buffer: int | None = None,
        sampling: Literal["shuffled", "balanced"] = "shuffled",
        decode_options: DecodeOptions = DecodeOptions(),
        rank: int = 0,
        processes: int = 1,
        progress: Callable[[int, int], None] | None = None,
        image_cache: ImageCacheUse = IMAGE_CACHE,
        image_cache_limit_gb: float = IMAGE_CACHE_LIMIT_GB,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise DataError(f"batch_size is {batch_size}. Use 1 or more.")
        if shuffle_buffer is not None and shuffle_buffer < 1:
            raise DataError(f"shuffle_buffer is {shuffle_buffer}. Use 1 or more.")
        if shuffle_buffer is not None and sampling == "balanced":
            raise DataError("A shuffle_buffer reads every image once, in turn, so sampling cannot be balanced.")
        if not isinstance(source, Source | LoadedDataset):
            plan = SplitPlan(SplitPlan.val if val is None else val, test or SplitPlan.test, seed=seed)
            source = Source(root=source, plan=plan, decode_options=decode_options)
        elif (val, test) != (None, None):
            raise DataError(
                "val and test are shares of a folder. State them in the Source: plan=SplitPlan(val=, test=)."
            )
        self._source = source
        self.preprocess = preprocess or Preprocess()
        self._augment = augment
        self._train_transform = build_transform(self.preprocess, augment=augment)  # raises on bad settings
        self._eval_transform = build_transform(self.preprocess)
        self.batch_size = batch_size
        self._num_workers = num_workers
        self._seed = seed
        self._balanced = sampling == "balanced"
        self._balance: npt.NDArray[np.int64] | None = None
        self._buffer = shuffle_buffer
        self._stream: TarStream | None = None
        self._decode_options = decode_options
        self._rank, self._processes = rank, processes
        self._progress = progress
        self._image_cache, self._cache_limit_bytes = image_cache, int(image_cache_limit_gb * 1e9)
        self._cache_plans: dict[str, CachePlan] | None = None
        self._cache_room = 0  # bytes that the cache may take on this disk
        self._cached: dict[str, CachedRows] = {}
        self.memory_format: Literal["contiguous", "channels_last"] = "contiguous"
        self._dataset: LoadedDataset | None = None
        self._read: list[ImageDataset] = []
        self._changed: set[str] = set()

    def setup(self, stage: str | None = None) -> None:
        """Scan, check and split the images; a second call does nothing.

        Raises:
            DataError: the folder, the metadata or the shares cannot be used.
        """
        if self._dataset is None:
            source = self._source
            self._dataset = source.load(progress=self._progress) if isinstance(source, Source) else source
        if self._buffer is not None and self._stream is None:
            train = self._dataset.samples.split("train")
            self._stream = TarStream.of(train, buffer=self._buffer)
            logger.info(
                "%d shards are read sequentially, in a new order every epoch; images are shuffled within %d.",
                len(self._stream.tars),
                self._buffer,
            )
            self._stream.warn_if_sorted(train.targets)

    @property
    def samples(self) -> Samples:
        """The readable images of all splits, with labels, splits, digests and groups."""
        return self.dataset.samples

    @property
    def dataset(self) -> LoadedDataset:
        """The images of all splits, with the findings of the check."""
        self.setup()
        assert self._dataset is not None
        return self._dataset

    @property
    def changed_images(self) -> tuple[str, ...]:
        """The images that have been read with another content than that of their digest, sorted."""
        return tuple(sorted({path for dataset in self._read for path in dataset.changed} | self._changed))

    def add_changed(self, paths: Iterable[str]) -> None:
        """Add the changed images that another process has read."""
        self._changed |= set(paths)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in target order."""
        return self.samples.classes

    @property
    def steps_per_epoch(self) -> int:
        """Number of training batches of each process in one epoch."""
        images = len(self.samples.split("train"))
        return max(1, -(-(images - self._dropped(images)) // (self.batch_size * self._processes)))

    def balance(self, codes: npt.NDArray[np.int64]) -> None:
        """Give each code an equal share of every training epoch, such as the intersections of class and group.

        Args:
            codes: one for each image of the train split, shape (N,), in the order of its samples.
        """
        assert len(codes) == len(self.samples.split("train")), "one code per training image"
        self._balance = codes

    @property
    def stream_of_train(self) -> TarStream | None:
        """The places of the training images in shards that are read sequentially; else None."""
        self.setup()
        return self._stream

    @property
    def balance_of_train(self) -> npt.NDArray[np.int64] | None:
        """Codes with equal shares of every training epoch, shape (N,); None where each image comes once."""
        if self._balance is not None:
            return self._balance
        return self.samples.split("train").targets if self._balanced else None

    def train_dataloader(self) -> ImageLoader:
        """Return the training batches: shuffled and augmented."""
        samples = self.samples.split("train")
        name = "none" if self._augment is None else self._augment if isinstance(self._augment, str) else None
        logger.info("Augmentation: %s.", f"{name}: {PRESETS[name]}" if name else "the recipe's own list")
        stream = self.stream_of_train
        dropped = self._dropped(len(samples))
        if dropped:
            logger.info(
                "%d images in batches of %d in each of %d processes leave a last batch of %d, too small for batch "
                "normalisation: every epoch drops that many images, different ones each time.",
                len(samples),
                self.batch_size,
                self._processes,
                dropped,
            )
        return create_loader(
            self._images(samples, transform=self._train_transform, stream=stream, cached=self._cached_rows("train")),
            batch_size=self.batch_size,
            num_workers=choose_num_workers(self._num_workers, images=len(samples), processes=self._processes),
            shuffle=True,
            drop_last=dropped > 0,
            balance=self.balance_of_train,
            order=None if stream is None else partial(stream.order, seed=self._seed),
            seed=self._seed,
            rank=self._rank,
            processes=self._processes,
        )

    def eval_dataloader(self, split: str, *, processes: int = 1) -> ImageLoader:
        """Return the batches of a split for evaluation: in table order, not augmented.

        Args:
            split: train, val or test.
            processes: number of processes that share the images; 1 = this process gets all of them.

        Raises:
            DataError: the split has no images.
        """
        samples = self.samples.split(split)
        if not len(samples):
            raise DataError(f"There are no {split} images. The splits are {', '.join(self._present())}.")
        cached = self._cached_rows("val") if split == "val" else None
        return create_loader(
            self._images(samples, transform=self._eval_transform, cached=cached),
            batch_size=self.batch_size,
            num_workers=choose_num_workers(self._num_workers, images=len(samples), processes=self._processes),
            rank=self._rank,
            processes=processes,
        )

    def val_dataloader(self) -> ImageLoader | list[ImageLoader]:
        """Return the validation batches; no loader where there are no val images."""
        return self.eval_dataloader("val", processes=self._processes) if "val" in self._present() else []

    def test_dataloader(self) -> ImageLoader | list[ImageLoader]:
        """Return the test batches; no loader where there are no test images."""
        return self.eval_dataloader("test") if "test" in self._present() else []

    def predict_dataloader(self) -> ImageLoader:
        """Return the batches of test; where there is no test split, of val; where there is neither, of train."""
        return self.eval_dataloader(self._present()[-1])

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise a batch on its device."""
        if isinstance(batch, Batch) and not batch.image.is_floating_point():
            channels_last = self.memory_format == "channels_last"
            image = batch.image.contiguous(
                memory_format=torch.channels_last if channels_last else torch.contiguous_format
            )
            return batch._replace(image=normalize(image, self.preprocess))
        return batch

    def cache_plans(self) -> dict[str, CachePlan]:
        """Return which images of train and val the image cache takes, by split; empty where it takes none."""
        if self._cache_plans is None:
            sizes, found = self.dataset.sizes, {}
            masks = self.samples.task in ("segmentation", "detection")  # they are not cached
            if sizes is not None and not masks and self._image_cache != "never":
                self._cache_room = left = ImageCache().limit(self._cache_limit_bytes)
                for split in [name for name in ("val", "train") if left and name in self._present()]:  # val is small
                    samples, transform = self.samples.split(split), self._transforms[split]
                    found[split] = plan_cache(samples, sizes, transform, limit_bytes=left)
                    left -= found[split].size_bytes
            self._cache_plans = dict(reversed(found.items()))
        return self._cache_plans

    @property
    def _transforms(self) -> dict[str, Transform]:
        return {"train": self._train_transform, "val": self._eval_transform}

    def _cached_rows(self, split: str) -> CachedRows | None:
        """Return the cached rows of train or val; the first call makes room in the cache, and is logged."""
        plans = self.cache_plans()
        if plans and not self._cached:
            cache = ImageCache()
            for name, plan in plans.items():
                digests = self.samples.split(name).table[DIGEST].tolist()
                self._cached[name] = CachedRows(cache, digests, plan.rows, self._transforms[name])
            needed = sum(plan.size_bytes for plan in plans.values())
            keys = {key for rows in self._cached.values() for key in rows.keys}
            if self._rank == 0:
                cache.prune(max(0, self._cache_room - needed), keep=keys)
            logger.info("Decoded images are kept for later epochs: %s (data.image_cache).", cache_words(plans))
        return self._cached.get(split)

    def _images(
        self,
        samples: Samples,
        *,
        transform: Transform,
        stream: TarStream | None = None,
        cached: CachedRows | None = None,
    ) -> ImageDataset:
        options, seed = self._decode_options, self._seed
        kinds: dict[str, type[ImageDataset]] = {"segmentation": MaskDataset, "detection": BoxDataset}
        kind = kinds.get(samples.task, ImageDataset)
        dataset = kind(samples, transform=transform, decode_options=options, seed=seed, stream=stream, cached=cached)
        self._read.append(dataset)
        return dataset

    def _present(self) -> list[str]:
        return [name for name in SPLITS if (self.samples.table["split"] == name).any()]

    def _dropped(self, images: int) -> int:
        return count_dropped(images, batch_size=self.batch_size, processes=self._processes)
