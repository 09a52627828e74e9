"""Where the gaps come from: class mix, other attributes, and recall by group and class."""

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
from tlkit.audit.redaction import redact
from tlkit.render.plots import plot_heat
from tlkit.render.report.page_section import Figure, Fold, PageSection, Part
from tlkit.tables.shares import points, signed_points

if TYPE_CHECKING:
    from tlkit.audit.explanation import ExplainedColumn, Explanation
    from tlkit.render.report.page_section import Block
    from tlkit.render.report.run_contents import RunContents


def explanation_section(run: RunContents) -> PageSection | None:
    """Return the explanation of the gaps; None without one, or if no group is large enough."""
    explanation = run.explanation
    if explanation is None or not any(column.groups for column in explanation.columns):
        return None
    tables = (*trend_tables(explanation), *association_tables(explanation))
    blocks: tuple[Block, ...] = (
        *(_part(explanation, column) for column in explanation.columns),
        *([Fold("Trends and associations", tables)] if tables else []),
        Fold("How this was computed", notes=basis_table(explanation).notes),
    )
    claim = "Whether a gap comes from a group's classes or from another attribute. None of it shows a cause."
    return PageSection("explanation", "Behind the gaps", claim, blocks)


def _part(explanation: Explanation, column: ExplainedColumn) -> Part:
    blocks: list[Block] = [_figure(explanation, column)] if column.heat.filled else []
    adjusted = (adjusted_table(explanation, column),) if column.adjusted else ()
    blocks.append(Fold(f"Class mix and other attributes: {column.by}", (split_table(explanation, column), *adjusted)))
    blocks.append(Fold(f"Recall by group and class: {column.by}", (recall_table(explanation, column),)))
    return Part(column.by, tuple(blocks), claims=gap_sentences(explanation, column))


def gap_sentences(explanation: Explanation, column: ExplainedColumn) -> tuple[str, ...]:
    """Return where the widest gap comes from: training images, class frequencies, or recalls of the same classes."""
    most = explanation.settings.max_half_width
    split = {
        one.group: [redact(part, most).value for part in (one.split.gap, one.split.mix, one.split.rate)]
        for one in column.groups
    }
    known = [one for one in column.groups if None not in split[one.group]]
    if not known:
        return ()
    gaps = {one.group: one.split.gap.value or 0.0 for one in known}
    # of two groups each is the rest of the other: name the one below
    widest = max(known, key=lambda one: (round(abs(gaps[one.group]), 9), gaps[one.group] < 0))
    gap, mix, rate = (value or 0.0 for value in split[widest.group])
    if points(gap) == points(0.0):
        return ()
    side = 1 if gap > 0 else -1
    found = [
        f"“{widest.group}” has the widest gap: {points(gap)} {'above' if gap > 0 else 'below'} the rest. A different"
        f" mix of classes accounts for {signed_points(side * mix)} of it, a different recall of the same classes for"
        f" {signed_points(side * rate)}."
    ]
    if widest.train == 0:
        found.append(f"No training image belongs to it; {widest.judged_share:.0%} of the assessed ones do.")
    elif widest.scarce:
        shares = f"{widest.train_share:.0%} of the training images and {widest.judged_share:.0%} of the assessed ones"
        found.append(f"It holds {shares}.")
    return tuple(found)


def _figure(explanation: Explanation, column: ExplainedColumn) -> Figure:
    heat, settings = column.heat, explanation.settings
    return Figure.draw(
        lambda: plot_heat(column, alpha=settings.alpha, max_half_width=settings.max_half_width),
        alt=(
            f"Recall of {len(heat.classes)} classes in {len(heat.groups)} groups by {column.by}. The numbers are in the"
            " table below."
        ),
        caption="Darker: more of the class is recognized in the group. Compare down a column. A frame marks a cell that"
        " differs from the other groups of its class by more than chance.",
    )
