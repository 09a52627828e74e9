"""The section `report` of a recipe: the HTML report and the model card."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class ReportSection(Section):
    """The HTML report of the run."""

    enabled: v.Switch = Field(True, description="Write report.html into the run directory.")
    title: Annotated[v.OptionalText, Expected("a title, or null for the run's name", text=True)] = Field(
        None, description="Title of the report; null = the run's name."
    )
    intended_use: Annotated[v.OptionalText, Expected("a text, or null", text=True)] = Field(
        None, description="What the model is for and what it is not for, as text for the model card."
    )
    thumbnails: v.Whole = Field(
        120,
        description="Most thumbnails (up to 240 pixels) of misclassified images and of failing groups; 0 = paths only.",
    )
