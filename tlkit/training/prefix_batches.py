"""Training data of a partly frozen backbone: activations of its frozen prefix where a phase has one, else images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from tlkit.data.loading.dataset import ImageLoader
from tlkit.data.loading.sampler import EpochSampler
from tlkit.features.activations import Activations
from tlkit.features.engines.engine_choice import engine_name_of
from tlkit.features.features import Features
from tlkit.inference.embed import embed, embed_views
from tlkit.inference.embed_activations import CachedActivations, embed_activation_views, embed_activations, is_half
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.recipe_features import CachedFeatures
from tlkit.lightning import pl
from tlkit.models.cuts import Cut
from tlkit.preflight.recipe_queries import augmentation
from tlkit.runs import RunDirectory
from tlkit.samples import Samples
from tlkit.training.cached_features import FeatureBatches
from tlkit.training.prefix_plan import PhaseInput, PhaseRecord, log_inputs, plan_inputs, view_numbers
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


def prefix_batches(directory: RunDirectory, prepared: Prepared, *, resume: bool) -> PrefixBatches | None:
    """Return the training data of a run with a frozen prefix in some phase; None where all phases train on images.

    What each phase trains on is logged with its bytes, and stored in the run, before anything is computed. A resumed
    run continues as the record says.
    """
    record: dict[int, PhaseRecord] = {}
    if resume and directory.inputs.is_file():
        stored = directory.read_json(directory.inputs)
        phases = directory.read_result(
            directory.inputs, lambda one: [PhaseRecord(**phase) for phase in one["phases"]], stored
        )
        record = {phase.first_epoch: phase for phase in phases}
    inputs = plan_inputs(prepared, record=record)
    log_inputs(inputs)
    if all(one.cut is None for one in inputs) and not record:
        return None
    return PrefixBatches(directory, prepared, inputs, record)


class PrefixBatches(pl.LightningDataModule):
    """Batches of activations or images, in the order that training on the images would have.

    The activations of a phase are computed when its first batch is asked for, unless the phase before shares them.
    Those of another cut are released, and may be removed from the cache when it is full.

    Args:
        directory: the run, which records the engine of each phase.
        prepared: the recipe with its data.
        inputs: what each phase trains on.
        record: of a resumed run, what its phases trained on and by which engine, by the first epoch from 1.
    """

    def __init__(
        self, directory: RunDirectory, prepared: Prepared, inputs: list[PhaseInput], record: Mapping[int, PhaseRecord]
    ) -> None:
        super().__init__()
        self._directory, self._prepared = directory, prepared
        self._inputs = inputs
        self._record = {one.record.first_epoch: record.get(one.record.first_epoch, one.record) for one in inputs}
        self._current: tuple[PhaseInput, FeatureBatches | None] | None = None
        self._write()

    def train_dataloader(self) -> PhasedLoader:
        """Return the training batches of whichever epoch Lightning is in."""
        return PhasedLoader(self._train_loader, self._prepared.data.steps_per_epoch)

    def val_dataloader(self) -> PhasedLoader | list[ImageLoader]:
        """Return the validation batches of whichever epoch Lightning is in; an empty list where there are none."""
        images = len(self._prepared.data.samples.split("val"))
        if not images:
            return []
        batches = -(-images // self._prepared.recipe.data.batch_size)
        return PhasedLoader(self._val_loader, batches, epoch=self._trainer_epoch)

    def eval_dataloader(self, split: str) -> ImageLoader:
        """Return the batches of val for networks of any phase, with activations at the cut of the last one."""
        assert split == "val", split
        batches = self._batches(self._last)
        loader = self._prepared.data.eval_dataloader("val") if batches is None else batches.val_dataloader()
        assert isinstance(loader, ImageLoader)
        return loader

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise a batch of images on its device."""
        return self._prepared.data.on_after_batch_transfer(batch, dataloader_idx)

    def predicted(self, samples: Samples) -> tuple[Features | Activations, Cut] | None:
        """Return the activations of a split at the cut of the last phase; None where the last phase trains on images.

        No phase changes the modules below that cut, so they are valid for the network of any epoch.
        """
        last = self._last
        if last.cut is None:
            return None
        return self._plain(last, samples), last.cut

    @property
    def _last(self) -> PhaseInput:
        return self._inputs[-1]

    def _input_at(self, epoch: int) -> PhaseInput:
        """Return the input of the phase of an epoch; the first one for epochs before it."""
        return next(one for one in reversed(self._inputs) if one.phase.first_epoch <= epoch or one is self._inputs[0])

    def _train_loader(self, epoch: int) -> ImageLoader:
        batches = self._batches(self._input_at(epoch))
        return self._image_loaders[0] if batches is None else batches.train_dataloader()

    def _val_loader(self, epoch: int) -> ImageLoader:
        batches = self._batches(self._input_at(epoch))
        loader = self._image_loaders[1] if batches is None else batches.val_dataloader()
        assert isinstance(loader, ImageLoader)
        return loader

    @cached_property
    def _image_loaders(self) -> tuple[ImageLoader, ImageLoader | list[ImageLoader]]:
        """The loaders of images, whose workers start once."""
        return self._prepared.data.train_dataloader(), self._prepared.data.val_dataloader()

    def _trainer_epoch(self) -> int:
        assert self.trainer is not None, "a trainer validates"
        return int(self.trainer.current_epoch)

    def _batches(self, one: PhaseInput) -> FeatureBatches | None:
        """Return the batches of a phase's activations, which are computed unless they are cached; None for images.

        A phase trains on images, too, where one of them has no activations because it could not be read again.
        """
        if one.cut is None:
            self._current = None
            return None
        if self._current is not None and self._current[0].shares(one) and not self._prepared.recipe.features.views:
            self._current = one, self._current[1]
        if self._current is None or self._current[0] is not one:
            self._current = None  # releases the activations of the phase before
            cached = self._embedded(one)
            batches: FeatureBatches | None = FeatureBatches(self._prepared, cached, None if one.is_pooled else one.cut)
            if not self._is_whole(cached):
                logger.warning("Some images have no activations, so the phase trains on images.")
                batches = None
                shared = [other for other in self._inputs if other.shares(one)]
                self._write(*(PhaseRecord(other.record.first_epoch, None) for other in shared))
            self._current = one, batches
        return self._current[1]

    def _is_whole(self, cached: CachedFeatures | CachedActivations) -> bool:
        """Return whether all images of train and val have activations."""
        samples = self._prepared.data.samples
        train, val = samples.split("train"), samples.split("val")
        views = cached.views or (cached.plain,)
        return all(len(view.rows_in(train.paths)) == len(train) for view in views) and (
            len(cached.plain.rows_in(val.paths)) == len(val)
        )

    def _embedded(self, one: PhaseInput) -> CachedFeatures | CachedActivations:
        prepared, recipe = self._prepared, self._prepared.recipe
        samples, views = prepared.data.samples, recipe.features.views
        train = samples.split("train")
        if not views:
            plain = self._plain(one, samples.split("train", "val"))
            return CachedFeatures(plain, ()) if isinstance(plain, Features) else CachedActivations(plain)
        found = self._views(one, train)
        others = samples.split("val")
        plain = self._plain(one, others) if len(others) else found[0]
        if isinstance(plain, Features):
            return CachedFeatures(plain, tuple(view for view in found if isinstance(view, Features)))
        return CachedActivations(plain, tuple(view for view in found if isinstance(view, Activations)))

    def _plain(self, one: PhaseInput, samples: Samples) -> Features | Activations:
        """Return the features or activations of images as evaluation sees them, and record what computed them."""
        assert one.cut is not None
        backbone, options = self._prepared.classifier.source, self._options(one)
        found: Features | Activations
        if one.is_pooled:
            found = embed(samples, backbone=backbone, options=options)
        else:
            half, checked = self._storage(one)
            found = embed_activations(
                samples, backbone=backbone, cut=one.cut, half=half, checked=checked, options=options
            )
        self._note(one, found)
        return found

    def _views(self, one: PhaseInput, samples: Samples) -> tuple[Features | Activations, ...]:
        """Return the augmented views of a phase; in place of those that none of its epochs takes stands the first."""
        assert one.cut is not None
        recipe, backbone = self._prepared.recipe, self._prepared.classifier.source
        numbers = view_numbers(one.phase, recipe.features.views)
        augment, options = augmentation(recipe), self._options(one)
        found: tuple[Features | Activations, ...]
        if one.is_pooled:
            found = embed_views(
                samples, backbone=backbone, numbers=numbers, augment=augment, seed=recipe.seed, options=options
            )
        else:
            half, checked = self._storage(one)
            found = embed_activation_views(
                samples,
                backbone=backbone,
                cut=one.cut,
                numbers=numbers,
                augment=augment,
                seed=recipe.seed,
                half=half,
                checked=checked,
                options=options,
            )
        self._note(one, found[0])
        by_number: dict[int, Features | Activations] = dict(zip(numbers, found, strict=True))
        return tuple(by_number.get(number, found[0]) for number in range(recipe.features.views))

    def _options(self, one: PhaseInput) -> EmbedOptions:
        """Return how a phase's activations are computed: as the recipe states, or as the record of the run does."""
        recipe, before = self._prepared.recipe, self._record[one.record.first_epoch]
        options = replace(
            EmbedOptions.of_recipe(recipe),
            device=self._prepared.device,
            fold_batch_norm=not recipe.features.engine.startswith("torch"),
        )
        if options.engine == "auto" and before.engine is not None and before.dtype is not None:
            return replace(options, engine=engine_name_of(before.engine, before.dtype))
        return options

    def _storage(self, one: PhaseInput) -> tuple[bool, bool]:
        """Return whether activations may be float16, and whether that is settled, as it is once an engine is noted."""
        before = self._record[one.record.first_epoch]
        return before.storage == "float16", before.engine is not None

    def _note(self, one: PhaseInput, found: Features | Activations) -> None:
        """Record the engine and the storage of activations for all phases that use them; a resumed run keeps them."""
        by, stored = found.made_by, "float16" if isinstance(found, Activations) and is_half(found) else "float32"
        noted = [
            replace(other.record, storage=stored, engine=by.engine, dtype=by.dtype)
            for other in self._inputs
            if other.shares(one) and self._record[other.record.first_epoch].after is not None
        ]
        changed = [phase for phase in noted if phase != self._record[phase.first_epoch]]
        if changed:
            self._write(*changed)

    def _write(self, *changed: PhaseRecord) -> None:
        """Write the record of the run, of which some phases may have changed."""
        self._record |= {phase.first_epoch: phase for phase in changed}
        phases = [asdict(phase) for phase in self._record.values()]
        self._directory.write_json(self._directory.inputs, {"format_version": FORMAT_VERSION, "phases": phases})


class PhasedLoader:
    """The batches of an epoch from the loader of its phase, with the state of an `ImageLoader`.

    Args:
        loader_of: returns the loader of an epoch, from 0.
        length: number of batches of every epoch.
        epoch: returns the present epoch; None = that of `set_epoch`, and the next one after each pass.
    """

    batch_sampler = None  # Lightning asks for it where there is a `sampler`

    def __init__(
        self, loader_of: Callable[[int], ImageLoader], length: int, *, epoch: Callable[[], int] | None = None
    ) -> None:
        self._loader_of, self._length, self._present = loader_of, length, epoch
        self._epoch = 0
        self._resumed: dict[str, int] | None = None
        self._loader: ImageLoader | None = None

    @property
    def sampler(self) -> PhasedLoader:
        """This object, whose `set_epoch` Lightning calls before every epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""
        self._epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Return the position: the epoch and the number of its batches that have been yielded."""
        if self._loader is None:
            return self._resumed or {"epoch": 0, "batches": 0}
        return self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Start the next pass of the stored epoch at the stored position; other epochs start at 0."""
        self._resumed, self._epoch = dict(state_dict), state_dict["epoch"]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of one epoch, after `load_state_dict` only the remaining ones."""
        epoch = self._epoch if self._present is None else self._present()
        self._epoch = epoch + 1
        loader = self._loader_of(epoch)
        if isinstance(loader.sampler, EpochSampler):
            loader.sampler.set_epoch(epoch)
        if self._resumed is not None and self._resumed["epoch"] == epoch:
            loader.load_state_dict(self._resumed)
        self._resumed, self._loader = None, loader
        yield from loader
