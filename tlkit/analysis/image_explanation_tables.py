"""The table of `ImageExplanations`, and the sentences about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.analysis.image_explanations import ImageExplanations
    from tlkit.stats.estimate import Estimate

TITLES = {
    "grad_cam": "Grad-CAM",
    "attention": "gradient-weighted attention",
    "rollout": "attention rollout",
    "occlusion": "occlusion",
}
HALF = 0.5
"""Correlation with the maps of random weights above which a map says little about the model."""


def image_explanation_tables(found: ImageExplanations) -> tuple[Table, ...]:
    """Return the table of the images, with where the heat of each map lies."""
    return (
        Table(
            name="explanations",
            title=f"Where {found.run} looks, by {TITLES[found.method]}",
            columns=(
                Column("path", "path"),
                Column("predicted", "predicted"),
                Column("confidence", "confidence", "number"),
                Column("explained", "map for"),
                Column("across", "peak across", "percent"),
                Column("down", "peak down", "percent"),
                Column("inner", "heat in the middle", "percent"),
            ),
            rows=tuple(
                (one.path, one.predicted, one.confidence, one.explained, *one.peak, one.inner) for one in found.images
            ),
            notes=tuple(_notes(found)),
        ),
    )


def _notes(found: ImageExplanations) -> list[str]:
    notes = [
        "Peak: the maximum of the map, from the left and from the top. Middle: half the width and half the height, a "
        "quarter of the area.",
        "A map shows what the class's score depends on; it does not say why, nor that the model is right.",
    ]
    if found.method == "rollout":
        notes.append("Rollout is the same for every class.")
    similarity = found.random_similarity
    if similarity is None:
        notes.append("Not checked against random weights (--check).")
    else:
        notes.append(
            f"Rank correlation with the maps of random weights: {similarity.format(signed=True)}. {_judged(similarity)}"
        )
    return notes


def _judged(similarity: Estimate) -> str:
    if similarity.is_above(HALF):
        return "WARNING: the maps show the picture rather than the model; do not rely on them."
    if similarity.is_below(HALF):
        return "What the maps show comes from what the model has learned."
    return "NOT ENOUGH DATA to say whether the maps show more than the picture: take more images."
