"""Split-conformal intervals of predicted numbers, calibrated on val: absolute residuals, or quantiles of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints
from tlkit.choices import COVERAGE
from tlkit.errors import PredictionsError
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import NumberPredictions
from tlkit.predictions.image_columns import require_apart
from tlkit.stats.conformal import conditional_quantiles, conformal_quantile, fewest_images

IntervalMethod = Literal["absolute_residual", "cqr"]


@dataclass(frozen=True)
class IntervalRule:
    """How far intervals reach, as `calibrate_intervals` returns it.

    Attributes:
        method: absolute_residual = ŷ ± margin; cqr = the model's own lower and upper ends, moved out by the margin.
        coverage: share of new images whose truth an interval is to hold.
        margin: in the unit of the numbers; infinite where val is too small. cqr may have a negative one.
        images: images of val that it was calibrated on.
        by: group column with a margin for each of its values; None = one margin.
        group_margins: margin by value; values with too few images in val have the common margin.
    """

    method: IntervalMethod
    coverage: float
    margin: float
    images: int
    by: str | None = None
    group_margins: dict[str, float] | None = None

    def apply(self, predictions: NumberPredictions) -> NumberPredictions:
        """Return predictions with the intervals; their truth is not read.

        Intervals of grades end at grades: the lowest and the highest grade that lie within.

        Raises:
            PredictionsError: cqr needs lower and upper ends, or the group column is not there.
        """
        margin: Floats = np.full(len(predictions), self.margin)
        if self.by is not None:
            if self.by not in predictions.groups.columns:
                raise PredictionsError(f"The intervals have a margin for each {self.by}, but there is no such column.")
            own = predictions.groups[self.by].map(self.group_margins or {}).to_numpy(dtype=np.float64, na_value=np.nan)
            margin = np.where(np.isnan(own), self.margin, own)
        lower = upper = predictions.y_pred
        if self.method == "cqr":
            if predictions.lower is None or predictions.upper is None:
                raise PredictionsError(
                    "The intervals move the model's own ends, but there are no columns lower and upper."
                )
            lower, upper = predictions.lower, predictions.upper
        low, high = lower - margin, upper + margin
        crossed = low > high  # a negative margin of cqr can make an interval empty: it is then its middle
        low, high = (np.where(crossed, (lower + upper) / 2, end) for end in (low, high))
        if predictions.grades:
            low, high = np.ceil(low - 1e-9), np.floor(high + 1e-9)
            low, high = np.maximum(np.minimum(low, predictions.y_pred), 0), np.maximum(high, predictions.y_pred)
            high = np.minimum(high, len(predictions.grades) - 1)
        return replace(predictions, lower=low, upper=high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back. An infinite margin is None."""
        values: dict[str, Any] = to_plain(self)
        margins = {key: None if math.isinf(one) else one for key, one in (self.group_margins or {}).items()}
        return {
            **values,
            "margin": None if math.isinf(self.margin) else self.margin,
            "group_margins": margins if self.by is not None else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntervalRule:
        """Read what `to_dict` wrote."""
        margins = values.get("group_margins")
        return from_plain(
            cls,
            {
                **values,
                "margin": math.inf if values["margin"] is None else values["margin"],
                "group_margins": margins and {key: math.inf if one is None else one for key, one in margins.items()},
            },
        )


def calibrate_intervals(val: NumberPredictions, *, coverage: float = COVERAGE, by: str | None = None) -> IntervalRule:
    """Return the margin that split-conformal intervals need on val.

    The margin is the ⌈(n + 1) · coverage⌉-th smallest score. The score is |y − ŷ| (Lei, G'Sell, Rinaldo, Tibshirani &
    Wasserman 2018, J. Am. Stat. Assoc. 113:1094, section 2.2), or, where the model gives lower and upper quantiles,
    max(lower − y, y − upper) (CQR: Romano, Patterson & Candès 2019, Conformalized quantile regression, NeurIPS, eq. 6).
    An interval then holds the truth of a new image with at least this probability, over the draw of val and of that
    image, if both are exchangeable and the model was fitted on other images. With `by` this holds within each value
    (Vovk 2013, Machine Learning 92:349).

    Args:
        val: predictions with true numbers, of images that the model was not fitted on.
        coverage: wanted coverage, in (0, 1).
        by: group column with a margin for each of its values.

    Raises:
        PredictionsError: no true number is known, the column is not there, or the coverage is out of its range.
    """
    problems = []
    if not 0 < coverage < 1:
        problems.append(f"The coverage must be above 0 and below 1, for example 0.95. Got {coverage} instead.")
    if not val.known.any():
        problems.append(f"None of the {len(val)} images of val has a true number, so no interval can be calibrated.")
    if by is not None and by not in val.groups.columns:
        problems.append(f"There is no group column {by!r} in val.")
    if problems:
        raise PredictionsError(*problems)
    known = val.labelled
    method: IntervalMethod = "absolute_residual"
    scores: Floats = np.abs(known.errors)
    if known.lower is not None and known.upper is not None:
        method, scores = "cqr", np.maximum(known.lower - known.y_true, known.y_true - known.upper)
    margins = None
    if by is not None:
        codes, names = pd.factorize(known.groups[by])
        places: Ints = np.asarray(codes, dtype=np.int64)
        found = conditional_quantiles(scores, places, len(names), coverage)
        least = fewest_images(coverage)
        enough = np.bincount(places[places >= 0], minlength=len(names)) >= least
        margins = {str(name): float(one) for name, one, many in zip(names, found, enough, strict=True) if many}
    return IntervalRule(method, coverage, conformal_quantile(scores, coverage), len(known), by, margins)


def intervals_for(
    test: NumberPredictions, val: NumberPredictions, *, coverage: float = COVERAGE, by: str | None = None
) -> IntervalRule:
    """Return the intervals calibrated on val, after checking that no image of val is among those of test.

    Raises:
        PredictionsError: images are in both, only one has lower and upper ends, or `calibrate_intervals` raises.
    """
    require_apart(val.path, test.path, purpose="where intervals are calibrated")
    if (val.lower is None) != (test.lower is None):
        lacking = "val" if val.lower is None else "the judged file"
        raise PredictionsError(f"Only one of the two files has the columns lower and upper; {lacking} lacks them.")
    return calibrate_intervals(val, coverage=coverage, by=by)
