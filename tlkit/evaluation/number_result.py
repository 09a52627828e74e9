"""`NumberEvaluation`: the figures of predicted numbers or grades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.evaluation.number_tables import number_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions.number_predictions import NumberTask
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, counted, to_html


@dataclass(frozen=True)
class GradeFigures:
    """The figures of ordered grades alone.

    Attributes:
        accuracy: share of images with the right grade.
        within_one: share of images at most one grade off.
        quadratic_kappa: Cohen's kappa with quadratic weights.
    """

    accuracy: Estimate
    within_one: Estimate
    quadratic_kappa: Estimate


@dataclass(frozen=True)
class IntervalFigures:
    """The figures of the model's intervals.

    Attributes:
        coverage: share of images whose truth lies in its interval.
        mean_width: mean width of the finite intervals.
        infinite: images whose interval holds every number, since too few images calibrated it.
    """

    coverage: Estimate
    mean_width: Estimate
    infinite: int = 0


@dataclass(frozen=True)
class NumberEvaluation:
    """The figures of predicted numbers or grades, as `evaluate_numbers` returns them.

    Attributes:
        task: regression or ordinal.
        n: labelled images.
        n_unlabelled: images left out, whose true number is unknown.
        confidence: level of every interval of a figure.
        mean_absolute_error: in the unit of the numbers, or in grades.
        root_mean_squared_error: likewise.
        mean_error: mean of prediction minus truth, likewise.
        r_squared: 1 is best, 0 is no better than the mean.
        grades: names of the grades from the lowest on; empty for numbers.
        of_grades: what is about grades alone; None for numbers.
        intervals: what is about the model's intervals; None without any.
        cluster_by: group column of the clusters; None = independent images.
        clusters: how many there are.
        weights: group column of the images' weights; None = equal weights.
    """

    task: NumberTask
    n: int
    n_unlabelled: int
    confidence: float
    mean_absolute_error: Estimate
    root_mean_squared_error: Estimate
    mean_error: Estimate
    r_squared: Estimate
    grades: tuple[str, ...] = ()
    of_grades: GradeFigures | None = None
    intervals: IntervalFigures | None = None
    cluster_by: str | None = None
    clusters: int | None = None
    weights: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the figures."""
        return number_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return dict(to_plain(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NumberEvaluation:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"NumberEvaluation({self.task}, {counted(self.n, 'image')}, MAE {self.mean_absolute_error.format()})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
