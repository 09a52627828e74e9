"""The user's words, validated: read a recipe, write it back, and say everything that is wrong with it at once."""

from tlkit.recipe.load import check_sections, load_recipe, recipe_problems
from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.audit import AuditSection
from tlkit.recipe.sections.augment import AugmentSection, TransformSpec
from tlkit.recipe.sections.data import DataSection
from tlkit.recipe.sections.evaluate import EvaluateSection
from tlkit.recipe.sections.model import ModelSection
from tlkit.recipe.sections.report import ReportSection
from tlkit.recipe.sections.strategy import (
    BiasesStrategy,
    FrozenStrategy,
    FullStrategy,
    GradualStrategy,
    LastStagesStrategy,
    LoraStrategy,
    NormsStrategy,
    ProbeThenTuneStrategy,
    Strategy,
)
from tlkit.recipe.sections.tracking import TrackingSection
from tlkit.recipe.sections.train import EarlyStopping, TrainSection
from tlkit.recipe.write import dump_recipe, json_schema, plain_values

__all__ = [
    "AuditSection",
    "AugmentSection",
    "BiasesStrategy",
    "DataSection",
    "EarlyStopping",
    "EvaluateSection",
    "FrozenStrategy",
    "FullStrategy",
    "GradualStrategy",
    "LastStagesStrategy",
    "LoraStrategy",
    "ModelSection",
    "NormsStrategy",
    "ProbeThenTuneStrategy",
    "Recipe",
    "ReportSection",
    "Strategy",
    "TrackingSection",
    "TrainSection",
    "TransformSpec",
    "check_sections",
    "dump_recipe",
    "json_schema",
    "load_recipe",
    "plain_values",
    "recipe_problems",
]
