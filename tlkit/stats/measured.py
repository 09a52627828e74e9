"""`Measured`: a figure with the influence of every image on it; `ScoreFacts`: what a figure is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkit.arrays import Floats, Mask
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.influence import NO_VARIANCE, Spread, spread_of


@dataclass(frozen=True)
class ScoreFacts:
    """What a metric is.

    Attributes:
        title: its name in tables.
        needs_proba: whether it is about the probabilities.
        lowest: its smallest value.
        highest: its largest value.
        higher_is_better: whether a higher value is better; False = a loss.
    """

    title: str
    needs_proba: bool = False
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True


@dataclass(frozen=True)
class Measured:
    """A metric of one model.

    Attributes:
        value: the metric; None where it is undefined.
        influence: of each image, shape (N,): the error of the value is about the weighted mean of the influences.
        df: upper limit of the degrees of freedom of its variance.
        more_df: degrees of freedom to be added to those that the influences have by their kurtosis.
        corrected: whether the influences hold a factor of their own for M − 1 instead of M.
        unseen: standard error that no influence shows, because no image changes the value.
        bias: by how much the value is too large on average.
        why: why there is no value, or nothing is known of its variance; "" = both are known.
    """

    value: float | None
    influence: Floats
    df: float = np.inf
    more_df: float = 0.0
    corrected: bool = False
    unseen: float = 0.0
    bias: float = 0.0
    why: str = ""

    def over(self, unit: float) -> Measured:
        """Return the metric in another unit, above 0."""
        value = None if self.value is None else self.value / unit
        return replace(
            self, value=value, influence=self.influence / unit, unseen=self.unseen / unit, bias=self.bias / unit
        )


def undefined(n: int, why: str) -> Measured:
    """Return a metric of N images that has no value, and why."""
    return Measured(None, np.zeros(n), why=why)


def ratio_of(top: Floats, below: Floats, weight: Floats, *, nothing: str) -> Measured:
    """Return Σ w a / Σ w b with the influences W (a − R b) / Σ w b (Woodruff 1971, J. Am. Stat. Assoc. 66:411).

    Args:
        top: a of each image, shape (N,).
        below: b of each image, shape (N,).
        weight: w of each image, shape (N,); W is their sum.
        nothing: why there is no value where all b are 0.
    """
    total = float(weight @ below)
    if total <= 0:
        return undefined(len(top), nothing)
    value = float(weight @ top) / total
    return Measured(value, (top - value * below) * (float(weight.sum()) / total))


def over_domain(found: Measured, held: Mask, units: Units | None) -> Measured:
    """Return a ratio of which only the units that hold a denominator say how much it varies.

    The residuals a − R b of the other units are 0, and those of the k units sum to 0. So the influences hold a factor
    for k − 1 instead of k (Cochran 1977, Sampling Techniques, section 5A.14: a mean over a domain of the sample), and
    there are k − 1 degrees of freedom at most. One unit has no residual: the ratio is returned as it is.

    Args:
        found: the ratio.
        held: images that hold a denominator, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
    """
    k = int(held.sum()) if units is None else units.take(held).clusters
    if found.value is None or k < 2:
        return found
    every = len(held) if units is None else units.clusters
    factor = np.sqrt(k / (k - 1) * (every - 1) / every)  # `spread_of` has the one for all units
    return replace(found, influence=found.influence * factor, df=k - 1)


def mean_of(parts: Sequence[Measured], n: int, *, nothing: str) -> Measured:
    """Return the mean of the metrics that have a value; its influences are the means of theirs, shape (N,)."""
    found = [one for one in parts if one.value is not None]
    if not found:
        return undefined(n, nothing)
    mean = float(np.mean([one.value for one in found]))
    influence = np.mean([one.influence for one in found], axis=0)
    why = next((one.why for one in found if one.why), "")
    return Measured(mean, influence, min(one.df for one in found), why=why)


def paired_spread(first: Measured, second: Measured, units: Units | None) -> Spread:
    """Return the variance of the difference of two models' values of one metric on the same images.

    It is that of the difference of their influences, image by image or cluster by cluster; what no influence shows is
    added.

    Args:
        first: of one model; its value is known.
        second: of the other one.
        units: weights and clusters; None = independent images of equal weight.
    """
    spread = spread_of(
        second.influence - first.influence,
        units,
        most_df=min(first.df, second.df),
        more_df=first.more_df,
        corrected=first.corrected,
    )
    if spread.variance > NO_VARIANCE:
        spread = replace(spread, variance=spread.variance + first.unseen**2 + second.unseen**2)
    return spread
