"""Verdicts: Holm's correction over the whole audit, detectable gaps and images needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from tlkit.audit.estimators import FEW_CLUSTERS, RateEstimates
from tlkit.audit.group_tables import Gap, Group, GroupRow, GroupTable, direction_of
from tlkit.audit.group_vs_rest import UntestedTable
from tlkit.audit.mean_estimates import MeanEstimates
from tlkit.audit.options import AuditOptions
from tlkit.audit.row_intervals import difference_estimate, rate_estimate, ratio_estimate
from tlkit.choices import Verdict
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.power import detectable_gap, images_needed, images_per_group
from tlkit.stats.shrinkage import shrink


def assign_verdicts(
    untested_tables: Sequence[UntestedTable[RateEstimates] | UntestedTable[MeanEstimates]], options: AuditOptions
) -> tuple[tuple[GroupTable, ...], int]:
    """Return the tables with verdicts after Holm's correction over all of them, and the number of tests."""
    family = [p for untested in untested_tables for p in untested.family]
    tests = sum(p is not None for p in family)
    adjusted = iter(holm(family))
    gap_p = iter(holm([None if untested.gap is None else untested.gap.p for untested in untested_tables]))
    tables = [
        _table(untested, [next(adjusted) for _ in untested.p], next(gap_p), max(tests, 1), options)
        for untested in untested_tables
    ]
    return tuple(tables), tests


def verdict(difference: Estimate | None, p_holm: float | None, *, tolerance: float, alpha: float) -> Verdict:
    """Return FAIL, PASS or NOT ENOUGH DATA for a difference from the complement.

    FAIL needs both the interval and the test, so that neither a wide interval nor a significant but tiny
    difference fails; PASS needs the whole interval (two one-sided tests; Schuirmann 1987, J. Pharmacokinetics and
    Biopharmaceutics 15:657), so that a small sample does not pass for lack of evidence.

    Args:
        difference: the difference with its interval; None = no comparison.
        p_holm: corrected p-value of the difference; None = no test.
        tolerance: the largest difference tolerated, in [0, 1).
        alpha: level of the test, in (0, 1).
    """
    if difference is None or difference.low is None or difference.high is None:
        return "NOT ENOUGH DATA"
    beyond = difference.low > tolerance or difference.high < -tolerance
    if beyond and p_holm is not None and p_holm < alpha:
        return "FAIL"
    within = -tolerance <= difference.low and difference.high <= tolerance
    return "PASS" if within else "NOT ENOUGH DATA"


def _table(
    untested: UntestedTable[RateEstimates] | UntestedTable[MeanEstimates],
    adjusted: list[float | None],
    gap_p: float | None,
    tests: int,
    options: AuditOptions,
) -> GroupTable:
    if isinstance(untested.estimates, MeanEstimates):
        return _mean_table(untested, adjusted, tests, options)
    return _rate_table(untested, adjusted, gap_p, tests, options)


def _mean_table(
    untested: UntestedTable[MeanEstimates], adjusted: list[float | None], tests: int, options: AuditOptions
) -> GroupTable:
    """Return a table of means: without ratios, shrunken values and the test of the largest gap, which are of rates."""
    p_holm, estimates, membership = untested.fill_mirrored(adjusted), untested.estimates, untested.membership
    rows: list[GroupRow] = []
    for i, group in enumerate([*membership.values, None]):
        if group is None and untested.images[i] == 0:
            continue
        difference = estimates.difference(i, options.confidence) if untested.tested[i] else None
        decided = None
        if untested.judged[i]:
            decided = verdict(difference, p_holm[i], tolerance=estimates.tolerance, alpha=options.alpha)
        more, more_clusters, complement_too = None, None, False
        if decided == "NOT ENOUGH DATA":
            more, more_clusters, complement_too = _needed_of_mean(estimates, i, options.alpha / tests, options)
        rows.append(
            GroupRow(
                group=group,
                images=int(untested.images[i]),
                rate=estimates.estimate(i, options.confidence, least=options.min_group_size),
                difference=difference,
                p=untested.p[i],
                p_holm=p_holm[i],
                verdict=decided,
                detectable_gap=estimates.detectable(i, options.alpha / tests) if untested.tested[i] else None,
                images_needed=more,
                complement_needed=complement_too,
                clusters=None if options.unit_column is None else int(estimates.moments.clusters[i]),
                clusters_needed=more_clusters,
                direction=direction_of(decided, difference),
            )
        )
    rate = untested.rate
    return GroupTable(membership.columns, rate.metric, rate.class_name, tuple(rows), None, membership.unlisted)


def _needed_of_mean(
    estimates: MeanEstimates, i: int, alpha: float, options: AuditOptions
) -> tuple[int | None, int | None, bool]:
    """Return how many images to add to row i, in how many clusters, and whether the complement must grow as well.

    Few clusters do not show how much their means differ: at least `FEW_CLUSTERS` are asked for.
    """
    found = estimates.needed(i, alpha=alpha, least=options.min_group_size)
    more, complement_too = (0, False) if found is None else found
    images, clusters = int(estimates.n[i]), int(estimates.moments.clusters[i])
    if options.unit_column is None or not images:
        return more or None, None, complement_too
    per_cluster = images / max(clusters, 1)
    needed = max(math.ceil(more / per_cluster), FEW_CLUSTERS - clusters, 0)
    return max(more, math.ceil(needed * per_cluster)) or None, needed or None, complement_too


def _rate_table(
    untested: UntestedTable[RateEstimates],
    adjusted: list[float | None],
    gap_p: float | None,
    tests: int,
    options: AuditOptions,
) -> GroupTable:
    p_holm, shrunk = untested.fill_mirrored(adjusted), _shrunk(untested, options.confidence)
    gap = _gap(untested, gap_p)
    best = None if gap is None else untested.membership.values.index(gap.best(untested.rate))
    strictest = options.alpha / tests  # Holm's first threshold
    groups: list[Group | None] = [*untested.membership.values, None]
    return GroupTable(
        columns=untested.membership.columns,
        metric=untested.rate.metric,
        class_name=untested.rate.class_name,
        rows=tuple(
            _row(
                untested, i, group, p_holm=p_holm[i], shrunk=shrunk[i], best=best, strictest=strictest, options=options
            )
            for i, group in enumerate(groups)
            if group is not None or untested.images[i] > 0
        ),
        gap=gap,
        unlisted=untested.membership.unlisted,
    )


def _row(
    untested: UntestedTable[RateEstimates],
    i: int,
    group: Group | None,
    *,
    p_holm: float | None,
    shrunk: Estimate | None,
    best: int | None,
    strictest: float,
    options: AuditOptions,
) -> GroupRow:
    minus = partial(
        difference_estimate, untested.estimates, i, confidence=options.confidence, guaranteed=options.guaranteed
    )
    confidence = untested.mean_confidence
    over = partial(ratio_estimate, untested.estimates, i, confidence=options.confidence)
    rate = _rate(untested, i, options)
    difference = minus() if untested.tested[i] else None
    decided = None
    if untested.judged[i]:
        decided = verdict(difference, p_holm, tolerance=options.tolerance, alpha=options.alpha)
    undecided = decided == "NOT ENOUGH DATA"
    more, more_clusters, complement_too = _needed(untested, i, strictest, options) if undecided else (None, None, False)
    clusters = untested.estimates.clusters
    rival = best if best is not None and best != i and group is not None and untested.assessed[i] else None
    return GroupRow(
        group=group,
        images=int(untested.images[i]),
        rate=rate,
        difference=difference,
        ratio=over() if untested.tested[i] else None,
        error_ratio=over(errors=True) if untested.tested[i] else None,
        best_difference=None if rival is None else minus(best=rival),
        best_ratio=None if rival is None else over(best=rival),
        best_error_ratio=None if rival is None else over(best=rival, errors=True),
        base_rate=_base_rate(untested, i, options),
        p=untested.p[i],
        p_holm=p_holm,
        verdict=decided,
        detectable_gap=_detectable(untested, i, strictest),
        images_needed=more,
        complement_needed=complement_too,
        shrunk=shrunk,
        mean_confidence=float(confidence[i]) if confidence is not None and untested.assessed[i] else None,
        wide=rate.is_wide(options.max_half_width),
        n_eff=None if options.test_name == "Fisher" else float(untested.estimates.n_eff[i]),
        clusters=None if clusters is None else int(clusters[i]),
        clusters_needed=more_clusters,
        direction=direction_of(decided, difference),
    )


def _rate(untested: UntestedTable[RateEstimates], i: int, options: AuditOptions) -> Estimate:
    """Return the rate of row i with its interval; undefined with too few images."""
    n = int(untested.estimates.n[i])
    if n == 0:
        return Estimate(None, None, None, n=0, note=untested.rate.nothing)
    if n < options.min_group_size:
        unit = "" if untested.rate.unit == "image" else f" {untested.rate.unit}s"
        return Estimate(None, None, None, n=n, note=f"n = {n}{unit}, fewer than {options.min_group_size}")
    return rate_estimate(untested.estimates, i, confidence=options.confidence, guaranteed=options.guaranteed)


def _base_rate(untested: UntestedTable[RateEstimates], i: int, options: AuditOptions) -> Estimate | None:
    """Return the share of a group's images that are of the rate's class."""
    if untested.shares is None or untested.images[i] < options.min_group_size:
        return None
    return rate_estimate(untested.shares, i, confidence=options.confidence)


def _detectable(untested: UntestedTable[RateEstimates], i: int, alpha: float) -> float | None:
    """Return the detectable gap of row i (80 % power)."""
    if not untested.tested[i]:
        return None
    _, n, complement_k, complement_n = (float(side[i]) for side in untested.estimates.sides)
    return detectable_gap(complement_n, n, complement_k / complement_n, alpha=alpha)


def _needed(
    untested: UntestedTable[RateEstimates], i: int, alpha: float, options: AuditOptions
) -> tuple[int | None, int | None, bool]:
    """Return how many images to add to row i, in how many clusters, and whether the complement must grow as well.

    With these images, a gap of the tolerance is found with 80 % power. Takes the smaller total of two plans: only this
    group grows, or both sides grow to one size.
    """
    _, n, complement_k, complement_n = (float(side[i]) for side in untested.estimates.sides)
    gap, images = options.tolerance, int(untested.estimates.n[i])
    if complement_n == 0 or gap == 0:
        return None, None, False
    p = complement_k / complement_n
    alone = images_needed(complement_n, p, gap=gap, alpha=alpha)
    each = images_per_group(p, max(p - gap, 0.0) if p >= 0.5 else min(p + gap, 1.0), alpha=alpha)
    if each is None:  # a tolerance of almost 0: more than can be stated
        return None, None, False
    both = max(each - n, 0) + max(each - complement_n, 0)  # images to add in total in the second plan
    size, complement_too = (each, each > complement_n) if alone is None or alone - n > both else (alone, False)
    per_image = images / n if n > 0 else 1.0  # images per effective image of weights or clusters
    more = max(math.ceil((size - n) * per_image), options.min_group_size - images)
    if more <= 0:
        return None, None, False
    more, clusters = _in_clusters(untested.estimates, i, more, size)
    return more, clusters, complement_too


def _in_clusters(estimates: RateEstimates, i: int, more: int, size: float) -> tuple[int, int | None]:
    """Return how many images to add to row i, and in how many clusters; from `size` where it has few clusters.

    Few clusters do not show how alike the images of one are, so `n_eff` says nothing about further ones.
    """
    if estimates.clusters is None or estimates.per_cluster is None:
        return more, None
    clusters = int(estimates.clusters[i])
    per_cluster = float(estimates.n[i]) / max(clusters, 1)  # images
    if clusters >= FEW_CLUSTERS:
        return more, math.ceil(more / per_cluster)
    needed = max(math.ceil(size / float(estimates.per_cluster[i])), FEW_CLUSTERS) - clusters
    return math.ceil(needed * max(per_cluster, 1.0)), needed


def _shrunk(untested: UntestedTable[RateEstimates], confidence: float) -> list[Estimate | None]:
    shown = np.flatnonzero(untested.assessed[:-1])
    estimates = untested.estimates
    result: list[Estimate | None] = [None] * len(estimates.n)
    rates = shrink(estimates.k_eff[shown], estimates.n_eff[shown], confidence)
    if rates is not None:
        for place, i in enumerate(shown):
            ends = (float(rates.rate[place]), float(rates.low[place]), float(rates.high[place]))
            result[int(i)] = Estimate(*ends, n=int(estimates.n[i]))
    return result


def _gap(untested: UntestedTable[RateEstimates], p_holm: float | None) -> Gap | None:
    if untested.gap is None or p_holm is None:
        return None
    shown = np.flatnonzero(untested.assessed[:-1])
    rates = untested.estimates.k_eff[shown] / untested.estimates.n_eff[shown]
    highest, lowest = float(rates.max()), float(rates.min())
    return Gap(
        highest=untested.membership.values[int(shown[rates.argmax()])],
        lowest=untested.membership.values[int(shown[rates.argmin()])],
        value=highest - lowest,
        ratio=lowest / highest if highest > 0 else None,
        error_ratio=(1 - lowest) / (1 - highest) if highest < 1 else None,
        expected=untested.gap.expected,
        p=untested.gap.p,
        p_holm=p_holm,
        exact=untested.gap.exact,
    )
