"""Cross-checks of `train` about the loss and about corrections for class imbalance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.recipe.sections.contradiction import Contradiction
from tlkit.recipe.sections.dependent_keys import unmet_dependencies

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def loss_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions of the loss with other keys, and several corrections for class imbalance at once."""
    train = recipe.train
    yield from unmet_dependencies(recipe, "train.loss")
    excluded = {
        "class_weights": (train.class_weights != "none", "already weights each intersection of class and group"),
        "logit_adjustment": (train.logit_adjustment > 0, "already weights each intersection of class and group"),
        "mixup": (train.mixup > 0, "needs one group per image"),
        "cutmix": (train.cutmix > 0, "needs one group per image"),
    }
    for key in [key for key, (is_used, _) in excluded.items() if is_used and train.loss == "group_dro"]:
        yield Contradiction(
            (f"train.{key}", "train.loss"),
            f"train.{key} is given, but loss: group_dro {excluded[key][1]}. "
            f"Remove train.{key}, or use loss: cross_entropy.",
        )
    corrections = {
        "train.class_weights": train.class_weights == "balanced",
        "train.sampling": train.sampling != "shuffled",
        "train.logit_adjustment": train.logit_adjustment > 0,
    }
    used = tuple(key for key, is_used in corrections.items() if is_used)
    if len(used) > 1:
        yield Contradiction(used, f"{' and '.join(used)} each correct for class imbalance. Keep one of them.")
