"""The section `evaluate` of a recipe: figures of the predictions."""

from __future__ import annotations

from pydantic import Field

from tlkit.choices import CONFIDENCE, Views
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section


class EvaluateSection(Section):
    """Figures of the predictions."""

    top_k: v.Ranks = Field((1, 5), description="Ranks k for top-k accuracy, at least 1 each.")
    confidence: v.Inside = Field(CONFIDENCE, description="Confidence level of every interval, between 0 and 1.")
    tta: Views = Field(
        "none",
        description="Views of each image over which the run's predictions are averaged: flip = the image and its "
        "mirror image; ten_crop = corners and center, and their mirror images; none = the image alone.",
    )
