"""`Recipe`: all sections of a recipe, in order of use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tlkit.choices import TrackerKind, TrainedTask
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.audit_checks import audit_contradictions
from tlkit.recipe.sections.audit_section import AuditSection
from tlkit.recipe.sections.augment_section import AugmentSection, Preset
from tlkit.recipe.sections.data_checks import data_contradictions
from tlkit.recipe.sections.data_section import DataSection
from tlkit.recipe.sections.dependent_keys import unmet_dependencies
from tlkit.recipe.sections.evaluate_section import EvaluateSection
from tlkit.recipe.sections.features_section import FeaturesSection
from tlkit.recipe.sections.model_section import ModelSection
from tlkit.recipe.sections.report_section import ReportSection
from tlkit.recipe.sections.section import Section
from tlkit.recipe.sections.strategy_checks import (
    augment_contradictions,
    features_contradictions,
    head_contradictions,
    strategy_contradictions,
)
from tlkit.recipe.sections.strategy_section import FrozenStrategy, Strategy, StrategyKind
from tlkit.recipe.sections.task_checks import task_contradictions
from tlkit.recipe.sections.tracking_section import TrackingSection
from tlkit.recipe.sections.train_checks import train_contradictions
from tlkit.recipe.sections.train_section import TrainSection
from tlkit.recipe.value_types import Expected

SHORT_FORMS: Mapping[str, str] = {"augment": "preset", "strategy": "kind", "tracking": "kind"}
"""Sections that may be given as one word, and the key that takes the word."""

CROSS_CHECKS = (
    unmet_dependencies,
    task_contradictions,
    data_contradictions,
    augment_contradictions,
    strategy_contradictions,
    features_contradictions,
    head_contradictions,
    train_contradictions,
    audit_contradictions,
)
"""What finds keys that are each valid and together wrong, in the order of the sections."""


def _short_form(section: str) -> BeforeValidator:
    """Return a validator that reads `strategy: frozen` as `strategy: {kind: frozen}`."""
    key = SHORT_FORMS[section]
    sections: Any = {"augment": AugmentSection, "strategy": Strategy, "tracking": TrackingSection}[section]
    words: Any = {"augment": Preset, "strategy": StrategyKind, "tracking": TrackerKind}[section]
    return BeforeValidator(
        lambda given: {key: given} if isinstance(given, str) else given, json_schema_input_type=words | sections
    )


class Recipe(Section):
    """All settings of a run, in order of use.

    Example:
        >>> recipe = Recipe(recipe_version=1, name="pets", data={"root": "data/pets"}, model={"name": "resnet18"})
        >>> recipe.train.epochs, recipe.strategy.kind
        (5, 'frozen')
    """

    recipe_version: Annotated[Literal[1], v.ExactInt, v.KnownVersion, Expected("1")] = Field(
        description="Version of the recipe format: 1.", examples=[1]
    )
    name: v.Name = Field(
        description="Name of the run and of its directory below runs/: letters, digits, '.', '_' and '-'.",
        examples=["pets-frozen"],
    )
    task: TrainedTask = Field(
        "multiclass",
        description="What the model says of an image: multiclass = one of several classes; multilabel = any number of "
        "labels; ordinal = one of several grades in an order; regression = a number; segmentation = the class of each "
        "pixel; detection = boxes with their classes.",
    )
    seed: v.Seed = Field(0, description="Seed of all random numbers, from 0 to 4294967295.")
    data: Annotated[DataSection, Expected("a section with root, the path of a folder of images")]
    augment: Annotated[AugmentSection, _short_form("augment")] = AugmentSection()
    model: Annotated[ModelSection, Expected("a section with name, the name of a timm model")]
    strategy: Annotated[Annotated[Strategy, Field(discriminator="kind")], _short_form("strategy")] = FrozenStrategy()
    features: FeaturesSection = FeaturesSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    audit: AuditSection = AuditSection()
    report: ReportSection = ReportSection()
    tracking: Annotated[TrackingSection, _short_form("tracking")] = TrackingSection()

    @model_validator(mode="after")
    def _has_no_contradictions(self) -> Recipe:
        found = tuple(contradiction for check in CROSS_CHECKS for contradiction in check(self))
        if found:
            text = " ".join(one.text for one in found)
            raise PydanticCustomError("contradiction", "{text}", {"text": text, "found": found})
        return self
