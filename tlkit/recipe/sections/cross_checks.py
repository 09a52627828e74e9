"""Cross-checks of a recipe: keys that are each valid and together wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.recipe.sections.audit_checks import audit_contradictions
from tlkit.recipe.sections.augment_checks import augment_contradictions
from tlkit.recipe.sections.contradiction import Contradiction
from tlkit.recipe.sections.data_checks import data_contradictions
from tlkit.recipe.sections.features_checks import features_contradictions
from tlkit.recipe.sections.strategy_checks import head_contradictions, strategy_contradictions
from tlkit.recipe.sections.train_checks import train_contradictions

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


def find_contradictions(recipe: Recipe) -> tuple[Contradiction, ...]:
    """Return all contradictions of a recipe, in the order of its sections."""
    return (
        *data_contradictions(recipe),
        *augment_contradictions(recipe),
        *strategy_contradictions(recipe),
        *features_contradictions(recipe),
        *head_contradictions(recipe),
        *train_contradictions(recipe),
        *audit_contradictions(recipe),
    )
