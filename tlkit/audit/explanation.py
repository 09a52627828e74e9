"""`Explanation`: gaps between groups by class mix, other attributes and training images, with JSON conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tlkit.audit.explanation_tables import explanation_tables
from tlkit.audit.options import AuditOptions
from tlkit.audit.redaction import refuse_redacted
from tlkit.errors import TlkitError, did_you_mean, first_few, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.association import Association
from tlkit.stats.estimate import Estimate
from tlkit.stats.ordered_trend import OrderedRates
from tlkit.stats.strata import GapSplit, OddsRatio
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ExplainedGroup:
    """One group compared with its complement.

    Attributes:
        group: its value.
        accuracy: its accuracy with a Wilson interval, as in the audit.
        difference: its accuracy minus the complement's, with Newcombe's interval, as in the audit.
        split: that difference, split into class mix and rate.
        train: number of its training images; None where the training data is not known.
        train_share: its share of the training images with a known value, in [0, 1].
        judged_share: its share of the assessed images with a known value, in [0, 1].
    """

    group: str
    accuracy: Estimate
    difference: Estimate
    split: GapSplit
    train: int | None = None
    train_share: float | None = None
    judged_share: float = 0.0

    @property
    def scarce(self) -> bool:
        """Whether its share of the training images is less than half of that of the assessed ones."""
        return self.train_share is not None and self.train_share < self.judged_share / 2


@dataclass(frozen=True)
class AdjustedGap:
    """One group compared with its complement within strata of another attribute.

    Attributes:
        group: the group.
        given: the attribute that is held fixed: another column, an intersection, or "(class)".
        odds: odds of being right over the complement's, pooled across strata.
        gap: the difference in accuracy, adjusted by logistic regression (main effects).
    """

    group: str
    given: str
    odds: OddsRatio
    gap: Estimate


@dataclass(frozen=True)
class HeatCell:
    """The recall of one class in one group.

    Attributes:
        recall: with a Wilson interval; undefined with fewer images than the smallest cell.
        difference: minus the recall of the class in the complement; None where one side is too small.
        p: p-value against the complement by Fisher's exact test, or that of the audit's design; None where there is no
            test.
        p_holm: the same after Holm's correction over the cells of the map.
    """

    recall: Estimate
    difference: Estimate | None = None
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class HeatMap:
    """Recall by group and class.

    Attributes:
        groups: rows.
        classes: columns.
        cells: one tuple of C cells per group.
        tests: cells that Holm's correction counts.
        min_recall_images: cells with fewer images have no recall.
    """

    groups: tuple[str, ...]
    classes: tuple[str, ...]
    cells: tuple[tuple[HeatCell, ...], ...]
    tests: int
    min_recall_images: int

    @property
    def filled(self) -> bool:
        """Whether any cell has images enough for a recall."""
        return any(cell.recall.value is not None for row in self.cells for cell in row)


@dataclass(frozen=True)
class OrderedTrend:
    """Accuracy along ordered groups.

    Attributes:
        order: the groups that were tested, in their order.
        left_out: groups without a place in the order.
        rates: shape and tests; None where nothing varies.
    """

    order: tuple[str, ...]
    left_out: tuple[str, ...]
    rates: OrderedRates | None


@dataclass(frozen=True)
class ExplainedColumn:
    """The explanation of the gaps of one column.

    Attributes:
        by: the column.
        groups: its groups that are large enough, with a complement that is.
        adjusted: the gap of each group within each other column and within the classes.
        heat: recall by group and class.
        ordered: the trend, where the groups have an order; else None.
    """

    by: str
    groups: tuple[ExplainedGroup, ...]
    adjusted: tuple[AdjustedGap, ...]
    heat: HeatMap
    ordered: OrderedTrend | None

    @property
    def worst(self) -> ExplainedGroup | None:
        """The group that is farthest below its complement, None where none is below."""
        below = [group for group in self.groups if (group.difference.value or 0.0) < 0]
        return min(below, key=lambda group: group.difference.value or 0.0, default=None)


@dataclass(frozen=True)
class AssociatedColumns:
    """The association of two columns, or of a column with the class.

    Attributes:
        first: one column.
        second: the other, or "(class)".
        association: Cramér's V; None where one of them has a single value.
    """

    first: str
    second: str
    association: Association | None


@dataclass(frozen=True)
class Explanation:
    """Gaps between groups related to classes, other attributes and training images: descriptive, not causal.

    Attributes:
        images: labelled images.
        settings: the options that it was made with; groups below their `min_group_size` are left out.
        columns: one entry per column.
        associations: every pair of columns, and each column with the class.
    """

    images: int
    settings: AuditOptions
    columns: tuple[ExplainedColumn, ...]
    associations: tuple[AssociatedColumns, ...]

    @property
    def independent(self) -> bool:
        """Whether images are independent and of equal weight."""
        return not self.settings.design_columns

    @property
    def test_name(self) -> str:
        """The test of equal odds within strata, as text."""
        if self.independent:
            return "Cochran–Mantel–Haenszel"
        return "weighted t" if self.settings.unit_column is None else "t on clusters"

    def scarce_group(self, by: str, group: str) -> ExplainedGroup | None:
        """Return a group of a column that few training images show; None for any other group, or if not known."""
        rows = (one for column in self.columns if column.by == by for one in column.groups)
        return next((one for one in rows if one.group == group and one.scarce), None)

    def column(self, by: str) -> ExplainedColumn:
        """Return the explanation of one column.

        Raises:
            TlkitError: it was not explained.
        """
        for column in self.columns:
            if column.by == by:
                return column
        names = [column.by for column in self.columns]
        raise TlkitError(f"{by!r} is not explained.{did_you_mean(by, names)} Explained are: {first_few(names)}.")

    def table(self) -> pd.DataFrame:
        """Return one row per group: accuracy, difference, class mix, rate, standardized gap, training share."""
        return pd.DataFrame(
            [
                {
                    "by": column.by,
                    "group": group.group,
                    "n": group.accuracy.n,
                    "accuracy": group.accuracy.value,
                    "difference": group.difference.value,
                    "class_mix": group.split.mix.value,
                    "rate": group.split.rate.value,
                    "standardized": group.split.standardised.value,
                    "common_classes": group.split.common,
                    "train": group.train,
                    "train_share": group.train_share,
                    "judged_share": group.judged_share,
                }
                for column in self.columns
                for group in column.groups
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: those of each column, then trends and associations."""
        return explanation_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every number; `from_dict` reads them back."""
        return {"version": FORMAT_VERSION, "complete": True, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Explanation:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit, or is redacted.
        """
        refuse_newer("This explanation was", values["version"], known=FORMAT_VERSION)
        refuse_redacted("This explanation", values, "the run's explanation.json, or what `Explanation.to_dict` returns")
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"Explanation(by {', '.join(column.by for column in self.columns)}; {self.images} images)"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
