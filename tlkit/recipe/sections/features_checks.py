"""Cross-checks of `features`: engines and views without effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.recipe.sections.contradiction import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def features_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions about engines and cached views."""
    features, kind = recipe.features, recipe.strategy.kind
    default = type(features).model_fields["tolerance"].default  # a stored recipe states every key
    if features.tolerance != default and features.engine != "auto":
        yield Contradiction(
            ("features.tolerance", "features.engine"),
            f"features.tolerance is {features.tolerance:g}, which limits engine: auto, but features.engine is "
            f"{features.engine}. Remove one of them.",
        )
    if features.engine != "auto" and (kind != "frozen" or features.cache == "never"):
        other, why = (
            ("strategy.kind", f"strategy: {kind} changes the backbone, so there are no features to cache")
            if kind != "frozen"
            else ("features.cache", "features.cache is never")
        )
        yield Contradiction(
            ("features.engine", other), f"features.engine is {features.engine}, but {why}. Remove features.engine."
        )
    if not features.views:
        return
    mixing = tuple(f"train.{name}" for name in ("mixup", "cutmix") if getattr(recipe.train, name) > 0)
    if mixing and kind == "frozen":
        yield Contradiction(
            ("features.views", *mixing),
            f"features.views is {features.views}, but {' and '.join(mixing)} would mix the images differently in every "
            "epoch, so their features cannot be cached. Remove one or the other.",
        )
    if kind != "frozen":
        yield Contradiction(
            ("features.views", "strategy.kind"),
            f"features.views is {features.views}, but strategy: {kind} changes the backbone, and the features with it. "
            "Remove features.views, or use strategy: frozen.",
        )
    if features.cache == "never":
        yield Contradiction(
            ("features.views", "features.cache"),
            f"features.views is {features.views}, but features.cache is never. Keep one of them.",
        )
    if recipe.augment.preset == "none" and recipe.augment.transforms is None:
        yield Contradiction(
            ("features.views", "augment.preset"),
            f"features.views is {features.views}, but augment: none makes all views equal. "
            "Remove features.views, or choose an augmentation.",
        )
