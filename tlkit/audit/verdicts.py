"""From comparisons to verdicts: corrected over the whole audit, with what the data could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from tlkit.audit.group_tables import Gap, Group, GroupRow, GroupTable, Verdict
from tlkit.audit.group_vs_rest import UntestedTable
from tlkit.audit.options import AuditOptions
from tlkit.audit.row_intervals import difference_estimate, rate_estimate, ratio_estimate
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.power import detectable_gap, images_needed, images_per_group
from tlkit.stats.shrinkage import shrink


def assign_verdicts(drafts: Sequence[UntestedTable], options: AuditOptions) -> tuple[tuple[GroupTable, ...], int]:
    """Correct all tests together (Holm) and return the tables with their verdicts, and the number of tests."""
    family = [p for draft in drafts for p in draft.family]
    tests = sum(p is not None for p in family)
    adjusted = iter(holm(family))
    gap_p = iter(holm([None if draft.gap is None else draft.gap.p for draft in drafts]))
    tables = [_table(draft, [next(adjusted) for _ in draft.p], next(gap_p), max(tests, 1), options) for draft in drafts]
    return tuple(tables), tests


def verdict(difference: Estimate | None, p_holm: float | None, *, tolerance: float, alpha: float) -> Verdict:
    """Return FAIL, PASS or NOT ENOUGH DATA for a difference from the rest.

    FAIL asks for both the interval and the test, so that neither a wide interval nor a trifling but certain
    difference fails; PASS asks for the whole interval (two one-sided tests; Schuirmann 1987, J. Pharmacokinetics and
    Biopharmaceutics 15:657), so that a small sample never passes for lack of evidence.

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
    draft: UntestedTable, adjusted: list[float | None], gap_p: float | None, tests: int, options: AuditOptions
) -> GroupTable:
    p_holm, shrunk = draft.spread(adjusted), _shrunk(draft, options.confidence)
    gap = _gap(draft, gap_p)
    best, strictest = _best(draft, gap), options.alpha / tests
    groups: list[Group | None] = [*draft.cells.values, None]
    return GroupTable(
        columns=draft.cells.columns,
        metric=draft.rate.metric,
        class_name=draft.rate.class_name,
        rows=tuple(
            _row(draft, i, group, p_holm=p_holm[i], shrunk=shrunk[i], best=best, strictest=strictest, options=options)
            for i, group in enumerate(groups)
            if group is not None or draft.images[i] > 0
        ),
        gap=gap,
        note=_note(draft, options),
    )


def _row(
    draft: UntestedTable,
    i: int,
    group: Group | None,
    *,
    p_holm: float | None,
    shrunk: Estimate | None,
    best: int | None,
    strictest: float,
    options: AuditOptions,
) -> GroupRow:
    minus = partial(difference_estimate, draft.sample, i, confidence=options.confidence, guaranteed=options.guaranteed)
    over = partial(ratio_estimate, draft.sample, i, confidence=options.confidence)
    rate = _rate(draft, i, options)
    difference = minus() if draft.tested[i] else None
    decided = None
    if draft.judged[i]:
        decided = verdict(difference, p_holm, tolerance=options.tolerance, alpha=options.alpha)
    undecided = decided == "NOT ENOUGH DATA"
    more, rest_too = _needed(draft, i, strictest, options) if undecided else (None, False)
    rival = best if best is not None and best != i and group is not None and draft.assessed[i] else None
    return GroupRow(
        group=group,
        images=int(draft.images[i]),
        rate=rate,
        difference=difference,
        ratio=over() if draft.tested[i] else None,
        error_ratio=over(errors=True) if draft.tested[i] else None,
        best_difference=None if rival is None else minus(best=rival),
        best_ratio=None if rival is None else over(best=rival),
        best_error_ratio=None if rival is None else over(best=rival, errors=True),
        base_rate=_base_rate(draft, i, options),
        p=draft.p[i],
        p_holm=p_holm,
        verdict=decided,
        detectable_gap=_detectable(draft, i, strictest),
        images_needed=more,
        rest_needed=rest_too,
        shrunk=shrunk,
        mean_confidence=_mean_confidence(draft, i),
        wide=rate.is_wide(options.max_half_width),
        n_eff=None if options.test_name == "Fisher" else float(draft.sample.n_eff[i]),
    )


def _rate(draft: UntestedTable, i: int, options: AuditOptions) -> Estimate:
    """Return the rate of row i with its interval, or why there is none."""
    n = int(draft.sample.n[i])
    if n == 0:
        return Estimate(None, None, None, n=0, note=draft.rate.nothing)
    if n < options.min_group_size:
        return Estimate(None, None, None, n=n, note=f"n = {n}, fewer than {options.min_group_size}")
    return rate_estimate(draft.sample, i, confidence=options.confidence, guaranteed=options.guaranteed)


def _base_rate(draft: UntestedTable, i: int, options: AuditOptions) -> Estimate | None:
    """Return the share of a group's images that are of the rate's class."""
    if draft.truly is None or draft.images[i] < options.min_group_size:
        return None
    if draft.shares is not None:
        return rate_estimate(draft.shares, i, confidence=options.confidence)
    return wilson(int(draft.truly[i]), int(draft.images[i]), options.confidence)


def _best(draft: UntestedTable, gap: Gap | None) -> int | None:
    """Return the row of the group that is best off."""
    if gap is None:
        return None
    return draft.cells.values.index(gap.lowest if draft.rate.metric == "false_positive_rate" else gap.highest)


def _mean_confidence(draft: UntestedTable, i: int) -> float | None:
    return float(draft.mean_confidence[i]) if draft.mean_confidence is not None and draft.assessed[i] else None


def _detectable(draft: UntestedTable, i: int, alpha: float) -> float | None:
    """Return the gap that the images of row i could have shown."""
    if not draft.tested[i]:
        return None
    _, n, rest_k, rest_n = (float(side[i]) for side in draft.sample.sides)
    return detectable_gap(rest_n, n, rest_k / rest_n, alpha=alpha)


def _needed(draft: UntestedTable, i: int, alpha: float, options: AuditOptions) -> tuple[int | None, bool]:
    """Return how many more images of row i would show a gap as large as the tolerance, and if the rest must grow.

    Of the two ways, that which takes fewer images in all: this group alone grows, or both sides have one size.
    """
    _, n, rest_k, rest_n = (float(side[i]) for side in draft.sample.sides)
    gap, images = options.tolerance, int(draft.sample.n[i])
    if rest_n == 0 or gap == 0:
        return None, False
    p = rest_k / rest_n
    alone = images_needed(rest_n, p, gap=gap, alpha=alpha)
    each = images_per_group(p, max(p - gap, 0.0) if p >= 0.5 else min(p + gap, 1.0), alpha=alpha)
    assert each is not None, "the gap is not 0"
    both = max(each - n, 0) + max(each - rest_n, 0)  # images to gather where the rest may grow, too
    size, rest_too = (each, each > rest_n) if alone is None or alone - n > both else (alone, False)
    per_image = images / n if n > 0 else 1.0  # weighted or clustered images say less than independent ones
    more = max(math.ceil((size - n) * per_image), options.min_group_size - images)
    return (more, rest_too) if more > 0 else (None, False)


def _shrunk(draft: UntestedTable, confidence: float) -> list[Estimate | None]:
    shown = np.flatnonzero(draft.assessed[:-1])
    sample = draft.sample
    result: list[Estimate | None] = [None] * len(sample.n)
    rates = shrink(sample.k_eff[shown], sample.n_eff[shown], confidence)
    if rates is not None:
        for place, i in enumerate(shown):
            ends = (float(rates.rate[place]), float(rates.low[place]), float(rates.high[place]))
            result[int(i)] = Estimate(*ends, n=int(sample.n[i]))
    return result


def _gap(draft: UntestedTable, p_holm: float | None) -> Gap | None:
    if draft.gap is None or p_holm is None:
        return None
    shown = np.flatnonzero(draft.assessed[:-1])
    rates = draft.sample.k_eff[shown] / draft.sample.n_eff[shown]
    highest, lowest = float(rates.max()), float(rates.min())
    return Gap(
        highest=draft.cells.values[int(shown[rates.argmax()])],
        lowest=draft.cells.values[int(shown[rates.argmin()])],
        value=highest - lowest,
        ratio=lowest / highest if highest > 0 else None,
        error_ratio=(1 - lowest) / (1 - highest) if highest < 1 else None,
        expected=draft.gap.expected,
        p=draft.gap.p,
        p_holm=p_holm,
        exact=draft.gap.exact,
    )


def _note(draft: UntestedTable, options: AuditOptions) -> str:
    seen, shown = np.count_nonzero(draft.images[:-1]), np.count_nonzero(draft.assessed[:-1])
    notes = []
    if seen == 0:
        notes.append("No image has a value, so there is no gap to measure.")
    elif seen == 1:
        only = draft.cells.values[int(np.flatnonzero(draft.images[:-1])[0])]
        notes.append(f"There is only one group ({', '.join(only)}), so there is no gap to measure.")
    elif shown < 2 <= np.count_nonzero(draft.sample.n[:-1] >= options.min_group_size):
        why = "no weight" if options.cluster_by is None and options.pair_by is None else "images of one cluster only"
        notes.append(
            f"Fewer than two groups can be compared, because others have {why}, so there is no gap to measure."
        )
    elif shown < 2:
        notes.append(
            f"Fewer than two groups have {options.min_group_size} images or more to take the rate of, so there is no "
            "gap to measure."
        )
    if draft.cells.unlisted:
        notes.append(f"{draft.cells.unlisted} empty combinations are not listed.")
    return " ".join(notes)
