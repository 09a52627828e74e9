"""What a `TaskAudit` found, in words: one verdict for each column."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, get_args

from tlkit.audit.criteria import worst_verdict
from tlkit.audit.plain_verdicts import PlainVerdict
from tlkit.audit.rates import MeanMetric
from tlkit.audit.redaction import redact
from tlkit.errors import first_few
from tlkit.tables import counted

if TYPE_CHECKING:
    from tlkit.audit.group_tables import GroupRow, GroupTable
    from tlkit.audit.task_audit_result import TaskAudit

MOST_NAMED = 3


def task_verdicts(audit: TaskAudit) -> tuple[PlainVerdict, ...]:
    """Return the verdict on each column or intersection, over all its rates and means, in words.

    Numbers that the audit's tables withhold are withheld here, too.

    Args:
        audit: the audit.
    """
    found = []
    for columns in dict.fromkeys(table.columns for table in audit.group_tables):
        tables = [table for table in audit.group_tables if table.columns == columns]
        found.append(PlainVerdict(tables[0].by, worst_verdict(tables), _text(audit, tables)))
    return tuple(found)


def _text(audit: TaskAudit, tables: list[GroupTable]) -> str:
    rows = [(table, row) for table in tables for row in table.rows if row.verdict is not None]
    if not rows:
        return "There are no two groups to compare."
    failing = [one for one in rows if one[1].verdict == "FAIL"]
    failing.sort(key=lambda one: -_size(audit, *one))
    parts = [failing_words(audit, table, row) for table, row in failing[:MOST_NAMED]]
    if more := len(failing) - len(parts):
        parts.append(f"{more} more {'is' if more == 1 else 'are'} beyond the tolerance.")
    passed = sum(row.verdict == "PASS" for _, row in rows)
    open_rows = [(table, row) for table, row in rows if row.verdict == "NOT ENOUGH DATA"]
    if passed:
        parts.append(f"{counted(passed, 'comparison')} within the tolerance.")
    if open_rows:
        names = first_few(list(dict.fromkeys(table.rate_name for table, _ in open_rows)), most=MOST_NAMED)
        parts.append(f"{counted(len(open_rows), 'comparison')} undecided, since there is not enough data ({names}).")
    return " ".join(parts)


def failing_words(audit: TaskAudit, table: GroupTable, row: GroupRow) -> str:
    """Return how far a group that fails is from the rest; without a number that its few images do not carry."""
    assert row.difference is not None, "a row fails by its difference"
    most = float("inf") if table.metric in get_args(MeanMetric) else audit.settings.max_half_width
    rate, difference = redact(row.rate, most), redact(row.difference, most)
    side = row.direction or "away from the rest"
    gap = "" if difference.value is None else f" by {abs(difference.value):.3g}"
    value = "lies" if rate.value is None else f"is {rate.format(in_unit=True)},"
    return f"The {table.rate_name} for {row.name} {value} {side}{gap}."


def _size(audit: TaskAudit, table: GroupTable, row: GroupRow) -> float:
    """Return the difference in tolerances."""
    value = row.difference.value if row.difference is not None else None
    return abs(value or 0.0) / max(audit.tolerance_of(table), sys.float_info.min)
