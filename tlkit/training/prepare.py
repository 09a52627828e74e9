"""`prepare`: backbone, data module and classifier of a recipe, as `plan` shows them and `fit` trains them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tlkit.choices import MOST_HEAD_IMAGES
from tlkit.data.dataset_source import LoadedDataset
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.errors import RecipeError
from tlkit.inference.devices import LightningPrecision, choose_device, choose_precision
from tlkit.inference.recipe_features import recipe_backbone
from tlkit.lightning import pl
from tlkit.models.backbone import Backbone
from tlkit.models.box_head import require_operators
from tlkit.models.classifier import Classifier
from tlkit.models.classifier_arguments import network_of
from tlkit.models.data_facts import shares_of_annotators
from tlkit.models.losses import GroupDROLoss
from tlkit.models.mask_decoder import DecoderFacts
from tlkit.models.strategies.apply_phase import add_adapters_of_strategy
from tlkit.models.strategies.plan_phases import plan_phases
from tlkit.models.task_heads import task_head
from tlkit.preflight.recipe_dataset import load_dataset
from tlkit.preflight.recipe_queries import (
    augmentation,
    can_use_cache,
    class_counts,
    class_weights,
    head_kind,
    positive_weights,
)
from tlkit.preprocess import Preprocess
from tlkit.recipe import Recipe
from tlkit.runs.repair_groups import column_intersections
from tlkit.training.grad_checkpointing import require_grad_checkpointing
from tlkit.training.launch import World, find_world

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A recipe with its data, classifier and device.

    Attributes:
        recipe: the recipe.
        data: the data module, set up.
        classifier: the model, with its weights loaded and frozen.
        device: "cpu", "cuda" or "mps".
        precision: Lightning's name of it.
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
        """Whether each process holds only a part of the weights."""
        return self.recipe.train.parallel == "fsdp" and self.world.size > 1


@dataclass(frozen=True)
class OpenedModel:
    """The backbone of a recipe, weights loaded, and where it trains.

    Attributes:
        backbone: the backbone, with the recipe's preprocessing.
        device: "cpu", "cuda" or "mps".
        precision: Lightning's name of it.
    """

    backbone: Backbone
    device: str
    precision: LightningPrecision


def require_task_operators(recipe: Recipe) -> None:
    """Check that what the task of a recipe calls can be called here.

    Raises:
        ModelError: it is detection, and torchvision's compiled operators do not load.
    """
    if recipe.task == "detection":
        require_operators("task: detection")


def open_model(recipe: Recipe) -> OpenedModel:
    """Return the backbone of a recipe and the device that it trains on.

    Raises:
        TlkitError: the weights or the device are not available, or the strategy does not fit the backbone.
    """
    require_task_operators(recipe)
    device = choose_device(recipe.train.device)
    precision = choose_precision(str(recipe.train.precision), device=device)
    if recipe.train.parallel == "fsdp" and precision == "16-mixed":
        raise RecipeError(
            "train.parallel is fsdp, but the GPU has no bf16, and float16 needs loss scaling, which is not sharded. "
            "Use train.precision=32, or train.parallel=ddp."
        )
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    backbone = recipe_backbone(recipe)
    if recipe.train.grad_checkpointing:
        require_grad_checkpointing(backbone.module, name=backbone.name)
    adapted = recipe.strategy.kind == "lora"  # the adapters go into a copy
    own = replace(backbone, module=copy.deepcopy(backbone.module)) if adapted else backbone
    task = task_head(recipe.task if recipe.task in ("segmentation", "detection") else "multiclass", train=recipe.train)
    network = network_of(own, 2, task=task, decoder=decoder_of(recipe))
    add_adapters_of_strategy(network, recipe.strategy, seed=recipe.seed)
    plan_phases(network, recipe.strategy, epochs=recipe.train.epochs)  # raises
    return OpenedModel(backbone, device, precision)


def decoder_of(recipe: Recipe) -> DecoderFacts:
    """Return the decoder of a recipe for segmentation, or its width for detection; the default for another task."""
    if recipe.task == "detection":
        return DecoderFacts(channels=recipe.model.decoder_channels)
    if recipe.task != "segmentation":
        return DecoderFacts()
    classes = recipe.data.pixel_classes
    return DecoderFacts(recipe.model.decoder, recipe.model.decoder_channels, classes.values, classes.void)


def prepare(
    recipe: Recipe,
    *,
    dataset: LoadedDataset | None = None,
    model: OpenedModel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Return a recipe with its backbone, data and classifier.

    Args:
        recipe: the recipe.
        dataset: its images; None = they are loaded.
        model: its model; None = it is opened first.
        progress: called with (images checked, images in all) while images are loaded.

    Raises:
        TlkitError: the weights, the data or the device are not available; the message says what to do.
    """
    section = recipe.data
    model = model or open_model(recipe)
    dataset = dataset or load_dataset(recipe, progress=progress)
    world = _world(recipe)
    backbone, device, precision = model.backbone, model.device, model.precision
    pl.seed_everything(recipe.seed, workers=True, verbose=False)  # loading the weights may have drawn numbers
    data = open_data(recipe, backbone.preprocess, world=world, images=dataset)
    data.setup()
    groups = use_groups(recipe, data)
    images = len(data.samples.split("train"))
    if world.size > 1 and images < min(section.batch_size, 2) * world.size:
        raise RecipeError(f"{images} training images are too few for {world.size} processes. Use train.devices=1.")
    require_images_of_head(recipe, images)
    has_decoder = recipe.task == "segmentation"  # whose batch normalization trains with every strategy
    keeps_statistics = recipe.strategy.kind in ("frozen", "bias_only", "lora") and not has_decoder
    has_statistics = has_decoder or any(name.endswith("running_mean") for name in backbone.module.state_dict())
    if has_statistics and not keeps_statistics and min(section.batch_size, images) == 1:
        other = "or more images" if has_decoder else "more images, or strategy: frozen"
        raise RecipeError(
            "Batches would hold one image, on which batch normalization cannot train. Use data.batch_size of 2 or "
            f"more, {other}."
        )
    steps = -(-data.steps_per_epoch // recipe.train.accumulate_grad_batches)
    classifier = Classifier(
        backbone,
        classes=data.classes,
        drop_rate=recipe.model.drop_rate,
        strategy=recipe.strategy,
        train=recipe.train,
        class_weights=class_weights(recipe.train.class_weights, data.samples),
        class_counts=class_counts(data.samples) if recipe.train.logit_adjustment else None,
        num_groups=None if groups is None else int(groups.max()) + 1,
        task=recipe.task,
        target_scale=data.samples.target_scale,
        positive_weights=positive_weights(recipe.train.class_weights, data.samples),
        decoder=decoder_of(recipe) if recipe.task in ("segmentation", "detection") else None,
        steps_per_epoch=steps,
        seed=recipe.seed,
    )
    if groups is not None:
        set_groups(classifier, groups)
    classifier.soft = shares_of_annotators(data.samples.split("train"))
    if world.size > 1 and has_statistics and not keeps_statistics:
        logger.info(
            "Batch normalization is not synchronized: each process takes its statistics from its own %d images.",
            section.batch_size,
        )
    if head_kind(recipe) == "linear":
        logger.debug("Training on %s in precision %s (train.device, train.precision).", device, precision)
    return Prepared(recipe, data, classifier, device, precision, steps, world)


def require_images_of_head(recipe: Recipe, images: int) -> None:
    """Check that the recipe's head takes so many training images.

    Raises:
        RecipeError: it takes fewer.
    """
    word = head_kind(recipe)
    most = MOST_HEAD_IMAGES.get(word, images)
    if images > most:
        raise RecipeError(
            f"strategy.head is {word}, which takes at most {most:,} training images, since its memory grows by the "
            f"square of their number. There are {images:,}. Use auto or another head."
        )


def open_data(recipe: Recipe, preprocess: Preprocess, *, world: World, images: LoadedDataset) -> ImageFolderDataModule:
    """Return the data module of a recipe, not yet set up."""
    section = recipe.data
    return ImageFolderDataModule(
        images,
        preprocess=preprocess,
        augment=augmentation(recipe),
        batch_size=section.batch_size,
        num_workers=section.num_workers,
        seed=recipe.seed,
        shuffle_buffer=section.shuffle_buffer,
        sampling="balanced" if recipe.train.sampling == "balanced" else "shuffled",
        decode_options=DecodeOptions.of(section),
        rank=world.rank,
        processes=world.size,
        image_cache=section.image_cache if recipe.train.epochs > 1 else "never",
        image_cache_limit_gb=section.image_cache_limit_gb,
    )


def use_groups(recipe: Recipe, data: ImageFolderDataModule) -> npt.NDArray[np.int64] | None:
    """Balance the intersections of class and group for `sampling: group_balanced`; return them for `loss: group_dro`.

    Returns:
        The intersection of each training image, numbered from 0, shape (N,); None for another loss.
    """
    balanced, by_loss = recipe.train.sampling == "group_balanced", recipe.train.loss == "group_dro"
    if not (balanced or by_loss):
        return None
    codes = column_intersections(data.samples.split("train"), recipe.audit.plain)
    if balanced:
        data.balance(codes)
    return np.unique(codes, return_inverse=True)[1].astype(np.int64) if by_loss else None


def set_groups(classifier: Classifier, groups: npt.NDArray[np.int64]) -> None:
    """Set the group of each training image in the loss of a classifier."""
    assert isinstance(classifier.loss, GroupDROLoss), "no other loss takes groups"
    classifier.loss.set_groups(groups)


def _world(recipe: Recipe) -> World:
    """Return the processes that train together; one process trains on cached features."""
    world = find_world(recipe)
    if world.size > 1 and can_use_cache(recipe):
        logger.info("The head trains on cached features, in one process.")
        return World()
    if world.size == 1 and recipe.train.parallel == "fsdp":
        logger.info("There is one process, so train.parallel: fsdp shards nothing.")
    if world.size > 1:
        size = recipe.data.batch_size * recipe.train.accumulate_grad_batches
        logger.info(
            "%d processes train with batches of %d: each step sees %d images.",
            world.size,
            recipe.data.batch_size,
            size * world.size,
        )
    return world
