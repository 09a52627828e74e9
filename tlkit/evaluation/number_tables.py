"""The table of a `NumberEvaluation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.number_result import NumberEvaluation
    from tlkit.stats.estimate import Estimate


def number_tables(result: NumberEvaluation) -> tuple[Table, ...]:
    """Return the figures: metric, value with its interval, what it is."""
    unit = "in grades" if result.grades else "in the unit of y_true"
    rows: list[tuple[str, Estimate, str]] = [
        ("mean absolute error", result.mean_absolute_error, unit),
        ("root mean squared error", result.root_mean_squared_error, unit),
        ("mean error", result.mean_error, f"prediction − truth, {unit}; 0 is best"),
        ("R²", result.r_squared, "1 is best; 0 = no better than the mean of the truth"),
    ]
    if result.of_grades is not None:
        rows += [
            ("accuracy", result.of_grades.accuracy, "images with the right grade"),
            ("within one grade", result.of_grades.within_one, "images at most one grade off"),
            ("Cohen's kappa, quadratic", result.of_grades.quadratic_kappa, "agreement beyond chance; 0 = by chance"),
        ]
    notes = []
    if result.intervals is not None:
        rows += [
            ("coverage", result.intervals.coverage, "images whose truth lies in its interval"),
            ("mean width", result.intervals.mean_width, f"of the intervals, {unit}"),
        ]
        if result.intervals.infinite:
            notes.append(
                f"{counted(result.intervals.infinite, 'interval')} hold every number, because too few images calibrate "
                "them; the width is that of the others."
            )
    if result.grades:
        notes.append(f"Grades from the lowest on: {', '.join(result.grades)}.")
    if result.n_unlabelled:
        notes.append(f"Left out: {counted(result.n_unlabelled, 'image')} without a true number.")
    if result.clusters is not None:
        notes.append(f"Intervals allow for {result.clusters:,} clusters of {result.cluster_by}.")
    if result.weights is not None:
        notes.append(f"Figures and intervals are weighted by {result.weights}.")
    return (
        Table(
            name="summary",
            title=f"{counted(result.n, 'image')}; intervals at {result.confidence:.0%}",
            columns=(
                Column("metric", "metric"),
                Column("value", "value", "estimate", in_unit=True),
                Column("meaning", "what it is"),
            ),
            rows=tuple(rows),
            notes=tuple(notes),
        ),
    )
