"""Calibration error and reliability bins of weighted or clustered images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, SEED
from tlkit.stats.brier import MOST_BLOCKS, TOO_FEW_BLOCKS
from tlkit.stats.calibration import assign_bins
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.dependent_samples import cluster_moments, effective_size
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds
from tlkit.stats.reliability import DRAWS, FEWEST, CalibrationError, bins_for, gap_distances


def clustered_calibration_errors(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    units: Units,
    *,
    bins: int | None = None,
    level: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = SEED,
) -> CalibrationError:
    """Return `calibration_errors` of weighted or clustered images.

    The gap d of a bin is the weighted mean of (right − confidence) over it, and its variance that of the linearised
    ratio over the clusters, Σ (S − W·d)²/(Σ W)² · M/(M − 1), with a cluster's weighted sum S and its weight W in the
    bin (Woodruff 1971, J. Am. Stat. Assoc. 66:411). It takes the place of ȳ(1 − ȳ)/n in the corrections of the
    independent case. Chance: the signs of the clusters' sums are flipped at random, all bins of a cluster together,
    which keeps their correlation (Hemerik, Goeman & Finos 2020, J. R. Stat. Soc. B 82:841; the wild cluster bootstrap
    of Cameron, Gelbach & Miller 2008, Review of Economics and Statistics 90:414). For p the sums are those under
    calibration, S; for the chance value the residuals S − W·d, times √(M/(M − 1)). The interval is Student's t with
    M − 1 degrees of freedom and the standard deviation of a bootstrap of clusters at these bins, at least as far as
    that of the independent case reaches with the effective sizes of the clusters (`effective_size`). More than 500
    clusters are taken in random blocks. With fewer than 10 there is neither an interval nor a p-value. The number of
    bins follows the effective number of images: Kish's (Σ w)²/Σ w², over the design effect of the differences.

    Args:
        confidence: probability of a class, shape (N,), in [0, 1].
        correct: whether it is that class, shape (N,).
        units: weights and clusters of the images.
        bins: number of bins of equal mass; default: `bins_for` the effective number of images.
        level: two-sided level of the interval, in (0, 1).
        draws: simulations, and bootstrap resamples.
        seed: seed of both.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    n = len(sure)
    if n < FEWEST:
        nothing = Estimate(None, None, None, n=n, note=f"not enough data: {n} images, of {FEWEST} at least")
        return CalibrationError(n, 0, None, None, None, None, nothing, None)
    rng = np.random.default_rng(seed)
    place = assign_bins(sure, bins or bins_for(_worth(right - sure, units)), "mass")
    place = np.asarray(np.unique(place, return_inverse=True)[1], dtype=np.int64)
    count = int(place.max()) + 1
    blocks = _blocks(units, rng)
    gaps, weights = blocks.summed(place, count, right - sure), blocks.summed(place, count)
    held = weights.sum(axis=0) > 0
    gaps, weights = gaps[:, held], weights[:, held]
    each, share = len(gaps), weights.sum(axis=0) / weights.sum()
    value, gap, variance = _debiased(np.ones((1, each)), gaps, weights)
    plain = float(share @ np.abs(gap[0]))
    rms = math.sqrt(max(0.0, float(share @ (gap[0] ** 2 - variance[0]))))
    if each < TOO_FEW_BLOCKS:
        note = f"not enough data for an interval: {each} clusters, of {TOO_FEW_BLOCKS} at least"
        debiased = Estimate(float(value[0]), None, None, n=n, note=note)
        return CalibrationError(n, len(share), plain, None, None, None, debiased, rms)
    signs = rng.choice([-1.0, 1.0], size=(draws, each))
    total = weights.sum()
    null = np.abs(signs @ gaps).sum(axis=1) / total
    chance = np.abs(signs @ (gaps - weights * gap[0])).sum(axis=1) / total * math.sqrt(each / (each - 1))
    resampled = _debiased(rng.multinomial(each, np.full(each, 1 / each), size=draws), gaps, weights)[0]
    half = float(stdtrit(each - 1, 0.5 + level / 2)) * float(resampled.std(ddof=1))
    hits = blocks.summed(place, count, right)[:, held]
    down, up = (
        max(half, one) for one in _distances(gap[0] * weights.sum(axis=0), hits, weights, gaps, images=n, level=level)
    )
    p = float((1 + (null >= plain - 1e-12).sum()) / (1 + draws))
    low = 0.0 if p >= 1 - level else max(0.0, float(value[0]) - down)
    return CalibrationError(
        n=n,
        bins=len(share),
        plain=plain,
        chance=float(chance.mean()),
        chance_high=float(np.quantile(chance, 0.95)),
        p=p,
        debiased=Estimate(float(value[0]), min(low, float(value[0])), min(1.0, float(value[0]) + up), n=n),
        rms=rms,
    )


def _distances(
    sums: Floats, hits: Floats, weights: Floats, gaps: Floats, *, images: int, level: float
) -> tuple[float, float]:
    """Return how far the ends of the interval are from the error by Wilson's intervals at effective sizes.

    Args:
        sums: weighted sum of right minus confidence in each bin, shape (bins,).
        hits: weighted sums of right by cluster and bin, shape (M, bins).
        weights: W, shape (M, bins).
        gaps: S, shape (M, bins).
        images: their number.
        level: two-sided level, in (0, 1).
    """
    parts = []
    for some in (sums <= 0, sums > 0):
        if not some.any():
            continue
        own = weights[:, some].sum(axis=1)
        moments = cluster_moments(hits[:, some].sum(axis=1)[:, None], own[:, None])
        share = float(own.sum() / weights.sum())
        rate = min(max(float(moments.rate[0]), 0.0), 1.0)
        size = float(
            effective_size(
                np.array([rate]),
                np.diagonal(moments.covariance),
                images=[max(round(share * images), 1)],
                clusters=moments.clusters,
                df=moments.rate_df,
                confidence=level,
            )[0]
        )
        low, high = wilson_bounds(rate * size, size, level)
        sure = rate - float(gaps[:, some].sum() / own.sum())
        parts.append(gap_distances(share, rate, sure, float(low), float(high)))
    return math.hypot(*(one[0] for one in parts)), math.hypot(*(one[1] for one in parts))


def _worth(difference: Floats, units: Units) -> int:
    """Return the effective number of images, at most N, from their differences of being right and confidence, (N,)."""
    weight, each = units.weight, units.numbered()
    residual = weight * (difference - np.average(difference, weights=weight))
    sums = np.bincount(each.unit[each.unit >= 0], weights=residual[each.unit >= 0])
    alone, together = float(residual @ residual), float(sums @ sums)
    effect = max(1.0, together / alone) if alone > 0 else 1.0
    return round(float(weight.sum()) ** 2 / float(weight @ weight) / effect)


def _blocks(units: Units, rng: np.random.Generator) -> Units:
    """Return the clusters that have a weight, at most 500: more are joined at random into blocks."""
    numbered = units.numbered()
    clusters = units.clusters
    if clusters <= MOST_BLOCKS:
        return numbered
    block = rng.permutation(clusters) % MOST_BLOCKS
    return Units(units.weight, np.where(numbered.unit >= 0, block[numbered.unit], 0))


def _debiased(times: Floats | Ints, gaps: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the debiased error (B,), the gap and its variance in each bin (B, bins), of resamples of the clusters.

    Args:
        times: how often each cluster was drawn, shape (B, M).
        gaps: S, weighted sums of right minus confidence by cluster and bin, shape (M, bins).
        weights: W, shape (M, bins).
    """
    drawn = np.asarray(times, dtype=np.float64)
    s, w, ss, sw, ww = (drawn @ one for one in (gaps, weights, gaps**2, gaps * weights, weights**2))
    number = np.where(w > 0, w, 1.0)
    gap = np.where(w > 0, s / number, 0.0)
    clusters = drawn @ (weights > 0)
    few = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1), 1.0)
    squares = np.maximum(ss - 2 * gap * sw + gap**2 * ww, 0.0)
    variance = np.where(w > 0, squares / number**2 * few, 0.0)
    sd = np.sqrt(np.maximum(variance, 1e-300))
    z = np.abs(gap) / sd
    folded = sd * math.sqrt(2 / math.pi) * np.exp(-(np.minimum(z, 40.0) ** 2) / 2) + np.abs(gap) * (2 * ndtr(z) - 1)
    share = w / w.sum(axis=1, keepdims=True)
    return np.maximum(0.0, (share * (2 * np.abs(gap) - folded)).sum(axis=1)), gap, variance
