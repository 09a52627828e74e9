"""The backbone of a recipe, and the cached features that its head trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tlkit.choices import EngineName
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.features.cache import FeatureCache
from tlkit.features.engines.engine_choice import engine_name_of
from tlkit.features.features import Features
from tlkit.inference.embed import embed, embed_views
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.preflight.recipe_queries import augmentation
from tlkit.recipe import Recipe
from tlkit.samples import Samples


@dataclass(frozen=True)
class CachedFeatures:
    """The features that a head trains on and is judged by.

    Attributes:
        plain: features of the images as evaluation sees them.
        views: features of augmented views of the training images, one per view, which the epochs take in turn; empty
            where the head trains on `plain`.
    """

    plain: Features
    views: tuple[Features, ...]


def backbone_of(recipe: Recipe) -> Backbone:
    """Return the backbone of a recipe, weights loaded, its preprocessing as the `data` section changes it.

    Raises:
        TlkitError: the model is unknown, or its weights cannot be had; the message says what to do.
    """
    section = recipe.data
    backbone = create_backbone(recipe.model.name, weights=recipe.model.weights, image_size=_pair(section.image_size))
    given = {
        "resize": section.resize,
        "crop_pct": section.crop_pct,
        "background": section.background,
        "decode": section.decode,
    }
    preprocess = backbone.preprocess.replace(**{name: value for name, value in given.items() if value is not None})
    return replace(backbone, preprocess=preprocess)


def predicted_splits(samples: Samples) -> tuple[str, ...]:
    """Return the splits that a fit predicts: test and val, in this order, or train where there is neither."""
    present = set(samples.table["split"])
    return tuple(name for name in ("test", "val") if name in present) or ("train",)


def features_for(
    recipe: Recipe, samples: Samples, *, backbone: Backbone, engine: EngineName | Literal["auto"], device: str
) -> CachedFeatures:
    """Return the features that a recipe's head trains on and is judged by; those that are not cached are computed.

    One engine computes all of them: with `features.views`, the engine that computed the views.

    Args:
        recipe: its `features` section is used, and what its `data` section says of decoding.
        samples: the images of all splits.
        backbone: the recipe's backbone.
        engine: what runs the backbone.
        device: "cpu", "cuda" or "mps".

    Raises:
        TlkitError: the engine's package is not installed, or no image can be read.
    """
    section = recipe.features
    views: tuple[Features, ...] = ()
    if section.views:
        views = embed_views(
            samples.split("train"),
            backbone=backbone,
            views=section.views,
            augment=augmentation(recipe),
            seed=recipe.seed,
            engine=engine,
            tolerance=section.tolerance,
            device=device,
            cache=_cache(recipe),
            num_workers=recipe.data.num_workers,
            decode_options=DecodeOptions.of(recipe.data),
        )
        engine = engine_name_of(views[0].made_by.engine, views[0].made_by.dtype)
        chosen = samples.table["split"].isin(predicted_splits(samples))
        samples = Samples(samples.root, samples.classes, samples.table[chosen].reset_index(drop=True))
    plain = embed(
        samples,
        backbone=backbone,
        engine=engine,
        tolerance=section.tolerance,
        device=device,
        cache=_cache(recipe),
        num_workers=recipe.data.num_workers,
        decode_options=DecodeOptions.of(recipe.data),
    )
    return CachedFeatures(plain, views)


def _cache(recipe: Recipe) -> FeatureCache:
    return FeatureCache(limit_bytes=int(recipe.features.cache_limit_gb * 1e9))


def _pair(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (size[0], size[1])
