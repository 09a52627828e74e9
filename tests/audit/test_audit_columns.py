"""Columns of every kind: categories, orders, measurements, several values per image, missing ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import saying, says
from scipy import stats
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups, validate_columns
from tlkit.audit.audit_notes import grouping
from tlkit.audit.groups.group_columns import GroupColumn, columns_of, discretize, parse_column
from tlkit.audit.groups.intersections import auditable_columns, cross_columns, membership_of
from tlkit.errors import PredictionsError
from tlkit.stats.hypothesis_tests import fisher_exact, max_gap


def levels(values, spec="x"):
    return discretize(pd.Series(values, dtype="string"), parse_column(spec))


def audited(wrong, *, by, **groups):
    return audit_groups(predictions_of([0] * len(wrong), wrong, **groups), by=by)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age", GroupColumn("age")),
        ("age:quantiles=4", GroupColumn("age", quantiles=4)),
        ("age:bins=18,65.5", GroupColumn("age", bins=(18.0, 65.5))),
        ("size:order=small, medium,large", GroupColumn("size", order=("small", "medium", "large"))),
        ("tags:separator=,", GroupColumn("tags", separator=",")),
        ("a:b:bins=1", GroupColumn("a:b", bins=(1.0,))),
        ("camera: left", GroupColumn("camera: left")),
    ],
)
def test_a_text_says_how_to_cut_a_column(text, expected):
    assert parse_column(text) == expected
    assert columns_of([text, text]) == (expected,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("age:bins=a,b", ("'age:bins=a,b'", "age:bins=18,65")),
        ("age:quantiles=", ("'age:quantiles='", "age:quantiles=4")),
        ({"bins": [1]}, ("no name",)),
        ({"column": "age", "bin": [1]}, ("bin", "column", "bins, quantiles")),
        ({"column": "g", "bins": ["low"]}, ("low", "{'column': 'age', 'bins'")),
        ({"column": "g", "bins": 18}, ("18", "{'column': 'age', 'bins'")),
        ({"column": "g", "quantiles": "four"}, ("four", "{'column': 'age', 'bins'")),
    ],
)
def test_a_column_that_cannot_be_read_shows_how_to_write_it(given, said):
    with pytest.raises(PredictionsError, match=saying(*said).pattern):
        columns_of(given)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", "c"], "categorical"),
        (["True", "False", "True"], "boolean"),
        (["0", "1", "1"], "boolean"),
        ([str(i % 30) for i in range(300)], "categorical"),
        ([str(i % 60) for i in range(300)], "continuous"),
        ([str(i / 7) for i in range(300)], "continuous"),
        (["0.5", "1.5", "2.5"], "categorical"),
    ],
)
def test_what_a_column_is_taken_for(values, kind):
    assert levels(values).kind == kind


def test_a_column_that_counts_through_is_an_identifier_and_a_measurement_is_not():
    frame = pd.DataFrame({"id": [str(i) for i in range(90)], "depth": [str(i + 0.5) for i in range(90)]})
    (problem,) = validate_columns(frame, ["id", "depth"])
    assert problem == saying("'id'", "90", "identifier", "id:quantiles=4", "max_values")


def test_default_columns_are_those_that_do_not_look_like_identifiers():
    ids, light = [f"s{i}" for i in range(90)], ["day", "night"] * 45
    frame = pd.DataFrame({"id": ids, "light": light, "depth": [str(i + 0.5) for i in range(90)], "burst": light})
    assert auditable_columns(frame, used=["burst", None]) == (["light", "depth"], ["id"])
    assert auditable_columns(frame[["id"]]) == (["id"], [])  # which is refused with the reason


def test_bins_are_half_open_and_say_so():
    cut = levels(["17", "18", "64.9", "65", None], "age:bins=18,65")
    assert cut.values == ("<18", "[18, 65)", "≥65")
    assert cut.code.tolist() == [0, 1, 1, 2, -1]


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=200), st.integers(2, 8))
def test_quantiles_put_every_number_into_the_group_whose_label_holds_it(numbers, parts):
    cut = levels([str(number) for number in numbers], f"x:quantiles={parts}")
    assert len(cut.values) <= parts
    for number, code in zip(numbers, cut.code, strict=True):
        label = cut.values[code]
        if "[" not in label:
            assert float(label) == number
            continue
        low, high = (float(part) for part in label.strip("[])").split(","))
        assert low <= number < high or (label.endswith("]") and number == high)


def test_quantiles_give_groups_of_about_equal_size():
    generator = np.random.default_rng(0)
    cut = levels([str(one) for one in generator.normal(size=1000)], "x:quantiles=4")
    assert np.bincount(cut.code) == pytest.approx([250] * 4, abs=2)


def test_a_stated_order_is_kept():
    cut = levels(["small", "large", "small"], "x:order=small,medium,large")
    assert (cut.kind, cut.values, cut.code.tolist()) == ("ordered", ("small", "medium", "large"), [0, 2, 0])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("age:quantiles=4", ("'age'", "quantiles", "'old'", "empty")),
        ("b:order=x,x,y", ("'b'", "x twice", "once")),
        ("b:order=x", ("'b'", "'y'", "every value")),
        (GroupColumn("age", bins=(3, 1)), ("'age'", "3, 1", "rising")),
        (GroupColumn("age", bins=(1,), quantiles=3), ("'age'", "bins", "quantiles", "one of them")),
        (["b", "b:order=x,y"], ("'b'", "twice", "one of them")),
    ],
)
def test_problems_of_discretization_name_the_column(columns, said):
    frame = pd.DataFrame({"age": ["18", "old"], "b": ["x", "y"]})
    assert validate_columns(frame, columns) == [saying(*said)]


def test_an_image_of_several_groups_counts_in_each_and_is_compared_with_those_outside():
    tags = ["red;big"] * 40 + ["red"] * 40 + ["big"] * 40 + ["; "] * 10
    wrong = [0] * 38 + [1] * 2 + [0] * 30 + [1] * 10 + [0] * 39 + [1] + [0] * 10
    table = audited(wrong, by="tags:separator=;", tags=tags).group_table("tags")
    big, red, missing = table.rows
    assert [(row.name, row.images) for row in table.rows] == [("big", 80), ("red", 80), ("(missing)", 10)]
    assert (big.rate.value, red.rate.value) == (77 / 80, 68 / 80)
    assert red.p == fisher_exact(68, 80, 39, 40)
    assert big.p == fisher_exact(77, 80, 30, 40)
    assert missing.suppressed
    assert table.gap.value == pytest.approx(9 / 80)


def test_the_largest_gap_of_overlapping_groups_agrees_with_shuffling_the_images():
    generator = np.random.default_rng(0)
    member = np.repeat([[1, 1], [1, 0], [0, 1]], [30, 20, 25], axis=0)
    right = generator.random(75) < 0.8
    k = [right[:30].sum(), right[30:50].sum(), right[50:].sum()]
    ours = max_gap(k, [30, 20, 25], member=[[1, 1], [1, 0], [0, 1]])
    shuffled = []
    for _ in range(4000):
        rates = generator.permutation(right) @ member / member.sum(axis=0)
        shuffled.append(np.ptp(rates))
    assert ours.exact
    assert ours.gap == pytest.approx(np.ptp(right @ member / member.sum(axis=0)))
    assert ours.expected == pytest.approx(np.mean(shuffled), abs=0.002)
    assert ours.p == pytest.approx(np.mean(np.array(shuffled) >= ours.gap - 1e-9), abs=0.03)


def test_several_values_cross_with_other_columns():
    frame = pd.DataFrame({"t": ["a;b", "a", None, "b"], "s": ["x", "y", "x", "x"]}, dtype="string")
    cells = membership_of(frame, (GroupColumn("t", separator=";"), "s"))
    assert cells.values == (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))
    code = np.where(cells.code < 0, cells.patterns, cells.code)
    counted = cells.aggregate(np.bincount(code, minlength=cells.patterns + 1))
    assert counted.tolist() == [1, 1, 2, 0, 1]
    assert cross_columns([levels(["a", "b"])]).member is None


def test_missing_values_are_tested_against_errors():
    wrong = [0] * 190 + [1] * 10 + [0] * 80 + [1] * 20
    audit = audited(wrong, by="g", g=["a", "b"] * 100 + [None] * 100)
    (facts,) = audit.columns
    theirs = stats.chi2_contingency([[190, 10], [80, 20]], correction=False)
    assert (facts.missing, facts.missing_test) == (100, "chi-square")
    assert facts.missing_p == pytest.approx(theirs.pvalue)
    assert says(audit.tables()[0].notes, "g", "100 images")
    assert audited(wrong, by="g", g=["a", "b"] * 150).columns[0].missing_p is None


def test_missing_values_in_clusters_are_tested_as_clusters():
    generator = np.random.default_rng(3)
    wrong = np.repeat(generator.random(60) < 0.3, 10).astype(int)  # a cluster is right or wrong as one
    columns = {"g": np.repeat([None, "a", "b"], 200), "burst": np.repeat(np.arange(60), 10).astype(str)}
    table = predictions_of([0] * 600, wrong, **columns)
    audit, plain = audit_groups(table, by="g", cluster_by="burst"), audit_groups(table, by="g").columns[0]
    (facts,) = audit.columns
    assert (facts.missing, facts.missing_test) == (200, "t on clusters")
    assert facts.missing_p == audit.group_table("g").row(None).p
    assert facts.missing_p > 3 * plain.missing_p


def test_the_log_says_how_a_column_was_taken(caplog):
    generator = np.random.default_rng(0)
    ages = [str(age) for age in generator.integers(0, 90, 400)]
    with caplog.at_level("DEBUG", logger="tlkit"):
        audit = audited([0] * 400, by="age", age=ages)
    assert any(says(line, "age", "continuous", "4 groups") for line in caplog.messages)
    assert all(row.name.startswith("[") for row in audit.group_table("age").rows)
    assert says(audit.tables()[0].notes, "age", "continuous", "4 groups")


def test_a_value_that_fills_the_lowest_groups_is_a_group_of_its_own():
    level = levels([0.0] * 90 + [0.2, 0.3, 0.5, 0.7, 0.9] * 2, "g:quantiles=4")
    assert level.values == ("[0, 0.2)", "[0.2, 0.9]")
    spec = parse_column("g:quantiles=4")
    assert grouping(level.kind, len(level.values), spec) == saying("2 groups", "share a value")
    assert np.bincount(level.code).tolist() == [90, 10]
    assert grouping("continuous", len(levels([3.5] * 20, "g:quantiles=4").values), spec) == "1 group"


def test_values_that_differ_in_case_or_spaces_only_are_named(caplog):
    audited([0, 1] * 45, by="tone", tone=["dark", "Dark", "dark "] * 30)
    assert says(caplog.text, "tone", "'Dark', 'dark' differ", "case, spaces or leading zeros")
