"""Explanations of gaps: parts against scipy and statsmodels, planted causes, tables and JSON."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests
from tables_of_predictions import predictions_of

from tlkit.audit import Explanation, explain_gaps
from tlkit.audit.explanation_tables import basis_table
from tlkit.errors import PredictionsError, TlkitError


def cells(*rows):
    """Build predictions of two classes, from (class, images, right, {column: value})."""
    y, guess, groups = [], [], []
    for label, n, right, values in rows:
        y += [label] * n
        guess += [label] * right + [1 - label] * (n - right)
        groups += [values] * n
    return predictions_of(y, guess, classes=("easy", "hard"), **pd.DataFrame(groups).to_dict("list"))


@pytest.fixture(scope="module")
def many():
    """Three classes, a tone that fails on one of them, a sex that goes with the tone, an age in decades."""
    generator = np.random.default_rng(11)
    n = 3000
    tone = generator.choice(["light", "dark"], n, p=[0.7, 0.3])
    sex = np.where(generator.random(n) < np.where(tone == "dark", 0.8, 0.3), "woman", "man")
    age = generator.choice(["20-29", "30-39", "40-49", "100+"], n)
    y = generator.integers(0, 3, n)
    right = generator.random(n) < np.where((tone == "dark") & (y == 2), 0.5, 0.9)
    y_pred = np.where(right, y, (y + 1) % 3)
    tone = np.where(generator.random(n) < 0.05, None, tone.astype(object))
    return predictions_of(y, y_pred, classes=("ant", "bee", "cat"), tone=tone, sex=sex, age=age)


def named(explanation, name):
    (table,) = [table for table in explanation.tables() if table.name == name]
    return table


def notes(explanation):
    return [note for table in explanation.tables() for note in table.notes]


def test_a_gap_of_class_mix_alone_is_called_so_and_one_of_rates_too():
    mix = cells(
        (0, 900, 855, {"g": "a"}), (1, 100, 60, {"g": "a"}), (0, 100, 95, {"g": "b"}), (1, 900, 540, {"g": "b"})
    )
    worst = explain_gaps(mix, by="g").column("g").worst
    assert worst.group == "b"
    assert (worst.split.gap.value, worst.split.mix.value) == pytest.approx((-0.28, -0.28))
    assert worst.split.rate.low < 0 < worst.split.rate.high
    rates = cells(
        (0, 500, 475, {"g": "a"}), (1, 500, 475, {"g": "a"}), (0, 500, 400, {"g": "b"}), (1, 500, 400, {"g": "b"})
    )
    worst = explain_gaps(rates, by="g").column("g").worst
    assert (worst.split.mix.value, worst.split.rate.value) == pytest.approx((0, -0.15))


def test_simpsons_paradox_turns_round_within_the_other_attribute():
    kidney = cells(
        (0, 87, 81, {"drug": "A", "stone": "small"}),
        (0, 263, 192, {"drug": "A", "stone": "large"}),
        (0, 270, 234, {"drug": "B", "stone": "small"}),
        (0, 80, 55, {"drug": "B", "stone": "large"}),
    )
    found = explain_gaps(kidney, by=["drug", "stone"])
    gaps = {(gap.group, gap.given): gap for gap in found.column("drug").adjusted}
    within = gaps["A", "stone"]
    assert within.odds.crude < 1 < within.odds.pooled.value == pytest.approx(1.446847, abs=1e-6)
    assert within.gap.value > 0
    assert found.column("drug").worst.group == "A"


def test_recalls_do_not_give_the_rate_of_a_group_away_that_is_too_small_for_one():
    table = cells(
        (0, 9, 3, {"g": "few"}), (1, 10, 2, {"g": "few"}), (0, 50, 45, {"g": "many"}), (1, 50, 45, {"g": "many"})
    )
    few, many = explain_gaps(table, by="g").column("g").heat.cells
    assert [(cell.recall.value, cell.difference, cell.p) for cell in few] == [(None, None, None)] * 2
    assert [(cell.recall.value, cell.difference) for cell in many] == [(0.9, None)] * 2


def test_an_interval_that_stands_alone_is_said_to_be_too_wide_for_a_number():
    wide = cells((0, 24, 12, {"g": "few"}), (0, 400, 300, {"g": "many"}))
    found = explain_gaps(wide, by="g")
    few = named(found, "gaps by g").column("difference")[0]
    assert (few.value, round(few.low, 1)) == (None, -0.4)
    (note,) = [line for line in notes(found) if "An interval alone" in line]
    assert says(note, "[low, high]", "0.15")
    assert basis_table(found).notes[-1] == note
    narrow = explain_gaps(cells((0, 400, 300, {"g": "a"}), (0, 400, 300, {"g": "b"})), by="g")
    assert not any("An interval alone" in line for line in notes(narrow))


def test_a_column_without_values_has_no_explanation():
    table = predictions_of([0] * 40, [0] * 40, g="." * 40, h="xy" * 20)
    found = explain_gaps(table, by=["g", "h"])
    assert found.column("g").groups == ()
    assert not found.column("g").heat.filled
    assert Explanation.from_dict(found.to_dict()) == found
    assert named(found, "gaps by g").notes == (saying("No group", "20", "complement"),)


def test_every_cell_of_the_heat_map_agrees_with_scipy(many):
    column = explain_gaps(many, by="age").column("age")
    heat, p = column.heat, []
    for g, group in enumerate(heat.groups):
        for c in range(3):
            inside = (many.groups["age"] == group).to_numpy() & (many.y_true == c)
            rest = (many.groups["age"] != group).to_numpy() & (many.y_true == c)
            k1, k2 = many.correct[inside].sum(), many.correct[rest].sum()
            theirs = fisher_exact([[k1, inside.sum() - k1], [k2, rest.sum() - k2]]).pvalue
            cell = heat.cells[g][c]
            assert cell.p == pytest.approx(theirs)
            assert cell.recall.value == pytest.approx(k1 / inside.sum())
            p.append(theirs)
    adjusted = [cell.p_holm for row in heat.cells for cell in row]
    assert adjusted == pytest.approx(multipletests(p, method="holm")[1])
    assert heat.tests == 12


def test_two_groups_make_one_test_a_class_and_the_planted_cell_is_found(many):
    found = explain_gaps(many, by="tone")
    heat = found.column("tone").heat
    assert heat.tests == 3
    assert heat.cells[0][2].p_holm == heat.cells[1][2].p_holm
    hits = {
        (g, c)
        for g, row in zip(heat.groups, heat.cells, strict=True)
        for c, cell in zip(heat.classes, row, strict=True)
        if cell.p_holm < 0.05
    }
    assert hits == {("dark", "cat"), ("light", "cat")}
    table = named(found, "recall by tone")
    assert table.rows[0][1] == "cat"
    assert {row[0] for place, row in enumerate(table.rows) if place in table.marks} == {"dark", "light"}
    assert table.notes[0].endswith("(Holm over 3 tests).")


def test_small_cells_show_their_size_and_no_recall():
    table = cells((0, 30, 20, {"g": "a"}), (1, 3, 1, {"g": "a"}), (0, 30, 30, {"g": "b"}), (1, 30, 20, {"g": "b"}))
    heat = explain_gaps(table, by="g").column("g").heat
    assert heat.cells[0][1].recall.note == saying("3", "5")
    assert heat.cells[0][1].p is None
    assert heat.cells[1][1].p is None  # the complement is too small
    assert heat.tests == 1


def test_attributes_that_go_together_are_named(many):
    found = explain_gaps(many, by=["tone", "sex", "age"])
    linked = {(link.first, link.second): link.association.v for link in found.associations}
    assert linked["tone", "sex"] > 0.3
    assert max(linked["tone", "age"], linked["sex", "age"], linked["age", "(class)"]) < 0.1
    assert ("tone", "sex") in [row[:2] for row in named(found, "associations").rows]
    assert {gap.given for gap in found.column("sex").adjusted} == {"tone", "age", "tone × age", "(class)"}


def test_values_that_begin_with_numbers_have_their_order_and_others_need_one(many, caplog):
    caplog.set_level(logging.INFO, logger="tlkit")
    found = explain_gaps(many, by=["age", "tone"])
    assert found.column("age").ordered.order == ("20-29", "30-39", "40-49", "100+")
    assert says(caplog.text, "20-29", "30-39", "40-49", "100+")
    assert found.column("tone").ordered is None
    told = explain_gaps(many, by="tone", order={"tone": ["light", "dark"]}).column("tone").ordered
    assert told.order == ("light", "dark")
    assert told.rates.trend.z < 0
    assert told.rates.bend_p is None


def test_the_trend_table_has_shape_and_tests():
    names = ["1", "2", "3", "4", "5"]
    dip = cells(*[(0, 200, k, {"tone": name}) for name, k in zip(names, (190, 160, 140, 160, 190), strict=True)])
    table = named(explain_gaps(dip, by="tone"), "trends")
    (row,) = table.rows
    assert row[:4] == ("tone", " < ".join(names), saying("falls", "rises", "U"), "3")
    assert (round(row[4], 3), row[5] < 0.001, row[6] < 0.001) == (1.0, True, True)
    assert table.columns[4].label == "p trend (Cochran–Armitage)"
    assert table.notes == (saying("tone", "departure from a line", "misleads"),)


def test_training_images_are_shown_with_the_gap():
    table = cells((0, 50, 48, {"g": "a"}), (0, 50, 30, {"g": "b"}))
    training = pd.DataFrame({"g": ["a"] * 99 + ["b"] + [None] * 5})
    found = explain_gaps(table, by="g", training=training)
    worst = found.column("g").worst
    assert (worst.train, worst.train_share, worst.judged_share) == (1, 0.01, 0.5)
    assert named(found, "gaps by g").rows[1][-3:] == (1, 0.01, 0.5)
    assert explain_gaps(table, by="g").column("g").worst.train is None


def test_groups_too_small_are_not_explained_and_nothing_breaks():
    table = cells((0, 5, 4, {"g": "a"}), (0, 9, 8, {"g": "b"}), (1, 2, 2, {"g": None}))
    found = explain_gaps(table, by="g")
    assert found.column("g").groups == ()
    assert named(found, "associations").notes[0] == saying("No attributes", "Cramér")
    assert named(found, "gaps by g").notes == (saying("No group", "20", "complement"),)


def test_a_gap_that_may_be_chance_is_not_marked():
    found = explain_gaps(cells((0, 50, 45, {"g": "a"}), (0, 50, 44, {"g": "b"})), by="g")
    table = named(found, "gaps by g")
    assert table.notes == (saying("No group", "b is lowest"),)
    assert not table.marks


def test_one_group_and_perfect_predictions_have_no_group_below():
    table = cells((0, 50, 50, {"g": "a", "one": "x"}), (1, 50, 50, {"g": "b", "one": "x"}))
    found = explain_gaps(table, by=["g", "one"])
    assert named(found, "gaps by g").notes == (saying("No group lies below"),)
    assert found.column("g").groups[0].split.gap.note == "no class in common"


def test_what_is_wrong_is_said_at_once(many):
    with pytest.raises(PredictionsError) as error:
        explain_gaps(many, by=["tone"], order={"tnoe": ["light"], "tone": ["light", "drak"]})
    assert error.value.problems == (saying("'tnoe'", "'tone'"), saying("'tone'", "order", "values"))
    with pytest.raises(PredictionsError, match=saying("'tone'", "mean").pattern):
        explain_gaps(many, by="tune")
    with pytest.raises(TlkitError, match="Explained are: tone"):
        explain_gaps(many, by="tone").column("sex")


def test_an_explanation_goes_to_json_and_back_and_escapes_names(many):
    found = explain_gaps(many, by=["tone", "age"], training=many.groups)
    assert Explanation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    evil = cells((0, 50, 48, {"g": "<b>"}), (0, 50, 30, {"g": "<i>"}))
    assert "<b>" not in explain_gaps(evil, by="g")._repr_html_()
    assert list(found.table()["group"]) == ["dark", "light", "20-29", "30-39", "40-49", "100+"]


def test_many_columns_crossed_are_as_many_strata_as_there_are_combinations():
    generator = np.random.default_rng(2)
    columns = {f"c{i}": generator.choice([f"v{j}" for j in range(40)], 400).tolist() for i in range(14)}
    y_pred = (generator.random(400) < 0.2).astype(int)
    table = predictions_of([0] * 400, y_pred, **columns, g="xy" * 200)
    found = explain_gaps(table, by=["g", *columns], replicates=5)
    crossed = next(gap for gap in found.column("g").adjusted if gap.given.startswith("c0 × "))
    assert crossed.odds.pooled.note == saying(
        "groups", "share", "stratum"
    )  # 40^14 cells: every image is alone in its own
    assert crossed.gap.note == saying("values", "hold", "fixed")


def test_the_order_of_rows_and_the_names_of_groups_change_nothing(many):
    found = explain_gaps(many, by=["tone", "sex"], replicates=50)
    shuffled = explain_gaps(
        many.take(np.random.default_rng(0).permutation(len(many))), by=["tone", "sex"], replicates=50
    )
    assert shuffled == found
