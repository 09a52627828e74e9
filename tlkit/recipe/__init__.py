"""Recipes: YAML files, validated; all problems of a file are reported at once, each with its place and remedy."""

from tlkit.recipe.dumping import SCHEMA_FILE, SCHEMA_LINE, dump_recipe, json_schema, plain_values
from tlkit.recipe.loading import check_sections, load_recipe
from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.augment_section import AugmentSection
from tlkit.recipe.sections.evaluate_section import EvaluateSection
from tlkit.recipe.sections.strategy_section import FrozenStrategy, FullStrategy, Strategy
from tlkit.recipe.sections.tracking_section import TrackingSection
from tlkit.recipe.sections.train_section import TrainSection

__all__ = [
    "SCHEMA_FILE",
    "SCHEMA_LINE",
    "AugmentSection",
    "EvaluateSection",
    "FrozenStrategy",
    "FullStrategy",
    "Recipe",
    "Strategy",
    "TrackingSection",
    "TrainSection",
    "check_sections",
    "dump_recipe",
    "json_schema",
    "load_recipe",
    "plain_values",
]
