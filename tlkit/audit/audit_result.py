"""`Audit`: the result of an audit, with conversion to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.audit.audit_tables import audit_tables
from tlkit.audit.cell_suppression import write_export
from tlkit.audit.criteria import CriterionResult, criteria_of, worst_verdict
from tlkit.audit.group_profiles import ProfileTable
from tlkit.audit.group_tables import CROSS, Gap, GroupRow, GroupTable, direction_counts, record
from tlkit.audit.groups.group_columns import Kind
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import AnyMetric, Rate
from tlkit.audit.redaction import redacted_audit, refuse_redacted
from tlkit.choices import MIN_CELL_SIZE, Verdict
from tlkit.errors import TlkitError, did_you_mean, first_few
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.stored_formats import Format
from tlkit.tables import Table, to_html

AUDIT_FORMAT = Format("an audit", 4, "Audit again, as with `tlkit audit RUN`.", key="version")
"""The history has no upgrade from 1 to 3: an audit is computed from the predictions again."""


@dataclass(frozen=True)
class ColumnFacts:
    """The kind of a group column, its counts, and whether missing values are associated with errors.

    Attributes:
        column: its name.
        kind: categorical, boolean, ordered, continuous or multi-valued.
        missing: labelled images with a missing value.
        missing_p: p-value of the χ² test that errors are as frequent where the value is missing as where it is known;
            None where no value is missing, or all images are right or all wrong.
        missing_test: "chi-square", or "permutation" where an expected count is below 5; the test of the audit's design
            (`AuditOptions.test_name`) where images are weighted, in clusters or matched.
        groups: names of its groups, then "(missing)".
        images: labelled images of each, however few.
        right: how many of them are predicted right.
    """

    column: str
    kind: Kind
    missing: int
    missing_p: float | None = None
    missing_test: str = ""
    groups: tuple[str, ...] = ()
    images: tuple[int, ...] = ()
    right: tuple[int, ...] = ()


@dataclass(frozen=True)
class Audit:
    """The rates of a classifier across groups, with intervals, tests and verdicts.

    Attributes:
        settings: the options that it was made with.
        images: labelled images, which all counts are about.
        unlabelled: images left out because their class is not known.
        overall: accuracy over all labelled images, weighted where they have weights, with its interval.
        tests: number of tests against the complement that Holm's correction counts.
        group_tables: one per rate and combination of columns: single columns first, then intersections.
        columns: kind and counts of each column.
        profiles: calibration, ranking and recall by class for the groups of each combination of columns.

    Example:
        >>> from tlkit import Predictions, audit_groups
        >>> guesses = ["cat"] * 200 + ["cat", "dog"] * 100
        >>> names = [f"{number}.jpg" for number in range(400)]
        >>> made = Predictions.build(
        ...     classes=["cat", "dog"], path=names, y_true=["cat"] * 400, y_pred=guesses,
        ...     groups=pd.DataFrame({"light": ["day"] * 200 + ["night"] * 200}))
        >>> audit = audit_groups(made, by="light")
        >>> audit.verdict, audit.group_table("light").row(("night",)).direction
        ('FAIL', 'below the rest')
    """

    settings: AuditOptions
    images: int
    unlabelled: int
    overall: Estimate
    tests: int
    group_tables: tuple[GroupTable, ...]
    columns: tuple[ColumnFacts, ...] = ()
    profiles: tuple[ProfileTable, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL if any row fails, PASS if all rows with a verdict pass, else NOT ENOUGH DATA."""
        return worst_verdict(self.group_tables)

    @property
    def criteria(self) -> tuple[CriterionResult, ...]:
        """How far the groups are from each criterion that was chosen, for every combination of columns."""
        return criteria_of(self)

    @property
    def worst(self) -> dict[str, GroupRow]:
        """The row of the worst group, by table name; tables without a gap are left out."""
        return {table.name: table.worst for table in self.group_tables if table.worst is not None}

    @property
    def failures(self) -> list[tuple[GroupTable, GroupRow, Estimate]]:
        """The rows that fail, each with its table and its difference from the complement."""
        return [
            (table, row, row.difference)
            for table in self.group_tables
            for row in table.rows
            if row.verdict == "FAIL" and row.difference is not None
        ]

    @property
    def directions(self) -> str:
        """How many rows fail below and above the rest, as text: "1 below the rest"; "" where none fails."""
        return direction_counts(row for table in self.group_tables for row in table.rows)

    @property
    def gaps(self) -> dict[str, Gap]:
        """The largest gap, by table name; tables without one are left out."""
        return {table.name: table.gap for table in self.group_tables if table.gap is not None}

    def group_table(
        self, by: str | Sequence[str], *, metric: AnyMetric = "accuracy", class_name: str | None = None
    ) -> GroupTable:
        """Return one table.

        Args:
            by: a column, or the columns of an intersection in any order.
            metric: the rate.
            class_name: the class it is about; None for the accuracy.

        Raises:
            TlkitError: the audit has no such table.
        """
        columns = {by} if isinstance(by, str) else set(by)
        for table in self.group_tables:
            if set(table.columns) == columns and (table.metric, table.class_name) == (metric, class_name):
                return table
        requested, names = CROSS.join(sorted(columns)), [table.name for table in self.group_tables]
        requested = requested if metric == "accuracy" else f"{requested}, {Rate(metric, class_name).name}"
        raise TlkitError(
            f"This audit has no table {requested!r}.{did_you_mean(requested, names)} Its tables are: "
            f"{first_few([repr(name) for name in names], most=10)}."
        )

    def table(
        self, by: str | Sequence[str] | None = None, *, metric: AnyMetric = "accuracy", class_name: str | None = None
    ) -> pd.DataFrame:
        """Return one table, or all of them below each other, as a DataFrame with one row per group.

        Args:
            by: a column, or the columns of an intersection in any order; None = all tables.
            metric: the rate; not used for all tables.
            class_name: the class it is about, None for the accuracy; not used for all tables.

        Raises:
            TlkitError: the audit has no such table.
        """
        tables = self.group_tables if by is None else (self.group_table(by, metric=metric, class_name=class_name),)
        frame = pd.DataFrame([record(table, row) for table in tables for row in table.rows])
        texts = ("by", "group", "metric", "class_name", "verdict", "direction", "complement_needed", "wide")
        whole = dict.fromkeys(("n", "images", "images_needed", "clusters", "clusters_needed"), "Int64")
        return frame.astype({name: whole.get(name, "float64") for name in frame.columns if name not in texts})

    def profile_table(self, by: str | Sequence[str]) -> ProfileTable:
        """Return calibration, ranking and recall by class of the groups of a column, or of an intersection.

        Raises:
            TlkitError: the audit has no such table.
        """
        columns = {by} if isinstance(by, str) else set(by)
        for table in self.profiles:
            if set(table.columns) == columns:
                return table
        names = [table.by for table in self.profiles]
        raise TlkitError(
            f"This audit has no profiles by {CROSS.join(sorted(columns))!r}. It has them by: "
            f"{first_few(names, most=10)}."
        )

    def export(self, path: Path | str, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame:
        """Write the counts of all groups as CSV; smaller cells are hidden and cannot be derived.

        Args:
            path: a new file.
            min_cell_size: cells with fewer images, or fewer right or wrong ones, are hidden, at least 2.

        Returns:
            What was written: `by`, `group`, `images` and `right` for single columns, NA where hidden.

        Raises:
            TlkitError: the file exists, or `min_cell_size` is below 2.
        """
        return write_export(self, Path(path), min_cell_size=min_cell_size)

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: verdicts, criteria, rates by group, calibration and ranking by group.

        Of an audit with more than 40 rows, they hold the accuracy of single columns and what fails.
        """
        return audit_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every number, also those of small groups; `from_dict` reads them back.

        To share an audit, use `to_redacted`.
        """
        return {AUDIT_FORMAT.key: AUDIT_FORMAT.version, "complete": True, **to_plain(self)}

    def to_redacted(self) -> dict[str, Any]:
        """Return plain JSON values without the numbers that tables hide, as `tlkit audit --json` prints them."""
        return redacted_audit(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Audit:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit, or by `to_redacted`.
        """
        refuse_redacted("This audit", values, "the run's audit.json, or what `Audit.to_dict` returns")
        return from_plain(cls, AUDIT_FORMAT.current(values, what="This audit was"))

    def __repr__(self) -> str:
        overall = f"{self.images} images, accuracy {self.overall.format()}"
        return f"Audit(by {', '.join(self.settings.by)}: {self.verdict}; {overall})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
