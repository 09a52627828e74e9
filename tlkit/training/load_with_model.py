"""Loads the dataset of a recipe, and its model before the first image is decoded; imports torch only for the model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlkit.data.dataset_source import LoadedDataset
from tlkit.preflight.recipe_dataset import load_dataset
from tlkit.recipe import Recipe
from tlkit.tracking.tracker_creation import require_tracker

if TYPE_CHECKING:
    from tlkit.training.prepare import OpenedModel


def load_with_model(
    recipe: Recipe,
    *,
    gray_thumbnails: bool = False,
    tracked: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LoadedDataset, OpenedModel | None]:
    """Return the images of a recipe, checked and split, and its model.

    The images are listed, then device, hub, weights, image size and strategy are tried, then the images are decoded.
    So a mistyped folder is reported before torch is imported, and what the model cannot do before minutes of decoding.
    A model that needs none of these is left for later, unless timm is loaded anyway: None.

    Args:
        recipe: the recipe.
        gray_thumbnails: keep gray thumbnails of the images; see `check_images`.
        tracked: try what the recipe's tracker needs, too.
        progress: called with (images checked, images in all).

    Raises:
        TlkitError: the recipe, the data, the weights or the device cannot be used.
    """
    opened: list[OpenedModel] = []

    def open_it() -> None:
        from tlkit.training.prepare import open_model

        if recipe.augment.transforms is not None:
            from tlkit.data.augment.transform_list import build_list

            build_list([{"name": one.name, **one.arguments} for one in recipe.augment.transforms], log_advice=False)
        opened.append(open_model(recipe))

    if tracked:
        require_tracker(recipe.tracking, name=recipe.name)
    # where timm is loaded, the model's name has not been checked yet, either
    first = open_it if may_refuse(recipe) or "timm" in sys.modules else None
    dataset = load_dataset(recipe, gray_thumbnails=gray_thumbnails, progress=progress, before_decoding=first)
    return dataset, opened[0] if opened else None


def may_refuse(recipe: Recipe) -> bool:
    """Return whether weights, device, image size, strategy or augmentation of a recipe may turn out not to work."""
    train, strategy = recipe.train, recipe.strategy
    plain = strategy.kind == "frozen" or (strategy.kind == "full" and strategy.layer_decay == 1.0)
    fits = plain and recipe.data.image_size is None and recipe.augment.transforms is None
    return not fits or recipe.model.weights != "none" or train.device not in ("auto", "cpu") or train.precision == 16
