"""Loads the dataset of a recipe, and its model before the first image is decoded; imports torch only for the model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlkit.data.dataset_source import LoadedDataset
from tlkit.preflight.recipe_dataset import load_dataset
from tlkit.recipe import Recipe

if TYPE_CHECKING:
    from tlkit.training.prepare import OpenedModel


def load_with_model(
    recipe: Recipe, *, gray_thumbnails: bool = False, progress: Callable[[int, int], None] | None = None
) -> tuple[LoadedDataset, OpenedModel | None]:
    """Return the images of a recipe, checked and split, and its model.

    The images are listed, then device, hub and weights are tried, then the images are decoded. So a mistyped folder is
    reported before torch is imported, and a missing device or weights that do not fit before minutes of decoding. A
    model that needs neither weights nor a certain device is left for later, unless timm is loaded anyway: None.

    Args:
        recipe: the recipe.
        gray_thumbnails: keep gray thumbnails of the images; see `check_images`.
        progress: called with (images checked, images in all).

    Raises:
        TlkitError: the recipe, the data, the weights or the device cannot be used.
    """
    opened: list[OpenedModel] = []

    def open_it() -> None:
        from tlkit.training.prepare import open_model

        opened.append(open_model(recipe))

    train = recipe.train
    may_fail = recipe.model.weights != "none" or train.device not in ("auto", "cpu") or train.precision == 16
    may_fail = may_fail or "timm" in sys.modules  # then the model's name has not been checked yet, either
    dataset = load_dataset(
        recipe, gray_thumbnails=gray_thumbnails, progress=progress, before_decoding=open_it if may_fail else None
    )
    return dataset, opened[0] if opened else None
