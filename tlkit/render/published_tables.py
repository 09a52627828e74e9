"""The table of the figures that may be published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.stats.estimate import Estimate
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.render.published_figures import PublishedFigures


def figure_table(figures: PublishedFigures, *, confidence: float) -> Table:
    """Return the published figures; its notes say how many of each table are not shown.

    Args:
        figures: the figures.
        confidence: level of their intervals.
    """
    hidden = tuple(
        f"{one.metric} by {one.slice}: {one.rows} of {one.of} not shown (too few images)." for one in figures.hidden
    )
    smallest = figures.min_cell_size
    return Table(
        name="figures",
        title=f"{counted(len(figures.shown), 'figure')} published",
        columns=(
            Column("slice", "images"),
            Column("metric", "rate"),
            Column("n", "n", "count"),
            Column("estimate", f"value [{confidence:.0%}]", "estimate"),
            Column("difference", "difference", "estimate", signed=True),
            Column("verdict", "verdict", "verdict"),
        ),
        rows=tuple(
            (
                one.slice,
                one.metric,
                one.n,
                Estimate(one.value, one.low, one.high, n=one.n or 0),
                one.difference,
                one.verdict,
            )
            for one in figures.shown
        ),
        notes=(
            f"Cells of fewer than {smallest} images are not shown, nor cells from which they would follow.",
            *hidden,
        ),
    )
