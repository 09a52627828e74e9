"""Probabilities of other tools as they are stored: how far rounding moves the sum of a row from one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats
from tlkit.predictions.validation import SUM_TOLERANCE

logger = logging.getLogger(__name__)

MOST_DIGITS = 6
"""With more digits than this, rounding stays below the tolerance for every row."""


def as_matrix(proba: Any) -> Floats:
    """Return probabilities as a float64 array, also those of a torch tensor in bfloat16, which NumPy does not know."""
    if callable(getattr(proba, "detach", None)):
        proba = proba.detach().double().cpu().numpy()
    return np.array(proba, dtype=np.float64, order="C")


def renormalized(proba: Floats, *, source: str) -> Floats:
    """Return probabilities whose rows sum to one where rounding explains that they do not; else the same array.

    A row is explained where its sum is off by no more than what its values can have lost in float16, in bfloat16, or by
    rounding to decimals or significant digits: whichever all values of the array show. Half a unit of the last place
    each; a whole one in the binary formats, in which softmax may have been computed.

    Args:
        proba: shape (N, C).
        source: name of the data, for the log.
    """
    if proba.ndim != 2 or not proba.size or not np.isfinite(proba).all() or (proba < 0).any() or (proba > 1).any():
        return proba
    sums = proba.sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if not off.any():
        return proba
    for what, unit in _explanations(proba):
        most = 1 + np.where(proba > 0, unit, 0).sum(axis=1)
        least = np.maximum(1 - unit.sum(axis=1), 0.5)
        slack = 1e-9
        if ((sums <= most + slack) & (sums >= least - slack) | ~off).all():
            logger.info(
                "%s: the probabilities have %s, so %d of %d rows do not sum to one (%.4g to %.4g). Each row is divided "
                "by its sum.",
                source,
                what,
                int(off.sum()),
                len(off),
                sums.min(),
                sums.max(),
            )
            return np.asarray(proba / sums[:, None])
    return proba


def _explanations(proba: Floats) -> Iterator[tuple[str, Floats]]:
    """Yield each way of storing that all values show, with how much each value can have lost, shape (N, C)."""
    half = proba.astype(np.float16)
    of_half = "the precision of float16", np.spacing(half).astype(np.float64)
    if _equal(proba, half.astype(np.float64)):
        yield of_half
    brain = proba.astype(np.float32).view(np.uint32) + np.uint32(0x8000) & np.uint32(0xFFFF0000)  # to the nearest
    if _equal(proba, brain.view(np.float32).astype(np.float64)):
        yield "the precision of bfloat16", np.exp2(_exponent(proba, np.log2) - 7)
    for digits in range(1, MOST_DIGITS + 1):
        if not (proba == np.round(proba)).all() and _equal(proba, np.round(proba, digits)):
            yield f"{digits} decimal{'s' if digits > 1 else ''}", np.full_like(proba, 0.5 * 10.0**-digits)
            break
    for digits in range(2, MOST_DIGITS + 1):
        unit = 10.0 ** (_exponent(proba, np.log10) + 1 - digits)
        if _equal(proba, np.round(proba / unit) * unit):
            yield f"{digits} significant digits", np.where(proba > 0, unit / 2, 0)
            break
    if np.array_equal(proba, _shortest(half)):
        yield of_half


def _shortest(half: npt.NDArray[np.float16]) -> Floats:
    """Return the values of the shortest texts that stand for float16 values, as a CSV file has them: 0.2998."""
    values, places = np.unique(half, return_inverse=True)
    return np.array([float(str(value)) for value in values])[places].reshape(half.shape)


def _exponent(proba: Floats, log: Any) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(np.floor(log(proba) + 1e-12), -300.0))


def _equal(proba: Floats, rounded: Floats) -> bool:
    """Return whether values are the rounded ones, but for the precision of float32 in which they may be stored."""
    return bool((np.abs(proba - rounded) <= 1e-7 * proba + 1e-15).all())
