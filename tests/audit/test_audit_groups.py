"""The audit against known answers and fairlearn, and what it does where others go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, count, false_positive_rate, selection_rate
from messages import saying, says
from sklearn.metrics import accuracy_score, precision_score, recall_score
from tables_of_predictions import counted, predictions_of

from tlkit.audit import audit_groups, validate_columns
from tlkit.audit.audit_tables import rate_table
from tlkit.errors import PredictionsError, TlkitError
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import fisher_exact, max_gap
from tlkit.stats.intervals import newcombe, ratio_log, wilson
from tlkit.stats.power import detectable_gap, images_needed, images_per_group


@pytest.fixture(scope="module")
def many():
    """Three classes, two columns with missing values and unlabelled images: 3,000 images."""
    generator = np.random.default_rng(7)
    tone = generator.choice(["light", "medium", "dark", None], 3000, p=[0.5, 0.3, 0.15, 0.05])
    sex = generator.choice(["man", "woman"], 3000)
    y = generator.integers(0, 3, 3000)
    right = generator.random(3000) < np.where(tone == "dark", 0.7, 0.9)
    y_pred = np.where(right, y, (y + generator.integers(1, 3, 3000)) % 3)
    y[:30] = -1
    return predictions_of(y, y_pred, classes=("ant", "bee", "cat"), tone=tone, sex=sex)


ALL_RATES = ("accuracy", "recall", "precision", "false_positive_rate", "selection_rate")


def test_every_rate_agrees_with_fairlearn_for_every_group_and_class(many):
    audit = audit_groups(many, by=["tone", "sex"], metrics=ALL_RATES, max_intersection_order=2, min_group_size=1)
    kept = (many.y_true >= 0) & many.groups.notna().all(axis=1).to_numpy()
    for columns in (["sex"], ["tone", "sex"]):
        mask = kept if len(columns) == 2 else many.y_true >= 0
        features = many.groups.loc[mask, columns].astype(object)
        for index, name in enumerate(many.classes):
            one_class = {
                "recall": recall_score,
                "precision": precision_score,
                "false_positive_rate": false_positive_rate,
                "selection_rate": selection_rate,
            }
            theirs = MetricFrame(
                metrics=one_class,
                y_true=many.y_true[mask] == index,
                y_pred=many.y_pred[mask] == index,
                sensitive_features=features,
            )
            for metric in one_class:
                table = audit.group_table(columns, metric=metric, class_name=name)
                for row in (row for row in table.rows if row.group is not None):
                    key = row.group if len(columns) == 2 else row.group[0]
                    assert row.rate.value == pytest.approx(theirs.by_group[metric][key])
                assert table.gap.value == pytest.approx(theirs.difference()[metric])
                assert table.gap.ratio == pytest.approx(theirs.ratio()[metric])
        accuracy = MetricFrame(
            metrics={"accuracy": accuracy_score, "n": count},
            y_true=many.y_true[mask],
            y_pred=many.y_pred[mask],
            sensitive_features=features,
        )
        for row in audit.group_table(columns).rows:
            if row.group is not None:
                key = row.group if len(columns) == 2 else row.group[0]
                assert row.rate.value == pytest.approx(accuracy.by_group["accuracy"][key])
                assert row.rate.n == accuracy.by_group["n"][key]


def test_a_row_holds_the_intervals_and_tests_of_its_counts(many):
    audit = audit_groups(many, by="tone")
    kept = (many.y_true >= 0) & many.groups["tone"].notna().to_numpy()
    dark = kept & (many.groups["tone"] == "dark").to_numpy(dtype=bool, na_value=False)
    right = many.y_true == many.y_pred
    sides = (int(right[dark].sum()), int(dark.sum()), int(right[kept & ~dark].sum()), int((kept & ~dark).sum()))
    row = audit.group_table("tone").row(("dark",))
    assert row.rate == wilson(*sides[:2])
    assert row.difference == newcombe(*sides)
    assert row.ratio == ratio_log(*sides)
    assert row.p == fisher_exact(*sides)
    assert row.verdict == "FAIL"
    table = audit.group_table("tone")
    groups = [row for row in table.rows if row.group is not None]
    gap = max_gap([round(row.rate.value * row.rate.n) for row in groups], [row.rate.n for row in groups])
    assert (table.gap.value, table.gap.p, table.gap.expected) == (pytest.approx(gap.gap), gap.p, gap.expected)
    assert (table.gap.lowest, table.worst) == (("dark",), row)
    assert audit.worst == {"tone": row}
    assert audit.gaps == {"tone": table.gap}
    assert audit.unlabelled == 30
    assert audit.images == 2970
    assert audit.overall == wilson(int(right[many.y_true >= 0].sum()), 2970)


def test_missing_values_are_a_row_of_their_own_and_tested_against_the_others():
    audit = audit_groups(counted(A=(95, 100), B=(90, 100), missing=(30, 50)), by="g")
    table = audit.group_table("g")
    assert table.row(None).p == fisher_exact(30, 50, 185, 200)
    assert table.row(None).difference == newcombe(30, 50, 185, 200)
    assert table.row(None).verdict == "FAIL"
    assert table.row(("A",)).difference == newcombe(95, 100, 90, 100)  # missing values are not in the complement
    assert audit.tests == 2  # A against B, which is B against A, and the missing against both


def test_a_missing_value_is_not_the_value_none():
    table = audit_groups(counted(none=(20, 25), NA=(20, 25), missing=(20, 25)), by="g").group_table("g")
    assert [(row.group, row.images) for row in table.rows] == [(("NA",), 25), (("none",), 25), (None, 25)]


def test_a_group_that_is_too_small_shows_its_size_and_takes_no_part():
    audit = audit_groups(counted(A=(95, 100), B=(90, 100), C=(0, 7)), by="g")
    table = audit.group_table("g")
    small = table.row(("C",))
    assert small.rate == Estimate(None, None, None, n=7, note=saying("7", "20"))
    assert small.suppressed
    assert (small.difference, small.p, small.p_holm, small.shrunk, small.detectable_gap) == (None,) * 5
    assert small.verdict == "NOT ENOUGH DATA"
    assert table.gap.lowest == ("B",)
    assert table.gap.value == pytest.approx(0.05)
    assert table.row(("A",)).difference == newcombe(95, 100, 90, 107)  # its images count in the complement
    assert audit.images == 207


def test_a_group_is_not_compared_with_a_rest_that_is_too_small():
    audit = audit_groups(counted(A=(95, 100), B=(0, 7)), by="g")
    table = audit.group_table("g")
    assert table.row(("A",)).rate.value == 0.95
    assert table.row(("A",)).difference is None  # it would give away the rate of B
    assert table.row(("A",)).verdict == "NOT ENOUGH DATA"
    assert table.gap is None
    assert says(rate_table(audit, table).notes, "Fewer than two groups", "at least 20 images", "no gap")


def test_intersections_reach_as_far_as_max_intersection_order_and_keep_missing_values_together():
    generator = np.random.default_rng(0)
    columns = {name: generator.choice(["p", "q", None], 300, p=[0.5, 0.4, 0.1]) for name in "abc"}
    predictions = predictions_of([0] * 300, generator.integers(0, 2, 300), **columns)
    names = {
        order: [
            table.by for table in audit_groups(predictions, by=list("abc"), max_intersection_order=order).group_tables
        ]
        for order in (1, 2, 3, 9)
    }
    assert names[1] == ["a", "b", "c"]
    assert names[2] == ["a", "b", "c", "a × b", "a × c", "b × c"]
    assert names[3] == names[9] == [*names[2], "a × b × c"]
    audit = audit_groups(predictions, by=list("abc"))
    crossed = audit.group_table(["b", "a"])
    assert sum(row.images for row in crossed.rows) == 300
    assert crossed.row(None).images == int(predictions.groups[["a", "b"]].isna().any(axis=1).sum())
    assert crossed.row(None).p is None  # tested in the tables of a and of b already
    assert crossed.row(None).verdict is None
    assert audit.group_table("a").row(None).p is not None


def test_a_column_with_one_group_has_a_table_with_a_note_and_is_not_crossed(caplog):
    predictions = predictions_of([0] * 60, [0] * 50 + [1] * 10, only=["x"] * 60, g=list("AB") * 30)
    with caplog.at_level("DEBUG", logger="tlkit"):
        audit = audit_groups(predictions, by=["only", "g"])
    assert [table.by for table in audit.group_tables] == ["only", "g"]
    table = audit.group_table("only")
    assert says(rate_table(audit, table).notes, "only one group", "x")
    assert table.gap is None
    assert table.row(("x",)).rate == wilson(50, 60)
    assert table.row(("x",)).verdict is None
    assert says(caplog.text, "fewer than two groups", "only")
    assert says(caplog.text, "tables: 2", "tests", "images: 60")


def test_a_column_without_any_value_has_a_table_with_a_note():
    audit = audit_groups(predictions_of([0] * 30, [0] * 30, g=[None] * 30), by="g")
    table = audit.group_table("g")
    assert says(rate_table(audit, table).notes, "No image has a value")
    assert [(row.name, row.images, row.verdict) for row in table.rows] == [("(missing)", 30, None)]
    assert audit.verdict == "NOT ENOUGH DATA"


def test_images_without_a_label_are_left_out_but_their_groups_are_listed():
    predictions = predictions_of([0] * 40 + [-1] * 5, [0] * 45, g=["A"] * 20 + ["B"] * 20 + ["A"] * 2 + ["C"] * 3)
    audit = audit_groups(predictions, by="g")
    assert (audit.images, audit.unlabelled) == (40, 5)
    assert [(row.name, row.images) for row in audit.group_table("g").rows] == [("A", 20), ("B", 20), ("C", 0)]


def test_holm_counts_all_tests_of_the_audit_and_the_two_sides_of_one_test_once(many):
    one = audit_groups(many, by="sex", max_intersection_order=1)
    assert one.tests == 1
    man, woman = one.group_table("sex").rows
    assert man.p == woman.p == man.p_holm == woman.p_holm
    both = audit_groups(many, by=["sex", "tone"])
    assert both.tests == 1 + 4 + 6  # man against woman; three tones and the missing; six cells
    smallest = min(
        (row for table in both.group_tables for row in table.rows if row.p is not None), key=lambda row: row.p
    )
    assert smallest.p_holm == pytest.approx(min(1.0, 11 * smallest.p))


def test_groups_without_any_error_pass_when_they_are_large_and_never_when_they_are_small():
    large = audit_groups(counted(A=(500, 500), B=(400, 400)), by="g")
    assert [(row.p, row.verdict) for row in large.group_table("g").rows] == [(None, "PASS")] * 2
    assert large.verdict == "PASS"
    small = audit_groups(counted(A=(30, 30), B=(30, 30)), by="g")
    assert [row.verdict for row in small.group_table("g").rows] == ["NOT ENOUGH DATA"] * 2


def test_a_row_without_enough_data_says_how_many_more_images_would_do():
    rows = audit_groups(counted(A=(1800, 2000), B=(45, 50)), by="g").group_table("g").rows
    assert [row.verdict for row in rows] == ["NOT ENOUGH DATA"] * 2
    assert rows[1].detectable_gap == detectable_gap(2000, 50, 0.9)
    assert rows[1].images_needed == images_needed(2000, 0.9, gap=0.05) - 50
    assert not rows[1].complement_needed
    both = audit_groups(counted(A=(270, 300), B=(280, 300)), by="g").group_table("g").rows[0]
    assert both.verdict == "NOT ENOUGH DATA"
    assert both.complement_needed
    assert both.images_needed == images_per_group(280 / 300, 280 / 300 - 0.05) - 300
    tiny = audit_groups(counted(A=(1800, 2000), B=(4, 5)), by="g", tolerance=0.5).group_table("g").row(("B",))
    assert tiny.images_needed == 15  # to reach min_group_size


def test_mean_confidence_stands_beside_the_accuracy_where_probabilities_are_known():
    proba = np.array([[0.9, 0.1]] * 20 + [[0.3, 0.7]] * 20 + [[0.6, 0.4]] * 3)
    predictions = predictions_of([0] * 43, proba.argmax(axis=1), proba=proba, g=["A"] * 20 + ["B"] * 20 + ["C"] * 3)
    audit = audit_groups(predictions, by="g", metrics=["accuracy", "recall"])
    assert [row.mean_confidence for row in audit.group_table("g").rows] == pytest.approx([0.9, 0.7, None])
    recall = audit.group_table("g", metric="recall", class_name="yes")
    assert {row.mean_confidence for row in recall.rows} == {None}


def test_the_shrunk_rate_stands_beside_the_raw_one_for_the_groups_that_have_one():
    audit = audit_groups(
        counted(A=(2276, 2484), B=(900, 974), C=(360, 412), D=(258, 336), E=(46, 64), F=(1, 2)), by="g"
    )
    rows = audit.group_table("g").rows
    assert [row.shrunk.value for row in rows[:5]] == pytest.approx([0.9161, 0.9234, 0.8752, 0.7767, 0.7682], abs=5e-5)
    assert rows[5].shrunk is None
    assert audit.worst["g"].shrunk.format(digits=4) == "0.7682 [0.6753, 0.8497]"


def test_groups_are_sorted_with_numbers_by_size():
    table = audit_groups(
        predictions_of([0] * 5, [0] * 5, age=["100+", "10-19", "2-9", "unknown", "20-29"]), by="age"
    ).group_tables[0]
    assert [row.name for row in table.rows] == ["2-9", "10-19", "20-29", "100+", "unknown"]


def test_empty_cells_of_a_large_intersection_are_counted_not_listed():
    values = [str(i) for i in range(40)]
    audit = audit_groups(predictions_of([0] * 80, [0] * 80, a=values * 2, b=(values + values[::-1])), by=["a", "b"])
    table = audit.group_table(["a", "b"])
    assert len(table.rows) == 80
    assert table.unlisted == 1520
    assert says(rate_table(audit, table).notes, "1520", "empty")


def test_all_problems_are_reported_at_once():
    predictions = predictions_of([-1] * 3, [0] * 3, skin_tone="abc", sex="fmf")
    with pytest.raises(PredictionsError) as caught:
        audit_groups(predictions, by=["skin_ton", "sex"], min_group_size=0, confidence=95, metrics=["recal"])
    assert caught.value.problems == (
        saying("`min_group_size`", "at least 1", "Got 0"),
        saying("`confidence`", "0.95", "Got 95"),
        saying("'recal'", "'recall'?", ", ".join(ALL_RATES)),
        saying("'skin_ton'", "'skin_tone'?", "skin_tone, sex"),
        saying("3 images", "label"),
    )


def test_a_column_that_looks_like_an_identifier_is_refused_unless_allowed():
    predictions = predictions_of([0] * 60, [0] * 60, subject=[f"s{i}" for i in range(60)])
    with pytest.raises(PredictionsError) as caught:
        audit_groups(predictions, by="subject")
    assert says(caught.value, "'subject'", "60", "at most 50", "max_values", "cluster_by")
    assert len(audit_groups(predictions, by="subject", max_values=60).group_tables[0].rows) == 60


def test_a_misspelled_discretization_and_a_missing_column_have_different_remedies():
    groups = predictions_of([0], [0], age="1").groups
    assert validate_columns(groups, "age:quantile=4") == [saying("'age:quantile=4'", "Did you mean 'age:quantiles=4'?")]
    assert validate_columns(groups, "age:halves") == [
        saying("'age:halves'", "bins, quantiles, order, separator", ": age")
    ]


def test_columns_joined_by_a_comma_have_a_remedy():
    assert validate_columns(predictions_of([0], [0], age="1", sex="f").groups, "sex, age") == [
        saying("'sex, age'", "--by sex --by age", "by=['sex', 'age']", "age, sex")
    ]


def test_no_column_at_all_is_refused():
    predictions = predictions_of([0], [0], g="A")
    assert validate_columns(predictions.groups, []) == [saying("no column", "at least one", "g")]
    assert validate_columns(predictions.groups, ["g"]) == []
    with pytest.raises(PredictionsError, match=saying("'g'", "no group columns").pattern):
        audit_groups(predictions_of([0], [0]), by="g")


def test_a_table_that_is_not_there_is_refused_with_the_names_of_those_that_are():
    audit = audit_groups(counted(A=(30, 40), B=(30, 40)), by="g")
    with pytest.raises(TlkitError, match=saying("'h'", ": 'g'").pattern):
        audit.table("h")
    with pytest.raises(TlkitError, match=saying("'g, recall of no'", ": 'g'").pattern):
        audit.group_table("g", metric="recall", class_name="no")
