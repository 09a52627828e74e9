"""Rows, largest gap and table of one rate by group."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from tlkit.audit.rates import AnyMetric, Rate
from tlkit.choices import Verdict
from tlkit.stats.estimate import Estimate

ALL = "(all)"
CLASS = "(class)"
MISSING = "(missing)"
CROSS = " × "

Direction = Literal["below the rest", "above the rest"]
DIRECTIONS: tuple[Direction, ...] = ("below the rest", "above the rest")
Group = tuple[str, ...]

_ESTIMATES = (
    "rate",
    "difference",
    "ratio",
    "error_ratio",
    "best_difference",
    "best_ratio",
    "best_error_ratio",
    "base_rate",
    "shrunk",
)


@dataclass(frozen=True)
class GroupRow:
    """One rate of one group, compared with the complement.

    Attributes:
        group: its values, one for each column of the table; None = the images for which a value is missing.
        images: its labelled images.
        rate: its rate with a Wilson interval; `rate.n` is the rate's own denominator. Undefined where that is smaller
            than `min_group_size`.
        difference: its rate minus that of the complement (the other images whose values are known), in [-1, 1], with
            Newcombe's interval; None where one side is too small.
        ratio: its rate over that of the complement, with the log interval, or the score interval where that collapses;
            undefined where the complement's rate is 0.
        error_ratio: the same for 1 − rate: accuracies of .98 and .99 have a ratio of .99 and an error
            ratio of 2; undefined where the complement is without error.
        best_difference: its rate minus that of the group that is best off (lowest false positive rate, else highest
            rate); None for that group itself and without a gap. Part of the lead of the best of many groups is
            chance, so no verdict rests on it.
        best_ratio: the ratio to the group that is best off.
        best_error_ratio: the error ratio to the group that is best off.
        base_rate: share of the group's images that are of the table's class, with its interval; None for the accuracy.
        p: p-value against the complement: Fisher's exact test, or that of the audit's design
            (`AuditOptions.test_name`); None where there is no test.
        p_holm: the same after Holm's correction over all tests of the audit.
        verdict: FAIL = the whole interval of the difference lies beyond the tolerance and p_holm is below alpha;
            PASS = the whole interval lies within the tolerance; else NOT ENOUGH DATA; None = no verdict.
        detectable_gap: the smallest gap to the complement that this group's images could have shown (80 % power, at the
            strictest level of Holm's correction); None = none at all.
        images_needed: about how many more images of this group would lower `detectable_gap` to the tolerance; only for
            NOT ENOUGH DATA; None = it is that low already, or the tolerance is 0.
        direction: with FAIL, on which side of the complement the rate lies; else None. `GroupTable.is_better` says
            whether that is the better side.
        clusters: number of clusters (people, bursts, matched sets) that its images are of; None = independent images.
        clusters_needed: `images_needed` in clusters, with as many images each as those of the group, rounded up.
        complement_needed: whether the complement is too small as well and needs as many images.
        shrunk: its rate pulled towards the mean of all groups (beta-binomial, credible interval); no verdict
            rests on it.
        mean_confidence: mean probability of the predicted class, in [0, 1]; in accuracy tables, where known.
        wide: whether the interval of the rate reaches too far to both sides for a number (`max_half_width`).
        n_eff: effective sample size of weighted or clustered images;
            None = `rate.n`.
    """

    group: Group | None
    images: int
    rate: Estimate
    difference: Estimate | None = None
    ratio: Estimate | None = None
    error_ratio: Estimate | None = None
    best_difference: Estimate | None = None
    best_ratio: Estimate | None = None
    best_error_ratio: Estimate | None = None
    base_rate: Estimate | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict | None = None
    detectable_gap: float | None = None
    images_needed: int | None = None
    complement_needed: bool = False
    shrunk: Estimate | None = None
    mean_confidence: float | None = None
    wide: bool = False
    n_eff: float | None = None
    clusters: int | None = None
    clusters_needed: int | None = None
    direction: Direction | None = None

    @property
    def name(self) -> str:
        """The group as text: "dark", "man × dark", "(missing)"."""
        return MISSING if self.group is None else CROSS.join(self.group)

    @property
    def suppressed(self) -> bool:
        """Whether there are too few images for a rate."""
        return self.rate.value is None

    @property
    def design_effect(self) -> float | None:
        """Number of images over the effective sample size; None for independent images."""
        return None if self.n_eff is None or self.n_eff == 0 else self.rate.n / self.n_eff


@dataclass(frozen=True)
class Gap:
    """The largest gap among the groups of a table that have a rate.

    Attributes:
        highest: the group with the highest rate.
        lowest: the group with the lowest rate.
        value: highest minus lowest rate, in [0, 1].
        ratio: lowest over highest rate, in [0, 1]; None where both are 0.
        error_ratio: the ratio of the error rates: (1 − lowest) / (1 − highest), at least 1; None where the
            highest is 1. Accuracies of .99 and .98 have a ratio of .99 and an error ratio of 2.
        expected: the mean of the largest gap under chance alone; always above 0.
        p: permutation p-value of the gap; with weights, clusters or matched sets, that of random draws with the
            variances and correlations of the rates.
        p_holm: the same after Holm's correction over the gaps of the audit.
        exact: whether all permutations were enumerated rather than sampled.
    """

    highest: Group
    lowest: Group
    value: float
    ratio: float | None
    error_ratio: float | None
    expected: float
    p: float
    p_holm: float
    exact: bool

    def worst(self, rate: Rate) -> Group:
        """Return the group that is worst off in the rate of the gap."""
        return self.highest if rate.lower_is_better else self.lowest

    def best(self, rate: Rate) -> Group:
        """Return the group that is best off in the rate of the gap."""
        return self.lowest if rate.lower_is_better else self.highest


@dataclass(frozen=True)
class GroupTable:
    """One rate for the groups of one column, or of one intersection of columns.

    Attributes:
        columns: the columns.
        metric: the metric.
        class_name: the class that the metric is about; None for the accuracy.
        rows: one per group, sorted by value; last the images with a missing value, where there are any.
        gap: the largest gap; None with fewer than two groups that have a rate.
        unlisted: number of empty combinations of values that have no row.
    """

    columns: tuple[str, ...]
    metric: AnyMetric
    class_name: str | None
    rows: tuple[GroupRow, ...]
    gap: Gap | None
    unlisted: int = 0

    @property
    def by(self) -> str:
        """The columns as text: "presentation × skin_tone"."""
        return CROSS.join(self.columns)

    @property
    def rate(self) -> Rate:
        """The rate: the metric and the class that it is about."""
        return Rate(self.metric, self.class_name)

    @property
    def rate_name(self) -> str:
        """The rate as text: "accuracy", "recall of cat"."""
        return self.rate.name

    @property
    def name(self) -> str:
        """The table as text: "skin_tone", or "skin_tone, recall of cat" where the rate is not the accuracy."""
        return self.by if self.metric == "accuracy" else f"{self.by}, {self.rate_name}"

    @property
    def worst(self) -> GroupRow | None:
        """The row of the group that is worst off; None without a gap."""
        return None if self.gap is None else self.row(self.gap.worst(self.rate))

    @property
    def best(self) -> GroupRow | None:
        """The row of the group that is best off; None without a gap."""
        return None if self.gap is None else self.row(self.gap.best(self.rate))

    def is_better(self, row: GroupRow) -> bool:
        """Return whether a row fails because its group is better off than the complement.

        A mean error is best at 0: the group is better off where it is nearer to 0 than that of the complement.
        """
        if self.metric == "mean_error":
            if (
                row.direction is None
                or row.rate.value is None
                or row.difference is None
                or row.difference.value is None
            ):
                return False
            return abs(row.rate.value) < abs(row.rate.value - row.difference.value)
        return row.direction == ("below the rest" if self.rate.lower_is_better else "above the rest")

    def tied_with(self, row: GroupRow) -> tuple[GroupRow, ...]:
        """Return a row, then the rows of the other groups with the same rate."""
        value = row.rate.value
        others = [
            one
            for one in self.rows
            if one is not row
            and one.group is not None
            and one.rate.value is not None
            and value is not None
            and math.isclose(one.rate.value, value, abs_tol=1e-12)
        ]
        return row, *others

    def row(self, group: Group | None) -> GroupRow:
        """Return the row of a group; None = the images with a missing value.

        Raises:
            KeyError: there is no such row.
        """
        for row in self.rows:
            if row.group == group:
                return row
        raise KeyError(group)


def direction_of(verdict: Verdict | None, difference: Estimate | None) -> Direction | None:
    """Return on which side of the complement a rate lies; None unless the verdict is FAIL."""
    if verdict != "FAIL" or difference is None:
        return None
    return "above the rest" if difference.is_above(0) else "below the rest"


def direction_counts(rows: Iterable[GroupRow]) -> str:
    """Return how many rows fail on either side, as text: "1 below the rest, 2 above the rest"; "" where none does."""
    found = [row.direction for row in rows]
    return ", ".join(f"{found.count(one)} {one}" for one in DIRECTIONS if one in found)


def record(table: GroupTable, row: GroupRow) -> dict[str, Any]:
    """Return a row as the columns of a DataFrame, estimates as value, low and high."""
    record: dict[str, Any] = {
        "by": table.by,
        "group": row.name,
        "metric": table.metric,
        "class_name": table.class_name,
        "n": row.rate.n,
    }
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name in _ESTIMATES:
            for end in ("value", "low", "high"):
                name = field.name if end == "value" else f"{field.name}_{end}"
                record[name] = None if value is None else getattr(value, end)
        elif field.name != "group":
            record[field.name] = value
    return record
