"""What an audit found, in plain sentences: one for each column, and one for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.audit.criteria import worst_verdict
from tlkit.audit.group_tables import MISSING, GroupRow, GroupTable
from tlkit.audit.redaction import redact
from tlkit.choices import Verdict
from tlkit.errors import first_few
from tlkit.tables import counted, two_figures
from tlkit.tables.shares import percent, points

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.explanation import ExplainedGroup

MOST_NAMED = 2  # failing groups of a column that a sentence names, on each side
MOST_LISTED = 4  # other groups that it lists
OTHERS = "other rates"


@dataclass(frozen=True)
class PlainVerdict:
    """The verdict on one column, in words.

    Attributes:
        by: the column; "other rates" for intersections and other rates than the accuracy.
        verdict: FAIL if any of its rows fails, PASS if all that are decided pass, else NOT ENOUGH DATA.
        text: what that means, one sentence or a few.
    """

    by: str
    verdict: Verdict
    text: str


def plain_verdicts(audit: Audit) -> tuple[PlainVerdict, ...]:
    """Return the verdict on the accuracy of each column, in words, and last one on all other tables, if there are any.

    Numbers that the audit's tables withhold are withheld here, too.

    Args:
        audit: the audit.

    Example:
        >>> for one in plain_verdicts(run.audit()):  # doctest: +SKIP
        ...     print(one.verdict, one.by, one.text)
        FAIL sex woman is recognised less often than the rest: 79% against 96% (6 to 30 points lower), …
    """
    single = [table for table in audit.group_tables if table.metric == "accuracy" and len(table.columns) == 1]
    others = [table for table in audit.group_tables if table not in single]
    found = [PlainVerdict(table.by, worst_verdict([table]), _column_text(audit, table)) for table in single]
    if others:
        found.append(PlainVerdict(OTHERS, worst_verdict(others), _others_text(audit, others)))
    return tuple(found)


def _column_text(audit: Audit, table: GroupTable) -> str:
    """Return what is known of the groups of one column."""
    rows = [row for row in table.rows if row.verdict is not None]
    failing = [row for row in rows if row.verdict == "FAIL"]
    allowed = points(audit.settings.tolerance, decimals=2)
    if not rows:
        return "There are no two groups to compare."
    if not failing:
        return _undecided_or_passed(audit, rows)
    found: list[str] = []
    for side, word in (("below the rest", "less"), ("above the rest", "more")):
        here = sorted((row for row in failing if row.direction == side), key=_size, reverse=True)
        for row in here[:MOST_NAMED]:
            than = "" if found else " than the rest"
            beyond = "" if found else f", beyond the {allowed} you allow"
            found.append(f"{_name(row)} is recognised {word} often{than}{_figures(audit, row)}{beyond}.")
        if more := here[MOST_NAMED:]:
            found.append(f"So {'is' if len(more) == 1 else 'are'} {_listed(more)}.")
    passed = [row for row in rows if row.verdict == "PASS"]
    if passed:
        found.append(f"Within the {allowed}: {_listed(passed)}.")
    unclear, undecided = _open(audit, rows)
    if unclear:
        found.append(f"A gap that may be within the {allowed}: {_listed(unclear)}.")
    if undecided:
        found.append(f"Too few {sample_words(audit)} to tell: {_listed(undecided)}.")
    return " ".join(found)


def _undecided_or_passed(audit: Audit, rows: Sequence[GroupRow]) -> str:
    """Return the text of a column without a FAIL."""
    allowed = points(audit.settings.tolerance, decimals=2)
    passed = [row for row in rows if row.verdict == "PASS"]
    unclear, undecided = _open(audit, rows)
    if not unclear and not undecided:
        return f"No group differs from the rest by more than the {allowed} you allow ({_listed(passed)})."
    found = [f"Within the {allowed} you allow: {_listed(passed)}."] if passed else []
    if unclear:
        found.append(
            f"NOT ENOUGH DATA: there is a gap, but it may be within the {allowed} you allow: {_listed(unclear)}."
        )
    if undecided:
        every = len(undecided) == len(rows)
        which = f"its {counted(len(undecided), 'group')}" if every else _listed(undecided)
        verb = "differs" if len(undecided) == 1 else "differ"
        found.append(
            f"NOT ENOUGH DATA: too few {sample_words(audit)} to tell whether {which} {verb} by more than {allowed}"
            f"{_needs(audit, undecided)}."
        )
    return " ".join(found)


def _open(audit: Audit, rows: Sequence[GroupRow]) -> tuple[list[GroupRow], list[GroupRow]]:
    """Return the undecided rows with a gap that a test shows, and the other undecided rows."""
    found = [row for row in rows if row.verdict == "NOT ENOUGH DATA"]
    shown = [row for row in found if row.p_holm is not None and row.p_holm < audit.settings.alpha]
    return shown, [row for row in found if row not in shown]


def sample_words(audit: Audit) -> str:
    """Return what the audit's sample is made of, such as "images" or "clusters of patient"."""
    options = audit.settings
    if options.unit_column is None:
        return "images"
    return f"{'clusters' if options.pair_by is None else 'matched sets'} of {options.unit_column}"


def _needs(audit: Audit, rows: Sequence[GroupRow]) -> str:
    """Return how many images or clusters the groups have, and about how many more would decide, where it is known."""
    clustered = audit.settings.unit_column is not None
    sizes = [(row.clusters or 0) if clustered else row.rate.n for row in rows]
    wanted = [row.clusters_needed if clustered else row.images_needed for row in rows]
    more = [two_figures(number) for number in wanted if number is not None]
    each = " each" if len(rows) > 1 else ""
    text = f" (there {'is' if sizes == [1] else 'are'} {_range(sizes)}{each}"
    return f"{text}; about {_range(more)} more{each} would do)" if more else f"{text})"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _figures(audit: Audit, row: GroupRow) -> str:
    """Return the rates of a group and of its complement, and the interval of their difference."""
    most, difference = audit.settings.max_half_width, row.difference
    if difference is None:
        return ""
    rate, gap = redact(row.rate, most), redact(difference, most)
    side, interval = "lower" if row.direction == "below the rest" else "higher", ""
    if gap.low is not None and gap.high is not None:
        near, far = sorted((abs(gap.low), abs(gap.high)))
        interval = f" ({100 * near:.0f} to {100 * far:.0f} points {side})"
    if rate.value is None or gap.value is None:
        return interval
    if audit.settings.pair_by is not None:  # the difference within matched sets does not follow from the two rates
        return f": {percent(rate.value)}, {points(abs(gap.value))} {side} within matched sets{interval}"
    complement = min(max(rate.value - gap.value, 0.0), 1.0)
    own, others = percent(rate.value, apart_from=complement), percent(complement, apart_from=rate.value)
    return f": {own} against {others}{interval}"


def _others_text(audit: Audit, tables: Sequence[GroupTable]) -> str:
    """Return how many rows of some tables have each verdict, and which fail worst."""
    rows = [(table, row) for table in tables for row in table.rows if row.verdict is not None]
    failing = sorted(((t, r) for t, r in rows if r.verdict == "FAIL"), key=lambda one: _size(one[1]), reverse=True)
    passed = sum(row.verdict == "PASS" for _, row in rows)
    allowed = points(audit.settings.tolerance, decimals=2)
    found = []
    if failing:
        names = [f"{_name(row)} ({table.rate_name}{_figures(audit, row)})" for table, row in failing]
        found.append(f"Beyond the {allowed}: {first_few(names, most=MOST_NAMED)}.")
    if passed:
        found.append(f"Within the {allowed}: {counted(passed, 'row')}.")
    if undecided := len(rows) - len(failing) - passed:
        found.append(f"Too few images to tell: {counted(undecided, 'row')}.")
    return " ".join(found) or "There are no two groups to compare."


def _size(row: GroupRow) -> float:
    """Return the absolute difference from the complement."""
    return abs(row.difference.value or 0.0) if row.difference is not None else 0.0


def _listed(rows: Sequence[GroupRow]) -> str:
    return first_few([_name(row) for row in rows], most=MOST_LISTED)


def _name(row: GroupRow) -> str:
    return "images without a value" if row.name == MISSING else row.name


def shown_by(group: ExplainedGroup) -> str:
    """Return how few training images show a group: "none shows it", or "only 1.5% of them show it"."""
    if group.train == 0 or group.train_share is None:
        return "none shows it"
    if group.train_share < 0.0005:
        return "fewer than 0.1% of them show it"
    return f"only {group.train_share:.1%} of them show it"
