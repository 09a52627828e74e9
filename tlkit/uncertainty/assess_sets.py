"""`assess_sets`: coverage and size of conformal prediction sets, overall, by class and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.group_tables import MISSING
from tlkit.audit.groups.group_columns import By
from tlkit.choices import ALPHA, CONFIDENCE, COVERAGE, MIN_GROUP_SIZE, SET_METHOD, TOLERANCE, SetMethod, Verdict
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import effective_rate
from tlkit.predictions import Predictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.conformal import conformal_quantile, fewest_images, nonconformity, sets_of
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.selective_risk import binomial_tail
from tlkit.uncertainty.conformal_result import CONDITIONS, Condition, ConformalSets, SetCoverage
from tlkit.uncertainty.group_rows import GroupRows, fixed_columns, group_rows, probabilities_of, require_judgeable
from tlkit.uncertainty.sampling import mean_of, part_of, rate_of, with_units
from tlkit.uncertainty.val_scores import ValScores


def assess_sets(
    predictions: Predictions,
    val: Predictions | ValScores,
    *,
    coverage: float = COVERAGE,
    method: SetMethod = SET_METHOD,
    condition: Condition = "none",
    by: By | Sequence[By] = (),
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
    min_group_size: int = MIN_GROUP_SIZE,
    cluster_by: str | None = None,
    weights: str | None = None,
) -> ConformalSets:
    """Return coverage and size of split-conformal sets that were calibrated on `val` and are judged on other images.

    Args:
        predictions: with labels and probabilities.
        val: the validation predictions of the same model, or their scores; condition "group" needs the predictions,
            with the group column.
        coverage: wanted coverage, in (0, 1).
        method: lac, aps or raps; see `tlkit.stats.conformal.nonconformity`.
        condition: "none" = one limit; "class" = one for each class, so that the coverage holds for the images of each;
            "group" = one for each group of the first column of `by`, so that it holds within each. An image without a
            value of that column has the limit of all images.
        by: group columns, as `tlkit.audit_groups` takes them.
        confidence: two-sided level of the intervals.
        tolerance: by how much coverage may fall short before a group fails.
        min_group_size: smaller groups get no verdict.
        cluster_by: group column of the clusters, such as the subject or the burst: every interval allows for the
            correlation of images within a cluster, as the audit's do.
        weights: group column of numbers of at least 0 that weight the images in every figure. The guarantee of the
            sets takes the validation images as exchangeable with the judged ones all the same.

    Raises:
        PredictionsError: labels, probabilities or a column lack, a number is out of range, or the classes differ.
    """
    labelled = require_judgeable(predictions, by)
    labelled, units = with_units(labelled, by=by, cluster_by=cluster_by, weights=weights)
    scores = val if isinstance(val, ValScores) else ValScores.of(val)
    if scores.classes != labelled.classes:
        raise PredictionsError("The validation predictions hold other classes than those to judge. Use one model's.")
    if condition not in CONDITIONS:
        raise PredictionsError(f"There is no condition {condition!r}. Use {', '.join(CONDITIONS)}.")
    limits: Floats = scores.limits(coverage, method, by_class=condition == "class")
    groups = list(group_rows(labelled, fixed_columns(labelled, by))) if by else []
    unbounded = [labelled.classes[code] for code in np.flatnonzero(np.isinf(limits))] if condition == "class" else []
    if condition == "group":
        limits, unbounded = _group_limits(labelled, val, scores, coverage=coverage, method=method, by=by)
    held = sets_of(nonconformity(probabilities_of(labelled), method), limits)
    covered, size = held[np.arange(len(labelled)), labelled.y_true], held.sum(axis=1)
    names = [GroupRows("", "", np.ones(len(labelled), dtype=np.bool_))]
    classes = [GroupRows("", name, labelled.y_true == code) for code, name in enumerate(labelled.classes)]

    def judged(rows: Sequence[GroupRows]) -> tuple[SetCoverage, ...]:
        p = holm(
            [_too_low(covered[one.rows], part_of(units, one.rows), coverage, min_group_size, one.group) for one in rows]
        )
        return tuple(
            _coverage_of(
                one, covered, size, units, adjusted, wanted=coverage, confidence=confidence, tolerance=tolerance
            )
            for one, adjusted in zip(rows, p, strict=True)
        )

    return ConformalSets(
        classes=labelled.classes,
        n=len(labelled),
        n_val=len(scores),
        val_chose_epoch=scores.chose_epoch,
        method=method,
        condition=condition,
        wanted=coverage,
        confidence=confidence,
        tolerance=tolerance,
        unbounded=tuple(unbounded),
        needed=fewest_images(coverage),
        sizes=tuple(int(count) for count in np.bincount(size, minlength=len(labelled.classes) + 1)),
        rows=(*judged(names), *judged(groups)),
        per_class=judged(classes),
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )


def _group_limits(
    labelled: Predictions,
    val: Predictions | ValScores,
    scores: ValScores,
    *,
    coverage: float,
    method: SetMethod,
    by: By | Sequence[By],
) -> tuple[Floats, list[str]]:
    """Return the limit of each image, shape (N, 1), by its group, and the groups whose sets hold every class."""
    if not by or isinstance(val, ValScores):
        raise PredictionsError(
            "Sets by group need a group column (--by COLUMN), and validation predictions that have it too."
        )
    column = fixed_columns(labelled, by)[:1]
    known = require_judgeable(val, column)
    by_name = {one.group: one.rows for one in group_rows(known, column)}
    limits = np.full((len(labelled), 1), conformal_quantile(scores.scores[method], coverage))
    unbounded = []
    for one in group_rows(labelled, column):
        if one.group == MISSING:
            continue
        rows = by_name.get(one.group, np.zeros(len(known), dtype=np.bool_))
        limits[one.rows] = conformal_quantile(scores.scores[method][rows], coverage)
        if np.isinf(limits[one.rows]).all():
            unbounded.append(one.group)
    return limits, unbounded


def _too_low(covered: Mask, units: Units | None, wanted: float, least: int, name: str) -> float | None:
    """Return the p-value of the binomial test that the coverage is at least the wanted one; None = no test.

    It is exact for independent images. Weighted or clustered ones count as many as they are worth (`effective_size`).
    """
    if len(covered) < least or name == MISSING:
        return None
    if units is not None:
        if units.why_unknown:
            return None
        rate, worth = effective_rate(covered, units, CONFIDENCE)
        return float(binomial_tail(rate * worth, worth, wanted))
    return float(binomial_tail(covered.sum(), len(covered), wanted))


def _coverage_of(
    one: GroupRows,
    covered: Mask,
    size: Ints,
    units: Units | None,
    p: float | None,
    *,
    wanted: float,
    confidence: float,
    tolerance: float,
) -> SetCoverage:
    n, part = int(one.rows.sum()), part_of(units, one.rows)
    rate = rate_of(covered[one.rows], part, confidence)
    verdict: Verdict | None = None
    if p is not None:
        verdict = "NOT ENOUGH DATA"
        if p < ALPHA and rate.is_below(wanted):
            verdict = "FAIL"
        elif rate.low is not None and rate.low > wanted - tolerance:
            verdict = "PASS"
    own = size[one.rows]
    mean = Estimate(None, None, None, n=0, note="no images")
    if n:
        found = mean_of(own.astype(np.float64), part, confidence, lowest=-np.inf)  # sizes are no losses: no log scale
        mean = replace(found, low=None if found.low is None else max(0.0, found.low))
    return SetCoverage(
        column=one.column,
        group=one.group,
        n=n,
        coverage=rate,
        p_holm=p,
        verdict=verdict,
        size=mean,
        single=rate_of(own == 1, part, confidence),
        empty=int((own == 0).sum()),
    )
