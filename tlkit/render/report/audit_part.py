"""The audit on the page: table by table, with verdict, sentences and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tlkit.audit.audit_summary import design_sentences
from tlkit.audit.words import NONE, difference_text, p_text, rate_text
from tlkit.render.plots import plot_groups
from tlkit.render.report.report_page import AuditPart, AuditSection, Figure, Row, TextColumn, TextTable, Tile

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_tables import GroupRow, GroupTable

MOST_FIGURES = 12
_SIGN = {"FAIL": "✗ FAIL", "PASS": "✓ PASS", "NOT ENOUGH DATA": "? NOT ENOUGH DATA"}
_MARK: dict[str, Literal["good", "bad", "open"]] = {"FAIL": "bad", "PASS": "good", "NOT ENOUGH DATA": "open"}


def audit_tile(audit: Audit) -> Tile:
    """Return the audit's headline: its verdict and the group that is worst off, in accuracy where nothing fails."""
    tables = [table for table in audit.tables if table.gap is not None]
    if not tables:
        return Tile("Audit", audit.verdict, "no two groups are large enough to compare", "open")
    table = max(tables, key=lambda t: (_verdict(t) == "FAIL", t.metric == "accuracy", t.gap.value if t.gap else 0.0))
    worst = table.worst
    assert worst is not None
    least = "highest" if table.metric == "false_positive_rate" else "lowest"
    tied = len(table.tied_with(worst)) - 1
    alike = f"; {tied} {'other' if tied == 1 else 'others'} alike" if tied else ""
    rate = f"{least} {table.rate_name}: {worst.name}, {rate_text(worst)}, n = {worst.rate.n}{alike}"
    return Tile("Audit", audit.verdict, rate, _MARK[audit.verdict])


def audit_section(audit: Audit) -> AuditSection:
    """Return the audit table by table; what it cannot decide stands in its tables rather than in sentences."""
    first, *found, last = audit.sentences()
    figures = 0
    parts = []
    for table in audit.tables:
        telling = table.metric == "accuracy" or _verdict(table) == "FAIL"
        drawn = figures < MOST_FIGURES and table.gap is not None and telling
        figures += drawn
        parts.append(_part(audit, table, found, drawn=drawn))
    return AuditSection(
        _SIGN[audit.verdict], _MARK[audit.verdict], lead=(first, *design_sentences(audit), last), parts=tuple(parts)
    )


def _part(audit: Audit, table: GroupTable, found: list[str], *, drawn: bool) -> AuditPart:
    prefix = f"{table.name}: "
    lines = [line.removeprefix(prefix) for line in found if line.startswith(prefix)]
    lines = [line[0].upper() + line[1:] for line in lines if not line.startswith("NOT ENOUGH DATA for ")]
    verdict = _verdict(table)
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
    return AuditPart(table.name, _SIGN[verdict], _MARK[verdict], tuple(lines), figure, _table(audit, table))


def _verdict(table: GroupTable) -> str:
    verdicts = {row.verdict for row in table.rows} - {None}
    if "FAIL" in verdicts:
        return "FAIL"
    return "PASS" if verdicts == {"PASS"} else "NOT ENOUGH DATA"


def _table(audit: Audit, table: GroupTable) -> TextTable:
    settings = audit.settings
    level = f"[{settings.confidence:.0%}]"
    columns = (
        TextColumn("group", "text"),
        TextColumn("n"),
        TextColumn(f"{table.rate_name} {level}"),
        TextColumn(f"minus the rest {level}"),
        TextColumn("p (Holm)"),
        TextColumn("verdict", "word"),
        TextColumn("smallest gap it could show"),
        TextColumn(f"more images for a gap of {settings.tolerance:g}"),
    )
    rows = tuple(_row(row, settings.max_half_width) for row in table.rows)
    note = ""
    if any(row.suppressed for row in table.rows):
        note = f"Groups with fewer than {settings.min_group_size} images show their size instead of a rate."
    return TextTable(f"{table.rate_name[0].upper()}{table.rate_name[1:]} by {table.by}", columns, rows, note)


def _row(row: GroupRow, most: float) -> Row:
    cells = (
        row.name,
        f"{row.rate.n:,}",
        rate_text(row),
        difference_text(row, most),
        p_text(row.p_holm),
        NONE if row.verdict is None else _SIGN[row.verdict],
        NONE if row.detectable_gap is None else f"{row.detectable_gap:.2f}",
        NONE
        if row.images_needed is None
        else f"{float(f'{row.images_needed:.2g}'):,.0f}",  # two figures mean something
    )
    return Row(cells, "worst" if row.verdict == "FAIL" else "quiet" if row.suppressed else "")
