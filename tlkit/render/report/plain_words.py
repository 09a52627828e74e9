"""Figures and verdicts of an evaluation and an audit in plain sentences, for the summary and the claims of sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.audit.criteria import worst_verdict
from tlkit.audit.group_tables import direction_counts
from tlkit.audit.plain_verdicts import shown_by
from tlkit.audit.redaction import redact
from tlkit.render.report.page_section import VerdictBadge
from tlkit.tables import two_figures
from tlkit.tables.formatting import SIGNS
from tlkit.tables.shares import percent, percent_range, points

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.explanation import ExplainedGroup
    from tlkit.audit.group_tables import GroupRow, GroupTable
    from tlkit.render.report.page_section import BadgeMark

MARKS: dict[str, BadgeMark] = {"FAIL": "bad", "PASS": "good", "NOT ENOUGH DATA": "open", "NOTHING HELPED": "open"}


def training_sentence(group: ExplainedGroup) -> str:
    """Return what to do about a group that few training images show.

    Example: "Add training images of “woman”: none shows it, and 33% of the assessed ones do."
    """
    assessed = f"{group.judged_share:.0%} of the assessed ones do"
    return f"Add training images of “{group.group}”: {shown_by(group)}, and {assessed}."


def verdict_of(tables: Sequence[GroupTable]) -> VerdictBadge:
    """Return the verdict over tables of an audit, with the number of rows that fail on either side."""
    rows = [(table, row) for table in tables for row in table.rows]
    word = worst_verdict(tables)
    better = [table.is_better(row) for table, row in rows if row.verdict == "FAIL"]
    directions = direction_counts(row for _, row in rows)
    text = SIGNS[word] + (f": {directions}" if directions else "")
    return VerdictBadge(text, "better" if better and all(better) else MARKS[word])


def verdict_of_row(table: GroupTable, row: GroupRow) -> VerdictBadge:
    """Return the verdict of a row, with the side on which it fails."""
    word = row.verdict or "NOT ENOUGH DATA"
    text = SIGNS[word] + (f" {row.direction}" if row.direction else "")
    return VerdictBadge(text, "better" if table.is_better(row) else MARKS[word])


def failing_sentence(audit: Audit, table: GroupTable, row: GroupRow) -> str:
    """Return how far a group that fails is from the rest; without a number that its few images do not carry."""
    assert row.difference is not None, "a row fails by its difference"
    settings = audit.settings
    rate, difference = redact(row.rate, settings.max_half_width), redact(row.difference, settings.max_half_width)
    above = row.direction == "above the rest"
    if table.metric == "accuracy":
        text = f"It is right {'more' if above else 'less'} often for “{row.name}” ({table.by}) than for the rest"
    else:
        text = f"“{row.name}” ({table.by}) has a {'higher' if above else 'lower'} {table.rate_name} than the rest"
    if rate.value is not None and difference.value is not None:
        rest = min(max(rate.value - difference.value, 0.0), 1.0)
        text += f": {percent(rate.value, n=rate.n)} against {percent(rest, n=rate.n)}"
    elif span := percent_range(rate):
        text += f": {span}"
    ends = [abs(end) for end in (row.difference.low, row.difference.high) if end is not None]
    apart = f" They are at least {points(min(ends))} apart" if ends else " They are apart"
    return f"{text}.{apart}; {points(settings.tolerance, decimals=2)} are tolerated."


def other_sentence(audit: Audit, tables: Sequence[GroupTable]) -> str:
    """Return what holds for the rows of some tables, over one column or intersection, that do not fail."""
    by, tolerance = tables[0].by, points(audit.settings.tolerance, decimals=2)
    rows = [row for table in tables for row in table.rows if row.verdict is not None]
    others = [row for row in rows if row.verdict != "FAIL"]
    if not others:
        return f"{by}: no two groups are large enough to compare."
    noun = "group" if len(tables) == 1 else "comparison"
    other = "other " if len(others) < len(rows) else ""
    unclear = [row for row in others if row.verdict != "PASS"]
    if not unclear:
        many = f"all {len(others)} {other}{noun}s" if len(others) > 1 else f"“{others[0].name}”"
        return f"{by}: {many} within {tolerance} of the rest."
    what = f"“{unclear[0].name}”" if len(unclear) == 1 else f"{len(unclear)} of {len(others)} {other}{noun}s"
    needed = max((row.images_needed or 0 for row in unclear), default=0)
    more = f" It would take up to {two_figures(needed):,} more images of a group." if needed else ""
    passed = f" The other {len(others) - len(unclear)} lie within {tolerance} of the rest." * (
        len(unclear) < len(others)
    )
    return f"{by}: too few images to judge {what}. A gap of {tolerance} may be there or not: no pass.{more}{passed}"
