"""The faults of other tools (section 1 of the notes on audits), one test each: tlkit has none of them.

1 an interval of the largest gap that cannot hold 0 · 2 a perfect classifier called unequal · 3 a test of another rate
than the one shown · 4 counts filed under the wrong group · 5 certainty from one image · 6 no word on what could have
been seen · 7 gaps that are class mix (in test_explain*.py) · 8 multi-class, intervals, corrections together ·
9 speed (benchmarks/audit_speed.py) · 10 repair from cached features (in tests/pipeline/test_repair*.py).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tlkit.audit import audit_groups
from tlkit.predictions import Predictions
from tlkit.stats.tests import fisher_exact, max_gap


def audit_of(y_true, y_pred, g, *, classes=("no", "yes"), **options):
    predictions = Predictions.build(
        classes=list(classes), path=[str(i) for i in range(len(y_true))], y_true=np.asarray(y_true, dtype=int),
        y_pred=np.asarray(y_pred, dtype=int),
        groups=pd.DataFrame({"g": list(g)}),
    )  # fmt: skip
    return audit_groups(predictions, by="g", **options)


def test_fault_1_no_gap_can_be_said_to_be_none():
    generator = np.random.default_rng(0)
    p = [max_gap(generator.binomial(200, 0.9, 5), [200] * 5, draws=300, seed=i).p for i in range(300)]
    assert np.mean(np.array(p) < 0.05) < 0.08  # the percentile interval of the gap: 1.0
    groups = np.repeat(list("abcde"), 2000)
    audit = audit_of([0] * 10_000, generator.random(10_000) < 0.1, groups)
    assert audit.gaps["g"].value > 0
    assert audit.gaps["g"].expected > 0
    assert audit.verdict != "FAIL"


def test_fault_2_a_perfect_classifier_has_no_gap():
    truth = [1, 1, 0, 0, 0, 0, 0, 0]
    audit = audit_of(truth, truth, "AAAABBBB", criteria=["equal_opportunity", "equalised_odds"], min_group_size=1)
    assert [result.gap for result in audit.criteria] == [None, 0.0]  # recall is undefined, false alarms are equal
    assert audit.verdict == "NOT ENOUGH DATA"


def test_fault_3_the_test_of_a_recall_is_about_that_recall():
    truth = [1] * (2484 + 64)
    guess = [1] * 2276 + [0] * 208 + [1] * 46 + [0] * 18
    audit = audit_of(truth, guess, ["A"] * 2484 + ["E"] * 64, metrics="recall")
    row = audit.group_table("g", metric="recall", class_name="yes").row(("E",))
    assert row.p == pytest.approx(5.2384e-6, rel=1e-4)  # aequitas: .758, and nothing corrected
    assert row.p == fisher_exact(46, 64, 2276, 2484)
    assert row.ratio.value == pytest.approx((46 / 64) / (2276 / 2484))


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


def test_fault_6_an_open_row_says_what_it_could_have_shown_and_what_it_needs():
    generator = np.random.default_rng(1)
    audit = audit_of([0] * 1100, generator.random(1100) < 0.05, "A" * 1000 + "B" * 100)
    row = audit.group_table("g").row(("B",))
    assert row.verdict == "NOT ENOUGH DATA"
    assert row.detectable_gap == pytest.approx(0.08, abs=0.02)
    assert row.images_needed > 100
    assert "more needed" in " ".join(audit.sentences())


def test_fault_8_intervals_corrections_and_classes_come_together():
    generator = np.random.default_rng(2)
    y = generator.integers(0, 4, 4000)
    guess = np.where(generator.random(4000) < 0.85, y, generator.integers(0, 4, 4000))
    audit = audit_of(y, guess, generator.choice(list("abc"), 4000), classes="wxyz", criteria=["equalised_odds"])
    assert audit.tests == 3 * (1 + 4 + 4)
    assert all(row.difference.low < row.difference.high for table in audit.tables for row in table.rows)
