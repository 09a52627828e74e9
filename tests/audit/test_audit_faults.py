"""The faults of other tools (section 1 of the notes on audits), one test each: tlkit has none of them.

1 an interval of the largest gap that cannot hold 0 · 2 a perfect classifier called unequal · 3 a test of another rate
than the one shown (also test_known_bench.py) · 4 counts filed under the wrong group (in training:
test_group_accuracy.py) · 5 certainty from one image · 6 no word on what could have been seen · 7 gaps that are class
mix, and matched images · 8 multi-class, intervals, corrections together · 9 speed: the same numbers
(test_known_bench.py), in how long (benchmarks/audit_speed.py) · 10 repair from cached features (in
tests/analysis/test_repair.py). Where another library's wrong number can be had, the test holds that library
to it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import equal_opportunity_difference, equalized_odds_ratio
from scipy.stats import binom

from tlkit.audit import audit_groups, explain_gaps
from tlkit.predictions import Predictions
from tlkit.stats.bootstrap import bootstrap_replicates
from tlkit.stats.hypothesis_tests import fisher_exact, max_gap
from tlkit.stats.intervals import wilson_bounds


def predictions_of(y_true, y_pred, classes=("no", "yes"), **groups):
    return Predictions.build(
        classes=list(classes),
        path=[str(i) for i in range(len(y_true))],
        y_true=np.asarray(y_true, dtype=int),
        y_pred=np.asarray(y_pred, dtype=int),
        groups=pd.DataFrame({name: list(values) for name, values in groups.items()}),
    )


def audit_of(y_true, y_pred, g, *, classes=("no", "yes"), **options):
    predictions = predictions_of(y_true, y_pred, classes, g=g)
    return audit_groups(predictions, by="g", **options)


def test_fault_1_no_gap_can_be_said_to_be_none():
    generator = np.random.default_rng(0)
    p = [max_gap(generator.binomial(200, 0.9, 5), [200] * 5, draws=300, seed=i).p for i in range(300)]
    assert np.mean(np.array(p) < 0.05) < 0.08
    for k in generator.binomial(200, 0.9, (20, 5)):  # the percentile interval of the gap excludes 0 every time
        drawn = bootstrap_replicates(
            np.column_stack([k, 200 - k]).ravel(),
            lambda c: np.ptp(c[:, ::2] / (c[:, ::2] + c[:, 1::2]), axis=1),
            rng=generator,
            replicates=300,
        )
        assert np.quantile(drawn, 0.025) > 0
    groups = np.repeat(list("abcde"), 2000)
    audit = audit_of([0] * 10_000, generator.random(10_000) < 0.1, groups)
    assert audit.gaps["g"].value > 0
    assert audit.gaps["g"].expected > 0
    assert audit.verdict != "FAIL"


def test_fault_2_a_perfect_classifier_has_no_gap():
    truth = [1, 1, 0, 0, 0, 0, 0, 0]
    audit = audit_of(truth, truth, "AAAABBBB", criteria=["equal_opportunity", "equalized_odds"], min_group_size=1)
    assert [result.gap for result in audit.criteria] == [None, 0.0]  # recall is undefined, false alarms are equal
    assert audit.verdict == "NOT ENOUGH DATA"
    assert (
        equal_opportunity_difference(truth, truth, sensitive_features=list("AAAABBBB")) == 1.0
    )  # the largest there is
    assert equalized_odds_ratio(truth, truth, sensitive_features=list("AAAABBBB")) == 0.0


def test_fault_2_an_empty_group_has_no_rate():
    audit = audit_of([1, 1, 0], [1, 0, 0], "AAB", metrics=["recall", "false_positive_rate"], min_group_size=1)
    recall, alarms = (
        [row.rate.value for row in audit.group_table("g", metric=metric, class_name="yes").rows]
        for metric in ("recall", "false_positive_rate")
    )
    assert (recall, alarms) == ([0.5, None], [None, 0.0])  # no 0 for no positives, no 1 for no negatives


def test_fault_3_the_test_of_a_recall_is_about_that_recall():
    truth = [1] * (2484 + 64)
    guess = [1] * 2276 + [0] * 208 + [1] * 46 + [0] * 18
    audit = audit_of(truth, guess, ["A"] * 2484 + ["E"] * 64, metrics="recall")
    row = audit.group_table("g", metric="recall", class_name="yes").row(("E",))
    assert row.p == pytest.approx(5.2384e-6, rel=1e-4)  # aequitas: .758, and nothing corrected
    assert row.p == fisher_exact(46, 64, 2276, 2484)
    assert row.ratio.value == pytest.approx((46 / 64) / (2276 / 2484))
    guess = [1] * 2276 + [0] * 208 + [1] * 900 + [0] * 74
    audit = audit_of([1] * (2484 + 974), guess, ["A"] * 2484 + ["B"] * 974, metrics="recall")
    row = audit.group_table("g", metric="recall", class_name="yes").row(("B",))
    assert row.p == pytest.approx(0.489928, abs=1e-6)  # aequitas: 3.5e-5


def test_fault_3_a_ratio_to_nothing_is_undefined():
    row = audit_of([0] * 8, [0, 1, 0, 0, 0, 0, 0, 0], "AAAABBBB", metrics="selection_rate", min_group_size=1)
    row = row.group_table("g", metric="selection_rate", class_name="yes").row(("A",))
    assert (row.rate.value, row.ratio.value, row.ratio.note) == (0.25, None, "the rate it is divided by is 0")


def test_fault_4_a_group_that_is_not_there_takes_no_other_groups_counts():
    first = audit_of([1, 1, 1, 1, 1], [1, 1, 0, 0, 1], "00221", metrics="recall", min_group_size=1)
    rates = {row.name: row.rate.value for row in first.group_table("g", metric="recall", class_name="yes").rows}
    assert rates == {"0": 1.0, "1": 1.0, "2": 0.0}
    without = audit_of([1, 1, 1, 1], [1, 1, 0, 0], "0022", metrics="recall", min_group_size=1)
    rates = {row.name: row.rate.value for row in without.group_table("g", metric="recall", class_name="yes").rows}
    assert rates == {"0": 1.0, "2": 0.0}


def test_fault_5_one_image_and_all_right_are_not_certainty():
    rows = audit_of([0] * 11, [0] * 11, "A" * 10 + "B", min_group_size=1).group_table("g").rows
    assert rows[0].rate.low == pytest.approx(0.722467, abs=1e-6)
    assert rows[1].rate.low == pytest.approx(0.206549, abs=1e-6)
    assert audit_of([0] * 30, [0] * 30, "A" * 29 + "B").group_table("g").row(("B",)).suppressed  # unless asked for


def test_fault_5_the_interval_covers_where_the_percentile_bootstrap_collapses():
    for n, p, ours, theirs in ((10, 0.95, 0.914, 0.400), (20, 0.95, 0.925, 0.64), (50, 0.99, 0.911, 0.39)):
        k = np.arange(n + 1)
        chance = binom.pmf(k, n, p)
        low, high = wilson_bounds(k, np.full(n + 1, n))
        assert chance[(low <= p) & (p <= high)].sum() == pytest.approx(ours, abs=6e-4)
        low, high = binom.ppf(0.025, n, k / n) / n, binom.ppf(0.975, n, k / n) / n  # the bootstrap without its noise
        assert chance[(low <= p) & (p <= high)].sum() == pytest.approx(theirs, abs=6e-3)


def test_fault_6_an_open_row_says_what_it_could_have_shown_and_what_it_needs():
    generator = np.random.default_rng(1)
    audit = audit_of([0] * 1100, generator.random(1100) < 0.05, "A" * 1000 + "B" * 100)
    row = audit.group_table("g").row(("B",))
    assert row.verdict == "NOT ENOUGH DATA"
    assert row.detectable_gap == pytest.approx(0.08, abs=0.02)
    assert row.images_needed > 100
    assert audit.tables()[1].column("images_needed")[1] == pytest.approx(row.images_needed, rel=0.05)


def test_fault_7_a_gap_that_is_class_mix_is_split_off():
    truth = np.repeat([0, 1, 0, 1], [900, 100, 100, 900])
    right = np.concatenate([np.arange(n) < k for k, n in ((855, 900), (60, 100), (95, 100), (540, 900))])
    predictions = predictions_of(truth, np.where(right, truth, 1 - truth), g=["a"] * 1000 + ["b"] * 1000)
    audit = audit_groups(predictions, by="g", draws=100)
    assert audit.gaps["g"].value == pytest.approx(0.28)
    split = explain_gaps(predictions, by="g").column("g").worst.split
    assert (split.mix.value, split.rate.value, split.standardised.value) == pytest.approx((-0.28, 0, 0), abs=1e-9)


def test_fault_7_matched_images_are_compared_in_pairs_and_clustered_ones_by_the_cluster():
    both, one, other, neither = 150, 12, 3, 7
    first = [1] * (both + one) + [0] * (other + neither)
    second = [1] * both + [0] * one + [1] * other + [0] * neither
    scenes = [str(i) for i in range(172)] * 2
    predictions = predictions_of([1] * 344, first + second, g=["a"] * 172 + ["b"] * 172, scene=scenes)
    alone, paired = (audit_groups(predictions, by="g", **more).group_table("g") for more in ({}, {"pair_by": "scene"}))
    assert (paired.rows[0].p, alone.rows[0].p) == pytest.approx((0.035156, fisher_exact(162, 172, 153, 172)), abs=1e-6)
    assert paired.rows[0].difference.high < alone.rows[0].difference.high
    bursts = [str(i // 8) for i in range(344)]
    predictions = predictions_of([1] * 344, first + second, g=["a"] * 172 + ["b"] * 172, burst=bursts)
    clustered = audit_groups(predictions, by="g", cluster_by="burst").group_table("g")
    assert clustered.rows[0].rate.low < alone.rows[0].rate.low


def test_fault_8_intervals_corrections_and_classes_come_together():
    generator = np.random.default_rng(2)
    y = generator.integers(0, 4, 4000)
    guess = np.where(generator.random(4000) < 0.85, y, generator.integers(0, 4, 4000))
    audit = audit_of(y, guess, generator.choice(list("abc"), 4000), classes="wxyz", criteria=["equalized_odds"])
    assert audit.tests == 3 * (1 + 4 + 4)
    assert all(row.difference.low < row.difference.high for table in audit.group_tables for row in table.rows)
