"""How well groups rank within themselves and across to the rest, against scikit-learn on the subsets themselves."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying, says
from sklearn.metrics import roc_auc_score
from tables_of_predictions import predictions_of as table_of

from tlkit.audit import audit_groups
from tlkit.stats.ranking import auroc


def predictions_of(generator, group, *, shift=0.0):
    """Three classes; images of group "b" look more like class "cat" than they should."""
    group = np.array(group, dtype=object)
    y = generator.integers(0, 3, len(group))
    logits = generator.normal(0, 1, (len(group), 3))
    logits[np.arange(len(group)), y] += 1.5
    logits[group == "b", 1] += shift
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return table_of(y, proba=proba, classes=("ant", "cat", "dog"), g=group)


def subset(predictions, c, high, low):
    """scikit-learn's area on the images of class c among `high` and those of other classes among `low`."""
    y, score = predictions.y_true == c, predictions.proba[:, c]
    rows = (high & y) | (low & ~y)
    return roc_auc_score(y[rows], score[rows]), auroc(score[rows], y[rows])


def test_the_areas_across_groups_are_those_of_the_subsets():
    predictions = predictions_of(np.random.default_rng(0), ["a"] * 300 + ["b"] * 120 + ["c"] * 90 + [None] * 60)
    group = predictions.groups["g"]
    known = group.notna().to_numpy()
    for row in audit_groups(predictions, by="g").profile_table("g").rows:
        own = (group == row.group[0]).fillna(False).to_numpy() if row.group else ~known
        rest = known & ~own
        for c, name in enumerate(predictions.classes):
            for found, high, low in (
                (row.auroc, own, own),
                (row.auroc_positives, own, rest),
                (row.auroc_negatives, rest, own),
            ):
                theirs, ours = subset(predictions, c, high, low)
                assert found[name].value == pytest.approx(theirs)
                assert (found[name].low, found[name].high) == pytest.approx((ours.low, ours.high))
                assert found[name].n == ours.n


def test_an_image_in_several_groups_is_in_the_rest_of_none_of_them():
    cells = ["a"] * 80 + ["a;b"] * 60 + ["b"] * 70 + ["c"] * 50
    predictions = predictions_of(np.random.default_rng(1), cells)
    for row in audit_groups(predictions, by="g:separator=;").profile_table("g").rows:
        own = np.array([row.group[0] in cell.split(";") for cell in cells])
        assert row.auroc_positives["cat"].value == pytest.approx(subset(predictions, 1, own, ~own)[0])
        assert row.auroc_negatives["cat"].value == pytest.approx(subset(predictions, 1, ~own, own)[0])


def test_areas_across_groups_show_a_shift_that_those_within_cannot():
    predictions = predictions_of(np.random.default_rng(2), ["a"] * 1500 + ["b"] * 1500, shift=2.0)
    audit = audit_groups(predictions, by="g", positive="cat")
    row = audit.profile_table("g").rows[1]
    assert abs(row.auroc["cat"].value - audit.profile_table("g").rows[0].auroc["cat"].value) < 0.05
    assert row.auroc_negatives["cat"].high < row.auroc["cat"].low  # its other images outrank cats elsewhere
    assert row.auroc_positives["cat"].low > row.auroc["cat"].high
    table = profiles(audit)
    assert [column.label for column in table.columns][-3:] == ["AUROC of cat", "BNSP AUC", "BPSN AUC"]
    assert table.rows[1][-1] == row.auroc_negatives["cat"]
    assert table.notes == (
        saying("BNSP AUC", "cat in the group", "complement"),
        saying("BPSN AUC", "cat in the complement", "group"),
    )


def profiles(audit):
    (table,) = [table for table in audit.tables() if table.name == "profiles"]
    return table


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ((150, 150), ["auroc", "auroc_positives", "auroc_negatives"]),
        ((250, 50), ["calibration", "calibration_expected", "auroc", "auroc_positives", "auroc_negatives"]),
        ((15, 15), []),
    ],
)
def test_a_column_of_the_profiles_in_which_no_group_has_a_figure_is_left_out_and_the_note_says_why(sizes, shown):
    group = [name for name, n in zip("ab", sizes, strict=True) for _ in range(n)]
    predictions = predictions_of(np.random.default_rng(2), group)
    table = profiles(audit_groups(predictions, by="g", positive="cat", min_group_size=5))
    assert {column.name for column in table.columns[4:]} == {"confidence_gap", "brier", "log_loss", *shown}
    assert says(table.notes, "ECE is left out", "200") == ("calibration" not in shown)
    assert says(table.notes, "AUROC of cat, BNSP AUC, BPSN AUC", "10 images") == ("auroc" not in shown)


def test_areas_of_fewer_than_ten_images_on_one_side_are_hidden():
    y = np.r_[np.ones(9), np.zeros(91), np.ones(30), np.zeros(70)].astype(int)
    p = np.random.default_rng(3).random(200)
    predictions = table_of(y, proba=np.column_stack([1 - p, p]), g=["few"] * 100 + ["many"] * 100)
    few, many = audit_groups(predictions, by="g").profile_table("g").rows
    assert (few.auroc, few.auroc_positives, list(few.auroc_negatives)) == ({}, {}, ["yes"])
    assert (list(many.auroc), list(many.auroc_positives), many.auroc_negatives) == (["yes"], ["yes"], {})
    assert many.auroc["yes"].value == pytest.approx(roc_auc_score(y[100:], p[100:]))
