"""`Calibration`: the result of `assess_calibration`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from tlkit.errors import PredictionsError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.stats.logit_scaling import LogitScaling
from tlkit.stats.reliability import CalibrationError, ReliabilityBin
from tlkit.tables import Table, to_html
from tlkit.uncertainty.calibration_tables import calibration_tables

FORMAT_VERSION = 1


@dataclass(frozen=True)
class CalibrationRow:
    """Calibration of all images or of one group.

    Attributes:
        column: the group column; "" = all images.
        group: name of the group; "" = all images.
        n: labelled images.
        error: the expected calibration error beside chance.
        excess: mean confidence minus accuracy, in [-1, 1]; above 0 = over-confident.
        log_loss: mean of −ln(probability of the true class), nats.
        brier: mean squared error of the probabilities, summed over classes, in [0, 2] (Brier 1950).
    """

    column: str
    group: str
    n: int
    error: CalibrationError
    excess: Estimate
    log_loss: Estimate
    brier: Estimate


@dataclass(frozen=True)
class ClassCalibration:
    """Calibration of the probability of one class, against all others (classwise; Kull et al. 2019, NeurIPS).

    Attributes:
        name: the class.
        support: images of it.
        error: the expected calibration error of its probability over all images.
        excess: its mean probability minus its share of the images, in [-1, 1].
    """

    name: str
    support: int
    error: CalibrationError
    excess: Estimate


@dataclass(frozen=True)
class ScaledPart:
    """All images or one group before and after a scaling.

    Attributes:
        before: calibration before the scaling.
        after: calibration after it.
        changed: images whose predicted class the scaling changes.
        repaired: of these, images that are right only after it.
        broken: of these, images that are right only before it.
    """

    before: CalibrationRow
    after: CalibrationRow
    changed: int
    repaired: int
    broken: int


@dataclass(frozen=True)
class Calibration:
    """How well confidence agrees with accuracy.

    Attributes:
        classes: class names.
        n: labelled images.
        n_unlabelled: images left out because their label is unknown.
        confidence: level of the intervals.
        rows: all images, then the groups.
        bins: the reliability diagram of all images.
        per_class: one result for each class.
        scaling: the scaling that is judged; None = none.
        scaled: whether `rows`, `bins` and `per_class` are those after the scaling.
        parts: before and after, of all images, then of the groups; empty without a scaling.
        cluster_by: column of the clusters that intervals allow for; None = independent images.
        clusters: number of clusters; None without `cluster_by`.
        weights: column of the images' weights; None = equal weights.
    """

    classes: tuple[str, ...]
    n: int
    n_unlabelled: int
    confidence: float
    rows: tuple[CalibrationRow, ...]
    bins: tuple[ReliabilityBin, ...]
    per_class: tuple[ClassCalibration, ...]
    scaling: LogitScaling | None = None
    scaled: bool = False
    parts: tuple[ScaledPart, ...] = ()
    cluster_by: str | None = None
    clusters: int | None = None
    weights: str | None = None

    @property
    def overall(self) -> CalibrationRow:
        """Calibration of all images."""
        return self.rows[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with `format_version`; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **cast("dict[str, Any]", to_plain(self))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` wrote.

        Raises:
            PredictionsError: a newer tlkit wrote it.
        """
        refuse_newer("The calibration was", values["format_version"], known=FORMAT_VERSION, error=PredictionsError)
        return from_plain(cls, values)

    def table(self) -> pd.DataFrame:
        """Return one row for all images and for each group: n, plain and debiased error, chance, excess, losses."""
        return pd.DataFrame(
            [
                {
                    "column": row.column,
                    "group": row.group,
                    "n": row.n,
                    "ece": row.error.plain,
                    "ece_chance": row.error.chance,
                    "ece_p": row.error.p,
                    "ece_debiased": row.error.debiased.value,
                    "ece_debiased_low": row.error.debiased.low,
                    "ece_debiased_high": row.error.debiased.high,
                    "rms_debiased": row.error.rms,
                    "excess_confidence": row.excess.value,
                    "excess_low": row.excess.low,
                    "excess_high": row.excess.high,
                    "log_loss": row.log_loss.value,
                    "brier": row.brier.value,
                }
                for row in self.rows
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the tables: all images and groups, before and after, bins, classes."""
        return calibration_tables(self)

    def __repr__(self) -> str:
        error = self.overall.error.debiased.format()
        return f"Calibration({self.n} images, {len(self.classes)} classes, debiased ECE {error})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
