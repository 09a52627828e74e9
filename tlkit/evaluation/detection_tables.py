"""The tables of a `DetectionEvaluation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.detection import DetectionEvaluation

MEANINGS = {
    "localization": "the right category, overlap 0.1 to 0.5",
    "classification": "an object of another category",
    "duplicate": "an object that a better prediction has",
    "background": "no object, overlap below 0.1",
    "both": "another category, overlap 0.1 to 0.5",
}


def detection_tables(result: DetectionEvaluation) -> tuple[Table, ...]:
    """Return the figures, the categories with the lowest average precision first, and the kinds of errors."""
    figures = (
        ("AP", result.average_precision, "mean over categories and the overlaps 0.50 to 0.95"),
        ("AP50", result.average_precision_50, "at an overlap of 0.5"),
        ("AP75", result.average_precision_75, "at an overlap of 0.75"),
        ("recall", result.recall, f"objects found at an overlap of 0.5 with a score of {result.min_score:g} or more"),
    )
    notes = []
    if result.cluster_by is not None:
        notes.append(f"Intervals allow for clusters of {result.cluster_by}.")
    if result.weights is not None:
        notes.append(f"Figures and intervals are weighted by {result.weights}.")
    ordered = sorted(
        result.per_category, key=lambda one: (one.average_precision.value is None, one.average_precision.value or 0.0)
    )
    images = (
        f"{counted(result.n, 'image')}, {counted(result.boxes, 'object')}, {counted(result.predictions, 'prediction')}"
    )
    return (
        Table(
            name="summary",
            title=f"{images}; intervals at {result.confidence:.0%}",
            columns=(Column("metric", "metric"), Column("value", "value", "estimate"), Column("meaning", "what it is")),
            rows=figures,
            notes=tuple(notes),
        ),
        Table(
            name="categories",
            title="Categories, the lowest AP first",
            columns=(
                Column("category", "category"),
                Column("boxes", "objects", "count"),
                Column("average_precision", "AP", "estimate"),
                Column("recall", "recall", "estimate"),
            ),
            rows=tuple((one.name, one.boxes, one.average_precision, one.recall) for one in ordered),
        ),
        Table(
            name="errors",
            title=f"Wrong predictions with a score of {result.min_score:g} or more",
            columns=(
                Column("kind", "kind"),
                Column("boxes", "predictions", "count"),
                Column("share", "share of all", "estimate"),
                Column("meaning", "what it is"),
            ),
            rows=tuple((one.kind, one.boxes, one.share, MEANINGS[one.kind]) for one in result.errors),
        ),
    )
