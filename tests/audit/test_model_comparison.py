"""Two models on the same images: against statsmodels, in words, and where they cannot be compared."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from messages import saying, says
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from tables_of_predictions import predictions_of

from tlkit.audit import Comparison, compare_predictions
from tlkit.errors import PredictionsError


def table(y_true, y_pred, *, classes=("cat", "dog"), path=None, **groups):
    return predictions_of(y_true, y_pred, classes=classes, path=path, **groups)


@pytest.fixture(scope="module")
def models():
    generator = np.random.default_rng(4)
    y = generator.integers(0, 3, 600)
    tone = generator.choice(["light", "dark"], 600)
    one = np.where(generator.random(600) < 0.8, y, (y + 1) % 3)
    two = np.where((one != y) & (tone == "dark") & (generator.random(600) < 0.7), y, one)
    kinds = {"classes": ("ant", "bee", "cat"), "tone": tone}
    return table(y, one, **kinds), table(y, two, **kinds)


def test_every_p_value_agrees_with_statsmodels(models):
    one, two = models
    found = compare_predictions(one, two)
    p = []
    for row in found.rows:
        if row.by == "(all)":
            rows = np.ones(600, dtype=bool)
        else:
            rows = (
                one.y_true == one.classes.index(row.name)
                if row.by == "(class)"
                else one.groups[row.by].to_numpy() == row.name
            )
        a, b = one.correct[rows], two.correct[rows]
        theirs = mcnemar([[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]], exact=True)
        if row.p is None:
            assert (a == b).all()
        else:
            assert row.p == pytest.approx(theirs.pvalue)
            p.append(row.p)
        assert row.difference.value == pytest.approx(b.mean() - a.mean())
    adjusted = [row.p_holm for row in found.rows[1:] if row.p is not None]
    assert adjusted == pytest.approx(multipletests(p[1:], method="holm")[1])
    assert found.tests == len(p) - 1


def notes(comparison):
    (table,) = comparison.tables()
    return table.notes


def test_the_group_that_gained_is_named(models):
    found = compare_predictions(*models, names=("old", "new"))
    assert found.overall.change == "better"
    changed = {row.name: row.change for row in found.rows if row.by == "tone"}
    assert changed == {"dark": "better", "light": "not distinguishable"}
    assert says(notes(found), "new is better than old", "accuracy")
    assert says(notes(found), "600 images", "old and new")


def test_swapping_the_models_mirrors_every_row(models):
    one, two = models
    there, back = compare_predictions(one, two), compare_predictions(two, one)
    for row, mirrored in zip(there.rows, back.rows, strict=True):
        assert row.p == mirrored.p
        assert row.difference.value == pytest.approx(-mirrored.difference.value)
    assert back.overall.change == "worse"


def test_images_are_matched_by_path_and_classes_by_name():
    one = table(["cat", "dog", "dog"], ["cat", "cat", "dog"], path=["a", "b", "c"])
    two = table(["dog", "cat", "dog"], ["dog", "cat", "dog"], classes=("dog", "cat"), path=["c", "a", "b"])
    found = compare_predictions(one, two)
    assert found.images == 3
    assert (found.overall.pairs.both, found.overall.pairs.second) == (2, 1)


def test_what_only_one_model_predicted_is_left_out_counted_and_logged(caplog):
    caplog.set_level(logging.WARNING, logger="tlkit")
    one = table(["cat", "dog", None], ["cat", "dog", "cat"], path=["a", "b", "u"])
    two = table(["cat", None, "dog"], ["cat", "cat", "dog"], path=["a", "u", "z"])
    found = compare_predictions(one, two, names=("old", "new"))
    assert (found.images, found.only_first, found.only_second, found.unlabelled) == (1, 1, 1, 1)
    assert says(caplog.text, "1 only of old", "1 only of new")
    assert notes(found)[0] == saying("1 image", "only old", "only new", "without a label")


@pytest.mark.parametrize(
    ("old", "new", "p", "said"),
    [
        (range(4), range(4), None, ("same images", "0.900 → 0.900", "not distinguishable", "n = 40")),
        (range(3), (), 0.25, ("not distinguishable", "0.925 → 1.000", "p = 0.250", "Fewer than 6", "n = 100")),
        (range(10), range(10, 18), 0.815, ("not distinguishable", "0.750 → 0.800", "could have shown", "n = ")),
    ],
)
def test_what_cannot_be_told_apart_is_not_said_to_be_equal(old, new, p, said):
    one, two = (table([0] * 40, np.isin(np.arange(40), wrong).astype(int)) for wrong in (list(old), list(new)))
    found = compare_predictions(one, two, names=("a", "b"))
    assert found.overall.change == "not distinguishable"
    assert found.overall.p == (None if p is None else pytest.approx(p, abs=1e-3))
    assert notes(found)[1] == saying("a and b", *said)


def test_images_that_leaked_are_counted_and_the_others_compared_without_them():
    one = table([0] * 60, [1] * 20 + [0] * 40)
    two = table([0] * 60, [0] * 60)
    seen = [f"{i}.png" for i in range(10)]
    found = compare_predictions(one, two, names=("a", "b"), leaked=[*seen, "elsewhere.png"])
    alone = compare_predictions(one.take(np.arange(10, 60)), two.take(np.arange(10, 60)), names=("a", "b"))
    clean = found.without_leaks
    assert found.leaked == 10 and found.overall.pairs.n == 60
    assert (clean.pairs, clean.difference, clean.p) == (alone.overall.pairs, alone.overall.difference, alone.overall.p)
    plain = compare_predictions(one, two, names=("a", "b"))
    assert found.rows == plain.rows and (plain.leaked, plain.without_leaks) == (0, None)
    assert notes(found)[2] == saying("10 of these images", "earlier split", notes(alone)[1])
    assert [row[:3] for row in found.tables()[0].rows[:2]] == [
        ("(all)", "all images", 60),
        ("(all)", "without leaks", 50),
    ]
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    older = {key: value for key, value in plain.to_dict().items() if key not in ("leaked", "without_leaks")}
    assert Comparison.from_dict(older) == plain
    every = compare_predictions(one, two, leaked=[f"{i}.png" for i in range(60)])
    assert (every.leaked, every.without_leaks) == (60, None)
    assert notes(every)[2] == saying("All of these images", "earlier split")


def test_no_image_in_common_is_an_error_that_shows_both_sides():
    with pytest.raises(PredictionsError, match=saying("x has a/1.png", "y has b/1.png", "same images").pattern):
        compare_predictions(table([0], [0], path=["a/1.png"]), table([0], [0], path=["b/1.png"]), names=("x", "y"))


def test_labels_that_disagree_are_an_error_that_names_the_images():
    with pytest.raises(PredictionsError, match=saying("1 of 2 images", "1.png (dog or cat)").pattern):
        compare_predictions(table([0, 1], [0, 1]), table([0, 0], [0, 1]))


def test_an_unknown_column_is_an_error_and_identifiers_are_left_alone(models):
    with pytest.raises(PredictionsError, match="Did you mean 'tone'"):
        compare_predictions(*models, by="tune")
    glyphs = table([0] * 60, [0] * 60, glyph=[str(i) for i in range(60)], light=["day"] * 30 + ["night"] * 30)
    assert {row.by for row in compare_predictions(glyphs, glyphs).rows} == {"(all)", "(class)", "light"}


def test_columns_are_cut_as_the_audit_cuts_them():
    old = table([0] * 90, [0] * 80 + [1] * 10, age=[str(i) for i in range(90)], tags=["x", "x;y", ""] * 30)
    found = compare_predictions(old, old, by=["age:bins=30", "tags:separator=;"])
    counted = {(row.by, row.name): row.pairs.n for row in found.rows[2:]}
    assert counted == {
        ("age", "<30"): 30,
        ("age", "≥30"): 60,
        ("tags", "x"): 60,
        ("tags", "y"): 30,
        ("tags", "(missing)"): 30,
    }


def test_tables_leave_out_classes_without_a_difference_and_escape_names():
    one = table(["<b>", "<i>"], ["<b>", "<b>"], classes=("<b>", "<i>"))
    two = table(["<b>", "<i>"], ["<b>", "<i>"], classes=("<b>", "<i>"))
    found = compare_predictions(one, two)
    assert found.tables()[0].column("name") == ("all images", "<i>")
    assert says(notes(found), "1 of 2 classes", "<b>")
    assert "<b>" not in found._repr_html_()
    assert "&lt;i&gt;" in found._repr_html_()
    assert list(found.table()["name"]) == ["all images", "<b>", "<i>"]
