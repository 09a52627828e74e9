"""Calibration, abstention and sets of clustered and weighted images: copies, statsmodels, plain resampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from messages import saying
from tables_of_predictions import predictions_of

from tlkit.errors import PredictionsError
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.clustered_reliability import clustered_calibration_errors
from tlkit.stats.clustered_risk import clustered_aurc, clustered_risk_at_coverage
from tlkit.stats.reliability import calibration_errors
from tlkit.stats.selective_risk import aurc, aurc_estimate, risk_at_coverage
from tlkit.uncertainty import assess_abstention, assess_calibration, assess_sets
from tlkit.uncertainty.sampling import mean_of, rate_of
from tlkit.uncertainty.val_scores import ValScores


def draw(clusters, size, seed, *, shared=1.0, classes=3):
    """Images in clusters that share how hard they are, and so whether they are right; `g` halves the clusters."""
    rng = np.random.default_rng(seed)
    n = clusters * size
    subject = np.repeat(np.arange(clusters), size)
    hard = shared * rng.normal(size=clusters)[subject]
    truth, scores = rng.integers(0, classes, n), rng.normal(size=(n, classes))
    scores[np.arange(n), truth] += 1.5 + hard
    proba = np.exp(scores)
    return predictions_of(
        truth,
        classes=("x", "y", "z")[:classes],
        proba=proba / proba.sum(axis=1, keepdims=True),
        subject=[f"s{one}" for one in subject],
        g=np.where(subject % 2, "a", "b"),
        w=rng.integers(1, 4, n).astype(str),
    )


def copied(one, times):
    """Each image `times` times, its copies in one cluster."""
    rows = np.repeat(np.arange(len(one)), times)
    found = one.take(rows)
    groups = found.groups.assign(subject=[f"c{row}" for row in rows])
    return replace(found, path=np.array([f"{place}.jpg" for place in range(len(rows))]), groups=groups)


def ends(*estimates):
    return [value for one in estimates for value in (one.value, one.low, one.high)]


def test_copies_in_clusters_change_no_figure_that_rests_on_clusters():
    plain = draw(150, 1, 0)
    alone = replace(plain, groups=plain.groups.assign(subject=[f"c{row}" for row in range(len(plain))]))
    both = [assess_calibration(one, by="g", cluster_by="subject") for one in (alone, copied(plain, 4))]
    for one, two in zip(both[0].rows, both[1].rows, strict=True):
        figures = (ends(row.excess, row.log_loss, row.brier) for row in (one, two))
        assert next(figures) == pytest.approx(next(figures), abs=2e-3)  # an effective size counts images in t of n − 1
        assert (one.error.bins, one.error.plain) == pytest.approx((two.error.bins, two.error.plain))
        assert ends(one.error.debiased) == pytest.approx(ends(two.error.debiased), abs=0.02)  # other random numbers
    both = [assess_abstention(one, cluster_by="subject") for one in (alone, copied(plain, 4))]
    assert ends(both[0].error) == pytest.approx(ends(both[1].error), rel=0.01)  # Student's t of more images
    assert ends(both[0].aurc) == pytest.approx(ends(both[1].aurc), rel=0.02)  # a mean over four times as many ranks
    val = draw(200, 1, 1)
    both = [assess_sets(one, val, cluster_by="subject") for one in (alone, copied(plain, 4))]
    assert ends(both[0].overall.coverage, both[0].overall.size) == pytest.approx(
        ends(both[1].overall.coverage, both[1].overall.size), rel=0.01
    )
    assert both[0].overall.p_holm == pytest.approx(both[1].overall.p_holm, rel=0.05)


def test_means_have_the_cluster_robust_error_of_statsmodels():
    """Clusters of equal size: the linearised variance is CR1 with M/(M − 1), and the degrees of freedom are M − 1."""
    one = draw(30, 6, 2)
    found = assess_calibration(one, cluster_by="subject").overall
    sure = one.confidence
    unit = one.groups["subject"].str[1:].astype(int).to_numpy()
    fit = sm.OLS(sure - one.correct, np.ones(len(one))).fit(cov_type="cluster", cov_kwds={"groups": unit}, use_t=True)
    correction = np.sqrt((len(one) - 1) / len(one))  # statsmodels' (n − 1)/(n − 1 parameter) beside M/(M − 1)
    assert found.excess.value == pytest.approx(float(fit.params[0]))
    half = (found.excess.high - found.excess.low) / 2
    robust = float(np.diff(fit.conf_int(0.05)[0])[0]) / 2
    assert half >= robust * correction * 0.999  # kurtosis may lower the degrees of freedom
    assert half == pytest.approx(robust, rel=0.1)


def test_intervals_of_single_images_as_clusters_are_about_those_of_independent_images():
    one = draw(900, 1, 3)
    units = Units(np.ones(900), np.arange(900))
    sure, right = one.confidence, one.correct
    free, own = aurc_estimate(sure, right), clustered_aurc(sure, right, units, value=aurc_estimate(sure, right).value)
    assert ends(own) == pytest.approx(ends(free), rel=0.03)
    for coverage in (0.5, 0.8, 1.0):
        free, (own, _) = (
            risk_at_coverage(sure, right, coverage),
            clustered_risk_at_coverage(sure, right, coverage, units),
        )
        assert ends(own) == pytest.approx(ends(free), abs=0.004) and own.n == free.n
    free, own = calibration_errors(sure, right), clustered_calibration_errors(sure, right, units)
    assert own.plain == pytest.approx(free.plain)
    assert ends(own.debiased) == pytest.approx(ends(free.debiased), abs=0.012)
    assert own.chance == pytest.approx(free.chance, abs=0.006)


def test_weights_are_images_that_are_there_several_times():
    one = draw(120, 2, 4)
    times = one.groups["w"].astype(int).to_numpy()
    rows = np.repeat(np.arange(len(one)), times)
    sure, right = one.confidence, one.correct
    found, many = assess_calibration(one, weights="w").overall, assess_calibration(one.take(rows)).overall
    assert found.log_loss.value == pytest.approx(many.log_loss.value)
    assert found.excess.value == pytest.approx(many.excess.value)
    found = assess_abstention(one, weights="w")
    assert found.error.value == pytest.approx(np.average(~right, weights=times))
    assert found.aurc.value == pytest.approx(aurc(sure, right, times.astype(float)))
    assert found.curve[0].risk.value == pytest.approx(found.error.value)
    assert found.weights == "w" and found.clusters is None
    val = draw(200, 1, 5)
    sets = assess_sets(one, val, weights="w").overall
    assert sets.size.value == pytest.approx(assess_sets(one.take(rows), val).overall.size.value)
    assert sets.coverage.value == pytest.approx(assess_sets(one.take(rows), val).overall.coverage.value)


def resample(one, rng, unit, count):
    """Rows of a plain bootstrap of whole clusters."""
    members = [np.flatnonzero(unit == cluster) for cluster in range(count)]
    return np.concatenate([members[cluster] for cluster in rng.integers(0, count, count)])


def test_the_errors_of_clusters_are_those_of_a_plain_bootstrap_of_clusters():
    one = draw(60, 8, 6)
    unit = np.repeat(np.arange(60), 8)
    units, sure, right = Units(np.ones(len(one)), unit), one.confidence, one.correct
    rng = np.random.default_rng(0)
    area, risk = [], []
    for _ in range(300):
        rows = resample(one, rng, unit, 60)
        area.append(aurc_estimate(sure[rows], right[rows]).value)
        risk.append(risk_at_coverage(sure[rows], right[rows], 0.7).value)
    found = clustered_aurc(sure, right, units, value=aurc_estimate(sure, right).value)
    log_half = np.log(found.high / found.value)
    assert log_half / 2.0 == pytest.approx(np.std(np.log(area)), rel=0.25)
    found, _ = clustered_risk_at_coverage(sure, right, 0.7, units)
    assert (found.high - found.low) / 4 == pytest.approx(np.std(risk), rel=0.25)
    wider = clustered_calibration_errors(sure, right, units).debiased
    narrow = calibration_errors(sure, right).debiased
    assert wider.high - wider.value > narrow.high - narrow.value


@pytest.mark.parametrize("sets", [60, pytest.param(2000, marks=pytest.mark.series)])
def test_intervals_of_clustered_images_hold_the_truth(sets):
    """Design effects are large: without clusters the intervals of error and risk hold it in about two of three sets."""
    large = draw(20_000, 3, 99)
    sure, right = large.confidence, large.correct
    keep = np.quantile(sure, 0.3)
    truth = {
        "excess": float((sure - right).mean()),
        "error": float((~right).mean()),
        "risk": float((~right)[sure > keep].mean()),
        "aurc": aurc_estimate(sure, right).value,
    }
    held, free = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    units = Units(np.ones(400), np.repeat(np.arange(40), 10))
    for seed in range(sets):
        one = draw(40, 10, seed)
        sure, right = one.confidence, one.correct
        area = aurc_estimate(sure, right)
        pairs = {
            "excess": [mean_of(sure - right, part, 0.95, lowest=-1.0) for part in (units, None)],
            "error": [rate_of(~right, part, 0.95) for part in (units, None)],
            "risk": [clustered_risk_at_coverage(sure, right, 0.7, units)[0], risk_at_coverage(sure, right, 0.7)],
            "aurc": [clustered_aurc(sure, right, units, value=area.value), area],
        }
        for name, both in pairs.items():
            for estimate, count in zip(both, (held, free), strict=True):
                count[name] += estimate.low <= truth[name] <= estimate.high
    print({name: count / sets for name, count in held.items()}, {name: count / sets for name, count in free.items()})
    slack = 2 * np.sqrt(0.05 * 0.95 / sets)
    assert all(0.93 - slack <= count / sets <= 0.98 + slack for count in held.values()), held
    assert free["error"] < held["error"]


@pytest.mark.parametrize("sets", [100, pytest.param(2000, marks=pytest.mark.series)])
def test_a_calibrated_model_of_clustered_images_is_not_flagged(sets):
    """Whether a cluster's images are right is drawn once, so that they agree: without clusters p is far too small."""
    rng, small, naive = np.random.default_rng(8), 0, 0
    for seed in range(sets):
        sure = np.repeat(rng.uniform(0.55, 0.95, 40), 8)
        right = sure > np.repeat(rng.random(40), 8)
        units = Units(np.ones(320), np.repeat(np.arange(40), 8))
        small += clustered_calibration_errors(sure, right, units, draws=200, seed=seed).p <= 0.05
        naive += calibration_errors(sure, right, draws=100, seed=seed).p <= 0.05
    assert small / sets <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / sets)
    assert naive / sets > 0.3


def test_groups_are_judged_by_clusters_and_few_clusters_decide_nothing():
    one, val = draw(40, 10, 7, shared=0.3), ValScores.of(draw(600, 1, 8))
    free = assess_abstention(one, val, risks=[0.3], by="g")
    found = assess_abstention(one, val, risks=[0.3], by="g", cluster_by="subject")
    assert found.clusters == 40 and found.groups and found.cluster_by == "subject"
    for own, other in zip(found.groups, free.groups, strict=True):
        assert own.gap_change.value == pytest.approx(other.gap_change.value)
        assert own.coverage.value == pytest.approx(other.coverage.value)
    assert "40 clusters of subject" in " ".join(note for table in found.tables() for note in table.notes)
    few = one.take(np.arange(40))  # four clusters, two of each group
    found = assess_abstention(few, val, risks=[0.3], by="g", cluster_by="subject")
    assert {row.change_verdict for row in found.groups} <= {None, "NOT ENOUGH DATA"}
    calibration = assess_calibration(few, cluster_by="subject").overall
    assert calibration.error.debiased.low is None and "clusters" in calibration.error.debiased.note


def test_a_single_cluster_has_figures_without_intervals():
    one = draw(1, 60, 9)
    calibration = assess_calibration(one, cluster_by="subject")
    assert calibration.overall.log_loss.value is not None and calibration.overall.log_loss.low is None
    abstention = assess_abstention(one, cluster_by="subject")
    assert abstention.error.low is None and abstention.aurc.low is None and abstention.curve[0].risk.low is None
    sets = assess_sets(one, draw(100, 1, 10), cluster_by="subject")
    assert sets.overall.coverage.low is None and sets.overall.verdict is None
    for result in (calibration, abstention, sets):
        assert type(result).from_dict(result.to_dict()) == result and result.tables()


def test_a_wrong_column_is_an_error_that_names_those_there_are():
    one = draw(20, 3, 11)
    for judge in (assess_calibration, assess_abstention, lambda table, **given: assess_sets(table, one, **given)):
        with pytest.raises(PredictionsError, match=saying("subjekt", "subject").pattern):
            judge(one, cluster_by="subjekt")
        with pytest.raises(PredictionsError, match=saying("weights", "g", "numbers").pattern):
            judge(one, weights="g")
        with pytest.raises(PredictionsError, match=saying("cluster_by", "g", "audit by").pattern):
            judge(one, by="g", cluster_by="g")
