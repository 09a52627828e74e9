"""Recipes: YAML files, validated; all problems of a file are reported at once, each with its place and remedy."""

from tlkit.recipe.dumping import dump_recipe, json_schema, plain_values
from tlkit.recipe.loading import check_sections, load_recipe, recipe_problems
from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.audit_section import AuditSection
from tlkit.recipe.sections.augment_section import AugmentSection, TransformSpec
from tlkit.recipe.sections.data_section import DataSection
from tlkit.recipe.sections.evaluate_section import EvaluateSection
from tlkit.recipe.sections.model_section import ModelSection
from tlkit.recipe.sections.report_section import ReportSection
from tlkit.recipe.sections.strategy_section import (
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
from tlkit.recipe.sections.tracking_section import TrackingSection
from tlkit.recipe.sections.train_section import EarlyStopping, TrainSection

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
