"""One spelling for each value, wherever a value decides: groups, labels, clusters, pairs, paths and metadata keys."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import says

from tlkit.audit import audit_groups
from tlkit.audit.explain import explain_predictions
from tlkit.audit.gates.gate_verdicts import judge_gates
from tlkit.audit.model_comparison import compare_predictions
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import METRICS
from tlkit.errors import PredictionsError
from tlkit.evaluation import evaluate
from tlkit.evaluation.metric_comparison import compare_metric
from tlkit.models.pretrained_head import match_classes
from tlkit.predictions import Predictions, read_predictions
from tlkit.preflight.recipe_queries import class_weights
from tlkit.recipe.gates_file import load_gates
from tlkit.samples import Samples
from tlkit.spelling import match_paths, names_alike, spellings, value_key

NUMBERS = st.from_regex(r"[+-]?(0|[1-9][0-9]{0,25})(\.[0-9]{0,25})?(e[+-]?[0-9])?", fullmatch=True)


@given(NUMBERS, NUMBERS)
def test_numbers_have_one_key_exactly_where_they_are_equal(one, two):
    assert (value_key(one) == value_key(two)) == (Decimal(one) == Decimal(two))
    assert Decimal(value_key(one)) == Decimal(one)


@given(st.lists(st.text("ab 07.e+\u00a0é\u0301", max_size=5)))
def test_spellings_are_a_projection_that_rewrites_only_what_is_written_in_several_ways(texts):
    value_of = spellings(texts)
    again = spellings(value_of.values())
    assert all(again[value] == value for value in value_of.values())
    for text, value in value_of.items():
        assert value_key(value) == value_key(text)
        alone = len({other for other in texts if value_key(other) == value_key(text)}) == 1
        assert not alone or value == unicodedata.normalize("NFC", text).strip()


@pytest.mark.parametrize(
    "text", ["007", "00", "1,5", "1_000", "٣", "1e400", "e5", ".", "+", "0x10", "12a", "inf", "nan"]
)
def test_identifiers_are_no_numbers(text):
    assert value_key(text) == text


def test_case_and_leading_zeros_are_only_warned_of():
    assert names_alike(["7", "007", "Dark", "dark", "da rk", "p07", "p7"]) == [("7", "007"), ("Dark", "dark", "da rk")]


def test_paths_are_matched_where_only_one_can_be_meant():
    known = ["a/1.jpg", "b\\1.jpg", "cafe\u0301.jpg", "caf\u00e9.jpg", "d.jpg "]
    assert match_paths(["a\\1.jpg", "b/1.jpg", "caf\u00e9.jpg", "./d.jpg", "A/1.jpg"], known) == {
        "a\\1.jpg": "a/1.jpg",
        "b/1.jpg": "b\\1.jpg",
        "caf\u00e9.jpg": "caf\u00e9.jpg",  # the same, where two look alike
        "./d.jpg": "d.jpg ",
    }


def predictions(**columns):
    n = 240
    right = np.r_[np.zeros(60, dtype=int), np.ones(n - 60, dtype=int)]
    return Predictions.build(
        classes=["no", "yes"], path=[f"{k}.jpg" for k in range(n)], y_true=[1] * n, y_pred=right.tolist(), **columns
    )


def test_an_audit_takes_equal_numbers_for_one_group(caplog):
    site = ["1", "1.0", "1.00 ", "1"] * 30 + ["2"] * 120
    found = audit_groups(predictions(groups=pd.DataFrame({"site": site})), by="site").group_table("site")
    assert [(row.group, row.images) for row in found.rows] == [(("1",), 120), (("2",), 120)]
    assert found.row(("1",)).verdict == "FAIL"
    kept = predictions(groups=pd.DataFrame({"site": site}), verbatim=True)
    assert kept.groups["site"].nunique() == 4


def test_clusters_and_pairs_are_counted_by_value():
    person = [f"{k // 4}{('', '.0', ' ', '.')[k % 4]}" for k in range(240)]
    table = pd.DataFrame({"site": ["a", "b"] * 120, "person": person})
    audit = audit_groups(predictions(groups=table), by="site", cluster_by="person")
    once = table.assign(person=[str(k // 4) for k in range(240)])
    assert audit.to_dict() == audit_groups(predictions(groups=once), by="site", cluster_by="person").to_dict()


def two_sites():
    return predictions(groups=pd.DataFrame({"site": ["a", "b"] * 120}))


def test_options_that_name_a_class_take_any_spelling_of_it(tmp_path):
    recall = {"by": "site", "metrics": "recall"}
    plain = audit_groups(two_sites(), positive="yes", **recall)
    assert audit_groups(two_sites(), positive=" yes ", **recall).to_dict() == plain.to_dict()
    with pytest.raises(PredictionsError, match="'Yes'"):
        audit_groups(two_sites(), positive="Yes", **recall)
    options = [AuditOptions().with_overrides(by="site", positive=name) for name in ("yes\u00a0", "yes")]
    first, second = (explain_predictions(two_sites(), one).to_dict() for one in options)
    assert first == second
    found = evaluate(two_sites(), metrics="all")
    assert found.score("recall: yes") == found.score("recall:yes")
    changes = compare_metric({"a": two_sites(), "b": two_sites()}, "f1: yes ").to_dict()
    assert changes == compare_metric({"a": two_sites(), "b": two_sites()}, "f1:yes").to_dict()
    file = tmp_path / "gates.yaml"
    file.write_text("gates_version: 1\nlimits:\n- {by: site, metric: recall, class_name: ' yes', at_least: 0.9}\n")
    [row, *_] = judge_gates(two_sites(), load_gates(file, metrics=METRICS)).rows
    assert row.verdict == "FAIL"


def test_class_weights_and_labels_of_other_models_take_any_spelling_of_a_class():
    table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "label": ["1", "caf\u00e9"], "split": "train", "digest": ""})
    samples = Samples(Path(), ("1", "caf\u00e9"), table)
    assert class_weights({"1.0": 3.0, "cafe\u0301": 2.0}, samples) == {"1": 3.0, "caf\u00e9": 2.0}
    assert match_classes(["cafe\u0301 Noir"], ["caf\u00e9_noir"], {}, {}) == {"cafe\u0301 Noir": "caf\u00e9_noir"}


def test_columns_of_probabilities_name_their_class_without_white_space(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text("path,y_true,proba_cat ,proba_ dog\na,cat,0.9,0.1\nb,dog,0.2,0.8\n")
    read = read_predictions(file)
    assert read.classes == ("cat", "dog") and read.correct.all()
    with pytest.raises(PredictionsError, match="cat"):
        read_predictions(file, verbatim=True)


def test_case_twins_among_groups_and_clusters_are_warned_of(caplog):
    table = pd.DataFrame({"light": ["Dark", "dark"] * 120, "person": ["P1", "p1", "007", "7"] * 60})
    audit_groups(predictions(groups=table), by="light", cluster_by="person")
    assert says(caplog.messages, "light", "'Dark', 'dark'")
    assert says(caplog.messages, "person", "'P1' and 'p1'", "'007' and '7'")


def test_a_file_of_predictions_is_read_by_value(tmp_path, caplog):
    caplog.set_level("INFO", "tlkit")
    file = tmp_path / "p.csv"
    file.write_text("path,y_true,y_pred,age\na,1.0,1,30\nb, 2,2,30.0\nc,cat,cat ,30\n")
    read = read_predictions(file)
    assert (read.classes, read.correct.tolist(), read.groups["age"].nunique()) == (("1", "2", "cat"), [True] * 3, 1)
    assert says(caplog.messages, "classes", "'1.0' as '1'", "'cat ' as 'cat'")
    file.write_text("path,y_true,y_pred,age\na,1.0,1,30\nb, 2, 2,30.0\n")
    kept = read_predictions(file, verbatim=True)
    assert (kept.classes, kept.correct.tolist(), kept.groups["age"].nunique()) == ((" 2", "1", "1.0"), [False, True], 2)
    again = tmp_path / "p.parquet"
    kept = Predictions.build(classes=["1", "1.0"], path=["a", "b"], y_true=["1", "1.0"], y_pred=["1", "1.0"])
    kept.to_parquet(again)
    assert read_predictions(again) == kept


def test_two_spellings_of_a_path_in_one_file_are_warned_of(tmp_path, caplog):
    file = tmp_path / "p.csv"
    file.write_text("path,y_true,y_pred\nday/a.jpg,1,1\nday\\a.jpg,1,2\nb.jpg,2,2\n")
    assert len(read_predictions(file)) == 3
    assert says(caplog.messages, "p.csv", "two spellings", "(1)", "'day/a.jpg'")
    caplog.clear()
    file.write_text("path,y_true,y_pred\nday/a.jpg,1,1\n.day/a..jpg,1,2\nb.jpg,2,2\n")
    assert len(read_predictions(file)) == 3 and not caplog.messages


def test_groups_are_joined_and_models_compared_by_any_spelling_of_a_path():
    made = predictions()
    table = pd.DataFrame({"path": [f".\\{path} " for path in made.path], "site": ["a", "b"] * 120})
    assert made.with_groups(table).groups["site"].tolist() == ["a", "b"] * 120
    other = Predictions.build(
        classes=["no ", "yes"], path=[f"./{path}" for path in made.path], y_true=made.y_true, y_pred=made.y_pred
    )
    assert compare_predictions(made, other).overall.difference.value == 0


def test_lists_in_a_column_are_several_values_and_mappings_are_refused():
    tags = [["x", "y"], ["x"], np.array(["y"]), None] * 60
    table = audit_groups(predictions(groups=pd.DataFrame({"tags": tags})), by="tags:separator=;").group_table("tags")
    assert [(row.group, row.images) for row in table.rows] == [(("x",), 120), (("y",), 120), (None, 60)]
    for odd in ({"a": 1}, [["a"]], ["a;b"]):
        with pytest.raises(PredictionsError) as caught:
            predictions(groups=pd.DataFrame({"tags": [odd] * 240}))
        assert says(caught.value, "'tags'", "Write")
