"""The backbone of a recipe, and the cached features that its head trains on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tlkit.features.engines.engine_choice import engine_name_of
from tlkit.features.features import Features
from tlkit.inference.embed import embed, embed_views
from tlkit.inference.embed_options import EmbedOptions
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.preflight.recipe_queries import augmentation
from tlkit.recipe import Recipe
from tlkit.samples import Samples


@dataclass(frozen=True)
class CachedFeatures:
    """The features that a head trains on and is evaluated on.

    Attributes:
        plain: features of the images as evaluation sees them.
        views: features of augmented views of the training images, one per view, which the epochs take in turn; empty
            where the head trains on `plain`.
    """

    plain: Features
    views: tuple[Features, ...]


def recipe_backbone(recipe: Recipe) -> Backbone:
    """Return the backbone of a recipe, weights loaded, its preprocessing as the `data` section changes it.

    Raises:
        TlkitError: the model is unknown, or its weights cannot be had; the message says what to do.
    """
    section = recipe.data
    size = section.image_size
    pair = None if size is None else (size, size) if isinstance(size, int) else (size[0], size[1])
    backbone = create_backbone(recipe.model.name, weights=recipe.model.weights, image_size=pair)
    given = {
        "resize": section.resize,
        "crop_pct": section.crop_pct,
        "background": section.background,
        "decode": section.decode,
    }
    if recipe.task in (
        "segmentation",
        "detection",
    ):  # masks lie on the decoded pixels, and every part of an image is judged
        given |= {"resize": section.resize or "letterbox", "crop_pct": 1.0, "decode": "full"}
    preprocess = backbone.preprocess.replace(**{name: value for name, value in given.items() if value is not None})
    return replace(backbone, preprocess=preprocess)


def predicted_splits(samples: Samples) -> tuple[str, ...]:
    """Return the splits that a fit predicts: test and val, in this order, or train where there is neither."""
    present = set(samples.table["split"])
    return tuple(name for name in ("test", "val") if name in present) or ("train",)


def features_for(
    recipe: Recipe,
    samples: Samples,
    *,
    backbone: Backbone,
    options: EmbedOptions,
    progress: Callable[[int, int], None] | None = None,
) -> CachedFeatures:
    """Return the features that a recipe's head trains on and is evaluated on; those that are not cached are computed.

    One engine computes all of them: with `features.views`, the engine that computed the views.

    `samples` are the images of all splits.

    Raises:
        TlkitError: the engine's package is not installed, or no image can be read.
    """
    views: tuple[Features, ...] = ()
    if recipe.features.views:
        views = embed_views(
            samples.split("train"),
            backbone=backbone,
            views=recipe.features.views,
            augment=augmentation(recipe),
            seed=recipe.seed,
            options=options,
            progress=progress,
        )
        options = replace(options, engine=engine_name_of(views[0].made_by.engine, views[0].made_by.dtype))
        samples = samples.split(*predicted_splits(samples))
    return CachedFeatures(embed(samples, backbone=backbone, options=options, progress=progress), views)
