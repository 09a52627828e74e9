"""The section `tracking` of a recipe: Weights & Biases."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlkit.choices import TrackerKind, TrackerMode
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class TrackingSection(Section):
    """Tracking of the run in Weights & Biases, in addition to its directory."""

    kind: TrackerKind = Field("none", description="none, or wandb for Weights & Biases.")
    mode: TrackerMode = Field("auto", description="W&B mode; auto = online where logged in, else offline.")
    project: Annotated[v.Text, Expected("the name of a W&B project", text=True)] = Field(
        "tlkit", description="W&B project."
    )
    entity: Annotated[v.OptionalText, Expected("a W&B user or team, or null for your own", text=True)] = Field(
        None, description="W&B user or team; null = the logged-in user's own."
    )
    tags: Annotated[v.Names, Expected("a list of tags, such as [baseline, frozen]")] = Field(
        (), description="W&B tags of the run."
    )
    log_model: v.Switch = Field(True, description="Store the finished model as a W&B artifact.")
    log_report: v.Switch = Field(
        True,
        description="Store the report as a W&B page and artifact, without example images and their paths; needs "
        "`report.enabled`.",
    )
