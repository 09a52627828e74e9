"""What contradicts itself in `train` about the loss, and about what makes up for rare classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.recipe.sections.contradiction import Contradiction
from tlkit.recipe.sections.dependent_keys import unmet_dependencies

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def of_loss(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield what the loss does not go with, and cures for rare classes that are too many together."""
    train = recipe.train
    yield from unmet_dependencies(recipe, "train.loss")
    beside_groups = {
        "class_weights": (train.class_weights != "none", "weights each crossing of class and group itself"),
        "logit_adjustment": (train.logit_adjustment > 0, "weights each crossing of class and group itself"),
        "mixup": (train.mixup > 0, "knows one group per image"),
        "cutmix": (train.cutmix > 0, "knows one group per image"),
    }
    for key in [key for key, (is_used, _) in beside_groups.items() if is_used and train.loss == "group_dro"]:
        yield Contradiction(
            (f"train.{key}", "train.loss"),
            f"train.{key} is given, but loss: group_dro {beside_groups[key][1]}. "
            f"Remove train.{key}, or use loss: cross_entropy.",
        )
    against_imbalance = {
        "train.class_weights": train.class_weights == "balanced",
        "train.sampling": train.sampling != "shuffled",
        "train.logit_adjustment": train.logit_adjustment > 0,
    }
    used = tuple(key for key, is_used in against_imbalance.items() if is_used)
    if len(used) > 1:
        yield Contradiction(
            used, f"{' and '.join(used)} each make up for rare classes, together too much. Keep one of them."
        )
