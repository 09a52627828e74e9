"""Intervals of AUROC and average precision, and of their means over classes, that hold with few positives.

The variance of an area of 5 or 10 positives is estimated from those few, and often too small. It is therefore moderated
by the one that a formula gives for that value and that number of images: Smyth (2004), Statistical Applications in
Genetics and Molecular Biology 3(1):3. How many degrees of freedom the formula's variance counts, and what the
intervals hold, is simulated: `benchmarks/area_intervals.py`, decision 238.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from tlkit.arrays import Floats, Mask
from tlkit.choices import CONFIDENCE
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import NO_VARIANCE, Spread, spread_of, wilson_ends
from tlkit.stats.intervals import normal_quantile
from tlkit.stats.measured import Measured
from tlkit.stats.one_vs_rest import AREA_KINDS, Area, AreaKind, areas_among

PRIOR_DF: dict[AreaKind, float] = {"auroc": 8.0, "average_precision": 2.0}
"""Degrees of freedom of the variance that a formula gives for an area."""
NOTHING_SEEN = Spread(0.0, 0.0)


@dataclass(frozen=True)
class AreaSpread:
    """An area of one class with its moderated variance.

    Attributes:
        place: the value less its bias, in [0, 1].
        inner: `place`; where no image changes it, as at 1, moved inwards to the centre of Wilson's interval.
        spread: the moderated variance with its degrees of freedom.
        stretch: what the influences of the images are multiplied by, so that they have the moderated variance; 0 where
            no image changes the area.
        raw: the variance of the influences, v of `moderated`, with its degrees of freedom d.
        formula: v₀ of `moderated`.
    """

    place: float
    inner: float
    spread: Spread
    stretch: float
    raw: Spread = NOTHING_SEEN
    formula: float = 0.0

    @property
    def unseen(self) -> float:
        """The standard error that no influence shows, because no image changes the area."""
        return math.sqrt(self.spread.variance) if self.stretch == 0 else 0.0


def moderated(area: Area, units: Units | None, *, positives: float, negatives: float) -> AreaSpread:
    """Return an area with the variance (d·v + d₀·v₀)/(d + d₀), and d + d₀ degrees of freedom.

    v with d degrees of freedom is the variance of the influences. v₀ is s(1 − s) times

    - for AUROC (1 + (N − 1)((1 − s)/(2 − s) + s/(1 + s)))/(P·Q), with P positives, Q negatives and N = (P + Q)/2:
      Newcombe (2006), Statistics in Medicine 25:559, method 5, after Hanley & McNeil (1982), Radiology 143:29;
    - for average precision 1/P, that of a share of the positives: Boyd, Eng & Page (2013), ECML PKDD, LNCS 8190:451.

    With one positive d is 0. Where no image changes the area, v₀ is taken as known, as both sources do.

    Args:
        area: of one class.
        units: weights and clusters, of two clusters at least; None = independent images of equal weight.
        positives: their number; of clusters, that of the clusters that have some; of weights, an effective number.
        negatives: likewise.
    """
    most_df = min(area.variance_df, min(positives, negatives) - 1) if units is not None else area.variance_df
    raw = spread_of(area.influence, units, most_df=most_df, corrected=area.kind == "auroc")
    place, prior_df = min(max(area.value - area.bias, 0.0), 1.0), PRIOR_DF[area.kind]
    share = 1.0 / positives
    if area.kind == "auroc":
        share = _newcombe_factor(place, (positives + negatives) / 2) / (positives * negatives)
    varies = raw.variance > NO_VARIANCE and 1e-12 < place < 1 - 1e-12
    if not varies:
        z2 = normal_quantile(CONFIDENCE) ** 2
        inner = (place + z2 * share / 2) / (1 + z2 * share)
        return AreaSpread(place, inner, Spread(share * inner * (1 - inner), math.inf), 0.0)
    df = raw.df if min(positives, negatives) >= 2 else 0.0
    return _mixed(place, Spread(raw.variance, df), share * place * (1 - place), prior_df)


def _mixed(place: float, raw: Spread, formula: float, prior_df: float) -> AreaSpread:
    """Return an area with the variance (d·v + d₀·v₀)/(d + d₀)."""
    variance = (raw.df * raw.variance + prior_df * formula) / (raw.df + prior_df)
    spread = Spread(variance, raw.df + prior_df)
    return AreaSpread(place, place, spread, math.sqrt(variance / raw.variance), raw, formula)


def scaled_by_others(parts: Sequence[AreaSpread], prior_df: float) -> list[AreaSpread]:
    """Return the areas of some classes, with the formula of each class scaled by what the others show.

    Smyth (2004) estimates the prior variance from all genes. Here the v₀ of a class is multiplied by (D·r + d₀)/(D +
    d₀), with D the sum of the degrees of freedom of the other classes, and r the ratio of Σ d·v to Σ d·v₀ over them.
    Two classes stay as they are: the scores of one are those of the other in reverse, and no further evidence.

    Args:
        parts: of each class, as `moderated` returns it.
        prior_df: d₀.
    """
    varying = [part for part in parts if part.stretch > 0]
    if len(parts) < 3 or not varying:
        return list(parts)
    df = math.fsum(part.raw.df for part in varying)
    seen = math.fsum(part.raw.df * part.raw.variance for part in varying)
    expected = math.fsum(part.raw.df * part.formula for part in varying)
    scaled = []
    for part in parts:
        own = part.raw.df
        rest, rest_expected = max(df - own, 0.0), expected - own * part.formula
        if part.stretch == 0 or rest_expected <= 1e-9 * expected:
            scaled.append(part)
            continue
        ratio = max(seen - own * part.raw.variance, 0.0) / rest_expected
        factor = (rest * ratio + prior_df) / (rest + prior_df)
        scaled.append(_mixed(part.place, part.raw, factor * part.formula, prior_df))
    return scaled


def area_counts(area: Area, units: Units | None, positive: Mask, negative: Mask) -> tuple[float, float]:
    """Return how many positives and negatives an area rests on: their number, their clusters or an effective number.

    Args:
        area: of one class.
        units: weights and clusters; None = independent images of equal weight.
        positive: which images are positives, shape (N,).
        negative: which images are negatives, shape (N,).
    """
    if units is None:
        return area.positives, area.negatives
    return (min(area.positives, units.take(positive).clusters), min(area.negatives, units.take(negative).clusters))


@dataclass
class AreaMean:
    """The mean of the areas of several classes, added one after the other.

    Attributes:
        kind: AUROC or average precision.
        images: number of images.
        values: of each class.
        alone: of each class, as it was added.
        influence: sum of the influences, times `stretch`, shape (images,).
    """

    kind: AreaKind
    images: int
    values: list[float] = field(default_factory=list)
    alone: list[AreaSpread] = field(default_factory=list)
    influence: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.influence = np.zeros(self.images)

    def add(self, area: Area, part: AreaSpread) -> None:
        """Add a class."""
        self.values.append(area.value)
        self.alone.append(part)
        self.influence += area.influence * part.stretch

    @property
    def value(self) -> float:
        """The mean; there is a class."""
        return math.fsum(self.values) / len(self.values)

    @property
    def parts(self) -> list[AreaSpread]:
        """Each class in the mean; average precision with the formula scaled by the other classes."""
        return scaled_by_others(self.alone, PRIOR_DF[self.kind]) if self.kind == "average_precision" else self.alone

    @property
    def mean_influence(self) -> Floats:
        """Influence of each image on the mean, shape (images,), with the variances of `parts` together."""
        alone, parts = (
            math.fsum(one.spread.variance for one in given if one.stretch > 0) for given in (self.alone, self.parts)
        )
        factor = math.sqrt(parts / alone) if alone > 0 else 1.0
        return np.asarray(self.influence * (factor / len(self.values)))

    @property
    def unseen(self) -> float:
        """The standard error of the classes whose area no image changes, as if they went wrong together."""
        return math.fsum(part.unseen for part in self.alone) / len(self.alone)

    def spread(self, units: Units | None) -> Spread:
        """Return the variance of the mean.

        Degrees of freedom: (Σ v)²/Σ(v²/d) of independent areas (Satterthwaite 1946, Biometrics Bulletin 2:110), times
        Σ v over the variance of their sum, at most 1: two areas that always agree, as the AUROCs of two classes, have
        the degrees of freedom of one.
        """
        prior_df, parts = PRIOR_DF[self.kind], self.parts
        count = len(parts)
        whole = spread_of(self.mean_influence, units, more_df=prior_df, corrected=self.kind == "auroc")
        variance = whole.variance + self.unseen**2
        v, d = (np.array([getattr(part.spread, name) for part in parts]) for name in ("variance", "df"))
        apart = float(v.sum()) / count**2
        if variance <= NO_VARIANCE:  # the classes' influences cancel
            variance = apart
        doubt = float((v**2 / d).sum())
        df = float(v.sum()) ** 2 / doubt * min(apart / variance, 1.0) if doubt > 0 else math.inf
        return Spread(variance, min(whole.df, df) if whole.variance > NO_VARIANCE else df)


def mean_area(
    kind: int, columns: Iterable[tuple[Floats, Mask, Mask | None]], images: int, units: Units | None
) -> Measured | None:
    """Return the mean area of some classes or labels, with influences that have its moderated variance.

    Of the degrees of freedom of the formulas half is counted: they say nothing of the correlation of two models.

    Args:
        kind: position in `AREA_KINDS`.
        columns: of each class its score, whether an image is of it, and whether that is known; None = of all images.
        images: their number.
        units: weights, above 0, and clusters; None = independent images of equal weight.

    Returns:
        None where no class has images of it and others.
    """
    weight = None if units is None or np.ptp(units.weight) == 0 else units.weight
    mean, biases = AreaMean(AREA_KINDS[kind], images), []
    for score, positive, held in columns:
        areas = areas_among(score, positive, held, weight)
        if areas is None:
            continue
        area = areas[kind]
        if units is not None and units.why_unknown:
            mean.values.append(area.value)
            continue
        positives, negatives = area_counts(area, units, positive, ~positive if held is None else held & ~positive)
        mean.add(area, moderated(area, units, positives=positives, negatives=negatives))
        biases.append(area.bias)
    if not mean.values:
        return None
    if not mean.alone:
        return Measured(mean.value, mean.mean_influence, df=0.0)
    return Measured(
        mean.value,
        mean.mean_influence,
        max(mean.spread(units).df - PRIOR_DF[mean.kind] / 2, 1.0),
        more_df=PRIOR_DF[mean.kind] / 2,
        corrected=mean.kind == "auroc",
        unseen=mean.unseen,
        bias=math.fsum(biases) / len(biases),
    )


def area_estimate(
    kind: AreaKind,
    value: float,
    parts: Sequence[AreaSpread],
    spread: Spread,
    *,
    n: int,
    size: float,
    confidence: float = CONFIDENCE,
    note: str = "",
) -> Estimate:
    """Return an area, or a mean of areas, with its interval.

    The interval is a score interval, as Wilson's of a rate: it holds the values θ that are at most t √V(θ) from the
    estimate. V(θ) is θ(1 − θ) with the effective number of images that gives the variance at the estimate (Franco et
    al. 2019, Journal of Survey Statistics and Methodology 7:334); for AUROC times the factor of Newcombe's method 5.

    A mean over classes varies mostly with the classes of few images, and its skewness is theirs: V(θ) is taken at the
    mean of the areas with the weights b², and on a scale of C/Σ b², where b is a class's share of the sum of the
    variances, times C. If the areas are independent, b is by how much an area moves where the mean moves by 1, so that
    V has the right slope at the estimate. Classes with equal variances give the interval of one.

    Args:
        kind: AUROC or average precision.
        value: the area, or the mean.
        parts: of each class; one of them for an area.
        spread: of the area, or of the mean.
        n: images, for the estimate.
        size: positives and negatives, or their clusters or effective numbers; needed for AUROC.
        confidence: two-sided level, in (0, 1).
        note: of the estimate.
    """
    place, inner, variance = (
        np.array(one) for one in zip(*((p.place, p.inner, p.spread.variance) for p in parts), strict=True)
    )
    weight = (variance / variance.sum() * len(parts)) ** 2
    scale = len(parts) / float(weight.sum())
    share, off_end = float(np.average(place, weights=weight)), float(np.average(inner, weights=weight))
    per_image = spread.variance / (scale**2 * off_end * (1 - off_end))
    t2 = float(stdtrit(spread.df, 0.5 + confidence / 2)) ** 2
    ends = list(wilson_ends(share, per_image, t2))
    if kind == "auroc":
        at_value = _newcombe_factor(share, size / 2)
        for end in range(2):
            for _ in range(4):  # V depends on the end: a fixed point, found to about 1e-4 of the width
                factor = _newcombe_factor(min(max(ends[end], 0.0), 1.0), size / 2) / at_value
                ends[end] = wilson_ends(share, per_image * factor, t2)[end]
    low, high = (min(max(float(place.mean()) + scale * (end - share), 0.0), 1.0) for end in ends)
    return Estimate(value, min(low, value), max(high, value), n=n, note=note)


def _newcombe_factor(share: float, half: float) -> float:
    """Return P·Q·Var/(s(1 − s)) of an AUROC in Newcombe's method 5, with half the number of images."""
    return 1 + (half - 1) * ((1 - share) / (2 - share) + share / (1 + share))
