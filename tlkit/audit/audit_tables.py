"""The tables of an `Audit`: verdicts and each rate by group, with those of its criteria and profiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.audit.audit_notes import (
    assessed_sentence,
    column_notes,
    design_notes,
    named_failure,
    rate_notes,
    undecided_reason,
)
from tlkit.audit.criteria import worst_verdict
from tlkit.audit.criteria_tables import criteria_tables
from tlkit.audit.profile_tables import profile_tables
from tlkit.audit.redaction import redact, redaction_notes
from tlkit.errors import first_few
from tlkit.tables import Cell, Column, Mark, Table, counted, two_figures
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_tables import GroupRow, GroupTable
    from tlkit.audit.options import AuditOptions
    from tlkit.stats.estimate import Estimate

MOST_ROWS = 40  # with more rows, those about the accuracy of single columns are shown, and what fails


def audit_tables(audit: Audit) -> tuple[Table, ...]:
    """Return the verdicts, the chosen criteria, the rates by group, and the profiles of the groups.

    Of an audit with more than 40 rows, the accuracy of single columns is shown whole, and of the other rates what
    fails. A note of the first table counts the others.
    """
    rates = [table for one in audit.group_tables if (table := _shown_rates(audit, one)) is not None]
    overview, more = overview_table(audit), _omitted(audit)
    overview = replace(overview, notes=(*overview.notes, *([more] if more else [])))
    return (overview, *criteria_tables(audit), *rates, *profile_tables(audit))


def overview_table(audit: Audit) -> Table:
    """Return the number of rows by verdict.

    The notes hold the number of images, the rows that fail, the kinds of the columns, the sampling design and the
    definition of the verdicts.
    """
    rows = [row.verdict for table in audit.group_tables for row in table.rows if row.verdict is not None]
    counts: Counter[str] = Counter(rows)
    return Table(
        name="audit",
        title=f"Audit by {', '.join(audit.settings.by)}: {SIGNS[audit.verdict]}",
        columns=(Column("verdict", "verdict", "verdict"), Column("rows", "rows", "count")),
        rows=tuple((word, counts[word]) for word in SIGNS if counts[word]),
        notes=tuple(_overview_notes(audit)),
    )


def rate_table(audit: Audit, table: GroupTable, *, only_failing: bool = False) -> Table:
    """Return one rate by group, and its difference from the complement, with test and verdict.

    Groups that are too small show their size alone. The notes compare the largest gap with that
    expected by chance. Rows that fail are marked "worst", or "better" where the group is better off than
    its complement, small ones "quiet".

    Args:
        audit: the audit.
        table: one of its tables.
        only_failing: leave out the rows that do not fail; a note counts them.
    """
    shown = [row for row in table.rows if not only_failing or row.verdict == "FAIL"]
    settings, directed = audit.settings, any(row.direction for row in shown)
    level = f"{settings.confidence:.0%}"
    columns = [
        Column("group", "group"),
        Column("n", "n", "count"),
        *_cluster_columns(settings)[:1],
        Column("rate", f"{table.rate_name} [{level}]", "estimate"),
        Column("difference", f"minus the complement [{level}]", "estimate", signed=True),
        Column("p_holm", "p (Holm)", "p_value"),
        Column("verdict", "verdict", "verdict"),
        *([Column("direction", "direction", "word")] if directed else []),
        Column("detectable_gap", "smallest gap it could show", "number", digits=2),
        Column("images_needed", f"more images for a gap of {settings.tolerance:g}", "count"),
        *_cluster_columns(settings)[1:],
    ]
    extra = [undecided_reason(audit, row) for row in shown]
    if any(extra):
        columns.append(Column("note", "note"))
    marks: dict[int, Mark] = {place: "quiet" for place, row in enumerate(shown) if row.suppressed}
    marks |= {place: failure_mark(table, row) for place, row in enumerate(shown) if row.verdict == "FAIL"}
    fewer = len(table.rows) - len(shown)
    more = (f"{counted(fewer, 'more row')}, none of them FAIL.",) if fewer else ()
    return Table(
        name=table.name,
        title=f"{table.rate_name[0].upper()}{table.rate_name[1:]} by {table.by}",
        columns=tuple(columns),
        rows=tuple(
            (*_rate(row, settings, directed=directed), *((note,) if any(extra) else ()))
            for row, note in zip(shown, extra, strict=True)
        ),
        notes=(*more, *rate_notes(audit, table, shown)),
        marks=marks,
    )


def failed_table(audit: Audit) -> Table:
    """Return the rows that fail, over all rates."""
    settings = audit.settings
    return failures_table(
        audit.failures,
        title=f"Beyond the tolerance of {settings.tolerance:g}",
        confidence=settings.confidence,
        most=lambda _: settings.max_half_width,
    )


def failures_table(
    failures: Sequence[tuple[GroupTable, GroupRow, Estimate]],
    *,
    title: str,
    confidence: float,
    most: Callable[[GroupTable], float],
    in_unit: bool = False,
) -> Table:
    """Return a table of rows that fail, with each value and its difference from the complement.

    Args:
        failures: table, row and difference of each.
        title: of the table.
        confidence: level of the intervals.
        most: half width of an interval from which on a table withholds its value.
        in_unit: whether any of the rates is a mean in a unit.
    """
    level = f"{confidence:.0%}"
    return Table(
        name="failed",
        title=title,
        columns=(
            Column("by", "by"),
            Column("group", "group"),
            Column("rate", "rate"),
            Column("n", "n", "count"),
            Column("value", f"value [{level}]", "estimate", in_unit=in_unit),
            Column("difference", f"against the complement [{level}]", "estimate", signed=True, in_unit=in_unit),
            Column("direction", "direction", "word"),
        ),
        rows=tuple(
            (
                table.by,
                row.name,
                table.rate_name,
                row.rate.n,
                redact(row.rate, most(table)),
                redact(difference, most(table)),
                row.direction,
            )
            for table, row, difference in failures
        ),
        marks={place: failure_mark(table, row) for place, (table, row, _) in enumerate(failures)},
    )


def failure_mark(table: GroupTable, row: GroupRow) -> Mark:
    """Return the mark of a row that fails."""
    return "better" if table.is_better(row) else "worst"


def undecided_table(audit: Audit) -> Table:
    """Return the rows without a verdict for lack of data, without the sizes of small groups."""
    settings = audit.settings
    rows = [(table, row) for table in audit.group_tables for row in table.rows if row.verdict == "NOT ENOUGH DATA"]
    small = any(row.suppressed for _, row in rows)
    return Table(
        name="undecided",
        title="Not enough data to decide",
        columns=(
            Column("by", "by"),
            Column("group", "group"),
            Column("rate", "rate"),
            Column("n", "n", "count"),
            Column("images_needed", f"more images for a gap of {settings.tolerance:g}", "count"),
            *_cluster_columns(settings)[1:],
            Column("complement_needed", "as many of the complement", "flag"),
        ),
        rows=tuple(
            (
                table.by,
                row.name,
                table.rate_name,
                None if row.suppressed else row.rate.n,
                _needed(row),
                *([] if settings.unit_column is None else [row.clusters_needed]),
                row.complement_needed,
            )
            for table, row in rows
        ),
        notes=(f"A dash in place of n: fewer than {settings.min_group_size} images.",) if small else (),
    )


def _is_shown_in_large(table: GroupTable) -> bool:
    """Return whether a large audit shows a table: accuracy, or a row fails."""
    return table.metric == "accuracy" or worst_verdict([table]) == "FAIL"


def _is_large(audit: Audit) -> bool:
    return sum(len(table.rows) for table in audit.group_tables) > MOST_ROWS


def _shown_rates(audit: Audit, table: GroupTable) -> Table | None:
    """Return the table of a rate; of a large audit only the rows that fail, None where none does."""
    if not _is_large(audit) or (table.metric == "accuracy" and len(table.columns) == 1):
        return rate_table(audit, table)
    return rate_table(audit, table, only_failing=True) if _is_shown_in_large(table) else None


def _omitted(audit: Audit) -> str:
    """Return how many tables and rows a large audit leaves out, and where they are; "" where none."""
    tables = [table for table in audit.group_tables if not _is_shown_in_large(table)] if _is_large(audit) else []
    if not tables:
        return ""
    rows = [row.verdict for table in tables for row in table.rows]
    names = first_few([table.name for table in tables], most=3)
    return (
        f"{counted(len(tables), 'more table')} without a FAIL ({names}): {rows.count('PASS')} rows PASS, "
        f"{rows.count('NOT ENOUGH DATA')} NOT ENOUGH DATA. See --json, or `table()` in Python."
    )


def _overview_notes(audit: Audit) -> list[str]:
    settings = audit.settings
    found = [assessed_sentence(audit)]
    failed = sorted(audit.failures, key=lambda one: -abs(one[2].value or 0.0))
    if failed:
        named = [named_failure(table, row, difference, settings.max_half_width) for table, row, difference in failed]
        found.append(f"Beyond the tolerance of {settings.tolerance:g}, {audit.directions}: {first_few(named)}.")
    specs = {spec.column: spec for spec in settings.columns}
    found += [note for facts in audit.columns for note in column_notes(facts, specs[facts.column])]
    found += design_notes(audit)
    tests = "the one test of this audit" if audit.tests == 1 else f"all {audit.tests} tests of this audit"
    corrected = (
        f"p-values ({settings.test_name}) are corrected for {tests} (Holm, alpha {settings.alpha:g})"
        if audit.tests
        else "no test was made"
    )
    found.append(
        "FAIL and PASS compare a group with its complement (all other images whose group is known) at a tolerance of "
        f"{settings.tolerance:g}, with intervals of {settings.confidence:.0%}; {corrected}."
    )
    tables = [rate_table(audit, table) for table in audit.group_tables]
    return [*found, *redaction_notes((*tables, *profile_tables(audit)), settings.max_half_width)]


def _cluster_columns(settings: AuditOptions) -> tuple[Column, ...]:
    """Return the columns of the number of clusters and of those needed; none where images are independent."""
    if settings.unit_column is None:
        return ()
    kind = "matched sets" if settings.pair_by is not None else "clusters"
    return (
        Column("clusters", f"{kind} of {settings.unit_column}", "count"),
        Column("clusters_needed", f"in {kind} of {settings.unit_column}", "count"),
    )


def _rate(row: GroupRow, settings: AuditOptions, *, directed: bool) -> tuple[Cell, ...]:
    most, in_clusters = settings.max_half_width, settings.unit_column is not None
    return (
        row.name,
        row.rate.n,
        *([row.clusters] if in_clusters else []),
        None if row.suppressed else redact(row.rate, most),
        None if row.difference is None else redact(row.difference, most),
        row.p_holm,
        row.verdict,
        *([row.direction] if directed else []),
        row.detectable_gap,
        _needed(row),
        *([row.clusters_needed] if in_clusters else []),
    )


def _needed(row: GroupRow) -> int | None:
    return None if row.images_needed is None else two_figures(row.images_needed)
