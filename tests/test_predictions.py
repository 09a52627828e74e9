from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import saying

from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions, read_predictions

HALF = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
PATHS = ["a.jpg", "b.jpg", "c.jpg"]


def build(**changes: object) -> Predictions:
    values = {"classes": ["ants", "bees"], "path": PATHS, "y_true": ["ants", "bees", None], "proba": HALF}
    return Predictions.build(**(values | changes))


def problems(**changes: object) -> tuple[str, ...]:
    with pytest.raises(PredictionsError) as caught:
        build(**changes)
    return caught.value.problems


def write(folder: Path, text: str, name: str = "preds.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def read_problems(file: Path, **options: str) -> tuple[str, ...]:
    with pytest.raises(PredictionsError) as caught:
        read_predictions(file, **options)
    return tuple(problem.replace(str(file), "FILE") for problem in caught.value.problems)


# --- the value ---------------------------------------------------------------------------------------------------


def test_labels_by_name_and_by_position_are_the_same() -> None:
    assert build() == build(y_true=[0, 1, -1])
    assert build().y_true.tolist() == [0, 1, -1]


def test_y_pred_is_the_most_probable_class_and_the_first_of_ties() -> None:
    assert build().y_pred.tolist() == [0, 1, 0]


def test_a_prediction_may_differ_from_the_most_probable_class(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tlkit"):
        predictions = build(y_pred=["bees", "bees", "bees"])
    assert predictions.y_pred.tolist() == [1, 1, 1]
    assert caplog.messages == [saying("predictions", "y_pred", "2", "3")]


def test_an_unknown_label_is_never_correct_and_not_labelled() -> None:
    predictions = build()
    assert predictions.correct.tolist() == [True, True, False]
    assert predictions.labelled.path.tolist() == ["a.jpg", "b.jpg"]
    assert predictions.labelled.classes == ("ants", "bees")
    assert len(predictions.labelled.groups) == 2


def test_confidence_is_the_largest_probability() -> None:
    confidence = build().confidence
    assert confidence is not None
    assert confidence.tolist() == [0.9, 0.8, 0.5]
    assert build(proba=None, y_pred=[0, 1, 1]).confidence is None


def test_arrays_cannot_be_changed_and_the_input_is_not_touched() -> None:
    given_proba = np.array(HALF)
    predictions = build(proba=given_proba)
    with pytest.raises(ValueError, match="read-only"):
        predictions.y_pred[0] = 1
    given_proba[0, 0] = 7.0
    assert predictions.proba is not None
    assert predictions.proba[0, 0] == 0.9


def test_groups_become_text_and_only_null_and_empty_are_missing() -> None:
    table = pd.DataFrame(
        {
            "age": [30, 41, 5],
            "site": [1.0, np.nan, 2.0],
            "share": [0.5, 1.0, np.nan],
            "huge": [1e300, 2.0, np.inf],
            "flag": [True, False, True],
            "word": ["NA", "", None],
            "tone": pd.Categorical(["I", None, "VI"]),
        },
        index=[7, 8, 9],
    )
    groups = build(groups=table).groups
    assert groups.index.tolist() == [0, 1, 2]
    assert groups.where(groups.notna(), None).to_dict("list") == {
        "age": ["30", "41", "5"],
        "site": ["1", None, "2"],
        "share": ["0.5", "1.0", None],
        "huge": ["1e+300", "2.0", "inf"],
        "flag": ["True", "False", "True"],
        "word": ["NA", None, None],
        "tone": ["I", None, "VI"],
    }


# --- what is refused ---------------------------------------------------------------------------------------------


def test_rows_that_do_not_sum_to_one_are_named_with_their_sums() -> None:
    proba = [[0.3, 0.3]] * 7
    (problem,) = problems(path=list("abcdefg"), y_true=None, proba=proba, source="preds.csv")
    assert problem == saying("preds.csv: ", "7 of 7", "a (sum 0.6)", "e (sum 0.6)", "2 more", "divide each row")


@pytest.mark.parametrize(
    ("proba", "advice"),
    [
        ([[2.5, -1.0], [0.2, 0.8], [3.0, 4.0]], "logits: apply softmax once."),
        ([[90.0, 10.0], [20.0, 80.1], [50, 50]], "percentages: divide by 100."),
        ([[1.015, 0.0], [0.2, 0.8], [0.5, 0.5]], "rounded: write more digits, or divide each row by its sum."),
        ([[1.0, 0.05], [1.03, 0.02], [0.05, 1.0]], "probabilities times 1.05: divide each row by its sum."),
        ([[1.05, 0.0], [0.9, 0.0], [0.5, 0.45]], "what moves their sums, or divide each row by its sum."),
        ([[1.05, -0.15], [0.6, 0.6], [0.5, 0.45]], "logits: apply softmax once."),
        ([[1.2, 0.9], [0.9, 0.0], [3.5, 0.0]], "logits: apply softmax once."),
        ([[0.9, 0.8], [0.2, 0.1], [0.5, 0.5]], "divide each row by its sum, or leave the probabilities out."),
        ([[0.337, 0.65], [0.2, 0.8], [0.5, 0.5]], "rounded: write more digits, or divide each row by its sum."),
    ],
)
def test_rows_that_do_not_sum_to_one_come_with_the_remedy(proba: list[list[float]], advice: str) -> None:
    (problem,) = problems(proba=proba)
    assert problem.startswith("predictions: ") and problem.endswith(advice)


def test_a_sum_within_the_rounding_of_float32_is_accepted() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(1000), size=3).astype(np.float32)
    kept = build(classes=[f"c{i}" for i in range(1000)], y_true=None, proba=rows).proba
    np.testing.assert_array_equal(kept, rows)


def test_values_that_are_no_probabilities_are_named() -> None:
    assert problems(proba=[[np.nan, 1.0], [1.2, -0.2], [0.5, 0.5]]) == (
        saying("NaN", "1 of 3", "a.jpg"),
        saying("negative", "1 of 3", "b.jpg"),
    )


def test_every_problem_is_reported_at_once() -> None:
    groups = pd.DataFrame([["x", "y"]] * 3, columns=["sex", "sex"])
    assert problems(
        path=["a.jpg", "a.jpg", ""],
        y_true=["ants", "beess", "beess"],
        y_pred=["ants", None, "x"],
        proba=[[0.5, 0.5]],
        groups=groups,
    ) == (
        saying("1 of 3", "no path"),
        saying("1 path", "more than once: a.jpg"),
        saying("y_true", "2 classes", "'beess' (2 rows)", "'bees'?", "ants, bees"),
        saying("proba", "(1, 2)", "(3, 2)"),
        saying("y_pred", "2 classes", "'x' (1 row)", "ants, bees"),
        saying("y_pred", "missing", "1 of 3", "a.jpg"),
        saying("group columns", "twice: sex"),
    )


def test_other_impossible_input_is_refused() -> None:
    assert problems(proba=None) == (saying("neither proba nor y_pred"),)
    assert problems(y_true=[0, 1, 2]) == (saying("y_true", "0…1", "1 of 3", "c.jpg (2)"),)
    assert problems(y_true=["ants"]) == (saying("y_true has shape (1,)", "3 paths"),)
    assert problems(groups=pd.DataFrame({"sex": ["f"]})) == (saying("groups has 1 rows", "3 paths"),)
    assert problems(groups=pd.DataFrame({"proba_x": ["f"] * 3})) == (saying("proba_x", "Rename it."),)
    assert saying("class names", "twice: ants") in problems(classes=["ants"] * 2)
    assert saying("no rows") in problems(path=[], y_true=None, proba=np.zeros((0, 2)))
    assert saying("no classes") in problems(classes=[], y_true=None, proba=np.zeros((3, 0)))


# --- groups joined by path ---------------------------------------------------------------------------------------


def test_groups_are_joined_by_path_whatever_the_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, "path,tone,age\nc.jpg,3,07\nz.jpg,9,1\na.jpg,NA,\n", "meta.csv")
    joined = build().with_groups(file)
    assert joined.groups.where(joined.groups.notna(), None).to_dict("list") == {
        "tone": ["NA", None, "3"],
        "age": [None, None, "07"],
    }
    assert caplog.messages == [saying(file, "1", "3", "b.jpg")]
    frame = pd.DataFrame({"tone": ["NA", "3"]}, index=pd.Index(["a.jpg", "c.jpg"], name="path"))
    assert build().with_groups(frame).groups.equals(joined.groups[["tone"]])


def test_a_joined_column_replaces_the_one_that_is_there(caplog: pytest.LogCaptureFixture) -> None:
    before = build(groups=pd.DataFrame({"tone": ["x"] * 3, "sex": ["f"] * 3}))
    with caplog.at_level(logging.INFO, logger="tlkit"):
        after = before.with_groups(pd.DataFrame({"path": PATHS, "tone": ["1", "2", "3"]}))
    assert after.groups.to_dict("list") == {"sex": ["f"] * 3, "tone": ["1", "2", "3"]}
    assert caplog.messages == [saying("groups", "replaces", "column")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"path": ["x/a.jpg", "x/q.jpg"], "tone": ["1", "2"]},
            ("3 paths", "a.jpg, b.jpg and 1 more", "x/a.jpg, x/q.jpg"),
        ),
        ({"file": ["a.jpg"], "tone": ["1"]}, ("'path'", "file, tone")),
        ({"path": ["a.jpg", "a.jpg"], "tone": ["1", "2"]}, ("more than once: a.jpg",)),
        ({"path": ["a.jpg"]}, ("no column", "'path'")),
        ({"path": ["a.jpg"], "y_true": ["ants"]}, ("y_true", "Rename it.")),
    ],
)
def test_a_table_of_groups_that_cannot_be_joined_is_refused(table: dict[str, list[str]], message: tuple[str]) -> None:
    with pytest.raises(PredictionsError, match=saying("the table of groups", *message).pattern):
        build().with_groups(pd.DataFrame(table))


# --- Parquet -----------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=8)


def _is_free(name: str) -> bool:
    return name not in ("path", "y_true", "y_pred") and not name.startswith("proba_")


@st.composite
def tables(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES, *, sort: bool = False) -> Predictions:
    classes = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    paths = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    n, c = len(paths), len(classes)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    proba = rng.dirichlet(np.ones(c), size=n).astype(draw(st.sampled_from([np.float32, np.float64])))
    columns = draw(st.lists(names.filter(_is_free), max_size=3, unique=True))
    cell = st.one_of(st.none(), names)
    return Predictions.build(
        classes=sorted(classes) if sort else classes,
        path=paths,
        y_true=rng.integers(-1, c, size=n),
        y_pred=draw(st.sampled_from([None, rng.integers(0, c, size=n)])),
        proba=proba,
        groups=pd.DataFrame({name: draw(st.lists(cell, min_size=n, max_size=n)) for name in columns}, dtype=object)
        if columns
        else None,
    )


@given(tables())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_parquet_file_reads_back_equal(tmp_path: Path, predictions: Predictions) -> None:
    predictions.to_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet") == predictions
    bare = Predictions.build(
        classes=predictions.classes, path=predictions.path, y_true=predictions.y_true, y_pred=predictions.y_pred
    )
    bare.to_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet") == bare


def test_probabilities_are_stored_as_float32_only_where_that_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    build(proba=np.array(HALF, dtype=np.float32)).to_parquet(file)
    assert pq.read_schema(file).field("proba_ants").type == pa.float32()
    build(proba=HALF).to_parquet(file)
    assert pq.read_schema(file).field("proba_ants").type == pa.float64()


def test_the_file_has_the_agreed_columns_and_note(tmp_path: Path) -> None:
    file = tmp_path / "new" / "p.parquet"
    build(groups=pd.DataFrame({"tone": ["1", None, "2"]})).to_parquet(file)
    table = pq.read_table(file)
    assert table.column_names == ["path", "y_true", "y_pred", "proba_ants", "proba_bees", "tone"]
    assert table["y_true"].to_pylist() == ["ants", "bees", None]
    assert table["tone"].to_pylist() == ["1", None, "2"]
    assert json.loads(table.schema.metadata[b"tlkit"]) == {
        "version": 1,
        "task": "multiclass",
        "classes": ["ants", "bees"],
        "groups": ["tone"],
    }


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p.parquet"
    build().to_parquet(file)
    before = file.read_bytes()

    def fail(table: pa.Table, where: Path, **_: object) -> None:
        where.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        build(y_true=None).to_parquet(file)
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.parquet"]


def test_parquet_of_another_tool_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": PATHS, "label": [3, None, 1], "guess": [3, 1, 1], "age": [1, 2, None]})
    frame.index = pd.Index([5, 6, 7])
    frame.to_parquet(tmp_path / "p.parquet")
    predictions = read_predictions(tmp_path / "p.parquet", y_true="label", y_pred="guess")
    assert predictions.classes == ("1", "3")
    assert predictions.y_true.tolist() == [1, -1, 0]
    assert predictions.y_pred.tolist() == [1, 0, 0]
    assert predictions.group_columns == ("age",)
    assert predictions.groups["age"].fillna("-").tolist() == ["1", "2", "-"]


def test_a_file_that_is_not_parquet_or_is_newer_is_refused(tmp_path: Path) -> None:
    assert read_problems(write(tmp_path, "path,y_pred\n", "p.parquet")) == (saying("FILE", "Parquet", "damaged"),)
    table = pa.table({"path": ["a"], "y_pred": ["x"]})
    pq.write_table(table.replace_schema_metadata({b"tlkit": b'{"version": 2}'}), tmp_path / "n.parquet")
    assert read_problems(tmp_path / "n.parquet") == (saying("FILE", "newer tlkit", "format 2", "pip install -U tlkit"),)
    pq.write_table(table.slice(0, 0), tmp_path / "e.parquet")
    assert read_problems(tmp_path / "e.parquet") == (saying("FILE", "columns", "rows"),)


def test_text_in_a_probability_column_of_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a"], "proba_x": ["high"], "proba_y": [0.5]}), tmp_path / "p.parquet")
    assert read_problems(tmp_path / "p.parquet") == (saying("FILE", "0", "1", "proba_x"),)


# --- CSV ---------------------------------------------------------------------------------------------------------

PLAIN = st.text(st.characters(whitelist_categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=6)


@given(tables(PLAIN, sort=True), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_with_shuffled_columns_reads_the_same(tmp_path: Path, predictions: Predictions, random: object) -> None:
    table = predictions.table()
    order = list(table.columns)
    random.shuffle(order)  # type: ignore[attr-defined]
    with (tmp_path / "p.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(order)
        for row in table[order].itertuples(index=False):
            writer.writerow(["" if cell is pd.NA else cell for cell in row])
    back = read_predictions(tmp_path / "p.csv")
    names = list(predictions.group_columns)
    assert sorted(back.group_columns) == sorted(names)
    ordered = Predictions(back.classes, back.path, back.y_true, back.y_pred, back.proba, back.groups[names])
    assert ordered == predictions


def test_names_that_look_like_numbers_or_missing_values_stay_text(tmp_path: Path) -> None:
    file = write(tmp_path, "path,y_true,y_pred,tone\n1,no,NA,007\nnan,1,null,N/A\n2.0,NA,1.0,\nNULL,,no,true\n")
    predictions = read_predictions(file, verbatim=True)
    assert predictions.classes == ("1", "1.0", "NA", "no", "null")
    assert predictions.path.tolist() == ["1", "nan", "2.0", "NULL"]
    assert predictions.y_true.tolist() == [3, 0, 2, -1]
    assert predictions.groups["tone"].fillna("missing").tolist() == ["007", "N/A", "missing", "true"]
    assert predictions.proba is None


def test_probability_columns_are_matched_by_name_and_make_the_prediction_optional(tmp_path: Path) -> None:
    file = write(tmp_path, "proba_bees,y_true,proba_ants,path\n0.25,ants,0.75,a.jpg\n1,bees,0,b.jpg\n")
    predictions = read_predictions(file)
    assert predictions.classes == ("ants", "bees")
    assert predictions.proba is not None
    assert predictions.proba.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert predictions.y_pred.tolist() == [0, 1]


def test_missing_and_ignored_columns_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, ",y_pred,guess,sex\n0,cat,dog,f\n1,dog,dog,m\n")
    with caplog.at_level(logging.INFO, logger="tlkit"):
        predictions = read_predictions(file, y_pred="guess")
    assert predictions.path.tolist() == ["row 1", "row 2"]
    assert predictions.y_true.tolist() == [-1, -1]
    assert predictions.group_columns == ("sex",)
    assert [message.replace(str(file), "FILE") for message in caplog.messages] == [
        saying("FILE", "'y_true'", "--y-true COLUMN", "y_true="),
        saying("FILE", "'path'", "'row 1'", "'row 2'"),
        saying("FILE", "y_pred is left out"),
    ]


def test_labels_and_predictions_that_share_no_name_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "path,y_true,y_pred\na,Cat,cat\nb,Dog,dog\n")
    assert read_problems(file) == (saying("FILE", "labels (Cat, Dog)", "classes (cat, dog)", "--y-true and --y-pred"),)


def test_a_single_label_that_is_never_predicted_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path, "path,y_true,y_pred\na,cat,dog\nb,cat,cow\n")
    assert read_predictions(file).correct.sum() == 0
    assert caplog.messages == [saying(file, "labels (cat)", "classes (cow, dog)")]


def test_missing_columns_are_named_with_the_option_that_helps(tmp_path: Path) -> None:
    file = write(tmp_path, "path,label,y_predicted\na,cat,dog\n")
    columns = "path, label, y_predicted"
    assert read_problems(file) == (
        saying("FILE", "'y_pred'", "proba_<class>", columns, "--y-pred COLUMN", "'y_predicted'?"),
        saying("FILE", "'y_true'", columns, "--y-true COLUMN"),
    )
    wrong = read_problems(file, y_true="labels", y_pred="y_predicted")
    assert wrong == (saying("FILE", "'labels'", columns, "--y-true COLUMN", "'label'?"),)
    assert read_problems(file, y_true="label", y_pred="label") == (saying("both", "'label' of FILE", "two columns"),)
    assert read_predictions(file, y_true="label", y_pred="y_predicted").classes == ("cat", "dog")


def test_values_that_cannot_be_predictions_are_refused_with_the_file_name(tmp_path: Path) -> None:
    assert read_problems(write(tmp_path, "path,y_true,proba_a,proba_b\nx,a,0.5,0.1\ny,c,0.5,0.5\n")) == (
        saying("FILE", "y_true", "2 classes", "'c' (1 row)"),
        saying("FILE", "proba", "1 of 2", "x (sum 0.6)", "divide each row"),
    )
    assert read_problems(write(tmp_path, 'path,proba_a,proba_b\nx,,1\ny,"0,5",nan\nz,0.5,0.5\n')) == (
        saying("FILE", "proba_a", "2 of 3", "row 2", "'0,5' (row 3)"),
    )
    assert read_problems(write(tmp_path, "path,y_pred\nx,a\nx,b\n,c\ny,\n")) == (
        saying("FILE", "1 of 4", "no path"),
        saying("FILE", "more than once: x"),
        saying("FILE", "y_pred", "1 of 4", ": y"),
    )


def test_files_that_cannot_be_read_get_one_clear_message(tmp_path: Path) -> None:
    for text, words in {
        "": ("FILE is empty", "header line"),
        "path,y_pred\n": ("FILE", "header", "no rows"),
        "path;y_pred\na;b\n": ("FILE", "';'", "commas"),
        "path,y_pred,path\na,b,c\n": ("FILE", "different names", "twice: path"),
        "path,y_pred\na,b\nc,d,e\n": ("FILE", "Row #3", "2 columns, got 3"),
    }.items():
        assert read_problems(write(tmp_path, text)) == (saying(*words),)
    assert read_problems(tmp_path / "pred.csv") == (saying("FILE does not exist", "'preds.csv'?"),)
    assert read_problems(tmp_path / "nowhere" / "pred.csv") == ("FILE does not exist.",)
    assert read_problems(write(tmp_path, "x", "preds.xlsx")) == (saying("FILE", "'.xlsx'", ".parquet or .csv"),)
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    assert read_problems(folder) == (saying("FILE is a folder", ".parquet or .csv"),)
    late = b"path,y_pred\n" + b"".join(b"%d,a\n" % i for i in range(5000)) + b"caf\xe9,a\n"
    for content in (b"\x89PNG\r\n\x1a\n\x00", late):
        (tmp_path / "bytes.csv").write_bytes(content)
        assert read_problems(tmp_path / "bytes.csv") == (saying("FILE", "UTF-8", "'CSV UTF-8'"),)


def test_a_byte_order_mark_and_quoted_line_breaks_are_read(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes('\ufeffpath,y_pred,note\r\n"a,1.jpg",cat,"two\nlines"\r\n'.encode())
    predictions = read_predictions(file)
    assert predictions.path.tolist() == ["a,1.jpg"]
    assert predictions.groups["note"].tolist() == ["two\nlines"]


# --- showing -----------------------------------------------------------------------------------------------------


def test_the_notebook_view_escapes_what_users_wrote() -> None:
    html = build(
        classes=["<b>x</b>", "y"], y_true=None, groups=pd.DataFrame({"<i>g</i>": ["<script>", None, "v"]})
    )._repr_html_()
    assert "<b>x" not in html
    assert "<i>" not in html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "confidence" in html
