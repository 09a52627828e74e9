"""Gates: three states that never rest on a point estimate, against scipy and statsmodels, and the forms CI reads."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.gates.gate_tables import gate_note
from tlkit.audit.gates.gate_verdicts import judge_gates
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import METRICS
from tlkit.errors import PredictionsError, TlkitError
from tlkit.predictions import Predictions
from tlkit.recipe.gates_file import load_gates


@pytest.fixture
def gates(tmp_path):
    def make(text):
        (tmp_path / "gates.yaml").write_text(f"gates_version: 1\n{text}")
        return load_gates(tmp_path / "gates.yaml", metrics=METRICS)

    return make


def counted(*, classes=("no", "yes"), **groups):
    """Build predictions from {group: (correct, images)}; the true class is always the first."""
    names = [name for name, (_, n) in groups.items() for _ in range(n)]
    wrong = [int(i >= k) for k, n in groups.values() for i in range(n)]
    return Predictions.build(
        classes=classes,
        path=[f"{i}.png" for i in range(len(names))],
        y_true=[0] * len(names),
        y_pred=wrong,
        groups=pd.DataFrame({"g": [None if name == "missing" else name for name in names]}),
    )


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


def test_a_point_estimate_beyond_the_bound_does_not_fail_and_one_within_does_not_pass(gates):
    below = judge_gates(counted(a=(15, 20), b=(15, 20)), gates(FLOOR))
    above = judge_gates(counted(a=(17, 20), b=(17, 20)), gates(FLOOR))
    assert below.verdict == above.verdict == "NOT ENOUGH DATA"


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
    predictions = Predictions.build(
        classes=("no", "yes"),
        path=[str(i) for i in range(1000)],
        y_true=y,
        y_pred=np.where(wrong, 1, y),
        groups=pd.DataFrame({"g": ["a", "b"] * 250 + ["b", "a"] * 250}),
    )
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
        ("(missing)", "NOT ENOUGH DATA", "n = 3, fewer than 20"),
    ]
    both = base.groups.assign(h=["x", "y"] * 1500)
    crossed = Predictions.build(
        classes=base.classes, path=base.path, y_true=base.y_true, y_pred=base.y_pred, groups=both
    )
    report = judge_gates(crossed, gates("limits:\n  - {by: [g, h], at_least: 0.9}\n"))
    assert [row.group for row in report.rows] == ["a × x", "a × y", "b × x", "b × y"]


def test_a_gate_that_finds_no_group_is_no_pass(gates):
    one = counted(a=(950, 1000))
    table = Predictions.build(
        classes=one.classes,
        path=one.path,
        y_true=one.y_true,
        y_pred=one.y_pred,
        groups=one.groups.assign(h=["x", "y"] * 500),
    )
    for text in (
        "tolerances:\n  - {by: [g, h], tolerance: 0.1}\n",
        "limits:\n  - {by: [g, h], at_least: 0.1}\n  - {by: h, at_least: 0.1}\n",
    ):
        report = judge_gates(table, gates(text))
        assert report.exit_code == 3
        assert [row.group for row in report.rows if row.verdict != "PASS"] == ["(none)"]


def test_a_column_that_the_gate_cuts_is_judged_and_two_cuts_are_refused(gates):
    base = counted(a=(950, 1000), b=(960, 1000))
    table = Predictions.build(
        classes=base.classes,
        path=base.path,
        y_true=base.y_true,
        y_pred=base.y_pred,
        groups=base.groups.assign(age=[str(i % 90) for i in range(2000)]),
    )
    report = judge_gates(table, gates("limits:\n  - {by: 'age:bins=30', at_least: 0.9}\n"))
    assert [row.verdict for row in report.rows] == ["PASS", "PASS"]
    with pytest.raises(PredictionsError, match=saying("'age'", "'age:bins=30'").pattern):
        judge_gates(table, gates("limits:\n  - {by: 'age:bins=30', at_least: 0.9}\n  - {by: age, at_least: 0.9}\n"))


def of_two_classes(n=1000):
    """Return predictions that are right for the second class, and wrong for half of the first class in group b."""
    y = np.array([0, 0, 1, 1] * n)
    group = np.array(["a", "b"] * (2 * n))
    missed = (y == 0) & (group == "b") & (np.arange(4 * n) % 8 < 4)
    return Predictions.build(
        classes=("no", "yes"),
        path=[str(i) for i in range(4 * n)],
        y_true=y,
        y_pred=np.where(missed, 1, y),
        groups=pd.DataFrame({"g": group}),
    )


def test_a_gate_without_a_class_is_about_both_of_two_classes(gates):
    report = judge_gates(of_two_classes(), gates("tolerances:\n  - {by: g, metric: recall, tolerance: 0.1}\n"))
    assert {(row.rate, row.group): row.verdict for row in report.rows} == {
        ("recall of no", "a"): "FAIL",
        ("recall of no", "b"): "FAIL",
        ("recall of yes", "a"): "PASS",
        ("recall of yes", "b"): "PASS",
    }


def test_a_gate_can_be_about_the_first_of_two_classes(gates):
    report = judge_gates(
        of_two_classes(), gates("limits:\n  - {by: g, metric: recall, class_name: 'no', at_least: 0.9}\n")
    )
    assert [row.verdict for row in report.rows] == ["PASS", "FAIL"]


def test_only_what_is_gated_counts_for_the_correction(gates):
    base = counted(a=(950, 1000), b=(900, 1000))
    table = Predictions.build(
        classes=base.classes,
        path=base.path,
        y_true=base.y_true,
        y_pred=base.y_pred,
        groups=base.groups.assign(h=[str(i % 7) for i in range(2000)]),
    )
    alone = judge_gates(table, gates(TOLERANCE))
    beside_a_limit = judge_gates(table, gates(TOLERANCE + "limits:\n  - {by: h, at_least: 0.5}\n"))
    assert alone.rows[0].p_holm == beside_a_limit.rows[0].p_holm


@pytest.mark.parametrize("text", [TOLERANCE, FLOOR])
def test_a_group_whose_images_have_no_label_does_not_vanish(gates, text):
    base = counted(a=(950, 1000), b=(960, 1000), c=(0, 1000))
    table = Predictions.build(
        classes=base.classes,
        path=base.path,
        y_pred=base.y_pred,
        groups=base.groups,
        y_true=np.where(base.groups["g"] == "c", -1, 0),
    )
    report = judge_gates(table, gates(text))
    assert [(row.group, row.verdict) for row in report.rows] == [("a", "PASS"), ("b", "PASS"), ("c", "NOT ENOUGH DATA")]
    assert gate_note(report.rows[2]) == "no labelled images"


def test_images_of_few_subjects_cannot_pass_where_as_many_images_would(gates):
    base = counted(a=(1900, 2000), b=(1900, 2000))
    subjects = [f"{'ab'[i // 2000]}{i * 6 // 4000}" for i in range(4000)]
    table = Predictions.build(
        classes=base.classes,
        path=base.path,
        y_true=base.y_true,
        y_pred=base.y_pred,
        groups=base.groups.assign(subject=subjects),
    )
    assert judge_gates(table, gates(TOLERANCE)).verdict == "PASS"
    assert judge_gates(table, gates(TOLERANCE + "cluster_by: subject\n")).verdict == "NOT ENOUGH DATA"
    with pytest.raises(PredictionsError, match=r"gates\.yaml.*cluster_by names 'subjct', which is no group column"):
        judge_gates(table, gates(TOLERANCE + "cluster_by: subjct\n"))


WORSE = "no_worse_than: {baseline: before.csv, by: [g], margin: 0.02}\n"


def two(n, first_wrong, second_wrong):
    """Return a baseline and a model on n images of one group each half, wrong on the given positions."""
    names = ["a"] * (n // 2) + ["b"] * (n - n // 2)
    made = []
    for wrong in (first_wrong, second_wrong):
        y_pred = np.zeros(n, dtype=int)
        y_pred[list(wrong)] = 1
        made.append(
            Predictions.build(
                classes=("no", "yes"),
                path=[str(i) for i in range(n)],
                y_true=[0] * n,
                y_pred=y_pred,
                groups=pd.DataFrame({"g": names}),
            )
        )
    return made


def test_the_same_predictions_are_no_worse_however_few(gates):
    one, _ = two(30, range(3), range(3))
    report = judge_gates(one, gates(WORSE), baseline=one)
    assert report.verdict == "PASS"
    assert all(says(gate_note(row), "both", "every image") for row in report.rows)


def test_a_few_images_of_which_both_say_the_same_do_not_pass_where_the_models_differ(gates):
    one, other = two(1000, range(50), range(990, 1000))
    names = pd.DataFrame({"g": ["few"] * 3 + ["many"] * 997})
    first, second = (
        Predictions.build(classes=p.classes, path=p.path, y_true=p.y_true, y_pred=p.y_pred, groups=names)
        for p in (
            one,
            Predictions.build(
                classes=one.classes,
                path=one.path,
                y_true=one.y_true,
                y_pred=np.where(np.arange(1000) < 3, one.y_pred, other.y_pred),
            ),
        )
    )
    rows = {row.group: row for row in judge_gates(second, gates(WORSE), baseline=first).rows}
    assert rows["many"].verdict == "PASS"
    assert (rows["few"].verdict, gate_note(rows["few"])) == ("NOT ENOUGH DATA", "n = 3, fewer than 20")


def in_bursts(first, second):
    """Return two models' predictions on bursts of images, from the images each has right in every burst of twenty."""
    made = []
    for counts in (first, second):
        wrong = np.concatenate([np.arange(20) >= k for k in counts]).astype(int)
        made.append(
            Predictions.build(
                classes=("no", "yes"),
                path=[str(i) for i in range(len(wrong))],
                y_true=[0] * len(wrong),
                y_pred=wrong,
                groups=pd.DataFrame(
                    {
                        "burst": np.repeat(np.arange(len(counts)), 20).astype(str),
                        "day": ["1"] * len(wrong),
                        "w": ["2"] * len(wrong),
                    }
                ),
            )
        )
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
    assert gate_note(report.rows[-1]) == "no labelled image that both predicted"


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
    first, second = error.value.problems
    assert first.endswith("gates.yaml:3  There is no group column 'gg'. Did you mean 'g'? The group columns are: g.")
    assert second.endswith("gates.yaml:5  There is no class 'yse'. Did you mean 'yes'? The classes are: no, yes.")


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


def test_markdown_keeps_names_in_their_cells(gates):
    report = judge_gates(counted(**{"a|b": (950, 1000), "<script>": (960, 1000)}), gates(TOLERANCE))
    text = report.to_markdown()
    assert text.splitlines()[0].startswith("**Gates of ")
    assert text.splitlines()[0].endswith("✓ PASS**")
    assert "2 passed, 0 failed, 0 cannot be decided; 2,000 labelled images." in text
    assert "| g | a\\|b | 1,000 |" in text
    assert "<script>" not in text
    assert "<script>" not in report._repr_html_()


def test_a_report_goes_to_json_and_back(gates):
    report = judge_gates(counted(a=(95, 100), b=(60, 100)), gates(TOLERANCE + FLOOR))
    assert GateReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    with pytest.raises(TlkitError, match=saying("written", "newer", "tlkit").pattern):
        GateReport.from_dict({**report.to_dict(), "version": 99})


def test_the_table_names_the_line_the_group_and_what_was_found(gates):
    report = judge_gates(counted(a=(95, 100), b=(60, 100)), gates(FLOOR))
    (table,) = report.tables()
    row = dict(zip((column.name for column in table.columns), table.rows[1], strict=True))
    assert row["where"].endswith("gates.yaml:3")
    assert (row["gate"], row["by"], row["group"], row["n"]) == ("accuracy at least 0.8", "g", "b", 100)
    assert (row["rate"].format(), row["difference"]) == ("0.600 [0.502, 0.691]", None)
    assert (row["p_holm"] < 0.001, row["verdict"]) == (True, "FAIL")
    assert table.notes[0].startswith("1 passed, 1 failed, 0 cannot be decided")


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
