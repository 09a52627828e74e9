"""An audit in words: plain sentences, and tables of text for the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tlkit.audit.audit_result import Audit
from tlkit.audit.criteria import worst_verdict
from tlkit.audit.group_tables import Gap, GroupRow, GroupTable
from tlkit.errors import first_few
from tlkit.stats.estimate import Estimate, signed_number

NONE = "–"
_ALONE = re.compile(r"(?<!\d )\[[+-]?\d+\.\d{3}, [+-]?\d+\.\d{3}\]")
MOST_TOLD = 12  # with more tables, those about single classes in which nothing fails are counted, not told


def summary_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Return all tables as text, one tuple a row, the header first.

    The column "rate" is there only where an audit compares more than the accuracy. Groups that are too small show
    "n = 7" in place of the rate, empty ones "n = 0".
    """
    level = f"[{audit.settings.confidence:.0%}]"
    only_accuracy = audit.settings.metrics == ("accuracy",)
    rate = () if only_accuracy else ("rate",)
    value = f"accuracy {level}" if only_accuracy else f"value {level}"
    header = ("by", "group", *rate, "n", value, f"against the rest {level}", "p (Holm)", "verdict")
    rows = [header]
    for table in audit.tables:
        for row in table.rows:
            name = () if only_accuracy else (table.rate_name,)
            rows.append(
                (
                    table.by,
                    row.name,
                    *name,
                    str(row.rate.n),
                    rate_text(row),
                    difference_text(row, audit.settings.max_half_width),
                    p_text(row.p_holm),
                    row.verdict or NONE,
                )
            )
    return rows


def sentences(audit: Audit) -> list[str]:
    """Return what was found, and what could not be found, in plain English."""
    settings = audit.settings
    left_out = f" {image_count(audit.unlabelled)} without a label left out." if audit.unlabelled else ""
    found = [f"{image_count(audit.images)} assessed, accuracy {audit.overall.format()}.{left_out}"]
    gaps = len(audit.gaps)
    told = [table for table in audit.tables if _is_told(audit, table)]
    for table in told:
        if table.note:
            found.append(f"{table.name}: {table.note}")
        if table.gap is not None:
            found.append(_gap_sentence(table, table.gap, gaps, how=settings.gap_test_name))
        found += [_row_sentence(audit, table, row) for row in table.rows if row.verdict == "FAIL"]
        found += _pass_sentence(audit, table) + _undecided_sentences(audit, table) + _unseen_sentences(table)
    found += _rest_sentences([table for table in audit.tables if table not in told])
    tests = "the one test of this audit" if audit.tests == 1 else f"all {audit.tests} tests of this audit"
    corrected = (
        f"p-values are corrected for {tests} (Holm, alpha {settings.alpha:g})" if audit.tests else "no test was made"
    )
    found.append(
        f"FAIL and PASS compare a group with the rest at a tolerance of {settings.tolerance:g}, with intervals of "
        f"{settings.confidence:.0%}; {corrected}."
    )
    cells = (cell for row in summary_rows(audit) for cell in row)
    if note := alone_note((*cells, *found), settings.max_half_width):
        found[-1] += f" {note}"
    return found


def _is_told(audit: Audit, table: GroupTable) -> bool:
    """Tell whether a table has sentences of its own: in a large audit those about the accuracy, and what fails."""
    small = len(audit.tables) <= MOST_TOLD
    return small or table.metric == "accuracy" or worst_verdict([table]) == "FAIL"


def _rest_sentences(tables: list[GroupTable]) -> list[str]:
    """Count what the tables without sentences of their own say."""
    if not tables:
        return []
    rows = [row.verdict for table in tables for row in table.rows if row.verdict is not None]
    names = first_few([table.name for table in tables], most=3)
    return [
        f"{len(tables)} more tables without a FAIL ({names}): {rows.count('PASS')} rows PASS, "
        f"{rows.count('NOT ENOUGH DATA')} NOT ENOUGH DATA."
    ]


def gap_text(table: GroupTable, gap: Gap, *, how: str) -> str:
    """Return the largest gap beside what chance gives, as text; without a number where one of its rates has none.

    Args:
        table: the table.
        gap: its largest gap.
        how: where the p-value comes from (`AuditOptions.gap_test_name`).
    """
    value = "largest gap: too few images for a number" if _is_vague(table, gap) else f"largest gap {gap.value:.3f}"
    return f"{value}; {gap.expected:.3f} expected by chance alone; {how} {p_is(gap.p)}"


def rate_text(row: GroupRow) -> str:
    """Return the rate of a row with its interval, the interval alone where it is wide, or "n = 7" with few images."""
    if row.suppressed:
        return f"n = {row.rate.n}"
    text = row.rate.format()
    return text[text.index("[") :] if row.wide else text


def signed(difference: Estimate) -> str:
    """Return a difference with its interval and signs: "-0.200 [-0.334, -0.052]"."""
    if difference.value is None or difference.low is None or difference.high is None:
        return difference.format()
    return f"{signed_number(difference.value)} [{signed_number(difference.low)}, {signed_number(difference.high)}]"


def bare(estimate: Estimate, text: str, most: float) -> str:
    """Return the text of an estimate, or its interval alone where that reaches farther than `most` to each side.

    A difference, and a rate within a group, would otherwise give away a rate that is shown without a number.
    """
    return text[text.index("[") :] if estimate.is_wide(most) else text


def alone_note(texts: Iterable[str], most: float) -> str:
    """Return what an interval without a number before it means, where one stands in some texts; else "".

    Args:
        texts: sentences, or cells of a table.
        most: how far an interval may reach to each side and still have its number.

    Example:
        >>> alone_note(["0.900 [0.710, 0.970]", "-0.100 [-0.310, +0.020]"], 0.15)
        ''
        >>> alone_note(["dark is [-0.513, +0.064] against the rest"], 0.15)
        'An interval alone, [low, high], reaches farther than 0.15 to each side: too few images for a number.'
    """
    if not any(_ALONE.search(text) for text in texts):
        return ""
    return f"An interval alone, [low, high], reaches farther than {most:g} to each side: too few images for a number."


def difference_text(row: GroupRow, most: float) -> str:
    """Return the difference of a row from the rest: "-0.200 [-0.334, -0.052]"; a dash where there is none.

    Args:
        row: one group.
        most: an interval that reaches farther to each side stands without a number, as for rates.
    """
    return NONE if row.difference is None else bare(row.difference, signed(row.difference), most)


def p_text(p: float | None) -> str:
    """Return a p-value as text: "0.012", "<0.001", or a dash where there is none."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _is_vague(table: GroupTable, gap: Gap) -> bool:
    """Tell whether a rate at one end of the gap has no number, which that of the gap would give away."""
    return table.row(gap.lowest).wide or table.row(gap.highest).wide


def _gap_sentence(table: GroupTable, gap: Gap, gaps: int, *, how: str) -> str:
    lowest, highest = table.row(gap.lowest), table.row(gap.highest)
    if gap.value == 0:
        return f"{table.name}: all groups that have a rate have the same {table.rate_name}, {_with_n(lowest)}."
    corrected = f", {p_text(gap.p_holm)} after Holm's correction for {gaps} gaps" if gaps > 1 else ""
    apart = "" if _is_vague(table, gap) else f"{gap.value:.3f} "
    if table.worst == lowest:
        found = f"the lowest {table.rate_name} is that of {_tied(table, lowest)}, {apart}below {_tied(table, highest)}"
    else:
        found = f"the highest {table.rate_name} is that of {_tied(table, highest)}, {apart}above {_tied(table, lowest)}"
    return (
        f"{table.name}: {found}. Chance alone would give a largest gap of {gap.expected:.3f} on average ({how} "
        f"{p_is(gap.p)}{corrected})."
    )


def _tied(table: GroupTable, row: GroupRow) -> str:
    """Name a group at one end of a gap with its rate, and those that have the same rate."""
    first, *others = table.tied_with(row)
    text = f"{first.name}, {_with_n(first)}"
    if len(others) == 1:
        return f"{text}, and {others[0].name}, {_with_n(others[0])}"
    names = first_few([one.name for one in others], most=3)
    return f"{text}, and {len(others)} others ({names})" if others else text


def _row_sentence(audit: Audit, table: GroupTable, row: GroupRow) -> str:
    assert row.difference is not None, "a row fails by its difference"
    assert row.difference.value is not None, "a row fails by its difference"
    direction = "below" if row.difference.value < 0 else "above"
    return (
        f"{table.name}: FAIL for {row.name}: its {table.rate_name} of {_with_n(row)} lies "
        f"{direction} that of the rest by more than the tolerance of {audit.settings.tolerance:g}: "
        f"{difference_text(row, audit.settings.max_half_width)}, {p_is(row.p_holm)} "
        f"({audit.settings.test_name}, Holm)."
    )


def _pass_sentence(audit: Audit, table: GroupTable) -> list[str]:
    passed = [row.name for row in table.rows if row.verdict == "PASS"]
    if not passed:
        return []
    lie = "lies" if len(passed) == 1 else "lie"
    within = f"within {audit.settings.tolerance:g} of the rest, with the whole interval."
    return [f"{table.name}: PASS for {first_few(passed, most=10)}: {lie} {within}"]


def _undecided_sentences(audit: Audit, table: GroupTable) -> list[str]:
    """Name the rows that are open, with the gap each could have shown and the images it would take."""
    rows = [row for row in table.rows if row.verdict == "NOT ENOUGH DATA"]
    if not rows:
        return []
    listed = first_few([_undecided(row, audit.settings.alpha) for row in rows], most=10)
    found = [f"{table.name}: NOT ENOUGH DATA for {listed}."]
    if any(row.images_needed is not None for row in rows):
        rest = ", if the rest grows to as many, too" if any(row.rest_needed for row in rows) else ""
        found.append(f"So many more images would show a gap of {audit.settings.tolerance:g}{rest}.")
    return [" ".join(found)]


def _undecided(row: GroupRow, alpha: float) -> str:
    # A note such as "n = 300, but all images are of one cluster" says more than the size.
    parts = [row.rate.note if ", but " in row.rate.note else f"n = {row.rate.n}"]
    if row.difference is None and not row.suppressed:
        parts.append("too few other images to compare with")
    elif row.difference is not None:
        shows = "could show no gap" if row.detectable_gap is None else f"could show a gap of {row.detectable_gap:.2f}"
        parts.append(shows)
    if row.p_holm is not None and row.p_holm < alpha:
        parts.append("there is a gap, but it may be within the tolerance")
    if row.images_needed is not None:
        parts.append(f"about {rounded(row.images_needed)} more needed")
    return f"{row.name} ({', '.join(parts)})"


def _unseen_sentences(table: GroupTable) -> list[str]:
    unseen = [row.name for row in table.rows if row.images == 0]
    found = [f"{table.name}: no labelled images (n = 0) of {first_few(unseen, most=10)}."] if unseen else []
    for row in table.rows:
        if row.group is None and row.suppressed:
            found.append(f"{table.name}: {image_count(row.images)} with a missing value, too few for a rate.")
        elif row.group is None:
            found.append(
                f"{table.name}: {image_count(row.images)} with a missing value, {table.rate_name} {_with_n(row)}."
            )
    return found


def _with_n(row: GroupRow) -> str:
    return f"{rate_text(row)} (n = {row.rate.n})"


def image_count(count: int) -> str:
    """Return "1 image", or "1,234 images"."""
    return "1 image" if count == 1 else f"{count:,} images"


def p_is(p: float | None) -> str:
    """Return a p-value in a sentence: "p = 0.012", "p < 0.001"."""
    text = p_text(p)
    return f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"


def rounded(count: int) -> str:
    """Return a count with two figures that mean something: 1,234 is "1,200"."""
    figures = len(str(count)) - 2
    return f"{round(count, -figures) if figures > 0 else count:,}"
