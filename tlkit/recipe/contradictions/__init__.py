"""What no single key can show: keys of a recipe that are each right and together wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.recipe.contradictions.audit import of_audit
from tlkit.recipe.contradictions.augment import of_augment
from tlkit.recipe.contradictions.contradiction import Contradiction
from tlkit.recipe.contradictions.data import of_data
from tlkit.recipe.contradictions.features import of_features
from tlkit.recipe.contradictions.strategy import of_head, of_strategy
from tlkit.recipe.contradictions.train import of_train

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def contradictions(recipe: Recipe) -> tuple[Contradiction, ...]:
    """Return everything in a recipe that contradicts something else in it, in the order of the sections."""
    return (
        *of_data(recipe),
        *of_augment(recipe),
        *of_strategy(recipe),
        *of_features(recipe),
        *of_head(recipe),
        *of_train(recipe),
        *of_audit(recipe),
    )


__all__ = ["Contradiction", "contradictions"]
