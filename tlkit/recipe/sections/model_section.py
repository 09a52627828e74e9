"""The section `model` of a recipe: the pretrained backbone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class ModelSection(Section):
    """The pretrained backbone."""

    name: Annotated[v.Text, Expected("the name of a timm model, such as resnet18", text=True)] = Field(
        description="Model of timm, such as resnet18 or tf_efficientnet_lite0; `tlkit models` lists them.",
        examples=["resnet18"],
    )
    weights: v.WeightsText = Field(
        "hub",
        description="Where the weights come from: hub (timm's own), none (random), pip:PACKAGE, file:PATH "
        "(safetensors), hf-hub:ORG/REPO or run:PATH.",
    )
    drop_rate: v.BelowOne = Field(0.0, description="Dropout before the classifier, 0 to below 1.")
