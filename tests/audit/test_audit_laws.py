"""Laws of the audit: what must not change it, and what it must change into."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from tables_of_predictions import predictions_of

from tlkit.audit import Audit, audit_groups
from tlkit.predictions import Predictions

images = st.lists(
    st.tuples(
        st.integers(-1, 2), st.integers(0, 2), st.sampled_from(["x", "y", "z", None]), st.sampled_from(["p", "q", None])
    ),
    min_size=1,
    max_size=60,
).filter(lambda rows: any(row[0] >= 0 for row in rows))
few = settings(max_examples=30, deadline=None)


def build(rows):
    y_true, y_pred, one, two = (list(column) for column in zip(*rows, strict=True))
    return predictions_of(y_true, y_pred, classes=("ant", "bee", "cat"), one=one, two=two)


def audit(predictions, **options):
    options = {"by": ["one", "two"], "metrics": ["accuracy", "recall", "precision"], "min_group_size": 5, **options}
    return audit_groups(predictions, **options)


@few
@given(images, st.randoms())
def test_the_order_of_the_images_changes_nothing(rows, random):
    assert audit(build(random.sample(rows, len(rows)))) == audit(build(rows))


@few
@given(images)
def test_a_column_without_any_value_has_one_row_of_all_images_and_no_verdict(rows):
    given = build([(true, guess, None, two) for true, guess, _, two in rows])
    found = audit(given, by="one", metrics=["accuracy"], min_group_size=1)
    known = [(true, guess) for true, guess, *_ in rows if true >= 0]
    (row,) = found.group_table("one").rows
    assert (row.name, row.rate.n) == ("(missing)", len(known))
    assert row.rate.value == pytest.approx(accuracy_score(*zip(*known, strict=True)))
    assert (row.verdict, row.difference, row.p_holm, found.tests) == (None, None, None, 0)
    assert found.verdict == "NOT ENOUGH DATA"


@few
@given(images, st.permutations(["x", "y", "z"]))
def test_renaming_the_groups_renames_the_rows_and_nothing_else(rows, names):
    new = dict(zip(["x", "y", "z"], names, strict=True))
    before, after = audit(build(rows)), audit(build([(t, p, new.get(g), h) for t, p, g, h in rows]))
    assert after.verdict == before.verdict
    assert after.tests == before.tests
    for old_table, new_table in zip(before.group_tables, after.group_tables, strict=True):
        for row in old_table.rows:
            group = None if row.group is None else tuple(new.get(value, value) for value in row.group)
            assert new_table.row(group).rate == row.rate
            assert new_table.row(group).difference == row.difference
            assert new_table.row(group).p_holm == row.p_holm
            assert new_table.row(group).verdict == row.verdict
        assert (new_table.gap is None) == (old_table.gap is None)
        if old_table.gap is not None:  # of groups with equal rates, either may be called the worst
            for name in ("value", "ratio", "expected", "p", "p_holm", "exact"):
                assert getattr(new_table.gap, name) == getattr(old_table.gap, name)


@few
@given(images)
def test_an_audit_goes_to_json_and_back_unchanged(rows):
    found = audit(build(rows))
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert Audit.from_dict(plain) == found


@few
@given(images)
def test_every_labelled_image_is_in_exactly_one_row_of_every_table(rows):
    found = audit(build(rows))
    labelled = sum(row[0] >= 0 for row in rows)
    assert found.images == labelled
    assert found.unlabelled == len(rows) - labelled
    for table in found.group_tables:
        assert sum(row.images for row in table.rows) == labelled


@few
@given(images)
def test_a_verdict_is_certain_and_a_small_group_never_gets_one(rows):
    for table in audit(build(rows)).group_tables:
        for row in table.rows:
            if row.suppressed:
                assert row.verdict in ("NOT ENOUGH DATA", None)
                assert row.difference is None
            if row.verdict == "FAIL":
                assert row.p_holm < 0.05
                assert row.difference.low > 0.05 or row.difference.high < -0.05
            if row.verdict == "PASS":
                assert -0.05 <= row.difference.low <= row.difference.high <= 0.05


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["0", "1"], [0.0, 1.0]])
def test_integers_booleans_texts_and_categories_give_the_same_numbers(labels):
    generator = np.random.default_rng(0)
    group = generator.integers(0, 2, 400)
    y_pred = (generator.random(400) < np.where(group == 1, 0.3, 0.1)).astype(int)

    def numbers(values):
        predictions = Predictions.build(
            classes=["no", "yes"],
            path=[str(i) for i in range(400)],
            y_true=[0] * 400,
            y_pred=y_pred,
            groups=pd.DataFrame({"g": values}),
        )
        found = audit_groups(predictions, by="g")
        return [dataclasses.replace(row, group=None) for row in found.group_table("g").rows]

    expected = numbers(np.array(["a", "b"])[group])
    assert numbers(np.array(labels)[group]) == expected
    assert numbers(pd.Categorical(np.array(labels)[group])) == expected


def test_twice_the_same_images_give_the_same_rates_and_intervals_narrower_by_the_root_of_two():
    generator = np.random.default_rng(1)
    rows = [(0, int(generator.random() < 0.3), "xy"[i % 2], None) for i in range(4000)]
    once, twice = (audit(build(images), by="one").group_table("one") for images in (rows, rows * 2))
    for before, after in zip(once.rows, twice.rows, strict=True):
        assert after.rate.value == before.rate.value
        for name in ("rate", "difference"):
            wide, narrow = (getattr(row, name).high - getattr(row, name).low for row in (before, after))
            assert wide / narrow == pytest.approx(math.sqrt(2), rel=0.002)


def test_the_seed_only_touches_the_drawn_permutations():
    generator = np.random.default_rng(2)
    rows = [(0, int(generator.random() < 0.2), "xyz"[i % 3], "pq"[i % 2]) for i in range(1200)]
    one, other = audit(build(rows)), audit(build(rows), seed=1)
    assert one == audit(build(rows))
    assert [[dataclasses.replace(row) for row in table.rows] for table in one.group_tables] == [
        list(table.rows) for table in other.group_tables
    ]
    assert one.gaps["one"].p == pytest.approx(other.gaps["one"].p, abs=0.03)
