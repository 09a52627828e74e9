from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says

from tlkit.errors import PredictionsError
from tlkit.predictions import (
    MultilabelPredictions,
    NumberPredictions,
    Predictions,
    read_multilabel,
    read_numbers,
    read_predictions,
    task_of_file,
)
from tlkit.predictions.prediction_files import write_parquet_table

JOINED = "path,y_true,proba_cat,proba_dog,light\na,cat;dog,.9,.4,day\nb,,.2,.7,night\nc,dog,.1,.6,day\n"


def written(folder: Path, text: str, name: str = "p.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_labels_of_a_cell_and_columns_of_a_label_read_alike(tmp_path):
    joined = read_multilabel(written(tmp_path, JOINED))
    columns = (
        "path,y_true_cat,y_true_dog,proba_cat,proba_dog,light\na,1,1,.9,.4,day\nb,0,0,.2,.7,night\nc,0,1,.1,.6,day\n"
    )
    assert read_multilabel(written(tmp_path, columns, "q.csv")) == joined
    plain = columns.replace("y_true_", "").replace("1,1,", "true,yes,")
    assert read_multilabel(written(tmp_path, plain, "r.csv")) == joined
    assert joined.labels == ("cat", "dog")
    assert joined.y_true.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert joined.y_pred.tolist() == [[True, False], [False, True], [False, True]]
    assert list(joined.groups.columns) == ["light"]


def test_lists_of_parquet_are_labels_whatever_separates_those_of_texts(tmp_path):
    table = pd.DataFrame({"path": ["a", "b", "c"], "y_true": [["cat", "dog"], [], ["dog"]]})
    table.assign(y_pred=["cat,dog", "dog", "dog"]).to_parquet(tmp_path / "p.parquet")
    found = read_multilabel(tmp_path / "p.parquet", separator=",")
    assert found.labels == ("cat", "dog")
    assert found.y_true.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert found.y_pred.tolist() == [[True, True], [False, True], [False, True]]


def test_a_list_of_several_classes_is_no_class(tmp_path):
    table = pd.DataFrame({"path": ["a", "b"], "y_true": [["cat"], ["dog"]], "y_pred": ["cat", "cat"]})
    table.to_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet").correct.tolist() == [True, False]
    table.assign(y_true=[["cat"], ["cat", "dog"]]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(PredictionsError) as error:
        read_predictions(tmp_path / "p.parquet")
    assert says(str(error.value), "y_true", "1 of 2", "--task multilabel")


def test_an_empty_cell_of_a_label_is_unknown_and_one_of_all_labels_means_none(tmp_path):
    found = read_multilabel(
        written(tmp_path, "path,cat,dog,proba_cat,proba_dog\na,1,,.9,.1\nb,-1,0,.1,.2\nc,,,.5,.5\n")
    )
    assert found.y_true.tolist() == [[1, -1], [-1, 0], [-1, -1]]
    assert found.labelled.path.tolist() == ["a", "b"]
    assert read_multilabel(written(tmp_path, JOINED, "q.csv")).known.all()


def test_two_spellings_of_a_label_are_one_and_case_is_warned_of(tmp_path, caplog):
    caplog.set_level("INFO")
    text = "path,y_true,y_pred\na,cat;7.0,7\nb,7 ;Cat,cat\nc,cafe\u0301,caf\u00e9\n"
    found = read_multilabel(written(tmp_path, text))
    assert found.labels == ("7", "Cat", "caf\u00e9", "cat")
    assert found.y_true.tolist() == [[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert found.y_pred.astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert says(caplog.text, "7.0", "read as one value") and says(caplog.text, "'cat' and 'Cat'", "stay apart")
    assert len(read_multilabel(written(tmp_path, text), verbatim=True).labels) == 6
    scored = "path,y_true,proba_7,proba_cat\na,7.0;cat,0.9,0.1\n"
    assert read_multilabel(written(tmp_path, scored)).y_true.tolist() == [[1, 1]]
    with pytest.raises(PredictionsError, match=r"7\.0"):
        read_multilabel(written(tmp_path, scored), verbatim=True)


def test_two_spellings_of_a_grade_are_one(tmp_path, caplog):
    caplog.set_level("INFO")
    text = "path,y_true,y_pred\na,1,1.0\nb,2,2\nc,3.0,3 \nd,3,3\n"
    found = read_numbers(written(tmp_path, text), task="ordinal")
    assert found.grades == ("1", "2", "3")
    assert found.y_true.tolist() == found.y_pred.tolist() == [0, 1, 2, 2]
    assert says(caplog.text, "1.0", "read as one value")
    stated = read_numbers(written(tmp_path, text), task="ordinal", grades=["3.0", "2.0", "1"])
    assert stated.y_true.tolist() == stated.y_pred.tolist() == [2, 1, 0, 0]
    with pytest.raises(PredictionsError, match=r"1 and 1\.0, 3 and 3\.0"):  # as written, they have no order
        read_numbers(written(tmp_path, text), task="ordinal", verbatim=True)


def test_two_grades_that_are_one_number_are_refused(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text("path,y_true,y_pred\na,01,1\nb,2,1\n")
    with pytest.raises(PredictionsError) as caught:
        read_numbers(file, task="ordinal")
    assert says(caught, file, "01 and 1", "--grades")
    assert read_numbers(file, task="ordinal", grades=["01", "1", "2"]).grades == ("01", "1", "2")


def test_another_separator_and_predicted_labels_without_probabilities(tmp_path):
    file = written(tmp_path, "path,truth,called\na,cat|dog,cat\nb,dog,\n")
    found = read_multilabel(file, y_true="truth", y_pred="called", separator="|")
    assert found.proba is None and found.thresholds is None
    assert found.y_pred.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (JOINED.replace("c,dog", "c,dgo"), ("y_true", "'dgo'", "Did you mean 'dog'", "--separator")),
        (JOINED.replace(".9,", "1.9,"), ("proba", "0 and 1", "1 of 3", "a", "sigmoid")),
        ("path,y_true\na,cat\n", ("proba_<label>", "--y-pred")),
        (
            "path,y_true,y_pred\n" + "".join(f"{i},{i}.5,{i}.25\n" for i in range(40)),
            ("80 different labels", "--task regression", "--separator"),
        ),
        ("path,y_true_cat,proba_cat,proba_dog\na,1,.1,.2\n", ("y_true_cat", "y_true_dog")),
        ("path,cat,proba_cat\na,maybe,.5\n", ("cat", "'maybe'", "1, 0 or nothing")),
    ],
)
def test_what_cannot_be_labels_is_refused_with_place_and_remedy(tmp_path, text, parts):
    with pytest.raises(PredictionsError) as error:
        read_multilabel(written(tmp_path, text))
    assert says(error.value.problems, *parts)


@pytest.mark.parametrize(
    ("text", "options", "parts"),
    [
        ("path,y_true,y_pred\na,3,many\n", {}, ("y_pred", "'many'", "--task ordinal")),
        ("path,y_true,y_pred\na,mild,none\n", {"task": "ordinal"}, ("--grades", "mild", "none")),
        ("path,y_true,y_pred\na,1,2\n", {"task": "ordinal", "grades": ["1", "3"]}, ("y_pred", "'2'", "1, 3")),
        ("path,y_true,y_pred,lower,upper\na,1,2,3,1\n", {}, ("lower", "upper", "a")),
        ("path,y_true,y_pred,lower\na,1,2,3\n", {}, ("both ends",)),
        ("path,y_true\na,1\n", {}, ("y_pred", "--y-pred")),
        ("path,y_true,y_pred\na,inf,1\n", {}, ("y_true", "a")),
    ],
)
def test_what_cannot_be_numbers_is_refused_with_place_and_remedy(tmp_path, text, options, parts):
    with pytest.raises(PredictionsError) as error:
        read_numbers(written(tmp_path, text), **options)
    assert says(error.value.problems, *parts)


def test_grades_that_are_numbers_are_ordered_by_size(tmp_path):
    found = read_numbers(written(tmp_path, "path,y_true,y_pred\na,2,10\nb,10,2\nc,,4\n"), task="ordinal")
    assert found.grades == ("2", "4", "10")
    assert found.y_pred.tolist() == [2, 0, 1]
    assert np.isnan(found.y_true[2]) and found.task == "ordinal"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), proba=st.booleans())
def test_parquet_of_labels_gives_equal_predictions_back(tmp_path_factory, seed, proba):
    rng, file = np.random.default_rng(seed), tmp_path_factory.mktemp("labels") / "p.parquet"
    n, size = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    made = MultilabelPredictions.build(
        labels=[f"a label {one}" for one in range(size)],
        path=[f"i/{one}.jpg" for one in range(n)],
        y_true=rng.integers(-1, 2, (n, size)),
        y_pred=None if proba else rng.integers(0, 2, (n, size)),
        proba=rng.random((n, size)) if proba else None,
        thresholds={"a label 0": 0.3} if proba else None,
        groups=pd.DataFrame({"7": rng.choice(["x", "7.0", None], n)}),
    )
    made.to_parquet(file)
    assert read_multilabel(file) == made
    assert task_of_file(file) == "multilabel"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), graded=st.booleans(), ends=st.booleans())
def test_parquet_of_numbers_gives_equal_predictions_back(tmp_path_factory, seed, graded, ends):
    rng, file = np.random.default_rng(seed), tmp_path_factory.mktemp("numbers") / "p.parquet"
    n = int(rng.integers(1, 9))
    y_true = rng.integers(0, 3, n).astype(float) if graded else rng.normal(0, 1e3, n)
    y_true[rng.random(n) < 0.3] = np.nan
    y_pred = rng.integers(0, 3, n).astype(float) if graded else rng.normal(0, 1e-3, n)
    made = NumberPredictions.build(
        path=[str(one) for one in range(n)],
        y_true=y_true,
        y_pred=y_pred,
        lower=y_pred - 1 if ends else None,
        upper=y_pred + rng.random(n) if ends else None,
        grades=["no", "10", "9"] if graded else (),
        groups=pd.DataFrame({"sex": rng.choice(["f", "m"], n)}),
    )
    made.to_parquet(file)
    assert read_numbers(file, task=made.task) == made
    assert task_of_file(file) == made.task


def test_a_file_of_one_class_says_its_task_and_an_old_one_reads_as_multiclass(tmp_path):
    file = tmp_path / "p.parquet"
    made = Predictions.build(classes=["a", "b"], path=["1", "2"], y_true=[0, 1], y_pred=[0, 0])
    made.to_parquet(file)
    noted = json.loads(pq.read_schema(file).metadata[b"tlkit"])
    assert noted.pop("task") == "multiclass" and noted == {"version": 1, "classes": ["a", "b"], "groups": []}
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({b"tlkit": json.dumps(noted).encode()}), tmp_path / "old.parquet")
    assert read_predictions(tmp_path / "old.parquet") == made
    assert task_of_file(tmp_path / "old.parquet") == "multiclass"
    assert task_of_file(written(tmp_path, JOINED)) is None


def test_a_file_of_another_task_is_refused_with_the_task_to_name(tmp_path):
    file = tmp_path / "p.parquet"
    NumberPredictions.build(path=["a"], y_true=[1.0], y_pred=[2.0]).to_parquet(file)
    with pytest.raises(PredictionsError) as error:
        read_predictions(file)
    assert says(error.value.problems, "regression", "--task regression")
    with pytest.raises(PredictionsError) as error:
        read_multilabel(file)
    assert says(error.value.problems, "regression", "multilabel")


def test_groups_are_joined_by_path(tmp_path):
    found = read_multilabel(written(tmp_path, JOINED)).with_groups(
        pd.DataFrame({"path": ["a", "c"], "site": ["x", "y"]})
    )
    assert found.groups["site"].fillna("-").tolist() == ["x", "-", "y"]
    assert list(found.groups.columns) == ["light", "site"]


PREDICTED = "path,proba_cat,proba_dog\np/a,.9,.4\np/b,.2,.7\np/c,.1,.6\n"
"""What `tlkit predict` writes, without truth."""


@pytest.mark.parametrize(
    "truth",
    [
        "path,y_true,light\na,dog;cat,day\nb,,night\n",
        "path,y_true_cat,y_true_dog,light\na,1,1,day\nb,0,0,night\n",
        "path,cat,dog,light\na,yes,1.0,day\nb,0,no,night\n",
    ],
)
def test_labels_that_come_in_another_file_are_joined_and_images_beside_it_stay_unknown(tmp_path, truth):
    found = read_multilabel(written(tmp_path, PREDICTED)).with_groups(written(tmp_path, truth, "truth.csv"))
    assert found.y_true.tolist() == [[1, 1], [0, 0], [-1, -1]]
    assert found.groups.columns.tolist() == ["light"]
    assert found.y_pred.tolist() == [[True, False], [False, True], [False, True]]


@pytest.mark.parametrize(
    ("task", "truth", "expected"),
    [("regression", ["1.5", "2e1", ""], [1.5, 20, np.nan]), ("ordinal", ["mild", "none", ""], [1, 0, np.nan])],
)
def test_numbers_and_grades_that_come_in_another_file_are_joined(tmp_path, task, truth, expected):
    cells = ["none", "mild", "none"] if task == "ordinal" else ["1", "2", "3"]
    file = written(tmp_path, "path,y_pred\n" + "".join(f"p/{n},{y}\n" for n, y in zip("abc", cells, strict=True)))
    table = pd.DataFrame({"path": ["a", "b", "c"], "age": truth, "light": ["day", "day", "night"]})
    read = read_numbers(file, task=task, grades=["none", "mild"] if task == "ordinal" else None)
    found = read.with_groups(table, y_true="age")
    assert np.array_equal(found.y_true, expected, equal_nan=True)
    assert found.groups.columns.tolist() == ["light"]
    same = read.with_groups(table.rename(columns={"age": "y_true"}))
    assert same == found
    with pytest.raises(PredictionsError):
        same.with_groups(table.rename(columns={"age": "y_true"}))  # labels are not replaced without a word


@pytest.mark.parametrize(
    ("reader", "given", "truth", "named"),
    [
        (read_multilabel, PREDICTED, "path,y_true\na,cow\n", "cow"),
        (read_multilabel, PREDICTED, "path,y_true_cat\na,1\n", "y_true_dog"),
        (read_numbers, "path,y_pred\na,1\n", "path,y_true\na,old\n", "old"),
    ],
)
def test_joined_labels_that_are_none_are_refused_with_their_file(tmp_path, reader, given, truth, named):
    read = reader(written(tmp_path, given))
    with pytest.raises(PredictionsError) as error:
        read.with_groups(written(tmp_path, truth, "truth.csv"))
    assert says(error.value.problems, "truth.csv", named)


@pytest.mark.parametrize("reader", [read_numbers, read_multilabel])
def test_a_file_of_another_task_that_is_read_as_classes_names_the_task(tmp_path, reader):
    """Without --task, labels and numbers look like broken classes."""
    text = JOINED if reader is read_multilabel else "path,y_true,y_pred\na,1.5,1.25\nb,2.5,2.75\nc,3.5,3.25\n"
    file = written(tmp_path, text)
    with pytest.raises(PredictionsError) as error:
        read_predictions(file)
    assert says(error.value.problems, f"--task {'multilabel' if reader is read_multilabel else 'regression'}")
    reader(file)


def test_predicted_numbers_between_grades_are_no_grades_of_their_own(tmp_path):
    file = written(tmp_path, "path,y_true,y_pred\na,0,0.3\nb,1,1.3\nc,2,1.8\n")
    with pytest.raises(PredictionsError) as error:
        read_numbers(file, task="ordinal")
    assert says(error.value.problems, "y_pred", "0.3", "--task regression", "--grades")
    halves = written(tmp_path, "path,y_true,y_pred\na,0,0.5\nb,0.5,1\nc,1,1\n", "halves.csv")
    assert read_numbers(halves, task="ordinal").grades == ("0", "0.5", "1")


def test_grades_that_no_image_shows_are_missing_between_numbers(tmp_path, caplog):
    found = read_numbers(written(tmp_path, "path,y_true,y_pred\na,1,1\nb,4,2\n"), task="ordinal")
    assert found.grades == ("1", "2", "4")
    assert saying("3", "--grades") == caplog.text


def graded() -> NumberPredictions:
    ends = {"lower": [0, 1, 3], "upper": [1, 3, 4]}
    return NumberPredictions.build(path=["a", "b", "c"], y_true=[0, 2, 4], y_pred=[1, 2, 3], grades="12345", **ends)


def test_ends_of_intervals_are_written_as_the_grades_they_are(tmp_path):
    """A predicted grade "2" between the positions 0 and 1 would look wrong."""
    table = graded().table()
    assert table[["y_pred", "lower", "upper"]].values.tolist() == [["2", "1", "2"], ["3", "2", "4"], ["4", "4", "5"]]
    table.to_csv(tmp_path / "p.csv", index=False)
    graded().to_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        assert read_numbers(tmp_path / name, task="ordinal") == graded()


def test_positions_in_a_stored_table_of_before_are_read_as_positions(tmp_path):
    old = graded().table().assign(lower=[0.0, 1.0, 3.0], upper=[1.0, 3.0, 4.0])
    noted = {"task": "ordinal", "classes": list("12345"), "groups": []}
    write_parquet_table(tmp_path / "old.parquet", old, noted=noted)
    assert read_numbers(tmp_path / "old.parquet", task="ordinal") == graded()


def test_ends_that_are_no_grades_are_refused_where_positions_could_be_meant(tmp_path):
    text = "path,y_true,y_pred,lower,upper\na,1,1,0.5,2\nb,2,2,1,3\nc,3,3,2,3\n"
    with pytest.raises(PredictionsError) as error:
        read_numbers(written(tmp_path, text), task="ordinal")
    assert says(error.value.problems, "lower", "0.5", "grades")
    words = "path,y_true,y_pred,lower,upper\na,mild,none,0,1\nb,none,none,0,0\n"
    found = read_numbers(written(tmp_path, words, "w.csv"), task="ordinal", grades=["none", "mild"])
    assert (found.lower.tolist(), found.upper.tolist()) == ([0, 0], [1, 0])


@pytest.mark.parametrize(
    ("scores", "advice"),
    [([90.0, 0.0, 100.0], "percentages"), ([4.0, -3.0, 30.0], "sigmoid"), ([7.0, 0.5, 2.0], "sigmoid")],
)
def test_scores_that_are_no_probabilities_are_called_what_they_look_like(scores, advice):
    with pytest.raises(PredictionsError, match=advice):
        MultilabelPredictions.build(
            labels=["a"], path=["x", "y", "z"], y_true=[[1], [0], [1]], proba=np.array(scores)[:, None]
        )
