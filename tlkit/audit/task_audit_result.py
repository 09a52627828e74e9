"""`TaskAudit`: the result of an audit of labels, grades, numbers or boxes, with conversion to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tlkit.audit.criteria import worst_verdict
from tlkit.audit.group_tables import CROSS, GroupRow, GroupTable, record
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import AnyMetric, Rate
from tlkit.audit.redaction import refuse_redacted
from tlkit.audit.task_audit_tables import hidden_figures, task_audit_tables
from tlkit.choices import Task, Verdict
from tlkit.errors import TlkitError, did_you_mean, first_few, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class OverallFigure:
    """A rate or a mean over all images.

    Attributes:
        metric: the metric.
        class_name: the label that it is about, or None.
        value: with its interval.
        tolerance: of a mean, the largest difference tolerated, in its unit; None = a rate, see the settings.
    """

    metric: AnyMetric
    class_name: str | None
    value: Estimate
    tolerance: float | None = None

    @property
    def rate(self) -> Rate:
        """The rate or mean, with its words."""
        return Rate(self.metric, self.class_name)


@dataclass(frozen=True)
class TaskAudit:
    """Rates and means of a model across groups, with intervals, tests and verdicts, for other tasks than one class.

    Attributes:
        task: multilabel, ordinal, regression or detection.
        settings: options of the audit.
        images: images assessed.
        unlabelled: images without a label, left out.
        overall: each rate and mean over all images.
        tests: number of tests that Holm's correction covers.
        group_tables: one for each combination of columns and each rate or mean.
        counted: what a rate counts: "image", or "object" in detection.
    """

    task: Task
    settings: AuditOptions
    images: int
    unlabelled: int
    overall: tuple[OverallFigure, ...]
    tests: int
    group_tables: tuple[GroupTable, ...]
    counted: str = "image"

    @property
    def verdict(self) -> Verdict:
        """FAIL if any row fails, PASS if all rows with a verdict pass, else NOT ENOUGH DATA."""
        return worst_verdict(self.group_tables)

    @property
    def failures(self) -> list[tuple[GroupTable, GroupRow, Estimate]]:
        """The rows that fail, each with its table and its difference from the complement."""
        return [
            (table, row, row.difference)
            for table in self.group_tables
            for row in table.rows
            if row.verdict == "FAIL" and row.difference is not None
        ]

    def tolerance_of(self, table: GroupTable) -> float:
        """Return the tolerance of a table, in the unit of its rate or mean."""
        for one in self.overall:
            if (one.metric, one.class_name) == (table.metric, table.class_name) and one.tolerance is not None:
                return one.tolerance
        return self.settings.tolerance

    def group_table(self, by: str | Sequence[str], *, metric: AnyMetric, class_name: str | None = None) -> GroupTable:
        """Return one table.

        Args:
            by: a column, or the columns of an intersection in any order.
            metric: the rate or mean.
            class_name: the label it is about, or None.

        Raises:
            TlkitError: the audit has no such table.
        """
        columns = {by} if isinstance(by, str) else set(by)
        for table in self.group_tables:
            if set(table.columns) == columns and (table.metric, table.class_name) == (metric, class_name):
                return table
        requested, names = f"{CROSS.join(sorted(columns))}, {Rate(metric, class_name).name}", self._names
        raise TlkitError(
            f"This audit has no table {requested!r}.{did_you_mean(requested, names)} Its tables are: "
            f"{first_few([repr(name) for name in names], most=10)}."
        )

    @property
    def _names(self) -> list[str]:
        return [table.name for table in self.group_tables]

    def table(self) -> pd.DataFrame:
        """Return all tables below each other as a DataFrame with one row per group."""
        return pd.DataFrame([record(table, row) for table in self.group_tables for row in table.rows])

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: each rate over all images with verdicts, what fails, the rates by group."""
        return task_audit_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every number, also those of small groups; `from_dict` reads them back."""
        return {"version": FORMAT_VERSION, "complete": True, **to_plain(self)}

    def to_redacted(self) -> dict[str, Any]:
        """Return plain JSON values without the numbers that tables hide, as `tlkit audit --json` prints them."""
        return {**self.to_dict(), "complete": False, "group_tables": hidden_figures(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TaskAudit:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit, or by `to_redacted`.
        """
        refuse_redacted("This audit", values, "what `TaskAudit.to_dict` returns")
        refuse_newer("This audit was", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"TaskAudit({self.task} by {', '.join(self.settings.by)}: {self.verdict}; {self.images} images)"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
