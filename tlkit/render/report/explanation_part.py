"""Report section with the explanation of the gaps: tables and a recall heat map by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.explanation_tables import (
    adjusted_table,
    association_tables,
    basis_table,
    recall_table,
    split_table,
    trend_tables,
)
from tlkit.render.plots import plot_heat
from tlkit.render.report.report_page import ExplanationPart, ExplanationSection, Figure, Illustrated

if TYPE_CHECKING:
    from tlkit.audit.explanation import ExplainedColumn, Explanation


def explanation_section(explanation: Explanation) -> ExplanationSection | None:
    """Return the explanation of the gaps; None if no group is large enough."""
    if not any(column.groups for column in explanation.columns):
        return None
    return ExplanationSection(
        lead=basis_table(explanation).notes,
        parts=tuple(_part(explanation, column) for column in explanation.columns),
        tables=(*trend_tables(explanation), *association_tables(explanation)),
    )


def _part(explanation: Explanation, column: ExplainedColumn) -> ExplanationPart:
    adjusted = (adjusted_table(explanation, column),) if column.adjusted else ()
    tables = (split_table(explanation, column), *adjusted)
    if not column.heat.filled:
        return ExplanationPart(column.by, (*tables, recall_table(explanation, column)), None)
    return ExplanationPart(column.by, tables, _recall(explanation, column))


def _recall(explanation: Explanation, column: ExplainedColumn) -> Illustrated:
    heat, settings = column.heat, explanation.settings
    figure = Figure.draw(
        lambda: plot_heat(column, alpha=settings.alpha, max_half_width=settings.max_half_width),
        alt=(
            f"Recall of {len(heat.classes)} classes in {len(heat.groups)} groups by {column.by}. The numbers are in the"
            " table below."
        ),
        caption="Darker: more of the class is recognized in the group. Compare down a column. A frame marks a cell that"
        " differs from the other groups of its class by more than chance.",
    )
    return Illustrated(figure, recall_table(explanation, column))
