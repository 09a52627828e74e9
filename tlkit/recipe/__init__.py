"""The user's words, validated: read a recipe, write it back, and say everything that is wrong with it at once."""

from tlkit.recipe.load import load_recipe, recipe_problems
from tlkit.recipe.schema import (
    AuditSection,
    AugmentSection,
    DataSection,
    EarlyStopping,
    EvaluateSection,
    FrozenStrategy,
    FullStrategy,
    ModelSection,
    Recipe,
    ReportSection,
    Strategy,
    TrackingSection,
    TrainSection,
    TransformSpec,
)
from tlkit.recipe.write import dump_recipe, json_schema

__all__ = [
    "AuditSection",
    "AugmentSection",
    "DataSection",
    "EarlyStopping",
    "EvaluateSection",
    "FrozenStrategy",
    "FullStrategy",
    "ModelSection",
    "Recipe",
    "ReportSection",
    "Strategy",
    "TrackingSection",
    "TrainSection",
    "TransformSpec",
    "dump_recipe",
    "json_schema",
    "load_recipe",
    "recipe_problems",
]
