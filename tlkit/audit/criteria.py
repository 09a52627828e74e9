"""Criteria such as equal opportunity: the rates that each compares, and the largest gap of the groups in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.audit.group_tables import CROSS, Group, GroupTable
from tlkit.audit.rates import AnyMetric, Metric, Rate
from tlkit.choices import Criterion, Verdict

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit

RATES: dict[Criterion, tuple[Metric, ...]] = {
    "accuracy_parity": ("accuracy",),
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("recall",),
    "equalized_odds": ("recall", "false_positive_rate"),
    "predictive_parity": ("precision",),
    "four_fifths": ("selection_rate",),
}


@dataclass(frozen=True)
class CriterionResult:
    """The largest gap in the rates of a criterion, for the groups of one column or intersection.

    Attributes:
        criterion: its name.
        columns: the columns.
        verdict: FAIL if a row of its tables fails, PASS if all with a verdict pass, else NOT ENOUGH DATA; None for
            the four-fifths rule, which has no test.
        metric: the rate with the largest gap, over the criterion's rates and, with several classes, over the classes
            (each against all others); None without any gap.
        class_name: the class of that rate.
        gap: the largest gap, in [0, 1].
        expected: the largest gap expected by chance for that table.
        ratio: the lowest over the highest rate, the smallest such ratio; None where all rates are 0.
        highest: the group with the highest rate.
        lowest: the group with the lowest rate.
        base_rates: lowest and highest share of that class among the groups, with the groups; None for the accuracy.
        kept: whether the four-fifths rule holds for every class; None for other criteria.
        vague: whether a rate at one end of the gap has too wide an interval for a number, so that tables show none.
    """

    criterion: Criterion
    columns: tuple[str, ...]
    verdict: Verdict | None
    metric: AnyMetric | None = None
    class_name: str | None = None
    gap: float | None = None
    expected: float | None = None
    ratio: float | None = None
    highest: Group | None = None
    lowest: Group | None = None
    base_rates: tuple[float, float] | None = None
    kept: bool | None = None
    vague: bool = False

    @property
    def by(self) -> str:
        """The columns as text."""
        return CROSS.join(self.columns)

    @property
    def name(self) -> str:
        """The criterion as text: "equal opportunity"."""
        return "four-fifths rule" if self.criterion == "four_fifths" else self.criterion.replace("_", " ")

    @property
    def rate_name(self) -> str:
        """The rate with the largest gap as text."""
        return "" if self.metric is None else Rate(self.metric, self.class_name).name


def metrics_of(criteria: Iterable[Criterion]) -> tuple[Metric, ...]:
    """Return the rates that the criteria compare, each once."""
    return tuple(dict.fromkeys(metric for criterion in criteria for metric in RATES[criterion]))


def criteria_of(audit: Audit) -> tuple[CriterionResult, ...]:
    """Return the result of each chosen criterion, single columns first."""
    columns = list(dict.fromkeys(table.columns for table in audit.group_tables))
    return tuple(
        _result(criterion, one, [t for t in audit.group_tables if t.columns == one and t.metric in RATES[criterion]])
        for criterion in audit.settings.criteria
        for one in columns
    )


def _result(criterion: Criterion, columns: tuple[str, ...], tables: Sequence[GroupTable]) -> CriterionResult:
    verdict = None if criterion == "four_fifths" else worst_verdict(tables)
    with_gap = [table for table in tables if table.gap is not None]
    kept = None
    if criterion == "four_fifths":
        rules = [keeps_four_fifths(table) for table in with_gap]
        kept = None if not rules else all(rules)
    if not with_gap:
        return CriterionResult(criterion, columns, verdict)
    ratios = [table.gap.ratio for table in with_gap if table.gap is not None and table.gap.ratio is not None]
    table = max(with_gap, key=lambda one: one.gap.value if one.gap else 0.0)
    if criterion == "four_fifths" and ratios:
        table = min(with_gap, key=lambda one: one.gap.ratio if one.gap and one.gap.ratio is not None else 2.0)
    gap = table.gap
    assert gap is not None
    bases = [
        row.base_rate.value for row in table.rows if row.group and row.base_rate and row.base_rate.value is not None
    ]
    return CriterionResult(
        criterion,
        columns,
        verdict,
        table.metric,
        table.class_name,
        gap.value,
        gap.expected,
        min(ratios) if ratios else None,
        gap.highest,
        gap.lowest,
        (min(bases), max(bases)) if bases else None,
        kept,
        table.row(gap.lowest).wide or table.row(gap.highest).wide,
    )


def worst_verdict(tables: Iterable[GroupTable]) -> Verdict:
    """Return FAIL if any row fails, PASS if all rows with a verdict pass, else NOT ENOUGH DATA."""
    verdicts = {row.verdict for table in tables for row in table.rows}
    if "FAIL" in verdicts:
        return "FAIL"
    return "PASS" if verdicts <= {"PASS", None} and "PASS" in verdicts else "NOT ENOUGH DATA"


def keeps_four_fifths(table: GroupTable) -> bool:
    """Return whether the lowest rate is at least four fifths of the highest, in whole numbers: 5·k₁·n₂ ≥ 4·k₂·n₁.

    In floating point .48/.60 is below .8. Uniform Guidelines on Employee Selection Procedures (1978), 29 CFR 1607.4 D.
    """
    counts = [
        (round(row.rate.value * row.rate.n), row.rate.n)
        for row in table.rows
        if row.group and row.rate.value is not None
    ]
    return all(5 * k1 * n2 >= 4 * k2 * n1 for k1, n1 in counts for k2, n2 in counts)
