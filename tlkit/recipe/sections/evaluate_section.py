"""The section `evaluate` of a recipe: figures of the predictions."""

from __future__ import annotations

from pydantic import Field

from tlkit.choices import CONFIDENCE, Calibrate, Views
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section


class EvaluateSection(Section):
    """Figures of the predictions."""

    top_k: v.Ranks = Field((1, 5), description="Ranks k for top-k accuracy, at least 1 each.")
    confidence: v.Level = Field(CONFIDENCE, description="Confidence level of every interval, from 0.0001 to 0.9999.")
    calibrate: Calibrate = Field(
        "temperature",
        description="Scaling of the logits, fitted on val and stored in the model: temperature changes no predicted "
        "class; vector may, with a scale and an offset for each class; auto = vector where val bears it, else "
        "temperature; none = no scaling. A scikit-learn head is calibrated out of fold already, and stays as it is.",
    )
    tta: Views = Field(
        "none",
        description="Views of each image over which the run's predictions are averaged: flip = the image and its "
        "mirror image; ten_crop = corners and center, and their mirror images; none = the image alone.",
    )
