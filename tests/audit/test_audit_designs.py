"""Weights, clusters and matched pairs: what the intervals and tests allow for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from tlkit.audit import audit_groups
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.stats.designs import (
    cluster_moments,
    correlated_bounds,
    max_gap_normal,
    score_test,
    stratified_exact,
)
from tlkit.stats.intervals import newcombe_bounds
from tlkit.stats.tests import fisher_exact, max_gap, mcnemar


def audit_of(right, *, by="g", groups, **options):
    predictions = Predictions.build(
        classes=["no", "yes"], path=[str(i) for i in range(len(right))], y_true=[0] * len(right),
        y_pred=[int(not one) for one in right],
        groups=pd.DataFrame({name: [str(one) for one in values] for name, values in groups.items()}),
    )  # fmt: skip
    return audit_groups(predictions, by=by, **options)


def bursts(generator, clusters, size, rate, agreement):
    """Right or wrong for clusters of images that agree with the given intra-cluster correlation."""
    own = generator.beta(rate * (1 / agreement - 1), (1 - rate) * (1 / agreement - 1), clusters)
    return (generator.random((clusters, size)) < own[:, None]).ravel()


def test_clusters_that_agree_count_less_than_their_images():
    generator = np.random.default_rng(0)
    right = np.concatenate([bursts(generator, 300, 5, 0.8, 0.6) for _ in range(2)])
    groups = {"g": ["a"] * 1500 + ["b"] * 1500, "burst": np.repeat(np.arange(600), 5)}
    row = audit_of(right, groups=groups, cluster_by="burst").group_table("g").row(("a",))
    alone = audit_of(right, groups=groups, by="g").group_table("g").row(("a",))
    assert row.rate.value == pytest.approx(alone.rate.value)
    assert row.design_effect == pytest.approx(3.4, rel=0.15)  # 1 + 4 × .6
    assert row.rate.high - row.rate.low > 1.6 * (alone.rate.high - alone.rate.low)
    assert row.detectable_gap > 1.5 * alone.detectable_gap
    assert alone.images_needed is None  # 1,500 independent images would do
    assert row.images_needed > 500


def test_the_closed_form_agrees_with_the_cluster_bootstrap():
    generator = np.random.default_rng(1)
    b = generator.integers(1, 6, (200, 2)).astype(float)
    a = np.minimum(b, generator.binomial(b.astype(int), generator.beta(4, 1, 200)[:, None]))
    moments = cluster_moments(a, b)
    drawn = generator.multinomial(200, np.full(200, 1 / 200), size=8000)
    rates = (drawn @ a) / (drawn @ b)
    assert moments.rate == pytest.approx(a.sum(axis=0) / b.sum(axis=0))
    assert np.sqrt(np.diagonal(moments.covariance)) == pytest.approx(rates.std(axis=0), rel=0.05)
    assert moments.covariance[0, 1] == pytest.approx(np.cov(rates.T)[0, 1], rel=0.1)


def test_clusters_of_one_image_are_independent_images():
    generator = np.random.default_rng(2)
    right = generator.random(600) < 0.85
    groups = {"g": ["a"] * 200 + ["b"] * 400, "burst": np.arange(600)}
    clustered = audit_of(right, groups=groups, cluster_by="burst").group_table("g")
    plain = audit_of(right, groups=groups, by="g").group_table("g")
    for one, other in zip(clustered.rows, plain.rows, strict=True):
        for name in ("rate", "difference"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine.value, mine.low, mine.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=2e-3)
    assert clustered.gap.p == pytest.approx(plain.gap.p, abs=0.08)


def test_without_any_error_clusters_count_as_one_image_each_so_that_few_never_pass():
    groups = {"g": ["a"] * 300 + ["b"] * 300, "burst": np.repeat(np.arange(20), 30)}
    table = audit_of([True] * 600, groups=groups, cluster_by="burst").group_table("g")
    assert [row.n_eff for row in table.rows] == [10.0, 10.0]
    assert [row.verdict for row in table.rows] == ["NOT ENOUGH DATA"] * 2
    assert audit_of([True] * 600, groups=groups, by="g").verdict == "PASS"


def test_few_clusters_in_one_group_neither_fail_nor_cover_less_than_promised():
    generator, covered, rejected, draws = np.random.default_rng(5), 0, 0, 100
    for _ in range(draws):
        right = np.r_[bursts(generator, 3, 40, 0.9, 0.15), bursts(generator, 40, 40, 0.9, 0.15)]
        groups = {"g": ["a"] * 120 + ["b"] * 1600, "burst": [str(i // 40) for i in range(1720)]}
        row = audit_of(right, groups=groups, cluster_by="burst", draws=100).group_table("g").row(("a",))
        covered += row.difference.low <= 0 <= row.difference.high
        rejected += row.p is not None and row.p < 0.05
    assert covered / draws >= 0.93  # .81 without the factor for few clusters
    assert rejected / draws <= 0.12  # .26 with the degrees of freedom of all clusters together


def test_images_of_one_cluster_have_no_interval():
    groups = {"g": ["a"] * 40 + ["b"] * 40, "burst": ["x"] * 40 + [str(i) for i in range(40)]}
    generator = np.random.default_rng(3)
    row = audit_of(generator.random(80) < 0.8, groups=groups, cluster_by="burst").group_table("g").row(("a",))
    assert row.rate.format() == "undefined (n = 40, but all images are of one cluster)"
    assert row.verdict == "NOT ENOUGH DATA"


@pytest.mark.slow
def test_the_level_holds_with_clusters_where_independent_tests_fail():
    generator = np.random.default_rng(4)
    naive = clustered = 0
    for _ in range(150):
        right = np.concatenate([bursts(generator, 40, 10, 0.8, 0.5) for _ in range(2)])
        groups = {"g": ["a"] * 400 + ["b"] * 400, "burst": np.repeat(np.arange(80), 10)}
        options = {"tolerance": 0, "draws": 100}
        naive += audit_of(right, groups=groups, by="g", **options).verdict == "FAIL"
        clustered += audit_of(right, groups=groups, cluster_by="burst", **options).verdict == "FAIL"
    assert clustered / 150 <= 0.09
    assert naive / 150 > 0.25


def test_pairs_use_mcnemars_test_and_their_correlation():
    both, one, other, neither = 150, 12, 3, 7
    first = [True] * (both + one) + [False] * (other + neither)
    second = [True] * both + [False] * one + [True] * other + [False] * neither
    scene = list(range(172)) * 2
    groups = {"g": ["a"] * 172 + ["b"] * 172, "scene": scene}
    row = audit_of(first + second, groups=groups, pair_by="scene").group_table("g").row(("a",))
    alone = audit_of(first + second, groups=groups, by="g").group_table("g").row(("a",))
    assert row.p == pytest.approx(mcnemar(12, 3).p)
    assert row.p == pytest.approx(0.035156, abs=1e-6)
    assert row.difference.value == pytest.approx(9 / 172)
    assert row.difference.high - row.difference.low < 0.82 * (alone.difference.high - alone.difference.low)
    # Newcombe (1998), method 10: phi with its continuity correction
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    phi = (both * neither - one * other - 172 / 2) / np.sqrt(margins)
    low, high = correlated_bounds(162, 172, 153, 172, correlation=phi)
    assert (row.difference.low, row.difference.high) == pytest.approx((float(low), float(high)), abs=1e-9)


def test_tones_of_one_glyph_pass_when_they_are_paired_and_cannot_be_decided_when_not():
    wrong = {"1": 5, "2": 5, "3": 5, "4": 6, "5": 6}  # nearly the same glyphs are wrong in every tone
    right = [i >= count for count in wrong.values() for i in range(172)]
    groups = {"g": np.repeat(list(wrong), 172), "glyph": list(range(172)) * 5}
    paired = audit_of(right, groups=groups, pair_by="glyph", tolerance=0.035)
    assert paired.verdict == "PASS"
    assert audit_of(right, groups=groups, by="g", tolerance=0.035).verdict == "NOT ENOUGH DATA"


@pytest.mark.slow
def test_the_paired_interval_covers_the_truth():
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(1500):
        easy = generator.random(60) < 0.85
        x, z = (np.where(generator.random(60) < 0.8, easy, generator.random(60) < rate) for rate in (0.9, 0.7))
        truth = 0.2 * (0.9 - 0.7)
        covariance = np.cov(x, z, ddof=0)[0, 1]
        covariance = max(covariance - 1 / 120, 0) if covariance > 0 else covariance
        scale = x.std() * z.std()
        low, high = correlated_bounds(
            x.sum(), 60, z.sum(), 60, correlation=covariance / scale if scale else 0.0
        )  # fmt: skip
        hits += low <= truth <= high
    assert hits / 1500 > 0.935


def test_the_stratified_test_is_fishers_in_one_stratum_and_near_mantel_haenszel_in_many():
    assert stratified_exact([9], [10], [12], [20]) == pytest.approx(fisher_exact(9, 10, 3, 10))
    assert stratified_exact([2, 1], [2, 1], [4, 2], [4, 2]) is None
    generator = np.random.default_rng(6)
    tables = [np.array([generator.multinomial(60, [0.5, 0.1, 0.25, 0.15])]).reshape(2, 2) for _ in range(8)]
    k, n = [t[0, 0] for t in tables], [t[0].sum() for t in tables]
    ours = stratified_exact(k, n, [t[:, 0].sum() for t in tables], [60] * 8)
    theirs = StratifiedTable([t.astype(float) for t in tables]).test_null_odds(correction=True).pvalue
    assert ours == pytest.approx(theirs, rel=0.15)
    scale = 30
    successes = [t[:, 0].sum() * scale for t in tables]
    large = stratified_exact(np.array(k) * scale, np.array(n) * scale, successes, [60 * scale] * 8)
    plain = StratifiedTable([t.astype(float) * scale for t in tables]).test_null_odds(correction=False).pvalue
    assert large == pytest.approx(plain, rel=1e-6)


def test_no_correlation_is_newcombes_interval():
    ours = correlated_bounds([56, 9], [70, 10], [48, 3], [80, 10])
    assert np.array(ours) == pytest.approx(np.array(newcombe_bounds([56, 9], [70, 10], [48, 3], [80, 10])))


def test_weights_of_one_size_change_nothing_but_the_test():
    generator = np.random.default_rng(7)
    right = generator.random(400) < 0.8
    groups = {"g": ["a", "b"] * 200, "w": ["2.5"] * 400}
    weighted = audit_of(right, groups=groups, weights="w").group_table("g").row(("a",))
    plain = audit_of(right, groups=groups, by="g").group_table("g").row(("a",))
    assert (weighted.rate.value, weighted.rate.low) == pytest.approx((plain.rate.value, plain.rate.low))
    assert weighted.n_eff == pytest.approx(200)
    k, rest = round(plain.rate.value * 200), int(right.sum()) - round(plain.rate.value * 200)
    assert weighted.p == pytest.approx(score_test(k, 200, rest, 200))


def test_the_normal_gap_agrees_with_the_permutation():
    exact, normal = max_gap([90, 80, 95], [100, 100, 100]), max_gap_normal([0.9, 0.8, 0.95], [100] * 3)
    assert normal.expected == pytest.approx(exact.expected, rel=0.03)
    assert normal.p == pytest.approx(exact.p, abs=0.01)
    assert max_gap_normal([0.9, 0.8], [100, 100], np.ones((2, 2))).expected == pytest.approx(0.0, abs=1e-6)


def test_wrong_weights_and_columns_are_refused_together():
    groups = {"g": ["a", "b"], "w": ["1", "-2"]}
    with pytest.raises(PredictionsError) as caught:
        audit_of([1, 1], groups=groups, weights="w", cluster_by="gg", pair_by="g")
    assert caught.value.problems == (
        "pair_by compares images within matched sets, one by one. Leave out cluster_by and weights.",
        "The weights in 'w' must be finite numbers of at least 0, but 1 of 2 are not: '-2'.",
        "cluster_by names 'gg', which is no group column. Did you mean 'g'? The group columns are: g, w.",
        "pair_by names 'g', which is audited by, too. Use it for one of them.",
    )


def test_the_summary_says_what_the_intervals_allow_for():
    generator = np.random.default_rng(8)
    right = bursts(generator, 60, 5, 0.8, 0.5)
    groups = {"g": ["a"] * 150 + ["b"] * 150, "burst": np.repeat(np.arange(60), 5)}
    lines = audit_of(right, groups=groups, cluster_by="burst").headline()
    said = "Intervals and tests allow for clusters of burst. Design effects reach "
    assert any(line.startswith(said) for line in lines)
