"""`assess_abstention`: risk against coverage, thresholds for a wanted risk, and what abstention does by group."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.audit import audit_predictions
from tlkit.audit.group_tables import GroupRow
from tlkit.audit.groups.group_columns import By
from tlkit.audit.options import AuditOptions
from tlkit.choices import ALPHA, CONFIDENCE, MIN_GROUP_SIZE, SEED, TOLERANCE, Verdict
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.stats.bootstrap import bootstrap_replicates
from tlkit.stats.brier import MOST_BLOCKS
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.clustered_risk import clustered_aurc, clustered_risk_at_coverage, weighted_ranking
from tlkit.stats.estimate import Estimate
from tlkit.stats.selective_risk import aurc, aurc_estimate, rank_by_confidence, risk_at_coverage, smallest_aurc
from tlkit.uncertainty.abstention_result import Abstention, GroupAbstention, JudgedThreshold, RiskPoint
from tlkit.uncertainty.group_rows import GroupRows, fixed_columns, group_rows, probabilities_of, require_judgeable
from tlkit.uncertainty.sampling import part_of, rate_of, with_units
from tlkit.uncertainty.val_scores import ValScores

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
RISKS = (0.05,)
REPLICATES = 4000
FEWEST_CLUSTERS = 5
"""With fewer clusters of a group or of its complement there is no interval of the change of the gap."""
NOBODY = "no image is answered"


def assess_abstention(
    predictions: Predictions,
    val: ValScores | None = None,
    *,
    risks: Sequence[float] = RISKS,
    delta: float = ALPHA,
    by: By | Sequence[By] = (),
    coverages: Sequence[float] = COVERAGES,
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
    min_group_size: int = MIN_GROUP_SIZE,
    cluster_by: str | None = None,
    weights: str | None = None,
    seed: int = SEED,
) -> Abstention:
    """Return risk and coverage of a model that abstains where its confidence is low, overall and by group.

    Thresholds are chosen on `val` alone and judged on the predictions, which must be of other images. By group, three
    things are compared with the complement: how often an image is answered; the risk among those that are; and how
    far abstention changes the group's disadvantage in risk, which it can widen (Jones, Sagawa, Koh, Kumar & Liang 2021,
    Selective classification can magnify disparities across groups, ICLR).

    Args:
        predictions: with labels and probabilities.
        val: scores of the validation images; None = no thresholds, and nothing by group.
        risks: wanted risks, each in (0, 1); the groups are judged at the first that has a threshold.
        delta: chance that the guarantee of a threshold fails.
        by: group columns, as `tlkit.audit_groups` takes them.
        coverages: points of the curve, each in (0, 1].
        confidence: two-sided level of the intervals.
        tolerance: largest tolerated difference between a group and its complement.
        min_group_size: smaller groups get no rate and no verdict.
        cluster_by: group column of the clusters, such as the subject or the burst: every interval allows for the
            correlation of images within a cluster, as the audit's do.
        weights: group column of numbers of at least 0 that weight the images in every figure. The guarantee of a
            threshold takes the validation images as independent all the same.
        seed: seed of the bootstrap.

    Raises:
        PredictionsError: labels or probabilities lack, a column is missing, a number is out of its range, or `val` is
            of other classes.
    """
    _check(risks=risks, coverages=coverages, delta=delta, confidence=confidence)
    labelled = require_judgeable(predictions, by)
    if val is not None and val.classes != labelled.classes:
        raise PredictionsError("The validation predictions hold other classes than those to judge. Use one model's.")
    unlabelled = len(predictions) - len(labelled)
    labelled, units = with_units(labelled, by=by, cluster_by=cluster_by, weights=weights)
    proba = probabilities_of(labelled)
    sure, right = np.asarray(proba[np.arange(len(labelled)), labelled.y_pred]), labelled.correct
    thresholds = (
        tuple(
            _judged(val, risk, delta=delta, sure=sure, right=right, units=units, confidence=confidence)
            for risk in risks
        )
        if val is not None
        else ()
    )
    chosen = next((one for one in thresholds if one.chosen.threshold is not None), None)
    groups: tuple[GroupAbstention, ...] = ()
    if by and chosen is not None and chosen.chosen.threshold is not None:
        options = AuditOptions(
            columns=fixed_columns(labelled, by),
            confidence=confidence,
            tolerance=tolerance,
            min_group_size=min_group_size,
            max_intersection_order=1,
            cluster_by=cluster_by,
            weights=weights,
            seed=seed,
        )
        groups = _by_group(labelled, sure > chosen.chosen.threshold, units, options)
    curve = _curve(sure, right, units, coverages=coverages, confidence=confidence)
    return Abstention(
        n=len(labelled),
        n_unlabelled=unlabelled,
        n_val=None if val is None else len(val),
        val_chose_epoch=val is not None and val.chose_epoch,
        confidence=confidence,
        tolerance=tolerance,
        error=rate_of(~right, units, confidence),
        aurc=curve.area,
        smallest_aurc=curve.smallest_area,
        curve=curve.points,
        ranked=curve.ranked,
        thresholds=thresholds,
        by_group_at=None if chosen is None or not groups else chosen.chosen.risk,
        groups=groups,
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )


@dataclass(frozen=True, eq=False)
class _Curve:
    """The risk–coverage curve: its area, the smallest possible one, points, and all thresholds."""

    area: Estimate
    smallest_area: float
    points: tuple[RiskPoint, ...]
    ranked: tuple[Floats, Floats]


def _curve(sure: Floats, right: Mask, units: Units | None, *, coverages: Sequence[float], confidence: float) -> _Curve:
    n = len(sure)
    if units is not None:
        weight = units.weight
        area, best = aurc(sure, right, weight), aurc(right, right, weight)
        assert area is not None and best is not None, "there are images"
        weighted = weighted_ranking(sure, right, weight)
        found = [clustered_risk_at_coverage(sure, right, share, units, confidence) for share in coverages]
        return _Curve(
            clustered_aurc(sure, right, units, value=area, level=confidence),
            best,
            tuple(RiskPoint(share, least, risk) for share, (risk, least) in zip(coverages, found, strict=True)),
            (weighted.weight / weighted.weight[-1], weighted.errors / weighted.weight),
        )
    ranking = rank_by_confidence(sure, right)
    ends = [np.searchsorted(ranking.images, min(n, np.ceil(share * n))) for share in coverages]
    return _Curve(
        aurc_estimate(sure, right, confidence),
        smallest_aurc(int((~right).sum()), n),
        tuple(
            RiskPoint(share, float(ranking.confidence[end]), risk_at_coverage(sure, right, share, confidence))
            for share, end in zip(coverages, ends, strict=True)
        ),
        (ranking.images / n, ranking.errors / ranking.images),
    )


def _check(*, risks: Sequence[float], coverages: Sequence[float], delta: float, confidence: float) -> None:
    named = [("A wanted risk", one) for one in risks] + [("delta", delta), ("confidence", confidence)]
    problems = [
        f"{name} must be above 0 and below 1, for example 0.05. Got {value} instead."
        for name, value in named
        if not 0 < value < 1
    ]
    problems += [
        f"A coverage must be above 0 and at most 1, for example 0.8. Got {value} instead."
        for value in coverages
        if not 0 < value <= 1
    ]
    if problems:
        raise PredictionsError(*problems)


def _judged(
    val: ValScores, risk: float, *, delta: float, sure: Floats, right: Mask, units: Units | None, confidence: float
) -> JudgedThreshold:
    """Return the threshold for a risk, with its coverage and risk on the images to judge."""
    chosen = val.threshold(risk, delta=delta)
    if chosen.threshold is None:
        nothing = Estimate(None, None, None, n=0, note="no threshold")
        return JudgedThreshold(chosen, nothing, nothing)
    answered = sure > chosen.threshold
    coverage = rate_of(answered, units, confidence)
    risk_here = rate_of(~right[answered], part_of(units, answered), confidence, nothing=NOBODY)
    return JudgedThreshold(chosen, coverage, risk_here)


def _by_group(
    labelled: Predictions, answered: Mask, units: Units | None, options: AuditOptions
) -> tuple[GroupAbstention, ...]:
    """Return coverage, risk and the change of the gap of each group.

    Coverage and risk are audited as accuracies are: Newcombe's interval against the complement, Fisher's test, Holm's
    correction over the groups of all columns, three verdicts. For coverage "right" means answered.
    """
    groups = list(group_rows(labelled, options.columns))
    asked = replace(labelled, y_true=np.zeros(len(labelled), dtype=np.int64), y_pred=(~answered).astype(np.int64))
    asked = replace(asked, classes=("answered", "not answered"), proba=None)
    coverage = _audited(asked, options)
    risk = _audited(labelled.take(answered), options) if answered.any() else {}
    tests = sum(one.group != "(missing)" for one in groups)
    found = []
    for one in groups:
        own = coverage.get((one.column, one.group))
        its = risk.get((one.column, one.group))
        part = int((one.rows & answered).sum())
        before, after, change, verdict = _gap_change(labelled, answered, one, units, options, tests=max(1, tests))
        found.append(
            GroupAbstention(
                column=one.column,
                group=one.group,
                n=int(one.rows.sum()),
                answered=part,
                coverage=_rate_of(own, int(one.rows.sum())),
                coverage_gap=None if own is None else own.difference,
                coverage_verdict=None if own is None else own.verdict,
                error=rate_of(~labelled.correct[one.rows], part_of(units, one.rows), options.confidence),
                risk=_one_minus(_rate_of(its, part)),
                risk_gap=None if its is None or its.difference is None else _negated(its.difference),
                risk_verdict=None if its is None else its.verdict,
                gap_before=before,
                gap_after=after,
                gap_change=change,
                change_verdict=verdict,
            )
        )
    return tuple(found)


def _audited(predictions: Predictions, options: AuditOptions) -> dict[tuple[str, str], GroupRow]:
    """Return the audit's rows of accuracy by column and group."""
    columns = tuple(spec for spec in options.columns if predictions.groups[spec.column].notna().any())
    if not columns:
        return {}
    audit = audit_predictions(predictions, replace(options, columns=columns), level=logging.DEBUG)
    return {(table.columns[0], row.name): row for table in audit.group_tables for row in table.rows}


def _gap_change(
    labelled: Predictions, answered: Mask, one: GroupRows, units: Units | None, options: AuditOptions, *, tests: int
) -> tuple[float | None, float | None, Estimate, Verdict | None]:
    """Return the group's risk minus the complement's without and with abstention, and how its disadvantage grows.

    The interval is the percentile bootstrap of the counts by group, answered and right, in which the two gaps are
    paired; of whole clusters where images are clustered. The verdict rests on an interval at the level
    1 − alpha / tests (Bonferroni): FAIL = the disadvantage grows; PASS = it grows by less than the tolerance.
    """
    known = _complement(labelled, one)
    cells = np.where(one.rows, 0, 4) + 2 * answered + ~labelled.correct
    counts = np.bincount(cells[one.rows | known], minlength=8).astype(np.int64)
    n = int(counts.sum())
    group, rest = int(counts[2:4].sum()), int(counts[6:8].sum())
    least = options.min_group_size
    if one.group == "(missing)" or min(group, rest) < least:
        few = f"{min(group, rest)} answered images, of {least} at least"
        return None, None, Estimate(None, None, None, n=n, note=few), None
    rng = np.random.default_rng(options.seed)
    if units is None:
        value = _gaps(counts[None])[0]
        drawn = bootstrap_replicates(counts, _gaps, rng=rng, replicates=REPLICATES)
    else:
        compared = one.rows | known
        table = units.take(compared).summed(cells[compared], 8)
        value, drawn = _gaps(table.sum(axis=0)[None])[0], _cluster_replicates(table, rng)
        if min(units.take(one.rows).clusters, units.take(known).clusters) < FEWEST_CLUSTERS:
            drawn = drawn[:0]
    change = _growth(drawn)
    grown = float(_growth(value[None])[0])
    kept = change[np.isfinite(change)]
    if not len(kept) or len(kept) < 0.95 * len(change) or kept.std() == 0:
        nothing = Estimate(grown, None, None, n=n, note="not enough data for an interval")
        return float(value[0]), float(value[1]), nothing, "NOT ENOUGH DATA"
    tail = (1 - options.confidence) / 2
    low, high, strict_low, strict_high = np.quantile(
        kept, [tail, 1 - tail, options.alpha / 2 / tests, 1 - options.alpha / 2 / tests]
    )
    verdict: Verdict = "NOT ENOUGH DATA"
    if strict_low > 0:
        verdict = "FAIL"
    elif strict_high < options.tolerance:
        verdict = "PASS"
    return float(value[0]), float(value[1]), Estimate(grown, float(low), float(high), n=n), verdict


def _complement(labelled: Predictions, one: GroupRows) -> Mask:
    """Return the other images whose value of the column is known."""
    return np.asarray(labelled.groups[one.column].notna().to_numpy(dtype=np.bool_) & ~one.rows)


def _cluster_replicates(table: Floats, rng: np.random.Generator) -> Floats:
    """Return `_gaps` of resamples of the clusters, shape (replicates, 2); `table` (M, 8) holds their weighted counts.

    More than 500 clusters are resampled in random blocks.
    """
    blocks = min(len(table), MOST_BLOCKS)
    sums = np.zeros((blocks, table.shape[1]))
    np.add.at(sums, rng.permutation(len(table)) % blocks, table)
    times = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=REPLICATES)
    return _gaps(times @ sums)


def _gaps(counts: Floats | Ints) -> Floats:
    """Return the gap in risk without and with abstention, shape (B, 2), of counts (B, 8) by group, answered, wrong."""
    table = counts.reshape(len(counts), 2, 2, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        every = table[..., 1].sum(axis=2) / table.sum(axis=(2, 3))
        kept = table[:, :, 1, 1] / table[:, :, 1].sum(axis=2)
    return np.stack([every[:, 0] - every[:, 1], kept[:, 0] - kept[:, 1]], axis=1)


def _growth(gaps: Floats) -> Floats:
    """Return the growth of the disadvantage, the part of a gap above 0, shape (B,), of gaps without and with (B, 2)."""
    disadvantage = np.maximum(gaps, 0.0)  # NaN stays NaN
    return np.asarray(disadvantage[:, 1] - disadvantage[:, 0])


def _rate_of(row: GroupRow | None, n: int) -> Estimate:
    if row is None:
        return Estimate(None, None, None, n=n, note=NOBODY if n == 0 else f"n = {n}")
    return row.rate


def _one_minus(rate: Estimate) -> Estimate:
    low, high = (None if end is None else 1 - end for end in (rate.high, rate.low))
    return replace(rate, value=None if rate.value is None else 1 - rate.value, low=low, high=high)


def _negated(difference: Estimate) -> Estimate:
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    return replace(difference, value=None if difference.value is None else -difference.value, low=low, high=high)
