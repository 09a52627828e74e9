"""Report sections of the audit and of a repair of the head, and the headline tile of the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tlkit.audit.audit_tables import overview_table, rate_table
from tlkit.audit.criteria import worst_verdict
from tlkit.audit.criteria_tables import criteria_tables
from tlkit.audit.group_tables import direction_counts
from tlkit.audit.profile_tables import profile_tables
from tlkit.audit.redaction import redact
from tlkit.render.plots import plot_groups
from tlkit.render.report.report_page import AuditPageSection, AuditPart, Figure, RepairSection, Tile
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_tables import GroupTable
    from tlkit.audit.repair_result import Repair
    from tlkit.render.report.report_page import VerdictMark

MOST_FIGURES = 12
_MARK: Mapping[str, VerdictMark] = {"FAIL": "bad", "PASS": "good", "NOT ENOUGH DATA": "open", "NOTHING HELPED": "open"}


def audit_tile(audit: Audit) -> Tile:
    """Return the tile of the audit: its verdict and the worst group, in accuracy if no row fails."""
    tables = [table for table in audit.group_tables if table.gap is not None]
    if not tables:
        return Tile("Audit", audit.verdict, "no two groups are large enough to compare", "open")
    table = max(
        tables, key=lambda t: (worst_verdict([t]) == "FAIL", t.metric == "accuracy", t.gap.value if t.gap else 0.0)
    )
    worst = table.worst
    assert worst is not None
    least = "highest" if table.rate.lower_is_better else "lowest"
    tied = len(table.tied_with(worst)) - 1
    alike = f"; {tied} {'other' if tied == 1 else 'others'} alike" if tied else ""
    rate = redact(worst.rate, audit.settings.max_half_width).format()
    failed = f"{audit.directions}; " if audit.directions else ""
    found = f"{failed}{least} {table.rate_name}: {worst.name}, {rate}, n = {worst.rate.n}{alike}"
    return Tile("Audit", audit.verdict, found, _mark(audit.group_tables))


def audit_section(audit: Audit) -> AuditPageSection:
    """Return the section of the audit; at most 12 tables have a figure."""
    figures = 0
    parts = []
    for table in audit.group_tables:
        important = table.metric == "accuracy" or worst_verdict([table]) == "FAIL"
        drawn = figures < MOST_FIGURES and table.gap is not None and important
        figures += drawn
        parts.append(_part(audit, table, drawn=drawn))
    tables = (overview_table(audit), *criteria_tables(audit))
    words, mark = _verdict(audit.group_tables), _mark(audit.group_tables)
    return AuditPageSection(words, mark, tables, tuple(parts), profile_tables(audit))


def repair_section(repair: Repair) -> RepairSection:
    """Return the section of a repair."""
    return RepairSection(repair.verdict, _MARK[repair.verdict], repair.tables())


def _part(audit: Audit, table: GroupTable, *, drawn: bool) -> AuditPart:
    figure = None
    if drawn:
        figure = Figure.draw(
            lambda: plot_groups(audit, by=table.columns, metric=table.metric, class_name=table.class_name),
            alt=(
                f"{table.rate_name} of {len(table.rows)} groups by {table.by}, with {audit.settings.confidence:.0%}"
                " intervals. The numbers are in the table below."
            ),
            caption=f"A point is the {table.rate_name} of a group, the line through it its interval. Wide lines: few"
            " images.",
        )
    return AuditPart(table.name, _verdict([table]), _mark([table]), figure, rate_table(audit, table))


def _verdict(tables: Sequence[GroupTable]) -> str:
    """Return the verdict over tables, with the number of rows that fail on either side."""
    directions = direction_counts(row for table in tables for row in table.rows)
    return SIGNS[worst_verdict(tables)] + (f": {directions}" if directions else "")


def _mark(tables: Sequence[GroupTable]) -> VerdictMark:
    """Return the mark of the verdict over tables: of its own where all that fails is better off than the others."""
    failed = [table.is_better(row) for table in tables for row in table.rows if row.verdict == "FAIL"]
    return "better" if failed and all(failed) else _MARK[worst_verdict(tables)]
