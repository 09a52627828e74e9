"""The intervals of a row: its rate, its difference and ratios to the rest or the best group; and that of all images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import Cells
from tlkit.audit.compare import Draft
from tlkit.audit.result import AuditSettings
from tlkit.audit.sample import Design, designed
from tlkit.audit.sample_intervals import difference_estimate, images_of, rate_estimate, sides_of
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import clopper_pearson_bounds, ratio_log, wilson_bounds


def rate_of(draft: Draft, i: int, settings: AuditSettings) -> Estimate:
    """Return the rate of row i with its interval, or why there is none."""
    n = int(draft.sample.n[i])
    if n == 0:
        return Estimate(None, None, None, n=0, note=draft.rate.nothing)
    if n < settings.min_group_size:
        return Estimate(None, None, None, n=n, note=f"n = {n}, fewer than {settings.min_group_size}")
    return rate_estimate(draft.sample, i, confidence=settings.confidence, guaranteed=settings.guaranteed)


def overall_of(right: npt.NDArray[np.bool_], design: Design | None, settings: AuditSettings) -> Estimate:
    """Return the accuracy over all labelled images, weighted and with its interval as the images hang together.

    Args:
        right: whether each image's class was found, shape (N,), N above 0.
        design: how the images hang together; None = independent and alike.
        settings: what was asked.
    """
    n = len(right)
    if design is None:
        bounds = clopper_pearson_bounds if settings.guaranteed else wilson_bounds
        low, high = bounds(right.sum(), n, settings.confidence)
        return Estimate(float(right.sum()) / n, float(low), float(high), n=n)
    code = np.zeros(n, dtype=np.int64)
    sample = designed(
        Cells((), ((),), code), replace(design, paired=False), counts=right, base=np.ones(n, dtype=np.bool_), code=code,
        draws=settings.draws, seed=settings.seed, confidence=settings.confidence,
    )  # fmt: skip
    return rate_estimate(sample, 0, confidence=settings.confidence, guaranteed=settings.guaranteed)


def difference_of(draft: Draft, i: int, settings: AuditSettings, *, best: int | None = None) -> Estimate:
    """Return the rate of row i minus that of the rest, or of the group `best`, with its interval.

    Args:
        draft: the rates of all rows.
        i: position of the row.
        settings: level and kind of the interval.
        best: position of the group that it is compared with; None = the rest.
    """
    return difference_estimate(
        draft.sample, i, best=best, confidence=settings.confidence, guaranteed=settings.guaranteed
    )  # fmt: skip


def ratio_of(
    draft: Draft, i: int, settings: AuditSettings, *, best: int | None = None, errors: bool = False
) -> Estimate:
    """Return the rate of row i over that of the rest, or of the group `best`; with `errors`, of what is missing to 1.

    Its interval treats the two as independent, which is wider than needed for matched images.

    Args:
        draft: the rates of all rows.
        i: position of the row.
        settings: level of the interval.
        best: position of the group that it is compared with; None = the rest.
        errors: compare 1 − rate in place of the rate.
    """
    k1, n1, k2, n2 = sides_of(draft.sample, i, best)
    if errors:
        k1, k2 = max(n1 - k1, 0.0), max(n2 - k2, 0.0)
    ratio = ratio_log(k1, n1, k2, n2, settings.confidence)
    return Estimate(ratio.value, ratio.low, ratio.high, n=images_of(draft.sample, i, best), note=ratio.note)
