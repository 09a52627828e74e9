"""Named criteria, comparisons with the best, exports, and the summary that comes first."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference, equalized_odds_difference
from hypothesis import given
from hypothesis import strategies as st
from messages import saying, says
from tables_of_predictions import counted, predictions_of

from tlkit.audit import audit_groups, explain_gaps
from tlkit.audit.cell_suppression import hidden_cells
from tlkit.errors import PredictionsError, TlkitError
from tlkit.stats.intervals import newcombe, ratio_log
from tlkit.tables import to_lines


@pytest.fixture(scope="module")
def many():
    """Three classes, probabilities, two columns: 2,400 images, the dark ones worse."""
    generator = np.random.default_rng(7)
    tone, sex = generator.choice(["light", "medium", "dark"], 2400), generator.choice(["man", "woman"], 2400)
    y = generator.choice(3, 2400, p=[0.5, 0.3, 0.2])
    logits = generator.normal(0, 1, (2400, 3)) + 2.2 * np.eye(3)[y] * np.where(tone == "dark", 0.4, 1.0)[:, None]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return predictions_of(y, proba=proba, classes=("ant", "bee", "cat"), tone=tone, sex=sex)


def test_criteria_agree_with_fairlearn_for_every_class(many):
    criteria = ("demographic_parity", "equal_opportunity", "equalized_odds")
    for index, name in enumerate(many.classes):
        audit = audit_groups(many, by="tone", criteria=criteria, positive=name)
        found = {result.criterion: result.gap for result in audit.criteria}
        given = {"sensitive_features": many.groups["tone"].astype(object)}
        truth, guess = many.y_true == index, many.y_pred == index
        assert found["demographic_parity"] == pytest.approx(demographic_parity_difference(truth, guess, **given))
        assert found["equal_opportunity"] == pytest.approx(equal_opportunity_difference(truth, guess, **given))
        assert found["equalized_odds"] == pytest.approx(equalized_odds_difference(truth, guess, **given))


def test_with_several_classes_a_criterion_is_about_the_largest_gap_of_them(many):
    audit = audit_groups(many, by="tone", criteria="equal_opportunity", metrics=())
    (result,) = audit.criteria
    gaps = {name: audit.group_table("tone", metric="recall", class_name=name).gap.value for name in many.classes}
    assert result.gap == max(gaps.values())
    assert result.class_name == max(gaps, key=gaps.get)
    assert result.lowest == ("dark",)
    assert result.verdict == "FAIL"
    table = audit.group_table("tone", metric="recall", class_name=result.class_name)
    bases = [row.base_rate.value for row in table.rows]
    assert result.base_rates == (min(bases), max(bases))


def test_the_choice_and_what_it_cannot_have_are_said(many):
    audit = audit_groups(many, by="tone", criteria=["predictive_parity"], positive="bee")
    (table,) = [table for table in audit.tables() if table.name == "criteria"]
    assert table.notes == (saying("predictive parity", "the class bee", "Kleinberg", "Chouldechova"),)
    (row,), (result,) = table.rows, audit.criteria
    assert (row[:2], row[4]) == (("tone", "predictive parity"), result.gap)
    assert "criteria" not in [table.name for table in audit_groups(many, by="tone").tables()]


def test_four_fifths_is_off_by_default_and_has_no_verdict(many):
    assert audit_groups(many, by="tone").criteria == ()
    (result,) = audit_groups(many, by="sex", criteria="four_fifths").criteria
    assert (result.verdict, result.kept) == (None, True)


def test_rates_are_about_the_second_of_two_classes_unless_another_is_named(caplog):
    predictions = predictions_of("0101", "0111", g="xxyy")
    with caplog.at_level("DEBUG", logger="tlkit"):
        audit = audit_groups(predictions, by="g", metrics="recall", min_group_size=1)
    assert says(caplog.text, "positive class", "'yes'", "positive=")
    assert [table.class_name for table in audit.group_tables] == ["yes"]
    other = audit_groups(predictions, by="g", metrics="recall", min_group_size=1, positive="no")
    assert [table.class_name for table in other.group_tables] == ["no"]
    with pytest.raises(PredictionsError, match=saying("'yess'", "Did you mean 'yes'").pattern):
        audit_groups(predictions, by="g", positive="yess")
    with pytest.raises(PredictionsError, match="Did you mean 'equalized_odds'"):
        audit_groups(predictions, by="g", criteria="equal_odds")


def test_the_best_group_and_the_errors_are_compared_too(many):
    table = audit_groups(many, by="tone").group_table("tone")
    best, dark = table.best, table.row(("dark",))
    assert best.name != "dark"
    assert (best.best_difference, best.best_ratio) == (None, None)
    counts = [(round(row.rate.value * row.rate.n), row.rate.n) for row in (dark, best)]
    (k1, n1), (k2, n2) = counts
    assert dark.best_difference == newcombe(k1, n1, k2, n2)
    assert dark.best_ratio == ratio_log(k1, n1, k2, n2)
    assert dark.best_error_ratio == ratio_log(n1 - k1, n1, n2 - k2, n2)
    assert dark.error_ratio.value > 1 > dark.ratio.value


def test_a_ratio_of_accuracies_near_one_hides_a_ratio_of_errors_of_two():
    row = audit_groups(counted(a=(990, 1000), b=(980, 1000)), by="g").group_table("g").row(("b",))
    assert (row.ratio.value, row.error_ratio.value) == pytest.approx((0.98 / 0.99, 2.0))


def test_a_wide_interval_has_no_number(many):
    few = many.take(np.arange(200))
    audit = audit_groups(few, by=["tone", "sex"], min_group_size=5)
    wide = [row for table in audit.group_tables for row in table.rows if row.wide]
    assert wide
    for row in wide:
        assert (row.rate.high - row.rate.low) / 2 > 0.15
        shown = [
            cells[2]
            for table in audit.tables()
            if "rate" in [column.name for column in table.columns]
            for cells in table.rows
            if cells[0] == row.name
        ]
        assert any(one is not None and (one.value, one.low) == (None, row.rate.low) for one in shown)
    never = audit_groups(few, by="tone", max_half_width=1)
    assert not [row for table in never.group_tables for row in table.rows if row.wide]


def test_nothing_that_is_printed_gives_away_a_rate_without_a_number():
    predictions = counted(few=(13, 24), many=(360, 400))
    audit = audit_groups(predictions, by="g", criteria="accuracy_parity")
    few = audit.group_table("g").row(("few",))
    assert (few.wide, few.verdict) == (True, "FAIL")
    explanation = explain_gaps(predictions, by="g")
    told = audit._repr_html_() + explanation._repr_html_()
    told += "\n".join([*to_lines(audit.tables()), *to_lines(explanation.tables())])
    for hidden in (few.rate.value, few.difference.value, audit.group_table("g").gap.value):
        assert f"{abs(hidden):.3f}" not in told
    assert "[0.351, 0.721]" in told


def test_a_large_audit_shows_what_matters_and_says_what_it_leaves_out(many):
    audit = audit_groups(many, by=["tone", "sex"], criteria=["equalized_odds", "predictive_parity"])
    overview, criteria, *shown, profiles = audit.tables()
    assert audit.verdict == "FAIL"
    failing = [row for table in audit.group_tables for row in table.rows if row.verdict == "FAIL"]
    assert sum(table.column("verdict").count("FAIL") for table in shown) == len(failing)
    assert {"tone", "sex", "tone × sex"} <= {table.name for table in shown}
    assert len(shown) < len(audit.group_tables)
    assert says(overview.notes[-1], "without a FAIL", "`table()`")
    for table, whole in ((table, audit.group_table("tone")) for table in shown if table.name == "tone"):
        assert len(table.rows) == len(whole.rows)
    assert profiles.column("group") == ("dark", "light", "medium", "man", "woman")
    assert {row[1] for row in criteria.rows} == {"equalized odds", "predictive parity"}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(2, 6))
def test_hidden_cells_cannot_be_worked_out_from_the_sum(sizes, k):
    sizes = np.array(sizes)
    small = (sizes > 0) & (sizes < k)
    hidden = hidden_cells(sizes, small, k=k)
    assert hidden[small].all()
    assert not hidden[sizes == 0].any()
    if hidden.any() and np.count_nonzero(sizes) > 1:
        whole = hidden[sizes > 0].all()
        assert whole or (np.count_nonzero(hidden) >= 2 and sizes[hidden].sum() >= k)
    if not small.any():
        assert not hidden.any()


def test_the_export_hides_small_cells_and_one_more(tmp_path):
    audit = audit_groups(counted(a=(50, 60), b=(15, 30), c=(0, 3)), by="g")
    frame = audit.export(tmp_path / "out.csv", min_cell_size=5)
    written = [line.split(",")[1:] for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert written[1:3] == [["a", "60", "50"], ["b", "hidden", "hidden"]]
    assert written[3:] == [["c", "hidden", "hidden"], ["(missing)", "0", "0"]]
    assert frame["images"].isna().tolist() == [False, True, True, False]
    with pytest.raises(TlkitError, match=saying("out.csv", "exists", "another").pattern):
        audit.export(tmp_path / "out.csv")
    with pytest.raises(TlkitError, match="min_cell_size is 1"):
        audit.export(tmp_path / "other.csv", min_cell_size=1)


def test_the_hidden_cells_of_an_export_do_not_share_a_few_errors_that_the_sum_would_tell(tmp_path):
    predictions = counted(a=(99, 100), b=(60, 60), c=(50, 50), d=(100, 120))
    frame = audit_groups(predictions, by="g").export(tmp_path / "out.csv", min_cell_size=5)
    hidden = frame["right"].isna().to_numpy()
    bad = np.array([1, 0, 0, 20, 0])
    assert hidden[0]
    assert bad[hidden].sum() >= 5


def test_the_recipe_knows_the_same_cuts():
    from tlkit.audit.groups.group_columns import CUTS
    from tlkit.recipe.sections.audit_section import AuditColumn

    assert set(AuditColumn.model_fields) == {"column", *CUTS}


def test_every_class_metric_and_group_of_several_classes_is_corrected_together():
    generator = np.random.default_rng(2)
    y = generator.integers(0, 4, 4000)
    guess = np.where(generator.random(4000) < 0.85, y, generator.integers(0, 4, 4000))
    table = predictions_of(y, guess, classes="wxyz", g=generator.choice(list("abc"), 4000))
    audit = audit_groups(table, by="g", criteria=["equalized_odds"])
    assert audit.tests == 3 * (1 + 4 + 4)
    assert all(row.difference.low < row.difference.high for table in audit.group_tables for row in table.rows)
