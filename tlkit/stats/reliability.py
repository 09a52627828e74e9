"""Reliability: accuracy by confidence in bins of equal mass, and calibration errors without the bias of binning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, SEED
from tlkit.stats.calibration import BINS, assign_bins
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import tail_of, wilson, wilson_bounds

IMAGES_PER_BIN = 20
DRAWS = 1000
CHUNK = 2_000_000
MOST_ROWS = 2000
"""With more images, sums of bins are drawn instead of rows: binomial, Poisson or normal."""
RARE, FREQUENT = 0.02, 25.0
"""A bin's sum of labels is drawn as Poisson where Σ p² is at most the first, which bounds the total variation (Le Cam
1960), and as normal where its variance is at least the second."""
FEWEST = 40
"""With fewer images there are no two bins of 20, and no calibration error."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Images of about equal confidence.

    Attributes:
        lowest: smallest confidence of an image in it, in [0, 1].
        highest: largest confidence.
        n: number of images.
        confidence: their mean confidence.
        accuracy: share of them that is right, with Wilson's interval.
    """

    lowest: float
    highest: float
    n: int
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error of n images, beside what chance alone gives.

    Attributes:
        n: number of images.
        bins: number of bins of equal mass.
        plain: Σ (n_b/n) |accuracy − mean confidence|, in [0, 1]. Above 0 even for a perfectly calibrated model.
        chance: its mean over simulated labels that agree with the confidences: what a calibrated model shows.
        chance_high: the 95 % quantile of the same; of a calibrated model, 5 % of samples show more.
        p: share of these simulations with at least the error seen, (1 + count) / (1 + draws).
        debiased: the error less its bias, with its interval.
        rms: debiased root mean squared calibration error, in [0, 1].
    """

    n: int
    bins: int
    plain: float | None
    chance: float | None
    chance_high: float | None
    p: float | None
    debiased: Estimate
    rms: float | None


def bins_for(n: int, most: int = BINS) -> int:
    """Return the number of bins for n images: at most `most`, with about 20 images in each, at least 1."""
    return max(1, min(most, n // IMAGES_PER_BIN))


def reliability_bins(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int | None = None, level: float = CONFIDENCE
) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram, lowest confidence first; equal confidences share a bin.

    Args:
        confidence: probability of the predicted class, shape (N,), in [0, 1].
        correct: whether the prediction is right, shape (N,).
        bins: number of bins of about equal size; default: `bins_for`.
        level: two-sided level of the intervals, in (0, 1).
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if not len(sure):
        return ()
    place = assign_bins(sure, bins or bins_for(len(sure)), "mass")
    found = []
    for number in np.unique(place):
        rows = place == number
        own, n = sure[rows], int(rows.sum())
        found.append(
            ReliabilityBin(
                float(own.min()), float(own.max()), n, float(own.mean()), wilson(int(right[rows].sum()), n, level)
            )
        )
    return tuple(found)


def calibration_errors(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    bins: int | None = None,
    level: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = SEED,
) -> CalibrationError:
    """Return the expected calibration error, its value under perfect calibration, and both without their bias.

    Chance: labels are drawn with the confidences as probabilities (consistency resampling: Bröcker & Smith 2007,
    Weather and Forecasting 22:651). Debiased: Σ (n_b/n) |d_b| less its bias, the mean of |d_b| minus what d_b is at the
    rate of the bin (Roelofs, Cain, Shlens & Mozer 2022, Mitigating bias in calibration error estimation, AISTATS,
    section 4.2). The number of right images is binomial there, not normal: with accuracies near 1 the normal
    distribution takes most of the error for bias. One image that is right as often as the confidence says is added to
    the rate. E|K − a| of a binomial K: Johnson, Kemp & Kotz (2005), Univariate Discrete Distributions, section 3.3.
    Root mean square: Kumar, Liang & Ma (2019), definition 5.1,
    Σ (n_b/n) [d_b² − ȳ(1 − ȳ)/(n_b − 1)]; a negative value counts as 0. Interval: the bins that are too sure, and those
    that are not sure enough, each have one rate with Wilson's interval, at the effective size that the rates of the
    bins give; how far the gap moves within both is combined by the squared distances (MOVER: Zou, Huang & Zhang 2009,
    Computational Statistics & Data Analysis 53:1080). It begins at 0 where chance explains the error (p at least 1 −
    level), for an estimate that cannot be negative is above 0 on average there.

    Args:
        confidence: probability of a class, shape (N,), in [0, 1].
        correct: whether it is that class, shape (N,).
        bins: number of bins of equal mass; default: `bins_for`.
        level: two-sided level of the interval, in (0, 1).
        draws: simulations.
        seed: their seed.
    """
    tail_of(level)
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    n = len(sure)
    if n < FEWEST:
        nothing = Estimate(None, None, None, n=n, note=f"not enough data: {n} images, of {FEWEST} at least")
        return CalibrationError(n, 0, None, None, None, None, nothing, None)
    place = assign_bins(sure, bins or bins_for(n), "mass")
    place = np.asarray(np.unique(place, return_inverse=True)[1], dtype=np.int64)
    size = np.bincount(place)
    sums = np.asarray(np.bincount(place, weights=right - sure), dtype=np.float64)
    hits = np.asarray(np.bincount(place, weights=right), dtype=np.float64)
    rng = np.random.default_rng(seed)
    plain = float(np.abs(sums).sum() / n)
    simulated = _under_calibration(sure, place, len(size), rng=rng, draws=draws)
    value = _debiased(sums, hits, size.astype(np.float64))
    down, up = _distances(sums, hits, size.astype(np.float64), level)
    p = float((1 + (simulated >= plain - 1e-12).sum()) / (1 + draws))
    low = 0.0 if p >= 1 - level else max(0.0, value - down)
    debiased = Estimate(value, low, min(1.0, value + up), n=n)
    rate = hits / size
    many = size > 1
    squares = (sums / size) ** 2 - np.where(many, rate * (1 - rate) / np.maximum(size - 1, 1), 0.0)
    return CalibrationError(
        n=n,
        bins=len(size),
        plain=plain,
        chance=float(simulated.mean()),
        chance_high=float(np.quantile(simulated, 0.95)),
        p=p,
        debiased=debiased,
        rms=math.sqrt(max(0.0, float((size * squares).sum() / n))),
    )


def _debiased(sums: Floats, hits: Floats, size: Floats) -> float:
    """Return Σ (n_b/n) |d_b| less its bias, at least 0; arguments are (bins,)."""
    sure = np.clip((hits - sums) / size, 0.0, 1.0)
    rate = (hits + sure) / (size + 1)
    bias = _mean_distance(size, rate, sure) - np.abs(rate - sure)
    return max(0.0, float((size / size.sum()) @ (np.abs(sums) / size - bias)))


def _mean_distance(n: Floats, p: Floats, c: Floats) -> Floats:
    """Return E|K/n − c| of a binomial K with n trials and probability p; arguments are (bins,).

    E|K − a| = 2(a F(a; n) − n p F(a − 1; n − 1)) + n p − a with the distribution function F.
    """
    point = n * c
    below = np.minimum(np.floor(point), n)
    trials = n.astype(np.int64)
    upto, before = bdtr(below, trials, p), np.zeros(len(n))
    some = (below >= 1) & (n >= 2)
    before[some] = bdtr(np.minimum(below[some] - 1, n[some] - 1), trials[some] - 1, p[some])
    before[(below >= 1) & (n < 2)] = 1.0
    return np.asarray((2 * (point * upto - n * p * before) + n * p - point) / n)


def gap_distances(share: float, rate: float, sure: float, low: float, high: float) -> tuple[float, float]:
    """Return how much smaller and larger share · |rate − confidence| can be for a rate between low and high.

    Args:
        share: of the images, in [0, 1].
        rate: accuracy of these images.
        sure: their mean confidence.
        low: lower end of the interval of the rate.
        high: upper end.
    """
    ends = abs(low - sure), abs(high - sure)
    nearest = 0.0 if low <= sure <= high else min(ends)
    return share * (abs(rate - sure) - nearest), share * (max(ends) - abs(rate - sure))


def _distances(sums: Floats, hits: Floats, size: Floats, level: float) -> tuple[float, float]:
    """Return how far the ends of the interval are from the error; arguments are (bins,)."""
    parts = []
    for some in (sums <= 0, sums > 0):
        if not some.any():
            continue
        images, right = float(size[some].sum()), float(hits[some].sum())
        pooled, apart = (right + 1) / (images + 2), (hits[some] + 1) / (size[some] + 2)
        within = float(np.average(apart * (1 - apart), weights=size[some]))
        worth = images * max(1.0, pooled * (1 - pooled) / within)
        low, high = wilson_bounds(right / images * worth, worth, level)
        sure = (right - float(sums[some].sum())) / images
        parts.append(gap_distances(images / float(size.sum()), right / images, sure, float(low), float(high)))
    return math.hypot(*(one[0] for one in parts)), math.hypot(*(one[1] for one in parts))


def _under_calibration(sure: Floats, place: Ints, bins: int, *, rng: np.random.Generator, draws: int) -> Floats:
    """Return the plain error of labels drawn with the confidences as probabilities, shape (draws,)."""
    order = np.argsort(place, kind="stable")
    sure, starts = sure[order], np.searchsorted(place[order], np.arange(bins))
    apart = np.zeros(draws)
    for own in np.split(sure, starts[1:]):
        apart += np.abs(_drawn_sums(own, rng=rng, draws=draws, rows=len(sure) <= MOST_ROWS) - own.sum())
    return apart / len(sure)


def _drawn_sums(sure: Floats, *, rng: np.random.Generator, draws: int, rows: bool) -> Floats:
    """Return sums of labels that are drawn with these probabilities, shape (draws,); with `rows` one by one."""
    variance = float((sure * (1 - sure)).sum())
    if not rows and float((sure**2).sum()) <= RARE:
        return rng.poisson(float(sure.sum()), draws).astype(np.float64)
    if not rows and variance >= FREQUENT:
        return rng.normal(float(sure.sum()), math.sqrt(variance), draws)
    step = max(1, CHUNK // len(sure))
    sizes = [min(step, draws - start) for start in range(0, draws, step)]
    return np.concatenate([(rng.random((size, len(sure))) < sure).sum(axis=1) for size in sizes]).astype(np.float64)
