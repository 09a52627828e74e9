"""The bootstrap on counts: resampling a table of counts equals resampling the rows behind it.

Drawing n rows with replacement and counting them into cells gives counts that are Multinomial(n, c/n), where c are the
counts of the sample. A statistic of the counts is therefore resampled at the cost of its cells, not of its rows,
without approximation (Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 6.2).

The percentile interval collapses to a point where the statistic cannot vary, as when every row is right: use
`tlkit.stats.intervals.wilson` for a rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import tail_of

Counts = Ints

REPLICATES = 2000
MOST_UNDEFINED = 0.05  # share of undefined replicates above which there is no interval
CHUNK_CELLS = 2_000_000  # cells in memory at a time: 16 MB of int64


def bootstrap_replicates(
    counts: npt.ArrayLike,
    statistic: Callable[[Counts], Floats],
    *,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Floats:
    """Return a statistic of many resamples of a table of counts.

    Args:
        counts: rows of the sample in each cell, shape (cells,), at least 0, not all 0.
        statistic: takes counts of shape (B, cells) and returns shape (B,), or (B, S) for S statistics of the same
            resamples; NaN or infinite where undefined. It is called once per chunk of B resamples.
        rng: random generator; the same seed gives the same replicates.
        replicates: number of resamples.

    Returns:
        Shape (replicates,) or (replicates, S).

    Raises:
        ValueError: the counts are not one-dimensional, are negative, or are all 0.
    """
    cells = _checked(counts)
    n = int(cells.sum())
    if n == 0:
        raise ValueError("A bootstrap needs at least one row, but all counts are 0.")
    filled = np.flatnonzero(cells)
    chunk = max(1, CHUNK_CELLS // len(cells))
    parts = []
    for start in range(0, replicates, chunk):
        drawn = np.zeros((min(chunk, replicates - start), len(cells)), dtype=np.int64)
        drawn[:, filled] = rng.multinomial(n, cells[filled] / n, size=len(drawn))
        parts.append(np.asarray(statistic(drawn), dtype=np.float64))
    return np.concatenate(parts)


def percentile_estimate(value: float, replicates: npt.ArrayLike, *, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return a value with the percentile interval of its bootstrap replicates.

    NaN and infinite replicates are dropped and counted; above 5 % of them there is no interval.
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.

    Args:
        value: the statistic of the sample itself; NaN or infinite where it is undefined.
        replicates: the statistic of each resample, shape (B,).
        n: the denominator to report.
        confidence: two-sided level, in (0, 1).

    Raises:
        ValueError: `confidence` is not between 0 and 1, both excluded.

    Example:
        >>> percentile_estimate(0.5, [0.4, 0.5, 0.6], n=30).format()
        '0.500 [0.405, 0.595]'
        >>> percentile_estimate(0.5, [0.4, 0.5, float("nan")], n=3).note
        'not enough data for an interval: undefined in 1 of 3 resamples'
    """
    tail = tail_of(confidence)
    if not math.isfinite(value):
        return Estimate(None, None, None, n=n)
    drawn = np.asarray(replicates, dtype=np.float64)
    kept = drawn[np.isfinite(drawn)]
    dropped = len(drawn) - len(kept)
    note = f"undefined in {dropped} of {len(drawn)} resamples" if dropped else ""
    if dropped > MOST_UNDEFINED * len(drawn):
        return Estimate(float(value), None, None, n=n, note=f"not enough data for an interval: {note}")
    low, high = np.quantile(kept, [tail, 1.0 - tail])
    return Estimate(float(value), float(low), float(high), n=n, note=note)


def _checked(counts: npt.ArrayLike) -> Counts:
    cells = np.asarray(counts)
    if cells.ndim != 1 or not np.issubdtype(cells.dtype, np.integer) or (cells < 0).any():
        raise ValueError("counts must be one-dimensional whole numbers, at least 0. Ravel a table before.")
    return cells.astype(np.int64)
