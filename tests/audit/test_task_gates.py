"""Gates on labels, grades and numbers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from messages import saying
from scipy import stats

from tlkit.audit.gates.gate_verdicts import limit_p
from tlkit.audit.options import AuditOptions
from tlkit.errors import PredictionsError, RecipeError
from tlkit.predictions import MultilabelPredictions, NumberPredictions
from tlkit.runs.gate_run import gate
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import fisher_exact


def labels_of(seed: int, *, worse: float = 0.0, n: int = 400) -> MultilabelPredictions:
    """Return two labels; the second is found less often, by `worse`, in group b."""
    rng = np.random.default_rng(seed)
    group, truth = rng.choice(["a", "b"], n), rng.random((n, 2)) < 0.4
    found = np.full((n, 2), 0.85)
    found[group == "b", 1] -= worse
    return MultilabelPredictions.build(
        labels=["cat", "dog"],
        path=np.arange(n).astype(str),
        y_true=truth.astype(int),
        y_pred=np.where(truth, rng.random((n, 2)) < found, rng.random((n, 2)) < 0.1).astype(int),
        groups=pd.DataFrame({"site": group}),
    )


def numbers_of(seed: int, *, noise: float = 1.0, scale: float = 1.0, n: int = 300) -> NumberPredictions:
    """Return numbers whose errors in group b are larger by the factor `noise`."""
    rng = np.random.default_rng(seed)
    group, truth = rng.choice(["a", "b"], n), rng.normal(0, 30, n)
    error = scale * rng.normal(0, 5, n) * np.where(group == "b", noise, 1)
    return NumberPredictions.build(
        path=np.arange(n).astype(str),
        y_true=truth,
        y_pred=truth + error,
        lower=truth + error - 10,
        upper=truth + error + 10,
        groups=pd.DataFrame({"site": group}),
    )


@pytest.fixture
def judge(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def judged(predictions, text: str, **options):
        (tmp_path / "gates.yaml").write_text(f"gates_version: 1\n{text}\n")
        return gate(predictions, "gates.yaml", options=AuditOptions().with_overrides(**options))

    return judged


def test_a_gap_of_a_label_fails_and_its_p_value_is_fishers_corrected_over_the_labels(judge):
    table = labels_of(0, worse=0.5)
    report = judge(table, "tolerances:\n  - {by: site, metric: recall, tolerance: 0.1}")
    verdicts = {(row.rate, row.group): row.verdict for row in report.rows}
    assert verdicts[("recall of dog", "b")] == "FAIL"
    assert verdicts[("recall of cat", "b")] != "FAIL"
    assert (report.verdict, report.exit_code) == ("FAIL", 1)
    inside, p = table.groups["site"].to_numpy() == "b", []
    for label in range(2):
        own = table.y_true[:, label] == 1
        hit = own & table.y_pred[:, label]
        counts = [int(part.sum()) for part in (hit & inside, own & inside, hit & ~inside, own & ~inside)]
        p.append(fisher_exact(*counts))
    found = [row.p_holm for row in report.rows if row.group == "b"]
    assert found == pytest.approx(holm(p))
    suite = ElementTree.fromstring(report.to_junit()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == (str(len(report.rows)), "2")
    results = json.loads(report.to_sarif())["runs"][0]["results"]
    assert {one["level"] for one in results} <= {"error", "warning"}
    assert any(saying("recall of dog", "site = b") == one["message"]["text"] for one in results)


def test_limits_of_mean_errors_are_in_their_unit(judge):
    table = numbers_of(1, noise=3)
    text = "limits:\n  - {by: site, metric: mean_absolute_error, at_most: 8}\n"
    text += "  - {by: site, metric: coverage, at_least: 0.5}"
    report = judge(table, text)
    verdicts = {(row.rate, row.group): row.verdict for row in report.rows}
    assert verdicts[("mean absolute error", "a")] == "PASS"
    assert verdicts[("mean absolute error", "b")] == "FAIL"
    assert verdicts[("coverage", "a")] == "PASS"
    failed = next(row for row in report.rows if row.verdict == "FAIL")
    inside = table.groups["site"].to_numpy() == "b"
    assert failed.value.value == pytest.approx(np.abs(table.errors[inside]).mean())


def test_the_test_of_a_limit_is_students_on_the_scale_of_the_interval():
    values = np.abs(np.random.default_rng(2).normal(0, 2, 60)) + 1
    n, mean, error = 60, float(values.mean()), float(values.std(ddof=1) / np.sqrt(60))
    half = stats.t.ppf(0.975, n - 1) * error
    plain = Estimate(mean, mean - half, mean + half, n=n)
    expected = stats.ttest_1samp(values, 2.0, alternative="greater").pvalue
    given = {"confidence": 0.95, "of_losses": False}
    assert limit_p(plain, n, 2.0, floor=False, **given) == pytest.approx(expected)
    assert limit_p(plain, n, 2.0, floor=True, **given) == pytest.approx(1 - expected)
    logs = Estimate(mean, mean * np.exp(-half / mean), mean * np.exp(half / mean), n=n)
    at_end = limit_p(logs, n, logs.low, floor=False, confidence=0.95, of_losses=True)
    assert at_end == pytest.approx(0.025)


def test_tolerances_of_mean_errors_and_of_another_model(judge, tmp_path):
    before, now = numbers_of(3), numbers_of(3, scale=1.5)
    before.to_parquet(tmp_path / "before.parquet")
    wide = "tolerances:\n  - {by: site, metric: mean_absolute_error, tolerance: 3}\n"
    assert judge(now, wide).verdict == "PASS"
    worse = judge(now, "no_worse_than: {baseline: before.parquet, by: [site], margin: 1}")
    assert [row.group for row in worse.rows] == ["all images", "a", "b"]
    assert worse.verdict == "FAIL"
    assert worse.rows[0].value.value == pytest.approx(np.abs(now.errors).mean() - np.abs(before.errors).mean())
    assert judge(before, "no_worse_than: {baseline: before.parquet, margin: 0}").verdict == "PASS"
    chosen = judge(now, "no_worse_than: {baseline: before.parquet, metric: r_squared, margin: 0.2}")
    assert (chosen.rows[0].rate, chosen.verdict) == ("R²", "PASS")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tolerances:\n  - {by: site, tolerance: 3}", saying("gates.yaml:3", "accuracy", "mean_absolute_error")),
        ("limits:\n  - {by: site, metric: coverage, at_least: 3}", saying("gates.yaml:3", "at_least is 3", "0 to 1")),
        (
            "limits:\n  - {by: site, metric: mean_error, at_most: 3, class_name: x}",
            saying("gates.yaml:3", "mean_error covers all images"),
        ),
    ],
)
def test_gates_of_another_task_are_refused_with_their_line(judge, text, message):
    with pytest.raises(RecipeError) as error:
        judge(numbers_of(4), text)
    assert str(error.value) == message


def test_labels_refuse_a_tolerance_above_one_and_a_label_that_is_not_there(judge):
    for text, words in (
        ("tolerances:\n  - {by: site, metric: recall, tolerance: 3}", ("gates.yaml:3", "tolerance is 3")),
        ("limits:\n  - {by: site, metric: recall, class_name: cow, at_least: 0.5}", ("'cow'", "cat")),
    ):
        with pytest.raises((RecipeError, PredictionsError)) as error:
            judge(labels_of(5), text)
        assert str(error.value) == saying(*words)
