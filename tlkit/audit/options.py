"""`AuditOptions`: the options of audits, explanations, comparisons, slices, repairs and gates, with their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack, get_args

from tlkit.audit.groups.group_columns import MAX_VALUES, By, GroupColumn, columns_of
from tlkit.audit.rates import METRICS, Metric
from tlkit.choices import ALPHA, CONFIDENCE, DRAWS, MAX_INTERSECTION_ORDER, MIN_GROUP_SIZE, SEED, TOLERANCE, Criterion
from tlkit.errors import did_you_mean, first_few
from tlkit.spelling import known_name

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


class AuditOverrides(TypedDict, total=False):
    """Overrides of `AuditOptions` by name; None = not overridden."""

    by: By | Sequence[By] | None
    metrics: Metric | Sequence[Metric] | None
    criteria: Criterion | Sequence[Criterion] | None
    positive: str | None
    min_group_size: int | None
    max_half_width: float | None
    max_intersection_order: int | None
    confidence: float | None
    tolerance: float | None
    alpha: float | None
    guaranteed: bool | None
    weights: str | None
    cluster_by: str | None
    pair_by: str | None
    seed: int | None
    draws: int | None
    max_values: int | None


@dataclass(frozen=True)
class AuditOptions:
    """The options of an audit and their defaults; every result holds the options that it was made with.

    `with_overrides` applies the layers: the recipe's options, then those of the command line or of Python.

    Attributes:
        columns: the group columns, each with how it is discretized.
        metrics: the rates to compare.
        criteria: the criteria chosen; an audit adds their rates to `metrics`.
        positive: the class that all rates but the accuracy are about; None = each class against all others.
        min_group_size: groups with a smaller denominator get no rate and no test.
        max_half_width: rates whose interval reaches farther than this to each side are shown without a number.
        max_intersection_order: the most columns that an intersection has.
        confidence: two-sided level of the intervals, in (0, 1).
        tolerance: the largest difference from the complement that is tolerated, in [0, 1).
        alpha: chance of any false alarm in the whole audit, in (0, 1).
        guaranteed: use Clopper and Pearson's intervals, whose coverage is never below the level, instead of Wilson's.
        weights: column of the images' weights; None = equal weights.
        cluster_by: column of the clusters; None = independent images.
        pair_by: column of the matched sets; None = not matched.
        seed: seed of random permutations and resamples.
        draws: random permutations for the largest gap.
        max_values: the most different values of a column; a column with more looks like an identifier.
    """

    columns: tuple[GroupColumn, ...] = ()
    metrics: tuple[Metric, ...] = ("accuracy",)
    criteria: tuple[Criterion, ...] = ()
    positive: str | None = None
    min_group_size: int = MIN_GROUP_SIZE
    max_half_width: float = 0.15
    max_intersection_order: int = MAX_INTERSECTION_ORDER
    confidence: float = CONFIDENCE
    tolerance: float = TOLERANCE
    alpha: float = ALPHA
    guaranteed: bool = False
    weights: str | None = None
    cluster_by: str | None = None
    pair_by: str | None = None
    seed: int = SEED
    draws: int = DRAWS
    max_values: int = MAX_VALUES

    @property
    def by(self) -> tuple[str, ...]:
        """Names of the group columns."""
        return tuple(spec.column for spec in self.columns)

    @property
    def design_columns(self) -> tuple[str, ...]:
        """The columns of weights, clusters and matched sets, those that are set."""
        return tuple(column for column in (self.weights, self.cluster_by, self.pair_by) if column is not None)

    @property
    def design_words(self) -> str:
        """What intervals and tests allow for, as text: "weights in w and clusters of subject"."""
        kinds = {"weights in": self.weights, "clusters of": self.cluster_by}
        return " and ".join(f"{kind} {column}" for kind, column in kinds.items() if column is not None)

    @property
    def unit_column(self) -> str | None:
        """The column of the sampling units: matched sets, else clusters; None = independent images."""
        return self.pair_by or self.cluster_by

    @property
    def test_name(self) -> str:
        """The test against the complement, as text."""
        if self.pair_by is not None:
            return "exact matched test"
        if self.cluster_by is not None:
            return "t on clusters"
        return "Fisher" if self.weights is None else "score test, weighted"

    @property
    def gap_test_name(self) -> str:
        """The method of the largest gap's p-value, as text: dependent images cannot be permuted."""
        return "permutation" if self.test_name == "Fisher" else "simulated"

    def cut(self, by: By | Sequence[By]) -> tuple[GroupColumn, ...]:
        """Return columns with how they are discretized; a bare name takes its entry in `columns`.

        Raises:
            PredictionsError: a text or a mapping cannot be read.
        """
        own = {spec.column: spec for spec in self.columns}
        return tuple(
            own.get(spec.column, spec) if spec == GroupColumn(spec.column) else spec for spec in columns_of(by)
        )

    def with_overrides(self, **overrides: Unpack[AuditOverrides]) -> AuditOptions:
        """Return the options with the given values; None leaves an option as it is.

        Matched sets exclude clusters and weights. Where one side is stated, the other is not inherited.

        Raises:
            PredictionsError: a column to audit by cannot be read.
        """
        given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
        if "by" in given:
            given["columns"] = self.cut(given.pop("by"))
        for name in ("metrics", "criteria"):
            if name in given:
                values = given[name]
                given[name] = (values,) if isinstance(values, str) else tuple(dict.fromkeys(values))
        dropped: dict[str, None] = {}
        if "pair_by" in given:
            dropped = {"cluster_by": None, "weights": None}
        elif "cluster_by" in given or "weights" in given:
            dropped = {"pair_by": None}
        return replace(self, **{**dropped, **given})

    def problems(self, classes: Sequence[str]) -> list[str]:
        """Return messages about options that are out of range or exclude each other; empty if valid.

        Args:
            classes: names of the classes.
        """
        return [*self._range_problems(), *self._word_problems(classes), *self._design_problems()]

    def _range_problems(self) -> list[str]:
        rules = {
            "min_group_size": ("an integer of at least 1", self.min_group_size >= 1),
            "max_intersection_order": ("an integer of at least 1", self.max_intersection_order >= 1),
            "confidence": ("above 0 and below 1, for example 0.95", 0 < self.confidence < 1),
            "tolerance": ("at least 0 and below 1, for example 0.05", 0 <= self.tolerance < 1),
            "alpha": ("above 0 and below 1, for example 0.05", 0 < self.alpha < 1),
            "max_half_width": ("above 0 and at most 1, for example 0.15", 0 < self.max_half_width <= 1),
            "seed": ("an integer of at least 0", self.seed >= 0),
            "draws": ("an integer of at least 100", self.draws >= 100),
            "max_values": ("an integer of at least 2", self.max_values >= 2),
        }
        return [
            f"The audit option `{name}` must be {rule}. Got {getattr(self, name)} instead."
            for name, (rule, holds) in rules.items()
            if not holds
        ]

    def for_classes(self, classes: Sequence[str]) -> AuditOptions:
        """Return the options with the positive class as the data write it, where it is another spelling of a class."""
        return self if self.positive is None else replace(self, positive=known_name(self.positive, classes))

    def _word_problems(self, classes: Sequence[str]) -> list[str]:
        problems = []
        if not self.metrics and not self.criteria:
            problems.append(f"There is no metric to compare. Name at least one of: {', '.join(METRICS)}.")
        problems += [
            f"There is no metric {metric!r}.{did_you_mean(str(metric), METRICS)} The metrics are: {', '.join(METRICS)}."
            for metric in self.metrics
            if metric not in METRICS
        ]
        problems += [
            f"There is no criterion {one!r}.{did_you_mean(str(one), CRITERIA)} The criteria are: {', '.join(CRITERIA)}."
            for one in self.criteria
            if one not in CRITERIA
        ]
        if self.positive is not None and self.positive not in classes:
            problems.append(
                f"The positive class {self.positive!r} is not among the classes."
                f"{did_you_mean(self.positive, classes)} The classes are: {first_few(list(classes), most=20)}."
            )
        return problems

    def _design_problems(self) -> list[str]:
        problems = []
        if self.pair_by is not None and (self.cluster_by is not None or self.weights is not None):
            problems.append(
                "pair_by compares images within matched sets, one by one. Leave out cluster_by and weights."
            )
        if self.weights is not None and "four_fifths" in self.criteria:
            problems.append("The four-fifths rule counts images. Leave out weights, or four_fifths.")
        return problems
