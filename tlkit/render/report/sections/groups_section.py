"""The audit: for each rate a plot of the groups, their verdicts, and the statistics in a fold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.audit.audit_tables import overview_table, rate_table
from tlkit.audit.criteria import worst_verdict
from tlkit.audit.criteria_tables import criteria_tables
from tlkit.audit.profile_tables import profile_tables
from tlkit.render.plots import plot_groups
from tlkit.render.report.page_section import Figure, Fold, Grid, PageSection, Part
from tlkit.render.report.plain_words import failing_sentence, other_sentence, verdict_of, verdict_of_row
from tlkit.tables.shares import points

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_tables import GroupTable
    from tlkit.render.report.page_section import Block
    from tlkit.render.report.run_contents import RunContents

MOST_FIGURES = 12
SHOWN = ("group", "verdict", "rate", "difference", "n")
"""Columns of the table below a plot; the others are in the fold."""


def audit_section(run: RunContents) -> PageSection | None:
    """Return the section of the audit; None without one. At most 12 rates have a figure; the others are folded."""
    audit = run.audit
    if audit is None:
        return None
    open_parts: list[Block] = []
    folds: list[Fold] = []
    for table in audit.group_tables:
        important = table.metric == "accuracy" or worst_verdict([table]) == "FAIL"
        if important and len(open_parts) < MOST_FIGURES:
            open_parts.append(_part(audit, table))
        else:
            folds.append(Fold(f"{table.name}: {verdict_of([table]).text}", (rate_table(audit, table),)))
    overview = overview_table(audit)
    tables = (*criteria_tables(audit), *profile_tables(audit))
    blocks = (
        *open_parts,
        *folds,
        *([Fold("Criteria, calibration, ranking and recall by group", tables)] if tables else []),
        Fold("All verdicts, and how they were reached", (overview,)),
    )
    failed, tests = len(audit.failures), audit.tests
    tolerance = points(audit.settings.tolerance, decimals=2)
    claim = (
        f"Each group is compared with all other images whose group is known, at a tolerance of"
        f" {tolerance}: {failed} of {tests} comparison{'' if tests == 1 else 's'} fail."
    )
    return PageSection("audit", "Groups", claim, blocks, verdict_of(audit.group_tables))


def _part(audit: Audit, table: GroupTable) -> Part:
    whole = rate_table(audit, table)
    few = whole.selected(SHOWN)
    texts = [None if row.verdict is None else verdict_of_row(table, row).text for row in table.rows]
    few = replace(few, rows=tuple((row[0], text, *row[2:]) for row, text in zip(few.rows, texts, strict=True)))
    figure = None
    if table.gap is not None:
        figure = Figure.draw(
            lambda: plot_groups(audit, by=table.columns, metric=table.metric, class_name=table.class_name),
            alt=(
                f"{table.rate_name} of {len(table.rows)} groups by {table.by}, with {audit.settings.confidence:.0%}"
                " intervals. The numbers are in the table below."
            ),
            caption=f"A point is the {table.rate_name} of a group, the line through it its interval. A long line means"
            " few images.",
        )
    failed = [row for row in table.rows if row.verdict == "FAIL"]
    failed.sort(key=table.is_better)
    claims = [failing_sentence(audit, table, row) for row in failed]
    claims = claims if failed else [other_sentence(audit, [table])]
    statistics = Fold(f"Statistics: {table.name}", (whole,))
    blocks: tuple[Block, ...] = (*([figure] if figure else []), Grid(few), statistics)
    return Part(table.name, blocks, verdict_of([table]), tuple(claims))
