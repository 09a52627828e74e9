"""The user's words, validated: read a recipe, write it back, and say everything that is wrong with it at once."""

from tlkit.recipe.data_section import DataSection
from tlkit.recipe.load import check_sections, load_recipe, recipe_problems
from tlkit.recipe.schema import (
    AuditSection,
    AugmentSection,
    EarlyStopping,
    EvaluateSection,
    ModelSection,
    Recipe,
    ReportSection,
    TrackingSection,
    TrainSection,
    TransformSpec,
)
from tlkit.recipe.strategies import (
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
