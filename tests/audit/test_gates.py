"""Gates: three states that never rest on a point estimate, against scipy and statsmodels, and the forms CI reads."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from tables_of_predictions import counted, predictions_of

from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.gates.gate_tables import gate_note
from tlkit.audit.gates.gate_verdicts import judge_gates
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import METRICS
from tlkit.errors import PredictionsError
from tlkit.recipe.gates_file import load_gates


@pytest.fixture
def gates(tmp_path):
    def make(text):
        (tmp_path / "gates.yaml").write_text(f"gates_version: 1\n{text}")
        return load_gates(tmp_path / "gates.yaml", metrics=METRICS)

    return make


TOLERANCE = "tolerances:\n  - {by: g, tolerance: 0.05}\n"
FLOOR = "limits:\n  - {by: g, at_least: 0.8}\n"


@pytest.mark.parametrize(
    ("groups", "text", "verdict", "code"),
    [
        ({"a": (950, 1000), "b": (960, 1000)}, TOLERANCE, "PASS", 0),
        ({"a": (950, 1000), "b": (700, 1000)}, TOLERANCE, "FAIL", 1),
        ({"a": (95, 100), "b": (96, 100)}, TOLERANCE, "NOT ENOUGH DATA", 3),
        ({"a": (95, 100), "b": (9, 10)}, TOLERANCE, "NOT ENOUGH DATA", 3),
        ({"a": (95, 100)}, TOLERANCE, "NOT ENOUGH DATA", 3),
        ({"a": (950, 1000), "b": (960, 1000)}, FLOOR, "PASS", 0),
        ({"a": (95, 100), "b": (60, 100)}, FLOOR, "FAIL", 1),
        ({"a": (95, 100), "b": (85, 100)}, FLOOR, "NOT ENOUGH DATA", 3),
        ({"a": (95, 100), "b": (19, 19)}, FLOOR, "NOT ENOUGH DATA", 3),
        ({"a": (95, 100)}, FLOOR, "PASS", 0),
        ({"a": (15, 20), "b": (15, 20)}, FLOOR, "NOT ENOUGH DATA", 3),  # a rate beyond the bound is no failure yet
        ({"a": (17, 20), "b": (17, 20)}, FLOOR, "NOT ENOUGH DATA", 3),  # nor is one within it a pass
    ],
)
def test_each_kind_of_gate_has_three_states(gates, groups, text, verdict, code):
    report = judge_gates(counted(**groups), gates(text))
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_a_file_without_alpha_keeps_that_of_the_given_options(gates):
    given, data = AuditOptions(alpha=0.01), counted(a=(950, 1000), b=(960, 1000))
    assert judge_gates(data, gates(TOLERANCE), options=given).settings.alpha == 0.01
    assert judge_gates(data, gates("alpha: 0.02\n" + TOLERANCE), options=given).settings.alpha == 0.02
    assert judge_gates(data, gates(TOLERANCE)).settings.alpha == AuditOptions.alpha


def test_the_tests_of_limits_agree_with_scipy_and_are_corrected_together(gates):
    report = judge_gates(
        counted(a=(60, 100), b=(70, 100)), gates("limits:\n  - {by: g, at_least: 0.8}\n  - {by: g, at_most: 0.5}\n")
    )
    raw = [binomtest(k, 100, 0.8, alternative="less").pvalue for k in (60, 70)]
    raw += [binomtest(k, 100, 0.5, alternative="greater").pvalue for k in (60, 70)]
    order = np.argsort(raw)
    holm = np.minimum(1, np.maximum.accumulate(np.sort(raw) * np.arange(4, 0, -1)))
    assert [report.rows[i].p_holm for i in order] == pytest.approx(holm)


def test_a_ceiling_holds_a_rate_where_low_is_good(gates):
    generator = np.random.default_rng(0)
    y = np.array([0, 1] * 500)
    wrong = (y == 0) & (generator.random(1000) < 0.3)
    predictions = predictions_of(y, np.where(wrong, 1, y), g="ab" * 250 + "ba" * 250)
    text = "limits:\n  - {by: g, metric: false_positive_rate, class_name: 'yes', at_most: 0.1}\n"
    report = judge_gates(predictions, gates(text))
    assert report.verdict == "FAIL"
    assert {row.rate for row in report.rows} == {"false positive rate of yes"}


def test_crossed_columns_and_missing_values_are_gated(gates):
    base = counted(a=(950, 1000), b=(955, 1000), missing=(400, 1000))
    report = judge_gates(base, gates(TOLERANCE))
    assert {row.group: row.verdict for row in report.rows} == {"a": "PASS", "b": "PASS", "(missing)": "FAIL"}
    report = judge_gates(base, gates(FLOOR))
    assert {row.group: row.verdict for row in report.rows} == {"a": "PASS", "b": "PASS", "(missing)": "FAIL"}
    few = judge_gates(counted(a=(950, 1000), missing=(3, 3)), gates(FLOOR))
    assert [(row.group, row.verdict, gate_note(row)) for row in few.rows] == [
        ("a", "PASS", ""),
        ("(missing)", "NOT ENOUGH DATA", saying("3", "20")),
    ]
    both = base.groups.assign(h=["x", "y"] * 1500)
    crossed = replace(base, groups=both)
    report = judge_gates(crossed, gates("limits:\n  - {by: [g, h], at_least: 0.9}\n"))
    assert [row.group for row in report.rows] == ["a × x", "a × y", "b × x", "b × y"]


def test_a_gate_that_finds_no_group_is_no_pass(gates):
    one = counted(a=(950, 1000))
    table = replace(one, groups=one.groups.assign(h=["x", "y"] * 500))
    for text in (
        "tolerances:\n  - {by: [g, h], tolerance: 0.1}\n",
        "limits:\n  - {by: [g, h], at_least: 0.1}\n  - {by: h, at_least: 0.1}\n",
    ):
        report = judge_gates(table, gates(text))
        assert report.exit_code == 3
        assert [row.group for row in report.rows if row.verdict != "PASS"] == ["(none)"]


def test_a_column_that_the_gate_cuts_is_judged_and_two_cuts_are_refused(gates):
    base = counted(a=(950, 1000), b=(960, 1000))
    table = replace(base, groups=base.groups.assign(age=[str(i % 90) for i in range(2000)]))
    report = judge_gates(table, gates("limits:\n  - {by: 'age:bins=30', at_least: 0.9}\n"))
    assert [row.verdict for row in report.rows] == ["PASS", "PASS"]
    with pytest.raises(PredictionsError, match=saying("'age'", "'age:bins=30'").pattern):
        judge_gates(table, gates("limits:\n  - {by: 'age:bins=30', at_least: 0.9}\n  - {by: age, at_least: 0.9}\n"))


def of_two_classes(n=1000):
    """Return predictions that are right for the second class, and wrong for half of the first class in group b."""
    y = np.array([0, 0, 1, 1] * n)
    group = np.array(["a", "b"] * (2 * n))
    missed = (y == 0) & (group == "b") & (np.arange(4 * n) % 8 < 4)
    return predictions_of(y, np.where(missed, 1, y), g=group)


def test_a_gate_without_a_class_is_about_both_of_two_classes(gates):
    report = judge_gates(of_two_classes(), gates("tolerances:\n  - {by: g, metric: recall, tolerance: 0.1}\n"))
    assert {(row.rate, row.group): row.verdict for row in report.rows} == {
        ("recall of no", "a"): "FAIL",
        ("recall of no", "b"): "FAIL",
        ("recall of yes", "a"): "PASS",
        ("recall of yes", "b"): "PASS",
    }
    first = "limits:\n  - {by: g, metric: recall, class_name: 'no', at_least: 0.9}\n"
    assert [row.verdict for row in judge_gates(of_two_classes(), gates(first)).rows] == ["PASS", "FAIL"]


def test_only_what_is_gated_counts_for_the_correction(gates):
    base = counted(a=(950, 1000), b=(900, 1000))
    table = replace(base, groups=base.groups.assign(h=[str(i % 7) for i in range(2000)]))
    alone = judge_gates(table, gates(TOLERANCE))
    beside_a_limit = judge_gates(table, gates(TOLERANCE + "limits:\n  - {by: h, at_least: 0.5}\n"))
    assert alone.rows[0].p_holm == beside_a_limit.rows[0].p_holm


@pytest.mark.parametrize("text", [TOLERANCE, FLOOR])
def test_a_group_whose_images_have_no_label_does_not_vanish(gates, text):
    base = counted(a=(950, 1000), b=(960, 1000), c=(0, 1000))
    table = replace(base, y_true=np.where(base.groups["g"] == "c", -1, 0))
    report = judge_gates(table, gates(text))
    assert [(row.group, row.verdict) for row in report.rows] == [("a", "PASS"), ("b", "PASS"), ("c", "NOT ENOUGH DATA")]
    assert gate_note(report.rows[2]) == "no labelled images"


def test_images_of_few_subjects_cannot_pass_where_as_many_images_would(gates):
    base = counted(a=(1900, 2000), b=(1900, 2000))
    subjects = [f"{'ab'[i // 2000]}{i * 6 // 4000}" for i in range(4000)]
    table = replace(base, groups=base.groups.assign(subject=subjects))
    assert judge_gates(table, gates(TOLERANCE)).verdict == "PASS"
    assert judge_gates(table, gates(TOLERANCE + "cluster_by: subject\n")).verdict == "NOT ENOUGH DATA"
    with pytest.raises(PredictionsError, match=saying("gates.yaml", "cluster_by", "'subjct'").pattern):
        judge_gates(table, gates(TOLERANCE + "cluster_by: subjct\n"))


WORSE = "no_worse_than: {baseline: before.csv, by: [g], margin: 0.02}\n"


def two(n, first_wrong, second_wrong):
    """Return a baseline and a model on n images of one group each half, wrong on the given positions."""
    names = ["a"] * (n // 2) + ["b"] * (n - n // 2)
    return [
        predictions_of([0] * n, np.isin(np.arange(n), list(wrong)).astype(int), g=names)
        for wrong in (first_wrong, second_wrong)
    ]


def test_the_same_predictions_are_no_worse_however_few(gates):
    one, _ = two(30, range(3), range(3))
    report = judge_gates(one, gates(WORSE), baseline=one)
    assert report.verdict == "PASS"
    assert all(says(gate_note(row), "both", "every image") for row in report.rows)


def test_a_few_images_of_which_both_say_the_same_do_not_pass_where_the_models_differ(gates):
    one, other = two(1000, range(50), range(990, 1000))
    names = pd.DataFrame({"g": ["few"] * 3 + ["many"] * 997}, dtype="str")
    first = replace(one, groups=names)
    second = replace(first, y_pred=np.where(np.arange(1000) < 3, one.y_pred, other.y_pred))
    rows = {row.group: row for row in judge_gates(second, gates(WORSE), baseline=first).rows}
    assert rows["many"].verdict == "PASS"
    assert (rows["few"].verdict, gate_note(rows["few"])) == ("NOT ENOUGH DATA", saying("3", "20"))


def in_bursts(first, second):
    """Return two models' predictions on bursts of images, from the images each has right in every burst of twenty."""
    made = []
    for counts in (first, second):
        wrong = np.concatenate([np.arange(20) >= k for k in counts]).astype(int)
        n, burst = len(wrong), np.repeat(np.arange(len(counts)), 20).astype(str)
        made.append(predictions_of([0] * n, wrong, burst=burst, day="1" * n, w="2" * n))
    return made


LOSS = "no_worse_than: {baseline: before.csv, margin: 0.05}\n"


def test_no_worse_allows_for_clusters(gates):
    # One burst in ten is lost wholly, as by one object that the new model does not know
    before, after = in_bursts([19] * 10, [19] * 9 + [0])
    alone = judge_gates(after, gates(LOSS), baseline=before)
    assert (alone.verdict, alone.rows[0].value.value) == ("FAIL", pytest.approx(-0.095))
    clustered = judge_gates(after, gates(LOSS + "cluster_by: burst\n"), baseline=before)
    row = clustered.rows[0]
    assert (row.verdict, row.value.low < -0.25, row.value.high > 0, row.p_holm > 0.3) == (
        "NOT ENOUGH DATA",
        True,
        True,
        True,
    )
    good, worse = in_bursts([19, 20, 18, 20, 19] * 4, [15, 16, 13, 17, 14] * 4)  # every burst loses some
    assert judge_gates(worse, gates(LOSS + "cluster_by: burst\n"), baseline=good).verdict == "FAIL"
    known = judge_gates(after, gates(LOSS + "cluster_by: day\n"), baseline=before).rows[0]
    assert (known.verdict, gate_note(known)) == ("NOT ENOUGH DATA", saying("200", "images", "cluster"))
    assert judge_gates(before, gates(LOSS + "cluster_by: burst\n"), baseline=before).verdict == "PASS"
    weighted = judge_gates(after, gates(LOSS + "weights: w\n"), baseline=before).rows[0]
    assert weighted.value.value == pytest.approx(-0.095)
    assert weighted.verdict == "FAIL"


def test_a_group_that_the_baseline_does_not_have_is_not_decided(gates):
    one, other = two(1000, range(10), range(10))
    report = judge_gates(other, gates(WORSE), baseline=one.take(np.arange(500)))
    assert {row.group: row.verdict for row in report.rows} == {
        "all images": "PASS",
        "a": "PASS",
        "b": "NOT ENOUGH DATA",
    }
    assert gate_note(report.rows[-1]) == saying("no", "both")


def test_a_model_that_lost_one_group_fails_there_by_mcnemar(gates):
    one, other = two(1000, range(50), [*range(50), *range(500, 600)])
    report = judge_gates(other, gates(WORSE), baseline=one)
    rows = {row.group: row for row in report.rows}
    assert {name: row.verdict for name, row in rows.items()} == {"all images": "FAIL", "a": "PASS", "b": "FAIL"}
    raw = mcnemar([[400, 100], [0, 0]], exact=True).pvalue
    assert rows["b"].p_holm == pytest.approx(2 * raw)
    assert rows["b"].value.value == pytest.approx(-0.2)


def test_a_loss_that_may_be_chance_is_not_enough_data(gates):
    one, other = two(100, range(5), [*range(2, 5), *range(60, 65)])
    report = judge_gates(other, gates(WORSE), baseline=one)
    assert report.verdict == "NOT ENOUGH DATA"
    assert says(gate_note(report.rows[0]), "0.02", "images", "show")


def test_what_the_data_lack_is_reported_at_once_with_its_line(gates):
    file = gates(
        "tolerances:\n  - {by: gg, tolerance: 0.1}\nlimits:\n"
        "  - {by: g, metric: recall, class_name: yse, at_least: 0.1}\n"
    )
    with pytest.raises(PredictionsError) as error:
        judge_gates(counted(a=(9, 10), b=(9, 10)), file)
    assert error.value.problems == (saying("gates.yaml:3", "'gg'", "'g'?"), saying("gates.yaml:5", "'yse'", "'yes'?"))


def test_junit_counts_failures_and_errors_and_survives_any_name(gates):
    groups = {"a": (950, 1000), "b\x00<&\"'": (300, 1000), "few": (5, 6)}
    report = judge_gates(counted(**groups), gates(TOLERANCE + FLOOR))
    root = ET.fromstring(report.to_junit())
    assert root.tag == "testsuites"
    (suite,) = root
    cases = list(suite)
    assert suite.attrib["tests"] == root.attrib["tests"] == str(len(cases)) == "6"
    found = [case[0].tag if len(case) else "passed" for case in cases]
    assert (found.count("failure"), found.count("error")) == (int(suite.get("failures")), int(suite.get("errors")))
    assert found.count("failure") == 3
    assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)
    assert any("b�<&\"'" in case.get("name") for case in cases)
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)


def test_names_from_the_data_stay_in_their_cells(gates):
    report = judge_gates(counted(**{"a|b": (950, 1000), "<script>": (960, 1000)}), gates(TOLERANCE))
    text = report.to_markdown()
    assert says(text.splitlines()[0], "Gates of ", "✓ PASS")
    assert "a\\|b" in text
    assert "<script>" not in text + report._repr_html_()


def test_a_report_goes_to_json_and_back(gates):
    report = judge_gates(counted(a=(95, 100), b=(60, 100)), gates(TOLERANCE + FLOOR))
    assert GateReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_a_tolerance_that_fails_states_on_which_side(gates):
    report = judge_gates(counted(a=(950, 1000), b=(700, 1000)), gates(TOLERANCE))
    rows = {row.group: row for row in report.rows}
    assert (rows["a"].direction, rows["b"].direction) == ("above the rest", "below the rest")
    (table,) = report.tables()
    assert dict(zip(table.column("group"), table.column("note"), strict=True)) == {
        "a": "above the rest",
        "b": "below the rest",
    }
    assert set(table.marks.values()) == {"better", "worst"}
    assert says(report.to_junit(), "above the rest", "below the rest")
    assert GateReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
