"""Weights, clusters and matched pairs: what the intervals and tests allow for."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying
from scipy.stats import kurtosis
from statsmodels.stats.contingency_tables import StratifiedTable
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups
from tlkit.errors import PredictionsError
from tlkit.stats.dependent_samples import cluster_moments, effective_size, max_gap_normal, score_test, stratified_exact
from tlkit.stats.hypothesis_tests import fisher_exact, max_gap, mcnemar
from tlkit.stats.intervals import clopper_pearson, newcombe_bounds, wilson, wilson_bounds


def audit_of(right, *, by="g", groups, **options):
    wrong = [int(not one) for one in right]
    return audit_groups(predictions_of([0] * len(wrong), wrong, **groups), by=by, **options)


def bursts(generator, clusters, size, rate, agreement):
    """Right or wrong for clusters of images that agree with the given intra-cluster correlation."""
    own = generator.beta(rate * (1 / agreement - 1), (1 - rate) * (1 / agreement - 1), clusters)
    return (generator.random((clusters, size)) < own[:, None]).ravel()


def test_clusters_that_agree_count_less_than_their_images():
    generator = np.random.default_rng(0)
    right = np.concatenate([bursts(generator, 300, 5, 0.8, 0.6) for _ in range(2)])
    groups = {"g": ["a"] * 1500 + ["b"] * 1500, "burst": np.repeat(np.arange(600), 5)}
    row = audit_of(right, groups=groups, cluster_by="burst").group_table("g").row(("a",))
    alone = audit_of(right, groups=groups).group_table("g").row(("a",))
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


def test_without_any_error_clusters_count_as_one_image_each_so_that_few_never_pass():
    groups = {"g": ["a"] * 300 + ["b"] * 300, "burst": np.repeat(np.arange(20), 30)}
    table = audit_of([True] * 600, groups=groups, cluster_by="burst").group_table("g")
    assert [row.n_eff for row in table.rows] == [10.0, 10.0]
    assert [row.verdict for row in table.rows] == ["NOT ENOUGH DATA"] * 2
    assert audit_of([True] * 600, groups=groups).verdict == "PASS"


def bias_reduced(y, group, cluster):
    """CR2 variances and Satterthwaite degrees of freedom of two groups' means, from matrices as Bell & McCaffrey have
    them: the regression of y on an indicator of each group, with images independent in the working model."""
    x = np.stack([group == 0, group == 1], axis=1).astype(float)
    bread = np.linalg.inv(x.T @ x)
    annihilator = np.eye(len(y)) - x @ bread @ x.T
    parts, vectors = [], []
    for one in np.unique(cluster):
        rows = cluster == one
        values, eigen = np.linalg.eigh(annihilator[np.ix_(rows, rows)])
        root = (eigen / np.sqrt(np.maximum(values, 1e-12))) @ eigen.T
        parts.append(x[rows].T @ root @ (annihilator @ y)[rows])
        vectors.append(bread @ x[rows].T @ root @ annihilator[rows])  # (2, N)
    covariance = bread @ (np.array(parts).T @ np.array(parts)) @ bread
    gram = [np.array([v[g] for v in vectors]) @ np.array([v[g] for v in vectors]).T for g in (0, 1)]
    return covariance, [np.trace(one) ** 2 / (one**2).sum() for one in gram]


def test_cluster_variances_are_the_bias_reduced_ones_of_a_regression():
    generator = np.random.default_rng(12)
    cluster = np.repeat(np.arange(9), generator.integers(2, 12, 9))
    group = np.where(cluster < 4, 0, np.where(cluster < 7, 1, generator.integers(0, 2, len(cluster))))
    y = (generator.random(len(cluster)) < 0.7).astype(float)
    sides = np.stack([group == 0, group == 1], axis=1)
    sums = [np.array([(part * sides)[cluster == one].sum(axis=0) for one in range(9)]) for part in (y[:, None], 1)]
    moments = cluster_moments(*sums)
    covariance, df = bias_reduced(y, group, cluster)
    assert moments.covariance == pytest.approx(covariance)
    assert moments.df == pytest.approx(df)


def test_clusters_of_one_size_have_one_degree_of_freedom_less_than_clusters():
    moments = cluster_moments([[3.0, 4], [5, 1], [2, 3], [4, 0]], [[5.0, 4], [5, 4], [5, 4], [5, 0]])
    assert moments.df == pytest.approx([3, 2])
    plain = np.array([0.6, 1.0, 0.4, 0.8]).var(ddof=1) / 4
    assert moments.covariance[0, 0] == pytest.approx(plain)
    alone = cluster_moments([[3.0, 1], [4, 0]], [[5.0, 2], [5, 0]])
    assert alone.df == pytest.approx([1, 0])
    assert np.isnan(alone.covariance[1, 1])


def test_a_variance_that_few_clusters_bring_has_the_degrees_of_freedom_of_its_kurtosis():
    right = np.array([15, 15, 14, 15, 15, 3, 15, 15, 15, 13, 15, 15])
    moments = cluster_moments(right[:, None], np.full((12, 1), 15))
    assert moments.df == pytest.approx([11])
    assert moments.rate_df == pytest.approx([2 / (2 / 11 + kurtosis(right) / 12)])
    assert moments.rate_df[0] < 3
    flat = cluster_moments([[9.0], [11], [9], [11]], [[15.0]] * 4)
    assert flat.rate_df == pytest.approx(flat.df)


@pytest.mark.parametrize(("clusters", "rate"), [(20, 0.97), (40, 0.97), (20, 0.9), (10, 0.5)])
def test_the_interval_of_a_rate_holds_it_where_errors_come_in_clumps(clusters, rate):
    generator, agreement = np.random.default_rng(13), (3 - 1) / (15 - 1)  # a design effect of 3
    own = generator.beta(rate * (1 / agreement - 1), (1 - rate) * (1 / agreement - 1), (clusters, 2000))
    moments = cluster_moments(generator.binomial(15, own), np.full(own.shape, 15))

    def held(df):
        size = effective_size(
            moments.rate,
            np.diagonal(moments.covariance),
            images=np.full(2000, clusters * 15),
            clusters=moments.clusters,
            df=df,
        )
        low, high = wilson_bounds(moments.rate * size, size)
        return ((low <= rate) & (rate <= high)).mean()

    assert held(moments.rate_df) >= 0.93
    if (clusters, rate) == (20, 0.97):
        assert held(moments.df) < 0.91


def test_the_audit_shows_that_interval_and_leaves_differences_as_they_were():
    wrong = np.array([0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0])
    right = np.concatenate([np.arange(15) >= k for k in wrong] * 2)
    groups = {"g": ["a"] * 180 + ["b"] * 180, "burst": np.repeat(np.arange(24), 15)}
    row = audit_of(right, groups=groups, cluster_by="burst").group_table("g").row(("a",))
    moments = cluster_moments((15 - wrong)[:, None], np.full((12, 1), 15))
    size, narrower = (
        float(effective_size(moments.rate, moments.covariance[0], images=[180], clusters=[12], df=df)[0])
        for df in (moments.rate_df, moments.df)
    )
    low, high = wilson_bounds(moments.rate * size, [size])
    assert (row.rate.low, row.rate.high) == pytest.approx((low[0], high[0]))
    assert row.n_eff == pytest.approx(narrower)
    assert size < narrower


def test_the_accuracy_of_all_images_has_their_weights_and_clusters():
    generator = np.random.default_rng(14)
    right = bursts(generator, 60, 5, 0.8, 0.6)
    groups = {"g": ["a"] * 150 + ["b"] * 150, "burst": np.repeat(np.arange(60), 5), "w": ["3"] * 150 + ["1"] * 150}
    alone = audit_of(right, groups=groups).overall
    assert alone == wilson(int(right.sum()), 300)
    for clustered in (
        audit_of(right, groups=groups, cluster_by="burst").overall,
        audit_of(right, groups=groups, pair_by="burst").overall,
    ):
        assert clustered.value == pytest.approx(alone.value)
        assert clustered.high - clustered.low > 1.4 * (alone.high - alone.low)
    weighted = audit_of(right, groups=groups, weights="w").overall
    assert weighted.value == pytest.approx((3 * right[:150].sum() + right[150:].sum()) / 600)
    assert audit_of(right, groups=groups, guaranteed=True).overall == clopper_pearson(int(right.sum()), 300)
    alike = audit_of(right, groups={"g": groups["g"], "day": ["mon"] * 300}, by="g", cluster_by="day").overall
    assert (alike.value, alike.note) == (None, saying("300", "one cluster"))


def test_few_clusters_in_one_group_neither_fail_nor_cover_less_than_promised():
    generator, covered, rejected, draws = np.random.default_rng(5), 0, 0, 100
    for _ in range(draws):
        right = np.r_[bursts(generator, 3, 40, 0.9, 0.15), bursts(generator, 40, 40, 0.9, 0.15)]
        groups = {"g": ["a"] * 120 + ["b"] * 1600, "burst": [str(i // 40) for i in range(1720)]}
        row = audit_of(right, groups=groups, cluster_by="burst", draws=100).group_table("g").row(("a",))
        covered += row.difference.low <= 0 <= row.difference.high
        rejected += row.p is not None and row.p < 0.05
    assert covered / draws >= 0.94  # .81 without the factor for few clusters
    assert rejected / draws <= 0.09  # .26 with the degrees of freedom of all clusters together


@pytest.mark.parametrize("pair", [False, True])
def test_two_clusters_that_both_groups_share_decide_nothing(pair):
    # rates that differ by the same in both clusters have a correlation of 1, and would seem to be known exactly
    right = np.concatenate([[i < k for i in range(100)] for k in (60, 80, 61, 81)])
    groups = {"g": ["a"] * 200 + ["b"] * 200, "day": (["mon"] * 100 + ["tue"] * 100) * 2}
    asked = {"pair_by": "day"} if pair else {"cluster_by": "day"}
    row = audit_of(right, groups=groups, tolerance=0.05, **asked).group_table("g").row(("a",))
    assert row.verdict == "NOT ENOUGH DATA"
    right = np.concatenate([[i < k for i in range(100)] for k in (60, 80, 66, 84)])
    row = audit_of(right, groups=groups, tolerance=0.2, **asked).group_table("g").row(("a",))
    assert row.difference.value == pytest.approx(-0.05)
    half = 12.706 * 0.01  # t with 1 degree of freedom; differences of -.06 and -.04
    assert row.difference.low <= -0.05 - half + 1e-4
    assert row.difference.high >= -0.05 + half - 1e-4


def test_a_group_without_an_error_in_few_clusters_is_not_known_for_sure():
    right = [True] * 48 + list(np.random.default_rng(3).random(320) < 0.9)
    groups = {"g": ["a"] * 48 + ["b"] * 320, "burst": np.repeat(np.arange(46), 8)}
    row = audit_of(right, groups=groups, cluster_by="burst").group_table("g").row(("a",))
    assert row.n_eff == pytest.approx(6)
    assert row.p > 0.2  # the variance of the rest alone says .001


def test_images_of_one_cluster_have_no_interval():
    groups = {"g": ["a"] * 40 + ["b"] * 40, "burst": ["x"] * 40 + [str(i) for i in range(40)]}
    generator = np.random.default_rng(3)
    row = audit_of(generator.random(80) < 0.8, groups=groups, cluster_by="burst").group_table("g").row(("a",))
    assert (row.rate.value, row.rate.note) == (None, saying("40", "one cluster"))
    assert row.verdict == "NOT ENOUGH DATA"


@pytest.mark.slow
def test_the_level_holds_with_clusters_where_independent_tests_fail():
    generator = np.random.default_rng(4)
    naive = clustered = 0
    for _ in range(150):
        right = np.concatenate([bursts(generator, 40, 10, 0.8, 0.5) for _ in range(2)])
        groups = {"g": ["a"] * 400 + ["b"] * 400, "burst": np.repeat(np.arange(80), 10)}
        options = {"tolerance": 0, "draws": 100}
        naive += audit_of(right, groups=groups, **options).verdict == "FAIL"
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
    alone = audit_of(first + second, groups=groups).group_table("g").row(("a",))
    assert row.p == pytest.approx(mcnemar(12, 3).p)
    assert row.difference.value == pytest.approx(9 / 172)
    assert row.difference.high - row.difference.low < 0.82 * (alone.difference.high - alone.difference.low)
    # Newcombe (1998), method 10: phi with its continuity correction
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    phi = (both * neither - one * other - 172 / 2) / np.sqrt(margins)
    low, high = newcombe_bounds(162, 172, 153, 172, correlation=phi)
    assert (row.difference.low, row.difference.high) == pytest.approx((float(low), float(high)), abs=1e-9)


def test_tones_of_one_glyph_pass_when_they_are_paired_and_cannot_be_decided_when_not():
    wrong = {"1": 5, "2": 5, "3": 5, "4": 6, "5": 6}  # nearly the same glyphs are wrong in every tone
    right = [i >= count for count in wrong.values() for i in range(172)]
    groups = {"g": np.repeat(list(wrong), 172), "glyph": list(range(172)) * 5}
    paired = audit_of(right, groups=groups, pair_by="glyph", tolerance=0.035)
    assert paired.verdict == "PASS"
    assert audit_of(right, groups=groups, tolerance=0.035).verdict == "NOT ENOUGH DATA"


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


def test_weights_of_one_size_change_nothing_but_the_test():
    generator = np.random.default_rng(7)
    right = generator.random(400) < 0.8
    groups = {"g": ["a", "b"] * 200, "w": ["2.5"] * 400}
    weighted = audit_of(right, groups=groups, weights="w").group_table("g").row(("a",))
    plain = audit_of(right, groups=groups).group_table("g").row(("a",))
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
        saying("pair_by", "Leave out cluster_by and weights"),
        saying("'w'", "at least 0", "1 of 2", "'-2'"),
        saying("cluster_by", "'gg'", "Did you mean 'g'?", "g, w"),
        saying("pair_by", "'g'", "one of them"),
    )
