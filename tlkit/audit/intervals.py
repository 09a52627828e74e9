"""The intervals of a row: its rate, its difference and ratios to the rest or the best group; and that of all images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import Cells
from tlkit.audit.compare import Draft
from tlkit.audit.result import AuditSettings
from tlkit.audit.sample import Design, Sample, designed
from tlkit.stats.designs import at_least_t, correlated_bounds
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import clopper_pearson_bounds, ratio_log, wilson_bounds


def rate_of(draft: Draft, i: int, settings: AuditSettings) -> Estimate:
    """Return the rate of row i with its interval, or why there is none."""
    n = int(draft.sample.n[i])
    if n == 0:
        return Estimate(None, None, None, n=0, note=draft.rate.nothing)
    if n < settings.min_group_size:
        return Estimate(None, None, None, n=n, note=f"n = {n}, fewer than {settings.min_group_size}")
    return _rate(draft.sample, i, settings)


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
    return _rate(sample, 0, settings)


def difference_of(draft: Draft, i: int, settings: AuditSettings, *, best: int | None = None) -> Estimate:
    """Return the rate of row i minus that of the rest, or of the group `best`, with its interval.

    Independent samples: Newcombe's method 10. Clusters, matched pairs and groups that share images: the same with the
    correlation of the two rates, and not narrower than Student's t on the clusters.

    Args:
        draft: the rates of all rows.
        i: position of the row.
        settings: level and kind of the interval.
        best: position of the group that it is compared with; None = the rest.
    """
    k1, n1, k2, n2 = _sides(draft, i, best)
    sample = draft.sample
    if best is None:
        correlation = float(sample.correlation[i])
    else:
        correlation = 0.0 if sample.among is None else float(sample.among[i, best])
    low, high = correlated_bounds(
        k1, n1, k2, n2, correlation=correlation, confidence=settings.confidence, guaranteed=settings.guaranteed
    )
    difference = k1 / n1 - k2 / n2
    variance, df = sample.spread(i, best)
    ends = at_least_t(
        float(low), float(high), difference=difference, variance=variance, df=df, confidence=settings.confidence
    )
    return Estimate(difference, *ends, n=_images(draft, i, best))


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
    k1, n1, k2, n2 = _sides(draft, i, best)
    if errors:
        k1, k2 = max(n1 - k1, 0.0), max(n2 - k2, 0.0)
    ratio = ratio_log(k1, n1, k2, n2, settings.confidence)
    return Estimate(ratio.value, ratio.low, ratio.high, n=_images(draft, i, best), note=ratio.note)


def _rate(sample: Sample, i: int, settings: AuditSettings) -> Estimate:
    """Return the rate of row i, which has images, with its interval."""
    n, k_eff, n_eff, size = int(sample.n[i]), float(sample.k_eff[i]), float(sample.n_eff[i]), float(sample.rate_n[i])
    if n_eff <= 0:
        why = "no image has a weight" if settings.weights else "all images are of one cluster"
        return Estimate(None, None, None, n=n, note=f"n = {n}, but {why}")
    bounds = clopper_pearson_bounds if settings.guaranteed else wilson_bounds
    low, high = bounds(k_eff * (size / n_eff), size, settings.confidence)
    return Estimate(k_eff / n_eff, float(low), float(high), n=n)


def _sides(draft: Draft, i: int, best: int | None) -> tuple[float, float, float, float]:
    """Return effective k, n of row i, then of what it is compared with."""
    sample = draft.sample
    if best is None:
        k1, n1, k2, n2 = (float(side[i]) for side in sample.sides)
        return k1, n1, k2, n2
    return float(sample.k_eff[i]), float(sample.n_eff[i]), float(sample.k_eff[best]), float(sample.n_eff[best])


def _images(draft: Draft, i: int, best: int | None) -> int:
    sample = draft.sample
    return int(sample.n[i]) + int(sample.rest_n[i] if best is None else sample.n[best])
