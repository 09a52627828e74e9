"""Cross-checks of `augment`, `strategy` and `features`: phases and epochs, engines and views, heads without epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.choices import HEADS_WITHOUT_CLASS_WEIGHTS, TRAINED_HEADS
from tlkit.recipe.sections.section import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def augment_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions about augmentation."""
    augment = recipe.augment
    if augment.transforms is not None and "preset" in augment.model_fields_set:
        yield Contradiction(
            ("augment.preset", "augment.transforms"),
            f"augment.preset is {augment.preset}, but augment.transforms is given too. Keep one of them.",
        )


def strategy_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions about phases and epochs."""
    strategy, train = recipe.strategy, recipe.train
    if strategy.kind == "lp_ft" and strategy.probe_epochs >= train.epochs:
        yield Contradiction(
            ("strategy.probe_epochs", "train.epochs"),
            f"strategy.probe_epochs is {strategy.probe_epochs}, but train.epochs is {train.epochs}, which leaves none "
            "for the fine-tuning. Use more epochs, fewer for the probe, or strategy: frozen.",
        )
    elif strategy.kind == "lp_ft" and train.warmup_epochs >= (
        shortest := min(strategy.probe_epochs, train.epochs - strategy.probe_epochs)
    ):
        yield Contradiction(
            ("train.warmup_epochs", "strategy.probe_epochs"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, and each of the two phases begins with it, but the "
            f"shorter one has {shortest} epochs. Use less than {shortest}, or 0 for no warm-up.",
        )
    if strategy.kind == "gradual" and strategy.epochs_per_stage >= train.epochs:
        yield Contradiction(
            ("strategy.epochs_per_stage", "train.epochs"),
            f"strategy.epochs_per_stage is {strategy.epochs_per_stage}, but train.epochs is {train.epochs}, so no "
            "stage is ever unfrozen. Use more epochs, fewer per stage, or strategy: frozen.",
        )
    elif strategy.kind == "gradual" and train.warmup_epochs >= strategy.epochs_per_stage:
        yield Contradiction(
            ("train.warmup_epochs", "strategy.epochs_per_stage"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, and each phase begins with it, but "
            f"strategy.epochs_per_stage is {strategy.epochs_per_stage}. Use less than {strategy.epochs_per_stage}, "
            "or 0 for no warm-up.",
        )


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
    if features.engine != "auto" and (kind == "full" or features.cache == "never"):
        other, why = (
            ("features.cache", "features.cache is never")
            if features.cache == "never"
            else ("strategy.kind", f"strategy: {kind} changes the backbone, so there are no features to cache")
        )
        yield Contradiction(
            ("features.engine", other), f"features.engine is {features.engine}, but {why}. Remove features.engine."
        )
    if features.storage != "auto" and (kind in ("frozen", "full") or features.cache == "never"):
        other, why = (
            ("features.cache", "features.cache is never")
            if features.cache == "never"
            else ("strategy.kind", f"strategy: {kind} has no frozen part below one that trains")
        )
        yield Contradiction(
            ("features.storage", other), f"features.storage is {features.storage}, but {why}. Remove features.storage."
        )
    if not features.views:
        return
    mixing = tuple(f"train.{name}" for name in ("mixup", "cutmix") if getattr(recipe.train, name) > 0)
    if mixing and kind != "full":
        yield Contradiction(
            ("features.views", *mixing),
            f"features.views is {features.views}, but {' and '.join(mixing)} would mix the images differently in every "
            "epoch, so their features cannot be cached. Remove one or the other.",
        )
    if kind == "full":
        yield Contradiction(
            ("features.views", "strategy.kind"),
            f"features.views is {features.views}, but strategy: {kind} changes the backbone, and the features with it. "
            "Remove features.views, or use a strategy with a frozen part, such as frozen or last_n.",
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


def head_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield a text head without texts, and keys without effect with a scikit-learn head, which is fitted once."""
    head = getattr(recipe.strategy, "head", "linear")
    if head == "text" and not recipe.model.weights.startswith(("file:", "run:")):
        yield Contradiction(
            ("strategy.head", "model.weights"),
            f"strategy.head is text, but model.weights is {recipe.model.weights}, which has no class names. Use "
            "file:FOLDER/model.safetensors of a folder that `tlkit zero-shot --store FOLDER` wrote, or head: linear.",
        )
    if head in TRAINED_HEADS:
        return
    if recipe.strategy.kind != "frozen":
        yield Contradiction(
            ("strategy.head", "strategy.kind"),
            f"strategy.head is {head}, which is fitted to the features of a frozen backbone, but strategy.kind is "
            f"{recipe.strategy.kind}. Use head: linear or text, or kind: frozen.",
        )
        return
    augment = recipe.augment
    if augment.transforms is not None or augment.preset != "none":
        given = "augment.preset" if augment.transforms is None else "augment.transforms"
        yield Contradiction(
            (given, "strategy.head"),
            f"strategy.head is {head}, which is fitted to one pass over unchanged images, but {given} changes them. "
            "Use augment: none, or head: linear.",
        )
    if recipe.features.cache == "never":
        yield Contradiction(
            ("features.cache", "strategy.head"),
            f"features.cache is never, but head: {head} is fitted to features. "
            "Use features.cache: auto, or head: linear.",
        )
    if recipe.train.class_weights != "none" and head in HEADS_WITHOUT_CLASS_WEIGHTS:
        yield Contradiction(
            ("train.class_weights", "strategy.head"),
            f"train.class_weights is given, but head: {head} takes no class weights. Remove it, or use head: logistic.",
        )
