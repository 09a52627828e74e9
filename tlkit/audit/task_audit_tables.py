"""The tables of a `TaskAudit`: each rate with its verdicts, what fails, the rates by group."""

from __future__ import annotations

import math
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, get_args

from tlkit.audit.audit_tables import failure_mark, failures_table
from tlkit.audit.rates import NUMBER_MEANS, MeanMetric
from tlkit.audit.redaction import hide_table, redact, redaction_notes
from tlkit.errors import first_few
from tlkit.plain_values import to_plain
from tlkit.tables import Cell, Column, Table, counted, two_figures
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.audit.group_tables import GroupTable
    from tlkit.audit.task_audit_result import OverallFigure, TaskAudit

MOST_ROWS = 40  # with more rows, only tables in which a row fails are shown


def task_audit_tables(audit: TaskAudit) -> tuple[Table, ...]:
    """Return the overview, the rows that fail, and each rate by group; of a large audit those with a row that fails."""
    large = sum(len(table.rows) for table in audit.group_tables) > MOST_ROWS
    shown = [table for table in audit.group_tables if not large or any(row.verdict == "FAIL" for row in table.rows)]
    return (
        overview_table(audit, omitted=len(audit.group_tables) - len(shown)),
        *([failed_table(audit)] if audit.failures else []),
        *(group_table(audit, table) for table in shown),
    )


def overview_table(audit: TaskAudit, *, omitted: int = 0) -> Table:
    """Return each rate and mean over all images, with the number of its rows by verdict.

    Args:
        audit: the audit.
        omitted: tables without a FAIL that are not shown.
    """
    settings = audit.settings
    rows: list[tuple[Cell, ...]] = [
        (one.rate.name, one.value.n, one.value, *_verdict_counts(audit, one)) for one in audit.overall
    ]
    left_out = f", {counted(audit.unlabelled, 'image')} without a label left out" if audit.unlabelled else ""
    notes = [f"{counted(audit.images, 'image')} assessed{left_out}."]
    means = {
        one.rate.name: one.tolerance
        for one in audit.overall
        if one.tolerance is not None and one.tolerance != settings.tolerance
    }
    notes += [f"Tolerance of the {name}: {tolerance:.3g}, in its unit." for name, tolerance in means.items()]
    if settings.design_words:
        notes.append(f"Intervals and tests allow for {settings.design_words}.")
    if omitted:
        notes.append(f"{counted(omitted, 'more table')} without a FAIL: see --json, or `table()` in Python.")
    tolerance = "" if len(means) == len(audit.overall) else f" of {settings.tolerance:g}"
    tests = f"all {audit.tests} tests of this audit" if audit.tests > 1 else "the one test of this audit"
    corrected = (
        f"p-values are corrected for {tests} (Holm, alpha {settings.alpha:g})" if audit.tests else "no test was made"
    )
    notes.append(
        f"FAIL and PASS compare a group with its complement (all other {audit.counted}s whose group is known) at the "
        f"tolerance{tolerance}, with intervals of {settings.confidence:.0%}; {corrected}."
    )
    return Table(
        name="audit",
        title=f"Audit by {', '.join(settings.by)}: {SIGNS[audit.verdict]}",
        columns=(
            Column("rate", "rate"),
            Column("n", f"{audit.counted}s", "count"),
            Column("value", f"over all [{settings.confidence:.0%}]", "estimate", in_unit=True),
            *(Column(word.lower().replace(" ", "_"), word, "count") for word in SIGNS),
        ),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def failed_table(audit: TaskAudit) -> Table:
    """Return the rows that fail, largest difference in tolerances first."""
    failures = sorted(
        audit.failures, key=lambda one: -abs(one[2].value or 0.0) / max(audit.tolerance_of(one[0]), sys.float_info.min)
    )
    return failures_table(
        failures,
        title="Beyond the tolerance",
        confidence=audit.settings.confidence,
        most=lambda table: _most(audit, table),
        in_unit=any(table.metric in NUMBER_MEANS for table, *_ in failures),
    )


def group_table(audit: TaskAudit, table: GroupTable) -> Table:
    """Return one rate or mean by group, and its difference from the complement, with test and verdict."""
    settings, most = audit.settings, _most(audit, table)
    level, in_clusters = f"{settings.confidence:.0%}", settings.unit_column is not None
    units = f"{'matched sets' if settings.pair_by is not None else 'clusters'} of {settings.unit_column}"
    rows: list[tuple[Cell, ...]] = [
        (
            row.name,
            row.rate.n,
            *([row.clusters] if in_clusters else []),
            None if row.suppressed else redact(row.rate, most),
            None if row.difference is None else redact(row.difference, most),
            row.p_holm,
            row.verdict,
            row.detectable_gap,
            None if row.images_needed is None else two_figures(row.images_needed),
            *([row.clusters_needed] if in_clusters else []),
        )
        for row in table.rows
    ]
    in_unit = table.metric in NUMBER_MEANS
    found = Table(
        name=table.name,
        title=f"{table.rate_name[0].upper()}{table.rate_name[1:]} by {table.by}",
        columns=(
            Column("group", "group"),
            Column("n", "n", "count"),
            *([Column("clusters", units, "count")] if in_clusters else []),
            Column("rate", f"{table.rate_name} [{level}]", "estimate", in_unit=in_unit),
            Column("difference", f"minus the complement [{level}]", "estimate", in_unit=in_unit, signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("verdict", "verdict", "verdict"),
            Column("detectable_gap", "smallest gap it could show", "significant", digits=2),
            Column("images_needed", f"more {audit.counted}s for a gap of {audit.tolerance_of(table):.3g}", "count"),
            *([Column("clusters_needed", f"in {units}", "count")] if in_clusters else []),
        ),
        rows=tuple(rows),
        marks={place: failure_mark(table, row) for place, row in enumerate(table.rows) if row.verdict == "FAIL"}
        | {place: "quiet" for place, row in enumerate(table.rows) if row.suppressed},
    )
    notes = list(redaction_notes([found], most))
    small = [row.name for row in table.rows if row.suppressed and row.images]
    if small:
        notes.append(f"Fewer than {settings.min_group_size}, or one cluster: no rate for {first_few(small)}.")
    if any(row.complement_needed for row in table.rows):
        notes.append("Where more are needed, the complement may need as many more.")
    return Table(found.name, found.title, found.columns, found.rows, tuple(notes), found.marks)


def hidden_figures(audit: TaskAudit) -> list[dict[str, Any]]:
    """Return the plain values of all group tables without the numbers that tables hide."""
    found: list[dict[str, Any]] = []
    for table in audit.group_tables:
        plain = to_plain(table)
        hide_table(table, plain, _most(audit, table))
        found.append(plain)
    return found


def _most(audit: TaskAudit, table: GroupTable) -> float:
    """Return the half width beyond which an estimate has no number; none for means, which have a unit."""
    return math.inf if table.metric in get_args(MeanMetric) else audit.settings.max_half_width


def _verdict_counts(audit: TaskAudit, figure: OverallFigure) -> tuple[int, ...]:
    counts = Counter[str | None](
        row.verdict
        for table in audit.group_tables
        if (table.metric, table.class_name) == (figure.metric, figure.class_name)
        for row in table.rows
    )
    return tuple(counts[word] for word in SIGNS)
