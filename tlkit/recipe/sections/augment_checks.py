"""Cross-checks of `augment`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.recipe.sections.contradiction import Contradiction

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
