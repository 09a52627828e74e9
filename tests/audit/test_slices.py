"""Slice discovery: searched on one half of the images, tested on the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says
from scipy.stats import binom, fisher_exact
from sklearn.linear_model import RidgeClassifier

from tlkit.audit.options import AuditOptions
from tlkit.audit.slices import shortcuts as shortcut
from tlkit.audit.slices.shortcuts import FOLDS, _hits
from tlkit.audit.slices.slice_conditions import Condition, candidate_conditions
from tlkit.audit.slices.slice_search import search_slices, slice_mask
from tlkit.audit.slices.split_half import search_half, split_units
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions

CLASSES = ("ant", "bee", "cow")


@pytest.fixture(autouse=True)
def fewer_permutations(monkeypatch):
    monkeypatch.setattr(shortcut, "DRAWS", 99)


def drawn(seed, n=240, *, right=0.85, dark=None, tell=False):
    """Return predictions and columns: all images are right with one chance, but dark ones with another if given."""
    rng = np.random.default_rng(seed)
    columns = pd.DataFrame(
        {
            "brightness": rng.uniform(0, 255, n).round(3),
            "sharpness": rng.beta(2, 5, n),
            "file_type": rng.choice(["JPEG", "PNG"], n),
            "camera": rng.choice(["A", "B", None], n),
        }
    )
    y = (columns["brightness"] // 86).astype(int).to_numpy() if tell else rng.integers(0, 3, n)
    chance = np.where(columns["brightness"] < 60, right if dark is None else dark, right)
    y_pred = np.where(rng.uniform(size=n) < chance, y, (y + 1) % 3)
    path = [f"{seed}-{i}.jpg" for i in range(n)]
    return Predictions.build(classes=CLASSES, path=path, y_true=y, y_pred=y_pred), columns


def test_searches_of_noise_confirm_slices_and_shortcuts_at_most_at_the_rate_alpha():
    runs = 30
    confirmed, significant = [], []
    for seed in range(runs):
        predictions, columns = drawn(seed)
        report = search_slices(predictions, columns=columns, options=AuditOptions(seed=seed))
        confirmed.append(bool(report.confirmed))
        significant.append(report.shortcuts[0].is_significant(0.05))
    most = binom.ppf(0.99, runs, 0.05)  # benchmarks/slices_false_alarms.py asks the same of hundreds
    assert sum(confirmed) <= most
    assert sum(significant) <= most


def test_dark_images_with_errors_are_found_and_described():
    predictions, columns = drawn(1, 1000, right=0.95, dark=0.6)
    report = search_slices(predictions, columns=columns, options=AuditOptions())
    found = report.confirmed[0]
    assert [(one.column, one.relation) for one in found.conditions] == [("brightness", "below")]
    assert 45 <= found.conditions[0].value <= 75
    row = report.tables()[0].rows[0]
    assert row[:2] == (found.name, "✗ confirmed")
    assert row[5:7] == (found.tested, found.difference)
    assert found.name in report._repr_html_()
    assert found.images is not None
    assert found.images.errors > 50


def test_the_other_half_alone_decides_by_fishers_test():
    predictions, columns = drawn(2, 600, right=0.95, dark=0.7)
    report = search_slices(predictions, columns=columns, options=AuditOptions())
    first = report.slices[0]
    other = ~search_half(predictions.path.tolist(), np.arange(600))
    inside, right = slice_mask(columns, first.conditions)[other], predictions.correct[other]
    table = [[(right & inside).sum(), (~right & inside).sum()], [(right & ~inside).sum(), (~right & ~inside).sum()]]
    assert first.p == pytest.approx(fisher_exact(table).pvalue)
    assert first.tested.n == inside.sum()
    assert first.difference.value == pytest.approx(right[inside].mean() - right[~inside].mean())
    assert first.p_holm >= first.p


def test_a_second_slice_is_not_confirmed_for_what_it_shares_with_the_first():
    predictions, columns = drawn(3, 1500, right=0.97, dark=0.4)
    columns["gloom"] = 255 - columns["brightness"] + np.random.default_rng(0).normal(0, 4, 1500)
    report = search_slices(predictions, columns=columns, options=AuditOptions())
    assert len(report.confirmed) == 1
    assert len(report.slices) == 1 or says(report.tables()[0].notes, "complement", "without the images", "above")


def test_a_slice_with_too_few_images_to_test_is_a_candidate():
    predictions, columns = drawn(4, 300, right=0.97, dark=0.97)
    rare = np.zeros(300, dtype=bool)
    half = search_half(predictions.path.tolist(), np.arange(300))
    rare[np.flatnonzero(half)[:25]] = True
    rare[np.flatnonzero(~half)[:19]] = True
    y_pred = np.where(rare, (predictions.y_true + 1) % 3, predictions.y_pred)
    predictions = replace(predictions, y_pred=y_pred)
    report = search_slices(
        predictions, columns=columns.assign(camera=np.where(rare, "odd", "usual")), options=AuditOptions()
    )
    first = report.slices[0]
    assert (first.name, first.standing, first.difference, first.p) == ("camera is odd", "candidate", None, None)
    assert not report.confirmed
    assert says(report.tables()[0].notes, "candidate", "fewer than 20 images")


def test_a_pair_of_conditions_is_named_only_where_both_are_needed():
    predictions, columns = drawn(5, 1600, right=0.95)
    bad = (columns["brightness"] < 100) & (columns["file_type"] == "PNG")
    flip = bad & (np.random.default_rng(5).uniform(size=1600) < 0.5)
    y_pred = np.where(flip, (predictions.y_true + 1) % 3, predictions.y_pred)
    predictions = replace(predictions, y_pred=y_pred)
    found = search_slices(predictions, columns=columns, options=AuditOptions()).confirmed[0]
    assert {(one.column, one.relation) for one in found.conditions} == {("brightness", "below"), ("file_type", "is")}
    single = search_slices(predictions, columns=columns, max_conditions=1, options=AuditOptions())
    assert all(len(one.conditions) == 1 for one in single.slices)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(24)), st.lists(st.lists(st.integers(0, 23), min_size=2, max_size=4), max_size=4))
def test_halves_ignore_the_order_and_keep_duplicates_together(order, groups):
    paths = [f"p{i}" for i in range(24)]
    half = search_half(paths, split_units(24, groups))
    place = {row: at for at, row in enumerate(order)}
    turned = search_half(
        [paths[i] for i in order], split_units(24, [[place[row] for row in group] for group in groups])
    )
    assert half[list(order)].tolist() == turned.tolist()
    assert all(len({bool(half[row]) for row in group}) == 1 for group in groups)
    assert half.any()


def test_images_of_one_subject_are_one_unit():
    together = pd.Series(["s1", None, "s1", None, "s2"], dtype="string")
    assert split_units(5, together=together).tolist() == [0, 1, 0, 2, 3]


def test_duplicates_widen_the_interval_and_raise_p():
    predictions, columns = drawn(6, 400, right=0.9, dark=0.6)
    alone = search_slices(predictions, columns=columns[["brightness"]], options=AuditOptions())
    twice = Predictions.build(
        classes=CLASSES,
        path=[*predictions.path, *(f"{p}-copy" for p in predictions.path)],
        y_true=np.tile(predictions.y_true, 2),
        y_pred=np.tile(predictions.y_pred, 2),
    )
    doubled = pd.concat([columns, columns], ignore_index=True)[["brightness"]]
    report = search_slices(
        twice, columns=doubled, units=np.tile(np.arange(400), 2), options=AuditOptions(min_group_size=40)
    )
    assert report.units == 400
    naive = search_slices(twice, columns=doubled, units=None, options=AuditOptions(min_group_size=40))
    assert alone.slices
    assert report.slices[0].p > naive.slices[0].p


def test_conditions_hold_for_exactly_the_images_of_their_text():
    _, columns = drawn(7, 500)
    conditions, _ = candidate_conditions(columns)
    for condition in conditions:
        if condition.relation == "below":
            assert condition.holds(columns).tolist() == (columns[condition.column] < condition.value).tolist()
    assert Condition("camera", "is", "(missing)").holds(columns).tolist() == columns["camera"].isna().tolist()
    assert Condition("file_type", "is", "PNG").text == saying("file", "PNG")
    assert Condition("brightness", "at least", 41.0).text == saying("41", "255", "brightness")


def test_a_column_that_predicts_the_class_is_a_shortcut():
    predictions, columns = drawn(8, 300, tell=True)
    report = search_slices(predictions, columns=columns, options=AuditOptions())
    together, first, *rest = report.shortcuts
    assert (together.column, first.column) == ("", "brightness")
    assert together.is_significant(0.05)
    assert first.is_significant(0.05)
    assert not any(one.is_significant(0.05) for one in rest)
    assert together.p == pytest.approx(1 / 100)
    assert says(report.tables()[1].notes, "better than chance", "brightness alone")


def test_clusters_of_content_are_no_shortcut():
    predictions, columns = drawn(8, 300, tell=True)
    report = search_slices(predictions, columns=columns, content=["brightness"], options=AuditOptions())
    assert not any(one.column == "brightness" for one in report.shortcuts)


def test_the_shortcut_classifier_is_ridge_regression_onto_the_classes():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(120, 4)), rng.integers(0, 3, (3, 120))
    x[:, 0] += labels[0]
    fold = np.arange(120) % FOLDS
    expected = [
        sum(
            (RidgeClassifier(alpha=1.0).fit(x[fold != f], y[fold != f]).predict(x[fold == f]) == y[fold == f]).sum()
            for f in range(FOLDS)
        )
        for y in labels
    ]
    assert _hits(x, labels).tolist() == expected


def test_a_model_without_errors_has_no_slice():
    predictions, columns = drawn(9, right=1.1)
    report = search_slices(predictions, columns=columns, options=AuditOptions())
    assert report.slices == ()
    assert says(report.tables()[0].notes, "No slice", "worse")


def test_too_few_images_for_a_condition_are_not_enough_data():
    predictions, columns = drawn(9, 12, right=0.5)
    report = search_slices(predictions, columns=columns, options=AuditOptions())
    assert report.searched_conditions == 0
    assert report.tables()[0].notes[1] == saying("NOT ENOUGH DATA", "20 images", "20 others")


def test_all_problems_are_reported_at_once():
    predictions, columns = drawn(10)
    with pytest.raises(PredictionsError) as caught:
        search_slices(predictions, columns=columns[[]], options=AuditOptions(min_group_size=0, alpha=2))
    assert caught.value.problems == (
        saying("min_group_size", "at least 1", "Got 0"),
        saying("alpha", "below 1", "Got 2"),
        saying("no column"),
    )
