from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from messages import says
from scipy import stats

from tlkit.audit import audit_groups
from tlkit.audit.multilabel_audit import audit_multilabel
from tlkit.audit.number_audit import audit_numbers
from tlkit.audit.options import AuditOptions
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.errors import PredictionsError, TlkitError
from tlkit.predictions import MultilabelPredictions, NumberPredictions, Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.hypothesis_tests import fisher_exact
from tlkit.stats.intervals import newcombe


def options(**given: object) -> AuditOptions:
    return AuditOptions().with_overrides(**given)  # type: ignore[arg-type]


def labels_of(seed: int, n: int = 400, size: int = 4, *, gap: float = 0.0) -> MultilabelPredictions:
    """Return labels that are found in 4 of 5 images; the third less often, by `gap`, in the group b."""
    rng = np.random.default_rng(seed)
    group, truth = rng.choice(["a", "b", "c"], n), rng.random((n, size)) < 0.4
    found = np.full((n, size), 0.8)
    found[group == "b", min(2, size - 1)] -= gap
    guess = np.where(truth, rng.random((n, size)) < found, rng.random((n, size)) < 0.1)
    return MultilabelPredictions.build(
        labels=[f"l{one}" for one in range(size)],
        path=np.arange(n).astype(str),
        y_true=truth.astype(int),
        y_pred=guess.astype(int),
        groups=pd.DataFrame({"site": group, "unit": rng.integers(0, n // 4, n).astype(str)}),
    )


def numbers_of(
    seed: int, n: int = 400, *, shift: float = 0.0, noise: float = 0.0, clusters: int = 0
) -> NumberPredictions:
    """Return numbers whose errors are shifted and noisier in the group b, and shared within clusters."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], n)
    unit = rng.integers(0, clusters or n, n)
    truth = rng.normal(0, 10, n)
    error = rng.normal(0, 2, n) + (rng.normal(0, 2, clusters)[unit] if clusters else 0)
    error = error * np.where(group == "b", 1 + noise, 1) + np.where(group == "b", shift, 0)
    return NumberPredictions.build(
        path=np.arange(n).astype(str),
        y_true=truth,
        y_pred=truth + error,
        groups=pd.DataFrame({"site": group, "unit": unit.astype(str)}),
    )


def test_rows_of_labels_are_fishers_newcombes_and_holms():
    found = labels_of(0)
    audit = audit_multilabel(found, options(by="site"))
    site, family, rows = found.groups["site"].to_numpy(str), [], []
    for metric in ("recall", "false_positive_rate"):
        for place, label in enumerate(found.labels):
            base = (found.y_true[:, place] == 1) == (metric == "recall")
            for group in "abc":
                k1, n1 = (int((one & base & (site == group)).sum()) for one in (found.y_pred[:, place], base))
                k2, n2 = (int((one & base & (site != group)).sum()) for one in (found.y_pred[:, place], base))
                row = audit.group_table("site", metric=metric, class_name=label).row((group,))
                expected = newcombe(k1, n1, k2, n2)
                assert (row.difference.low, row.difference.high) == pytest.approx((expected.low, expected.high))
                assert (row.rate.value, row.rate.n) == (pytest.approx(k1 / n1), n1)
                family.append(fisher_exact(k1, n1, k2, n2))
                rows.append(row)
    assert [row.p for row in rows] == pytest.approx(family)
    assert [row.p_holm for row in rows] == pytest.approx(holm(family))
    assert audit.tests == len(family) == 24


def test_one_label_is_audited_like_a_class_against_the_other():
    found = labels_of(1, size=1)
    as_classes = Predictions.build(
        classes=["no", "l0"],
        path=found.path,
        y_true=found.y_true[:, 0],
        y_pred=found.y_pred[:, 0].astype(int),
        groups=found.groups,
    )
    for extra in ({}, {"cluster_by": "unit"}):
        audit = audit_multilabel(found, options(by="site", **extra))
        classes = audit_groups(as_classes, by="site", metrics=["recall", "false_positive_rate"], **extra)
        for table in audit.group_tables:
            other = classes.group_table("site", metric=table.metric, class_name="l0")
            for row, same in zip(table.rows, other.rows, strict=True):
                assert (row.rate, row.difference, row.p, row.verdict) == (
                    same.rate,
                    same.difference,
                    same.p,
                    same.verdict,
                )


def test_a_planted_gap_in_one_label_and_one_group_is_found_and_no_other():
    audit = audit_multilabel(labels_of(2, 2400, gap=0.35), options(by="site"))
    assert audit.verdict == "FAIL"
    assert {(table.rate_name, row.name) for table, row, _ in audit.failures if row.direction == "below the rest"} == {
        ("recall of l2", "b")
    }
    assert {table.class_name for table, _, _ in audit.failures} == {"l2"}
    text = str([table.rows for table in audit.tables() if table.name == "failed"])
    assert "recall of l2" in text


def test_a_label_that_is_unknown_is_in_no_denominator():
    found = labels_of(3)
    truth = found.y_true.copy()
    truth[:200, 0] = -1
    part = MultilabelPredictions.build(
        labels=found.labels, path=found.path, y_true=truth, y_pred=found.y_pred.astype(int), groups=found.groups
    )
    held = audit_multilabel(found.take(np.arange(400) >= 200), options(by="site"))
    audit = audit_multilabel(part, options(by="site"))
    same = [one.group_table("site", metric="recall", class_name="l0").row(("a",)).rate for one in (held, audit)]
    assert same[0] == same[1]


def test_criteria_and_a_positive_label_choose_the_rates():
    audit = audit_multilabel(labels_of(4), options(by="site", criteria="predictive_parity", positive="l1"))
    assert [(table.metric, table.class_name) for table in audit.group_tables] == [("precision", "l1")]


def test_mean_errors_have_the_t_interval_and_test_of_their_images():
    found = numbers_of(0, shift=0.5)
    audit = audit_numbers(found, options(by="site"), mean_tolerance=0.5)
    inside = (found.groups["site"] == "b").to_numpy(bool)
    a, b = found.errors[inside], found.errors[~inside]
    row = audit.group_table("site", metric="mean_error").row(("b",))
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert row.difference.value == pytest.approx(a.mean() - b.mean())
    assert (row.difference.low, row.difference.high) == pytest.approx((low, high), abs=0.01)
    assert row.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=0.15)
    assert row.rate.value == pytest.approx(a.mean())
    absolute = audit.group_table("site", metric="mean_absolute_error").row(("b",))
    assert absolute.rate.value == pytest.approx(np.abs(a).mean())
    assert audit.overall[0].value.value == pytest.approx(np.abs(found.errors).mean())


def test_copies_in_clusters_do_not_narrow_the_difference_of_means():
    found = numbers_of(1, 300)
    rows = np.tile(np.arange(300), 4)
    copies = NumberPredictions.build(
        path=np.arange(1200).astype(str),
        y_true=found.y_true[rows],
        y_pred=found.y_pred[rows],
        groups=pd.DataFrame({"site": found.groups["site"].to_numpy(str)[rows], "original": rows.astype(str)}),
    )
    one = audit_numbers(found, options(by="site")).group_table("site", metric="mean_error").row(("a",))
    many = audit_numbers(copies, options(by="site", cluster_by="original"))
    row = many.group_table("site", metric="mean_error").row(("a",))
    assert row.difference.value == pytest.approx(one.difference.value)
    assert row.difference.high - row.difference.low == pytest.approx(one.difference.high - one.difference.low, rel=0.02)
    assert row.clusters < row.rate.n == 4 * row.clusters


def test_a_shift_and_a_spread_of_one_group_are_found():
    shifted = audit_numbers(numbers_of(2, 1500, shift=2.0), options(by="site"), mean_tolerance=0.5)
    assert shifted.group_table("site", metric="mean_error").row(("b",)).direction == "above the rest"
    noisy = audit_numbers(numbers_of(3, 1500, noise=1.0), options(by="site"), mean_tolerance=0.5)
    assert noisy.group_table("site", metric="mean_absolute_error").row(("b",)).verdict == "FAIL"
    assert noisy.group_table("site", metric="mean_error").row(("b",)).verdict != "FAIL"
    alike = audit_numbers(numbers_of(4, 1500), options(by="site"), mean_tolerance=1.0)
    assert alike.verdict == "PASS"


def test_a_group_is_better_off_where_its_mean_error_is_nearer_to_zero():
    for shift in (2.0, -2.0):  # of group b
        audit = audit_numbers(numbers_of(2, 1500, shift=shift), options(by="site"), mean_tolerance=0.5)
        table = audit.group_table("site", metric="mean_error")
        shifted, other = table.row(("b",)), table.row(("a",))
        assert {shifted.verdict, other.verdict} == {"FAIL"}
        assert abs(other.rate.value) < abs(shifted.rate.value)
        assert not table.is_better(shifted) and table.is_better(other)
        [shown] = [one for one in audit.tables() if one.name == table.name]
        marks = {row[0]: shown.marks.get(place) for place, row in enumerate(shown.rows)}
        assert (marks["a"], marks["b"]) == ("better", "worst")


def test_means_say_how_many_images_would_decide():
    few = audit_numbers(numbers_of(5, 150), options(by="site"), mean_tolerance=0.5)
    row = few.group_table("site", metric="mean_error").row(("a",))
    assert row.verdict == "NOT ENOUGH DATA" and row.detectable_gap > 0.5
    size = 1 + row.images_needed / row.rate.n
    many = audit_numbers(numbers_of(5, math.ceil(150 * size)), options(by="site"), mean_tolerance=0.5)
    assert many.group_table("site", metric="mean_error").row(("a",)).detectable_gap == pytest.approx(0.5, rel=0.25)


@pytest.mark.parametrize("people", [2, 5])
def test_the_need_of_groups_of_few_people_is_stated_in_people(people):
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(people + 30), 40)
    groups = pd.DataFrame({"site": np.where(code < people, "a", "b"), "who": [f"p{one}" for one in code]})
    truth = (rng.random(len(code)) < 0.5).astype(int)
    right = rng.random(len(code)) < rng.beta(8, 2, people + 30)[code]
    labels = MultilabelPredictions.build(
        labels=["x"],
        path=np.arange(len(code)).astype(str),
        y_true=truth[:, None],
        y_pred=np.where(right, truth, 1 - truth)[:, None],
        groups=groups,
    )
    numbers = NumberPredictions.build(
        path=labels.path, y_true=truth, y_pred=truth + rng.normal(0, 1, people + 30)[code], groups=groups
    )
    by = options(by="site", cluster_by="who")
    for audit in (audit_multilabel(labels, by), audit_numbers(numbers, by)):
        for table in audit.group_tables:
            row = table.row(("a",))
            assert (row.verdict, row.clusters) == ("NOT ENOUGH DATA", people)
            assert 10 - people <= row.clusters_needed < 10_000
            per_person = row.rate.n / people
            assert row.images_needed == pytest.approx(row.clusters_needed * per_person, abs=per_person)
        shown = audit.tables()[-1]
        assert shown.column("clusters")[0] == people and shown.column("clusters_needed")[0] == row.clusters_needed
        assert TaskAudit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit


def test_coverage_of_intervals_is_audited_as_a_rate():
    found = numbers_of(6, 900, noise=2.0)
    ends = NumberPredictions.build(
        path=found.path,
        y_true=found.y_true,
        y_pred=found.y_pred,
        lower=found.y_pred - 4,
        upper=found.y_pred + 4,
        groups=found.groups,
    )
    audit = audit_numbers(ends, options(by="site"))
    row = audit.group_table("site", metric="coverage").row(("b",))
    inside = (found.groups["site"] == "b").to_numpy(bool)
    assert row.rate.value == pytest.approx((np.abs(found.errors[inside]) <= 4).mean())
    assert row.verdict == "FAIL" and row.direction == "below the rest"


def test_small_groups_and_single_clusters_get_no_mean():
    found = numbers_of(7, 120)
    groups = pd.DataFrame(
        {"size": ["few"] * 5 + ["one"] * 25 + ["rest"] * 90, "unit": ["u"] * 30 + list(map(str, range(90)))}
    )
    table = NumberPredictions.build(path=found.path, y_true=found.y_true, y_pred=found.y_pred, groups=groups)
    audit = audit_numbers(table, options(by="size", cluster_by="unit"))
    few, one, rest = audit.group_table("size", metric="mean_error").rows
    assert few.suppressed and one.suppressed and not rest.suppressed
    assert few.verdict == one.verdict == "NOT ENOUGH DATA"
    assert "fewer than 20" in few.rate.note and "one cluster" in one.rate.note
    hidden = audit.to_redacted()["group_tables"]
    assert all(row["rate"]["value"] is None for table in hidden for row in table["rows"][:2])


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_results_come_back_from_json(kind):
    by = options(by=["site"], cluster_by="unit")
    audit = audit_multilabel(labels_of(8), by) if kind == "labels" else audit_numbers(numbers_of(8, clusters=40), by)
    assert TaskAudit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit
    with pytest.raises(TlkitError):
        TaskAudit.from_dict(audit.to_redacted())
    assert len(audit.table()) == sum(len(table.rows) for table in audit.group_tables)
    with pytest.raises(TlkitError):
        audit.group_table("sight", metric="recall")


def test_bad_options_are_named_at_once():
    with pytest.raises(PredictionsError) as error:
        audit_numbers(
            numbers_of(0), options(by="site", pair_by="unit", criteria="equal_opportunity"), mean_tolerance=-1
        )
    assert says(error.value.problems, "pair_by", "cluster_by") and len(error.value.problems) == 3
    with pytest.raises(PredictionsError) as error:
        audit_multilabel(labels_of(0), options(by="sight", positive="l9"))
    assert says(error.value.problems, "'sight'", "'site'") and says(error.value.problems, "'l9'")


def null_failures(sets: int, *, seed: int) -> tuple[int, int]:
    """Return in how many sets without any gap a row of labels, or of numbers, fails at a tolerance of 0."""
    found = [0, 0]
    for one in range(sets):
        labels = audit_multilabel(labels_of(seed + one, 300, 2), options(by="site", tolerance=0.0, draws=100))
        numbers = audit_numbers(
            numbers_of(seed + one, 300, clusters=60), options(by="site", cluster_by="unit"), mean_tolerance=0.0
        )
        found[0] += labels.verdict == "FAIL"
        found[1] += numbers.verdict == "FAIL"
    return found[0], found[1]


def most(sets: int) -> float:
    return sets * 0.05 + 2 * math.sqrt(sets * 0.05 * 0.95)


def test_sets_without_a_gap_rarely_fail():
    assert max(null_failures(60, seed=1000)) <= most(60)


@pytest.mark.series
def test_400_sets_without_a_gap_rarely_fail():
    found = null_failures(400, seed=5000)
    assert max(found) <= most(400), found
