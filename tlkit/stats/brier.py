"""The Brier score of class probabilities and its decomposition into reliability, resolution and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, SEED
from tlkit.stats.bootstrap import REPLICATES
from tlkit.stats.calibration import BINS
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import tail_of

MOST_BLOCKS = (
    500  # units that are resampled; more images or clusters are resampled in random blocks of about equal size
)
PARTS = ("reliability", "resolution", "uncertainty", "within_bins")
TOO_FEW_BLOCKS = 10


@dataclass(frozen=True)
class BrierParts:
    """The decomposition of the Brier score: reliability − resolution + uncertainty + within_bins.

    Attributes:
        reliability: miscalibration: mean squared difference of probability and frequency in bins; 0 is best.
        resolution: how far the frequencies of the bins differ from the overall ones; the more the better.
        uncertainty: the score of the classes' frequencies, which is a property of the images, not of the model.
        within_bins: what the variation of the probabilities within bins adds or takes away.
    """

    reliability: Estimate
    resolution: Estimate
    uncertainty: Estimate
    within_bins: Estimate


def brier_losses(proba: Floats, y_true: Ints) -> Floats:
    """Return the Brier score of each image, shape (N,); the mean is scikit-learn's `brier_score_loss`.

    The sum over classes of (probability − [is the true class])²: Brier (1950), Monthly Weather Review 78:1, eq. 2. In
    [0, 2]; for two classes it is halved, in [0, 1], as is usual and as scikit-learn does.

    Args:
        proba: class probabilities, shape (N, C), each row sums to one.
        y_true: true classes, shape (N,), in 0…C-1.
    """
    own = proba[np.arange(len(y_true)), y_true]
    losses = np.einsum("ij,ij->i", proba, proba) - 2 * own + 1
    return np.asarray(np.maximum(losses, 0.0) * _scale(proba.shape[1]))


def brier_parts(
    proba: Floats,
    y_true: Ints,
    units: Units | None = None,
    *,
    confidence: float = CONFIDENCE,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> BrierParts:
    """Return the decomposition of the Brier score, summed over the classes, with bootstrap intervals.

    Murphy (1973), Journal of Applied Meteorology 12:595, with ten bins of equal width for each class's probability;
    the remainder within bins: Stephenson, Coelho & Jolliffe (2008), Weather and Forecasting 23:752. Reliability and
    resolution of a sample are too large, as the calibration error is: both are corrected as in Ferro & Fricker (2012),
    Quarterly Journal of the Royal Meteorological Society 138:1954, eq. 6–8, but reliability not below 0. For
    weighted or clustered images the correction is the bootstrap's: the mean of the replicates minus the value (Efron &
    Tibshirani 1993, An Introduction to the Bootstrap, section 10.6).

    The intervals are percentiles of a bootstrap of rows, shifted so that the mean of the replicates is the value. More
    than 500 rows, or clusters, are resampled in random blocks of about equal size, which changes the variance of a sum
    by a factor of about 1 ± √(2/500).

    Args:
        proba: class probabilities, shape (N, C).
        y_true: true classes, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
        replicates: number of resamples.
        seed: seed of the blocks and of the resamples.
    """
    rng, n = np.random.default_rng(seed), len(y_true)
    weight = np.ones(n) if units is None else units.weight
    unit = np.arange(n) if units is None else np.unique(units.unit, return_inverse=True)[1]
    losses = weight * brier_losses(proba, y_true)
    rank = np.argsort(np.argsort(np.bincount(unit, weights=losses), kind="stable"))  # whatever the order of the rows
    count = len(rank)
    blocks = min(count, MOST_BLOCKS)
    block = (rank if count == blocks else (rng.permutation(count) % blocks)[rank])[unit]
    scores = np.asarray(np.bincount(block, weights=losses, minlength=blocks), dtype=np.float64)
    table = (*_block_sums(proba, y_true, weight, block, blocks), scores)
    corrected, scale = units is None, _scale(proba.shape[1])
    value = _parts(np.ones((1, blocks)), table, scale, corrected=corrected)[0]
    if blocks < TOO_FEW_BLOCKS:
        kind = "images" if units is None else "clusters"
        note = f"not enough data for an interval: {blocks} {kind}"
        return BrierParts(*(Estimate(one, None, None, n=n, note=note) for one in value.tolist()))
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=replicates).astype(np.float64)
    found = _parts(drawn, table, scale, corrected=corrected)
    if not corrected:
        too_much = found.mean(axis=0) - value
        less = min(too_much[0], value[0])
        value = value - [less, too_much[1] - too_much[0] + less, too_much[2], 0.0]
        value[3] = losses.sum() / weight.sum() - value[0] + value[1] - value[2]
    tail = tail_of(confidence)
    ends = value + np.quantile(found, [tail, 1 - tail], axis=0) - found.mean(axis=0)
    ends[:, :3] = np.maximum(ends[:, :3], 0.0)  # what is within bins may be negative
    return BrierParts(
        *(
            Estimate(one, min(low, one), max(high, one), n=n)
            for one, low, high in zip(value.tolist(), *ends.tolist(), strict=True)
        )
    )


def _scale(classes: int) -> float:
    return 0.5 if classes == 2 else 1.0


def _block_sums(proba: Floats, y_true: Ints, weight: Floats, block: Ints, blocks: int) -> tuple[Floats, Floats, Floats]:
    """Return the sums of weights, probabilities and positives by block, class and bin, shape (blocks, C · bins)."""
    classes = proba.shape[1]
    sums = np.zeros((3, blocks, classes, BINS))
    size = blocks * BINS
    for code in range(classes):
        own = proba[:, code]
        cell = np.minimum((own * BINS).astype(np.int64), BINS - 1) + block * BINS
        hit = np.flatnonzero(y_true == code)
        sums[0, :, code] = np.bincount(cell, weights=weight, minlength=size).reshape(blocks, BINS)
        sums[1, :, code] = np.bincount(cell, weights=weight * own, minlength=size).reshape(blocks, BINS)
        sums[2, :, code] = np.bincount(cell[hit], weights=weight[hit], minlength=size).reshape(blocks, BINS)
    flat = sums.reshape(3, blocks, classes * BINS)
    return flat[0], flat[1], flat[2]


def _parts(drawn: Floats, table: tuple[Floats, Floats, Floats, Floats], scale: float, *, corrected: bool) -> Floats:
    """Return the four parts for B resamples of the blocks, shape (B, 4).

    Args:
        drawn: how often each block was drawn, shape (B, blocks).
        table: what `_block_sums` returns, and the sums of the losses by block, shape (blocks,).
        scale: of the score, 1 or ½.
        corrected: whether to correct the parts for the number of independent images.
    """
    filled = np.asarray(table[0].any(axis=0))
    n, p, y = (drawn @ part[:, filled] for part in table[:3])
    which = np.repeat(np.arange(len(filled) // BINS), BINS)[filled]
    starts = np.flatnonzero(np.append(True, which[1:] != which[:-1]))
    classes = np.add.reduceat(n, starts, axis=1)
    total = classes[:, :1]
    base = np.add.reduceat(y, starts, axis=1) / total  # frequency of each class, shape (B, classes)
    safe = np.where(n > 0, n, 1.0)
    mean, rate, share = p / safe, y / safe, n / total
    reliability = (share * (mean - rate) ** 2).sum(axis=1)
    overall = np.repeat(base, np.diff(np.append(starts, len(which))), axis=1)
    resolution = (share * (rate - overall) ** 2).sum(axis=1)
    uncertainty = (base * (1 - base)).sum(axis=1)
    too_much, more = np.zeros((2, len(drawn)))
    if corrected:
        noise = np.where(n > 1, rate * (1 - rate) / np.where(n > 1, n - 1, 1.0), 0.0)
        too_much = np.minimum((share * noise).sum(axis=1), reliability)
        more = uncertainty / np.maximum(total[:, 0] - 1, 1.0)
    parts = np.stack([reliability - too_much, resolution - too_much + more, uncertainty + more], axis=1)
    score = drawn @ table[3] / total[:, 0]
    within = score - scale * (parts @ [1.0, -1.0, 1.0])
    return np.column_stack([scale * parts, within])
