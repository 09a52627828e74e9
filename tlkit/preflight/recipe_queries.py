"""Settings derived from a recipe, or from a recipe and its samples, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from tlkit.choices import HeadWord
from tlkit.errors import RecipeError, first_few
from tlkit.recipe import Recipe
from tlkit.spelling import match_names

if TYPE_CHECKING:
    from tlkit.samples import Samples


def head_kind(recipe: Recipe) -> HeadWord:
    """Return the kind of head of a recipe; only "linear", wherever it starts, is trained by the recipe's optimizer."""
    head: HeadWord | Literal["text"] = getattr(recipe.strategy, "head", "linear")
    return "linear" if head == "text" else head


def require_steps(recipe: Recipe) -> None:
    """Check that a recipe trains in optimizer steps, with a learning rate and a batch size.

    Raises:
        RecipeError: scikit-learn fits its head.
    """
    if head_kind(recipe) != "linear":
        raise RecipeError(
            f"strategy.head is {head_kind(recipe)}, which scikit-learn fits without learning rate and batches. "
            "Use head: linear."
        )


def can_use_cache(recipe: Recipe) -> bool:
    """Return whether the head of a recipe can train on cached features.

    It can where the backbone is frozen, `features.cache` allows it, and the pixels are the same in every epoch or come
    from a fixed number of cached views.
    """
    fixed = not changes_pixels(recipe)
    mixed = recipe.train.mixup > 0 or recipe.train.cutmix > 0
    if recipe.task in (
        "segmentation",
        "detection",
    ):  # a decoder takes feature maps of several layers, which are not cached
        return False
    if recipe.strategy.kind != "frozen" or recipe.features.cache == "never" or mixed:
        return False
    return fixed or recipe.features.views > 0


def why_no_prefix(recipe: Recipe) -> str:
    """Return why no phase of a recipe can train on cached activations of a frozen prefix; "" where one may.

    A whole frozen backbone is another matter: see `can_use_cache`.
    """
    train, kind = recipe.train, recipe.strategy.kind
    reasons = {
        "a decoder takes feature maps of several layers": recipe.task in ("segmentation", "detection"),
        "the backbone is frozen as a whole": kind == "frozen",
        "the whole backbone trains": kind == "full",
        "features.cache is never": recipe.features.cache == "never",
        "mixup or cutmix changes the pixels in every epoch": train.mixup > 0 or train.cutmix > 0,
        "train.compile compiles the backbone as it runs on images": train.compile,
        "train.grad_checkpointing applies to the backbone as it runs on images": train.grad_checkpointing,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def changes_pixels(recipe: Recipe) -> bool:
    """Return whether a recipe's augmentation changes the pixels of an image from epoch to epoch."""
    return recipe.augment.preset != "none" or bool(recipe.augment.transforms)


def augmentation(recipe: Recipe) -> str | list[dict[str, Any]]:
    """Return a recipe's augmentation as `build_transform` takes it: a preset, or a list of transforms."""
    if recipe.augment.transforms is None:
        return recipe.augment.preset
    return [{"name": transform.name, **transform.arguments} for transform in recipe.augment.transforms]


def class_counts(samples: Samples) -> dict[str, int]:
    """Return the number of training images of each class.

    Raises:
        RecipeError: a class has none, so its weight or logit adjustment is not defined.
    """
    counts = samples.split("train").table["label"].value_counts()
    without = [name for name in samples.classes if name not in counts]
    if without:
        raise RecipeError(
            f"There are no training images of {first_few(without)}, which train.class_weights: balanced and "
            "train.logit_adjustment need. Add some, or turn these off."
        )
    return {name: int(counts[name]) for name in samples.classes}


def class_weights(given: str | Mapping[str, float], samples: Samples) -> Mapping[str, float] | None:
    """Return the loss weight of each class, or None where all are equal.

    Args:
        given: "none"; "balanced", which is N / (C · N_c), as scikit-learn's `class_weight` defines it; or weights by
            class name; other classes get 1. Of several labels, "balanced" is about positive weights instead.
        samples: the images of all splits.

    Raises:
        RecipeError: a class has no training images, or the weights name unknown classes.
    """
    if given == "none" or (given == "balanced" and samples.task == "multilabel"):
        return None
    if isinstance(given, str):
        counts = class_counts(samples)
        return {name: sum(counts.values()) / (len(counts) * count) for name, count in counts.items()}
    found = match_names(given, samples.classes)
    given = {found.get(name, name): weight for name, weight in given.items()}
    unknown = [name for name in given if name not in samples.classes]
    if unknown:
        raise RecipeError(
            f"train.class_weights names {first_few(unknown)}, which the data does not have. "
            f"Its classes are {first_few(samples.classes)}."
        )
    return {name: float(given.get(name, 1.0)) for name in samples.classes}


def positive_weights(given: str | Mapping[str, float], samples: Samples) -> Mapping[str, float] | None:
    """Return the loss weight of the images with each label, for several labels that are balanced; else None.

    It is the number of training images without the label over that of those with it, as torch's
    `BCEWithLogitsLoss` describes `pos_weight`, so that both weigh alike in the loss; a label that all images have gets
    the smallest weight that is not 0, that of one image without it.

    Args:
        given: "none", "balanced" or weights by label.
        samples: the images of all splits.
    """
    if given != "balanced" or samples.task != "multilabel":
        return None
    labels = samples.split("train").label_matrix
    with_it = labels.sum(axis=0)
    weights = [max(len(labels) - count, 1) / count for count in with_it.tolist()]
    return dict(zip(samples.classes, weights, strict=True))
