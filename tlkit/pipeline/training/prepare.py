"""From a recipe to everything that training needs, without training: what `plan` shows is what `fit` uses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from torch import nn

from tlkit.audit.cells import by_problems
from tlkit.data.datamodule import ImageFolderDataModule
from tlkit.data.sources import require_source
from tlkit.errors import RecipeError, first_few
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.losses import GroupDROLoss
from tlkit.pipeline.inference.devices import LightningPrecision, choose_device, choose_precision
from tlkit.pipeline.judging.repair_groups import crossings
from tlkit.pipeline.training.world import World, find_world
from tlkit.preprocess import Preprocess
from tlkit.recipe import Recipe
from tlkit.recipe.heads import HeadWord
from tlkit.samples import LABEL, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A recipe made concrete.

    Attributes:
        recipe: the recipe.
        data: the data module, set up.
        classifier: the model, weights loaded and frozen as the strategy says.
        device: "cpu", "cuda" or "mps".
        precision: Lightning's word for it.
        steps_per_epoch: optimizer steps per epoch.
        world: the processes that train together.
    """

    recipe: Recipe
    data: ImageFolderDataModule
    classifier: Classifier
    device: str
    precision: LightningPrecision
    steps_per_epoch: int
    world: World

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of the weights only."""
        return self.recipe.train.parallel == "fsdp" and self.world.size > 1


def prepare(recipe: Recipe, *, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Build the backbone, read and split the data, and join the two.

    Args:
        recipe: what to build.
        progress: called with (images checked, images in all).

    Raises:
        TlkitError: the weights, the data or the device cannot be had; the message says what to do.
    """
    section = recipe.data
    require_source(section.root, manifest=section.manifest, shards=section.shards)  # before weights are fetched
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    world = _world(recipe)
    device = choose_device(recipe.train.device)
    precision = choose_precision(str(recipe.train.precision), device=device)
    if recipe.train.parallel == "fsdp" and precision == "16-mixed":
        raise RecipeError(
            "train.parallel is fsdp, but the GPU computes in no bf16, and float16 needs loss scaling, which tlkit does "
            "not share out. Use train.precision=32, or train.parallel=ddp."
        )
    backbone = create_backbone(recipe.model.name, weights=recipe.model.weights, image_size=_pair(section.image_size))
    given = {"resize": section.resize, "crop_pct": section.crop_pct, "background": section.background,
             "decode": section.decode}  # fmt: skip
    preprocess = backbone.preprocess.replace(**{name: value for name, value in given.items() if value is not None})
    data = open_data(recipe, preprocess, world=world, progress=progress)
    data.setup()
    _check_audit(recipe, data.samples)
    groups = use_groups(recipe, data)
    _check_world(world, data, recipe)
    keeps_statistics = recipe.strategy.kind in ("frozen", "bias_only", "lora")
    has_statistics = any(name.endswith("running_mean") for name in backbone.module.state_dict())
    if has_statistics and not keeps_statistics and min(section.batch_size, len(data.samples.split("train"))) == 1:
        raise RecipeError(
            "Batches would hold one image, on which batch normalisation cannot train. Use data.batch_size of 2 or "
            "more, more images, or strategy: frozen."
        )
    steps = -(-data.steps_per_epoch // recipe.train.accumulate_batches)
    classifier = Classifier(
        replace(backbone, preprocess=preprocess),
        classes=data.classes,
        drop_rate=recipe.model.drop_rate,
        strategy=recipe.strategy,
        train=recipe.train,
        class_weights=class_weights(recipe.train.class_weights, data.samples),
        class_counts=_class_counts(data.samples) if recipe.train.logit_adjustment else None,
        num_groups=None if groups is None else int(groups.max()) + 1,
        steps_per_epoch=steps,
        seed=recipe.seed,
    )
    if groups is not None:
        set_groups(classifier, groups)
    if world.size > 1 and not keeps_statistics and has_batch_norm(classifier):
        logger.info(
            "Batch normalisation is not synchronised: each process takes its statistics from its own %d images.",
            section.batch_size,
        )
    if head_word(recipe) == "linear":
        logger.info("Training on %s in precision %s.", device, precision)
    return Prepared(recipe, data, classifier, device, precision, steps, world)


def head_word(recipe: Recipe) -> HeadWord:
    """Return which head a recipe asks for: "linear" where it is trained by the recipe's own optimizer."""
    return recipe.strategy.head if recipe.strategy.kind == "frozen" else "linear"


def can_use_cache(recipe: Recipe) -> bool:
    """Tell whether the head of a recipe can train on cached features: the backbone is frozen, the pixels are fixed."""
    fixed = recipe.augment.preset == "none" and not recipe.augment.transforms
    mixed = recipe.train.mixup > 0 or recipe.train.cutmix > 0
    if recipe.strategy.kind != "frozen" or recipe.features.use == "never" or mixed:
        return False
    return fixed or recipe.features.views > 0


def open_data(
    recipe: Recipe,
    preprocess: Preprocess,
    *,
    world: World,
    samples: Samples | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageFolderDataModule:
    """Return the data module of a recipe, not yet set up.

    Args:
        recipe: its `data` section says where the images are and how they are split.
        preprocess: what the backbone expects.
        world: the processes that share the images.
        samples: images that another process has read, checked and split, which are then taken as they are.
        progress: called with (images checked, images in all).
    """
    section = recipe.data
    common: dict[str, Any] = {
        "preprocess": preprocess,
        "augment": augmentation(recipe),
        "batch_size": section.batch_size,
        "num_workers": section.num_workers,
        "seed": recipe.seed,
        "shuffle_buffer": section.shuffle_buffer,
        "sampling": "balanced" if recipe.train.sampling == "balanced" else "shuffled",
        "max_pixels": section.max_pixels,
        "rank": world.rank,
        "processes": world.size,
    }
    if samples is not None:
        return ImageFolderDataModule(samples, val=0.0, check=False, **common)
    return ImageFolderDataModule(
        section.root,
        val=section.val,
        test=section.test,
        manifest=section.manifest,
        shards=section.shards,
        split=section.split,
        stratify=section.stratify,
        group_by=section.group_by,
        time_column=section.time_column,
        folds=section.folds,
        fold=section.fold,
        on_leak=section.on_leak,
        metadata=section.metadata,
        groups=section.groups,
        quarantine=section.quarantine,
        labels=section.labels,
        progress=progress,
        **common,
    )


def use_groups(recipe: Recipe, data: ImageFolderDataModule) -> npt.NDArray[np.int64] | None:
    """Give the crossings of class and group equal shares of every epoch, where the recipe asks for it.

    Returns:
        The crossing of each training image, numbered from 0, shape (N,), where the loss takes it; else None.
    """
    balanced, by_loss = recipe.train.sampling == "group_balanced", recipe.train.loss == "group_dro"
    if not (balanced or by_loss):
        return None
    codes = crossings(data.samples.split("train"), recipe.audit.plain)
    if balanced:
        data.balance(codes)
    return np.unique(codes, return_inverse=True)[1].astype(np.int64) if by_loss else None


def set_groups(classifier: Classifier, groups: npt.NDArray[np.int64]) -> None:
    """Tell the loss of a classifier who is in which group."""
    assert isinstance(classifier.loss, GroupDROLoss), "no other loss takes groups"
    classifier.loss.set_groups(groups)


def has_batch_norm(module: nn.Module) -> bool:
    """Tell whether any layer takes statistics over the images of a batch."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def _world(recipe: Recipe) -> World:
    """Return the processes that train; one where there is no network to train in epochs."""
    world = find_world(recipe)
    if world.size > 1 and can_use_cache(recipe):
        logger.info("The head learns from cached features, which one process does; the other %d end.", world.size - 1)
        return World()
    if world.size == 1 and recipe.train.parallel == "fsdp":
        logger.info("There is one process, so train.parallel: fsdp has nothing to share out.")
    if world.size > 1:
        size = recipe.data.batch_size * recipe.train.accumulate_batches
        logger.info(
            "%d processes train with batches of %d: each step sees %d images.",
            world.size, recipe.data.batch_size, size * world.size,
        )  # fmt: skip
    return world


def _check_world(world: World, data: ImageFolderDataModule, recipe: Recipe) -> None:
    """Find out whether every process gets images.

    Raises:
        RecipeError: there are fewer than two for each.
    """
    images = len(data.samples.split("train"))
    if world.size > 1 and images < min(recipe.data.batch_size, 2) * world.size:
        raise RecipeError(f"{images} training images are too few for {world.size} processes. Use train.devices=1.")


def _check_audit(recipe: Recipe, samples: Samples) -> None:
    """Find out before training whether the audit that the recipe asks for can be made of the splits it will judge.

    Raises:
        RecipeError: a column is an identifier, cannot be cut as asked, or the positive class is none.
    """
    section = recipe.audit
    if not section.by:
        return
    there = set(samples.table["split"])
    problems: list[str] = []
    for split in [name for name in ("val", "test") if name in there] or ["train"]:
        found = by_problems(samples.split(split).groups, section.plain)
        problems += [f"audit.by, {split} split: {problem}" for problem in found]
    if section.positive is not None and section.positive not in samples.classes:
        problems.append(
            f"audit.positive is {section.positive!r}, which the data does not have. "
            f"Its classes are {first_few(samples.classes)}."
        )
    if problems:
        raise RecipeError(*problems)


def _pair(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def augmentation(recipe: Recipe) -> str | list[dict[str, Any]]:
    """Return a recipe's augmentation as `build_transform` takes it: a preset, or a list of transforms."""
    listed = recipe.augment.transforms
    if listed is None:
        return recipe.augment.preset
    return [{"name": transform.name, **transform.arguments} for transform in listed]


def _class_counts(samples: Samples) -> dict[str, int]:
    """Return the training images of each class.

    Raises:
        RecipeError: a class has none, so that nothing can make up for how rare it is.
    """
    counts = samples.split("train").table[LABEL].value_counts()
    without = [name for name in samples.classes if name not in counts]
    if without:
        raise RecipeError(
            f"There are no training images of {first_few(without)}, which train.class_weights: balanced and "
            "train.logit_adjustment need. Add some, or turn these off."
        )
    return {name: int(counts[name]) for name in samples.classes}


def class_weights(given: str | Mapping[str, float], samples: Samples) -> Mapping[str, float] | None:
    """Return the loss weight of each class; `balanced` is N / (C · N_c), as scikit-learn's class_weight defines it."""
    if given == "none":
        return None
    if isinstance(given, str):
        counts = _class_counts(samples)
        return {name: sum(counts.values()) / (len(counts) * count) for name, count in counts.items()}
    unknown = [name for name in given if name not in samples.classes]
    if unknown:
        raise RecipeError(
            f"train.class_weights names {first_few(unknown)}, which the data does not have. "
            f"Its classes are {first_few(samples.classes)}."
        )
    return {name: float(given.get(name, 1.0)) for name in samples.classes}
