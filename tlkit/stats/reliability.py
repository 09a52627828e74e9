"""Reliability: accuracy by confidence in bins of equal mass, and calibration errors without the bias of binning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, SEED
from tlkit.stats.calibration import BINS, assign_bins
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile, tail_of, wilson

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
    Weather and Forecasting 22:651). Debiased: Σ (n_b/n) d_b less its bias, where the difference of a bin is taken as
    normal with the variance ȳ(1 − ȳ)/n_b, so that the mean of its absolute value has a closed form (Roelofs, Cain,
    Shlens & Mozer 2022, Mitigating bias in calibration error estimation, AISTATS, section 4.2; Kumar, Liang & Ma 2019,
    Verified uncertainty calibration, NeurIPS, appendix). Root mean square: Kumar, Liang & Ma (2019), definition 5.1,
    Σ (n_b/n) [d_b² − ȳ(1 − ȳ)/(n_b − 1)]; a negative value counts as 0. The interval of the debiased error is normal,
    with the standard deviation of a row bootstrap at these bins; it begins at 0 where chance explains the error (p at
    least 1 − level), for an estimate that cannot be negative is above 0 on average there.

    Args:
        confidence: probability of a class, shape (N,), in [0, 1].
        correct: whether it is that class, shape (N,).
        bins: number of bins of equal mass; default: `bins_for`.
        level: two-sided level of the interval, in (0, 1).
        draws: simulations, and bootstrap resamples.
        seed: seed of both.
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
    resampled = _resampled(place, right, sure, len(size), rng=rng, draws=draws)
    value = _debiased(sums[None], hits[None], size.astype(np.float64)[None])[0]
    half = normal_quantile(level) * float(resampled.std(ddof=1))
    p = float((1 + (simulated >= plain - 1e-12).sum()) / (1 + draws))
    low = 0.0 if p >= 1 - level else max(0.0, float(value) - half)
    debiased = Estimate(float(value), low, min(1.0, float(value) + half), n=n)
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


def _debiased(sums: Floats, hits: Floats, size: Floats) -> Floats:
    """Return Σ (n_b/n) |d_b| less its bias under a normal d_b, at least 0, shape (B,); arguments are (B, bins)."""
    number = np.maximum(size, 1)
    gap, rate = np.abs(sums / number), hits / number
    # a bin whose images are all right or all wrong has a rate a little inside (Agresti & Coull 1998)
    inside = np.where((rate <= 0) | (rate >= 1), (hits + 1) / (number + 2), rate)
    sd = np.sqrt(inside * (1 - inside) / number)
    z = gap / sd
    folded = sd * math.sqrt(2 / math.pi) * np.exp(-(z**2) / 2) + gap * (2 * ndtr(z) - 1)  # E|N(gap, sd²)|
    total = size.sum(axis=1, keepdims=True)
    return np.asarray(np.maximum(0.0, (size / total * (2 * gap - folded)).sum(axis=1)))


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


def _resampled(place: Ints, right: Floats, sure: Floats, bins: int, *, rng: np.random.Generator, draws: int) -> Floats:
    """Return the debiased error of resamples of the rows at the same bins, shape (draws,).

    A resample has multinomial numbers of rows in the bins, and binomial hits in each; the sum of confidences is given
    the hits normal, of at least `MOST_ROWS` / 10 narrow values. With fewer rows, the rows themselves are drawn.
    """
    n = len(place)
    if n > MOST_ROWS:
        return _resampled_sums(place, right, sure, bins, rng=rng, draws=draws)
    table = np.stack([right - sure, right, np.ones(n)], axis=1)
    order = np.argsort(place, kind="stable")
    table, starts = table[order], np.searchsorted(place[order], np.arange(bins))
    found = []
    step = max(1, CHUNK // n)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        sums, hits, count = (np.add.reduceat(times * table[:, one], starts, axis=1) for one in range(3))
        found.append(_debiased(sums, hits, count))
    return np.concatenate(found)


def _resampled_sums(
    place: Ints, right: Floats, sure: Floats, bins: int, *, rng: np.random.Generator, draws: int
) -> Floats:
    size = np.bincount(place, minlength=bins).astype(np.float64)
    mean_right, mean_sure = (np.bincount(place, weights=one, minlength=bins) / size for one in (right, sure))
    off_right, off_sure = right - mean_right[place], sure - mean_sure[place]
    products = (off_right**2, off_right * off_sure, off_sure**2)
    variance, covariance, own = (np.bincount(place, weights=one, minlength=bins) / size for one in products)
    slope = np.divide(covariance, variance, out=np.zeros(bins), where=variance > 0)
    left = np.sqrt(np.maximum(0.0, own - slope * covariance))
    count = rng.multinomial(len(place), size / len(place), size=draws)
    hits = rng.binomial(count, np.clip(mean_right, 0, 1))
    confidences = count * mean_sure + slope * (hits - count * mean_right)
    confidences = confidences + rng.normal(size=count.shape) * left * np.sqrt(count)
    return _debiased(hits - confidences, hits.astype(np.float64), count.astype(np.float64))
