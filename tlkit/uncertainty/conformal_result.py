"""`ConformalSets`: the result of `assess_sets`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import pandas as pd

from tlkit.choices import SetMethod, Verdict
from tlkit.errors import PredictionsError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html
from tlkit.uncertainty.conformal_tables import conformal_tables

FORMAT_VERSION = 1
Condition = Literal["none", "class", "group"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


@dataclass(frozen=True)
class SetCoverage:
    """The sets of all images, of one class or of one group.

    Attributes:
        column: the group column; "" = all images, or a class.
        group: name of the group or of the class; "" = all images.
        n: labelled images.
        coverage: share of them whose set holds the true class.
        p_holm: p-value of the binomial test for too low a coverage, exact without clusters and weights, after Holm's
            correction; None = no test.
        verdict: FAIL = the coverage is below the wanted one; PASS = it falls short by less than the tolerance.
        size: mean number of classes in a set.
        single: share of sets with one class.
        empty: number of empty sets.
    """

    column: str
    group: str
    n: int
    coverage: Estimate
    p_holm: float | None
    verdict: Verdict | None
    size: Estimate
    single: Estimate
    empty: int


@dataclass(frozen=True)
class ConformalSets:
    """Coverage and size of split-conformal prediction sets.

    Attributes:
        classes: class names.
        n: labelled images that are judged.
        n_val: labelled validation images that the sets were calibrated on.
        val_chose_epoch: whether these also chose the epoch.
        method: lac, aps or raps.
        condition: "none", "class" or "group": within what the coverage holds.
        wanted: the wanted coverage.
        confidence: level of the intervals.
        tolerance: by how much coverage may fall short before a group fails.
        unbounded: classes or groups with so few validation images that every set holds the class, or all classes.
        needed: validation images from which this is not so.
        sizes: number of sets of each size, 0…C.
        rows: all images, then the groups.
        per_class: the images of each true class.
        cluster_by: column of the clusters that intervals allow for; None = independent images.
        clusters: number of clusters; None without `cluster_by`.
        weights: column of the images' weights; None = equal weights.
    """

    classes: tuple[str, ...]
    n: int
    n_val: int
    val_chose_epoch: bool
    method: SetMethod
    condition: Condition
    wanted: float
    confidence: float
    tolerance: float
    unbounded: tuple[str, ...]
    needed: int
    sizes: tuple[int, ...]
    rows: tuple[SetCoverage, ...]
    per_class: tuple[SetCoverage, ...]
    cluster_by: str | None = None
    clusters: int | None = None
    weights: str | None = None

    @property
    def overall(self) -> SetCoverage:
        """The sets of all images."""
        return self.rows[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with `format_version`; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **cast("dict[str, Any]", to_plain(self))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConformalSets:
        """Read what `to_dict` wrote.

        Raises:
            PredictionsError: a newer tlkit wrote it.
        """
        refuse_newer("The sets were", values["format_version"], known=FORMAT_VERSION, error=PredictionsError)
        return from_plain(cls, values)

    def table(self) -> pd.DataFrame:
        """Return one row for all images and for each group: n, coverage with interval, verdict, mean size."""
        return pd.DataFrame(
            [
                {
                    "column": row.column,
                    "group": row.group,
                    "n": row.n,
                    "coverage": row.coverage.value,
                    "coverage_low": row.coverage.low,
                    "coverage_high": row.coverage.high,
                    "verdict": row.verdict,
                    "mean_size": row.size.value,
                    "single": row.single.value,
                    "empty": row.empty,
                }
                for row in self.rows
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the tables: all images and groups, classes, sizes."""
        return conformal_tables(self)

    def __repr__(self) -> str:
        return (
            f"ConformalSets({self.method}, {self.n} images, coverage {self.overall.coverage.format()}, "
            f"mean size {self.overall.size.format(digits=2)})"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
