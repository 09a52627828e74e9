"""`Abstention`: the result of `assess_abstention`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from tlkit.arrays import Floats
from tlkit.choices import Verdict
from tlkit.errors import PredictionsError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.stats.selective_risk import RiskThreshold
from tlkit.tables import Table, to_html
from tlkit.uncertainty.abstention_tables import abstention_tables

FORMAT_VERSION = 1


@dataclass(frozen=True)
class RiskPoint:
    """One point of the risk–coverage curve.

    Attributes:
        coverage: share of images that is answered, in (0, 1].
        confidence: smallest confidence of an answered image.
        risk: share of wrong ones among them, with its interval.
    """

    coverage: float
    confidence: float
    risk: Estimate


@dataclass(frozen=True)
class JudgedThreshold:
    """A threshold that was chosen on val, judged on other images.

    Attributes:
        chosen: the threshold, and its counts on val.
        coverage: share of the judged images that is answered.
        risk: share of wrong ones among these.
    """

    chosen: RiskThreshold
    coverage: Estimate
    risk: Estimate


@dataclass(frozen=True)
class GroupAbstention:
    """What abstention does to one group.

    Attributes:
        column: the group column.
        group: name of the group; "(missing)" = the images without a value.
        n: labelled images.
        answered: how many of them are answered.
        coverage: share that is answered; undefined with too few images.
        coverage_gap: that minus the complement's, in [-1, 1].
        coverage_verdict: FAIL, PASS or NOT ENOUGH DATA for `coverage_gap`, as an audit gives it.
        error: share of wrong answers where everything is answered.
        risk: share of wrong answers among the answered images.
        risk_gap: that minus the complement's; above 0 = the group is worse off.
        risk_verdict: the verdict for `risk_gap`.
        gap_before: risk minus the complement's where everything is answered; None with too few answered images.
        gap_after: the same among the answered images.
        gap_change: by how much the group's disadvantage (a gap above 0; else 0) grows with abstention, in [-1, 1].
        change_verdict: FAIL = it grows; PASS = it grows by less than the tolerance; None = not compared.
    """

    column: str
    group: str
    n: int
    answered: int
    coverage: Estimate
    coverage_gap: Estimate | None
    coverage_verdict: Verdict | None
    error: Estimate
    risk: Estimate
    risk_gap: Estimate | None
    risk_verdict: Verdict | None
    gap_before: float | None
    gap_after: float | None
    gap_change: Estimate
    change_verdict: Verdict | None


@dataclass(frozen=True, eq=False)
class Abstention:
    """Risk and coverage of a model that abstains where its confidence is low, overall and by group.

    Attributes:
        n: labelled images that are judged.
        n_unlabelled: images left out because their label is unknown.
        n_val: validation images that thresholds were chosen on; None = none.
        val_chose_epoch: whether these also chose the epoch, which makes them a little too favourable.
        confidence: level of the intervals.
        tolerance: largest tolerated difference between a group and its complement.
        error: share of wrong answers where everything is answered.
        aurc: area under the risk–coverage curve, ties averaged; a ranking without information has `error`.
        smallest_aurc: the area of the ranking that puts every error last.
        curve: points of the curve.
        ranked: coverage and risk at every threshold, two arrays of shape (M,).
        thresholds: one for each wanted risk.
        by_group_at: the wanted risk at whose threshold the groups are judged; None = they are not.
        groups: what it does by group.
        cluster_by: column of the clusters that intervals allow for; None = independent images.
        clusters: number of clusters; None without `cluster_by`.
        weights: column of the images' weights; None = equal weights.
    """

    n: int
    n_unlabelled: int
    n_val: int | None
    val_chose_epoch: bool
    confidence: float
    tolerance: float
    error: Estimate
    aurc: Estimate
    smallest_aurc: float
    curve: tuple[RiskPoint, ...]
    ranked: tuple[Floats, Floats]
    thresholds: tuple[JudgedThreshold, ...] = ()
    by_group_at: float | None = None
    groups: tuple[GroupAbstention, ...] = ()
    cluster_by: str | None = None
    clusters: int | None = None
    weights: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Abstention) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with `format_version`; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **cast("dict[str, Any]", to_plain(self))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Abstention:
        """Read what `to_dict` wrote.

        Raises:
            PredictionsError: a newer tlkit wrote it.
        """
        refuse_newer("The abstention was", values["format_version"], known=FORMAT_VERSION, error=PredictionsError)
        coverage, risk = (np.asarray(one, dtype=np.float64) for one in values["ranked"])
        return from_plain(cls, {**values, "ranked": (coverage, risk)})

    def table(self) -> pd.DataFrame:
        """Return the curve: coverage, confidence, risk and its interval, answered images."""
        return pd.DataFrame(
            [
                {
                    "coverage": one.coverage,
                    "confidence": one.confidence,
                    "risk": one.risk.value,
                    "risk_low": one.risk.low,
                    "risk_high": one.risk.high,
                    "answered": one.risk.n,
                }
                for one in self.curve
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the tables: the curve, the thresholds, the groups."""
        return abstention_tables(self)

    def __repr__(self) -> str:
        return f"Abstention({self.n} images, error {self.error.format()}, AURC {self.aurc.format()})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
