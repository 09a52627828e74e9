"""From a recipe to everything that training needs, without training: what `plan` shows is what `fit` uses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import pytorch_lightning as pl

from tlkit.audit.cells import by_problems
from tlkit.data.datamodule import ImageFolderDataModule
from tlkit.errors import RecipeError, first_few
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.pipeline.devices import LightningPrecision, choose_device, choose_precision
from tlkit.pipeline.repair_groups import crossings
from tlkit.recipe import Recipe
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
    """

    recipe: Recipe
    data: ImageFolderDataModule
    classifier: Classifier
    device: str
    precision: LightningPrecision
    steps_per_epoch: int


def prepare(recipe: Recipe, *, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Build the backbone, read and split the data, and join the two.

    Args:
        recipe: what to build.
        progress: called with (images checked, images in all).

    Raises:
        TlkitError: the weights, the data or the device cannot be had; the message says what to do.
    """
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    device = choose_device(recipe.train.device)
    precision = choose_precision(str(recipe.train.precision), device=device)
    section = recipe.data
    backbone = create_backbone(recipe.model.name, weights=recipe.model.weights, image_size=_pair(section.image_size))
    given = {"resize": section.resize, "crop_pct": section.crop_pct, "background": section.background,
             "decode": section.decode}  # fmt: skip
    preprocess = backbone.preprocess.replace(**{name: value for name, value in given.items() if value is not None})
    data = ImageFolderDataModule(
        section.root,
        preprocess=preprocess,
        augment=augmentation(recipe),
        batch_size=section.batch_size,
        num_workers=section.num_workers,
        val=section.val,
        test=section.test,
        seed=recipe.seed,
        manifest=section.manifest,
        shards=section.shards,
        split=section.split,
        stratify=section.stratify,
        group_by=section.group_by,
        time_column=section.time_column,
        folds=section.folds,
        fold=section.fold,
        on_leak=section.on_leak,
        sampling="balanced" if recipe.train.sampling == "balanced" else "shuffled",
        metadata=section.metadata,
        groups=section.groups,
        quarantine=section.quarantine,
        labels=section.labels,
        max_pixels=section.max_pixels,
        progress=progress,
    )
    data.setup()
    _check_audit(recipe, data.samples)
    if recipe.train.sampling == "group_balanced":
        data.balance(crossings(data.samples.split("train"), recipe.audit.plain))
    keeps_statistics = recipe.strategy.kind in ("frozen", "bias_only", "lora")
    if not keeps_statistics and min(section.batch_size, len(data.samples.split("train"))) == 1:
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
        steps_per_epoch=steps,
        seed=recipe.seed,
    )
    logger.info("Training on %s in precision %s.", device, precision)
    return Prepared(recipe, data, classifier, device, precision, steps)


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
