"""The sentences of an audit: images assessed, how columns were cut, sampling design, gaps, and what is undecided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.audit.estimators import FEW_CLUSTERS
from tlkit.audit.groups.group_columns import QUANTILES, short_number
from tlkit.audit.redaction import redact
from tlkit.errors import first_few
from tlkit.tables import counted, format_p

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit, ColumnFacts
    from tlkit.audit.group_tables import Gap, GroupRow, GroupTable
    from tlkit.audit.groups.group_columns import GroupColumn, Kind
    from tlkit.stats.estimate import Estimate


def assessed_sentence(audit: Audit) -> str:
    """Return the number of images and the accuracy over them."""
    weights = audit.settings.weights
    left_out = f" {counted(audit.unlabelled, 'image')} without a label left out." if audit.unlabelled else ""
    accuracy = "accuracy" if weights is None else f"accuracy weighted by {weights}"
    return f"{counted(audit.images, 'image')} assessed, {accuracy} {audit.overall.format()}.{left_out}"


def named_failure(table: GroupTable, row: GroupRow, difference: Estimate, most: float) -> str:
    """Return a group that fails with its rate, its images and its difference from the complement.

    Args:
        table: the table of the row.
        row: the group.
        difference: its rate minus that of its complement.
        most: half width of an interval from which on its value is withheld.
    """
    rate = redact(row.rate, most).format()
    against = redact(difference, most).format(signed=True)
    return f"{row.name} ({table.rate_name} {rate}, n = {row.rate.n}; {against} against the complement, {row.direction})"


def grouping(kind: Kind, groups: int, spec: GroupColumn) -> str:
    """Return in words how the groups of a column were made: "4 groups of about equal size"."""
    if kind == "multi-valued":
        return f"{groups} values separated by {spec.separator!r}, an image counts in each of its values"
    if kind == "ordered":
        return f"{groups} values in the order given"
    if kind != "continuous":
        return "one value" if groups == 1 else f"{groups} values"
    if spec.bins:
        return f"bins with the edges {', '.join(map(short_number, spec.bins))}"
    if groups < 2:
        return "1 group" if groups else "no number"
    fewer = groups < (spec.quantiles or QUANTILES)
    return f"{groups} groups, because many images share a value" if fewer else f"{groups} groups of about equal size"


def column_notes(facts: ColumnFacts, spec: GroupColumn) -> list[str]:
    """Return how a column was cut into groups, and whether a missing value goes with errors."""
    found = []
    if facts.kind in ("continuous", "ordered", "multi-valued"):
        found.append(f"{facts.column} is {facts.kind}: {grouping(facts.kind, len(facts.groups) - 1, spec)}.")
    if facts.missing and facts.missing_p is not None:
        found.append(
            f"{facts.column} is missing for {counted(facts.missing, 'image')}; test of association with errors: "
            f"{format_p(facts.missing_p)} ({facts.missing_test})."
        )
    return found


def design_notes(audit: Audit) -> list[str]:
    """Return the sampling design, and the largest design effect."""
    settings = audit.settings
    if settings.pair_by is not None:
        matched = f"Groups are compared within matched sets of {settings.pair_by}"
        return [f"{matched}; images without a match take no part in the comparison."]
    if not settings.design_columns:
        return []
    effects = [
        row.design_effect
        for table in audit.group_tables
        for row in table.rows
        if row.design_effect is not None and not row.suppressed
    ]
    cost = f" Design effects reach {max(effects):.2f}: the factor by which more images are needed." if effects else ""
    return [f"Intervals and tests allow for {settings.design_words}.{cost}"]


def undecided_reason(audit: Audit, row: GroupRow) -> str:
    """Return why a row is undecided, as far as its numbers do not show it; else ""."""
    if row.verdict != "NOT ENOUGH DATA":
        return ""
    found = [row.rate.note.partition(", but ")[2]] if ", but " in row.rate.note else []
    if row.difference is None and not row.suppressed:
        found.append("too few other images to compare with")
    if row.clusters is not None and 1 < row.clusters < FEW_CLUSTERS:
        kind = "matched sets" if audit.settings.pair_by is not None else "clusters"
        found.append(f"only {row.clusters} {kind} of {audit.settings.unit_column}")
    if row.p_holm is not None and row.p_holm < audit.settings.alpha:
        found.append("there is a gap, but it may be within the tolerance")
    return "; ".join(found)


def rate_notes(audit: Audit, table: GroupTable, shown: Sequence[GroupRow]) -> list[str]:
    """Return the notes below a table of rates: the largest gap, groups that are not listed or too small."""
    found = [_no_gap_note(audit, table) if table.gap is None else _gap_note(audit, table, table.gap)]
    if table.unlisted:
        found.append(f"{table.unlisted} empty combinations are not listed.")
    if any(row.suppressed and row.images for row in shown):
        found.append(
            f"Groups with fewer than {audit.settings.min_group_size} images show their size instead of a rate."
        )
    large = [row.name for row in shown if row.complement_needed]
    if large:
        every = len(large) == sum(row.images_needed is not None for row in shown)
        of = "" if every else f" of {first_few(large)}"
        found.append(f"Where more images are needed, the complement{of} needs as many more.")
    return found


def _no_gap_note(audit: Audit, table: GroupTable) -> str:
    """Return why there is no gap between groups."""
    options, groups = audit.settings, [(row, row.group) for row in table.rows if row.group is not None]
    seen = [group for row, group in groups if row.images]
    if len(seen) < 2:
        found = f"There is only one group ({', '.join(seen[0])})" if seen else "No image has a value"
        return f"{found}, so there is no gap to measure."
    if sum(row.rate.n >= options.min_group_size for row, _ in groups) < 2:
        return (
            f"Fewer than two groups have at least {options.min_group_size} images in the rate's denominator, so there "
            "is no gap to measure."
        )
    why = f"only images of weight 0 (column {options.weights})"
    if options.unit_column is not None:
        units = "clusters" if options.pair_by is None else "matched sets"
        why = f"fewer than two {units} (column {options.unit_column})"
    return f"Fewer than two groups can be compared, so there is no gap to measure. Other groups have {why}."


def _gap_note(audit: Audit, table: GroupTable, gap: Gap) -> str:
    """Return the largest gap and that expected by chance; no number where a rate at one of its ends has none."""
    lowest, highest = table.row(gap.lowest), table.row(gap.highest)
    if gap.value == 0:
        return f"All groups that have a rate have the same {table.rate_name}."
    gaps, how = len(audit.gaps), audit.settings.gap_test_name
    corrected = f", {format_p(gap.p_holm)} after Holm's correction for {gaps} gaps" if gaps > 1 else ""
    apart = "" if lowest.wide or highest.wide else f"{gap.value:.3f} "
    if table.worst == lowest:
        found = f"The lowest {table.rate_name} is that of {_tied(table, lowest)}, {apart}below {_tied(table, highest)}"
    else:
        found = f"The highest {table.rate_name} is that of {_tied(table, highest)}, {apart}above {_tied(table, lowest)}"
    return (
        f"{found}. Chance alone would give a largest gap of {gap.expected:.3f} on average ({how} {format_p(gap.p)}"
        f"{corrected})."
    )


def _tied(table: GroupTable, row: GroupRow) -> str:
    """Return the name of a group at one end of a gap, and the names of those that have the same rate."""
    first, *others = table.tied_with(row)
    if len(others) == 1:
        return f"{first.name} and {others[0].name}"
    names = first_few([one.name for one in others], most=3)
    return f"{first.name} and {len(others)} others ({names})" if others else first.name
