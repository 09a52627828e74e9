"""What no single key can show: keys of a recipe that are each right and together wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.recipe.sections.audit_checks import of_audit
from tlkit.recipe.sections.augment_checks import of_augment
from tlkit.recipe.sections.contradiction import Contradiction
from tlkit.recipe.sections.data_checks import of_data
from tlkit.recipe.sections.features_checks import of_features
from tlkit.recipe.sections.strategy_checks import of_head, of_strategy
from tlkit.recipe.sections.train_checks import of_train

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
