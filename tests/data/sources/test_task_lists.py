"""Lists of several labels, numbers and grades."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import saying
from PIL import Image
from tars import write_tar

from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.data.checks.doctor import diagnose
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.manifest import apply_split, read_manifest
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError
from tlkit.samples import Samples


def listed(tmp_path, **columns):
    """Write images and a list of them, and return the list."""
    count = len(next(iter(columns.values())))
    paths = [f"{place}.png" for place in range(count)]
    for path in paths:
        (tmp_path / path).write_bytes(b"")
    pd.DataFrame({"path": paths, **columns}).to_csv(tmp_path / "list.csv", index=False)
    return tmp_path / "list.csv"


def test_one_column_holds_several_labels(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="tlkit")
    file = listed(tmp_path, label=["dog;cat", "", " cat ; cat", "dog"])
    samples = read_manifest(file, options=ListOptions(task="multilabel"))
    assert samples.classes == ("cat", "dog")
    assert samples.table["label"].tolist() == ["cat;dog", "", "cat", "dog"]
    assert samples.label_matrix.tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]
    assert samples.target_values.dtype == np.float32
    assert saying("list.csv", "1 of 4", "none of the labels") == caplog.text
    assert samples.counts()["train"].to_dict() == {"cat": 2, "dog": 2}
    assert samples.split_sizes() == {"train": 4, "val": 0, "test": 0}


def test_another_mark_may_separate_labels(tmp_path):
    file = listed(tmp_path, label=["dog|cat", "dog"])
    assert read_manifest(file, options=ListOptions(task="multilabel", separator="|")).classes == ("cat", "dog")
    with pytest.raises(DataError, match=r"list.csv:2.*';'.*label_separator"):
        read_manifest(listed(tmp_path, label=["a;b|cat", "cat"]), options=ListOptions(task="multilabel", separator="|"))


def test_lists_of_parquet_need_no_mark_between_labels(tmp_path):
    listed(tmp_path, label=["", ""])
    table = pd.DataFrame({"path": ["0.png", "1.png"], "tags": [["dog", "cat"], ["dog"]]})
    table.to_parquet(tmp_path / "list.parquet")
    options = ListOptions(task="multilabel", separator="|", names={"label": "tags"})
    assert read_manifest(tmp_path / "list.parquet", options=options).table["label"].tolist() == ["cat;dog", "dog"]


def test_a_list_of_several_labels_is_no_class(tmp_path):
    listed(tmp_path, label=["", "", ""])
    table = pd.DataFrame({"path": ["0.png", "1.png", "2.png"], "label": [["dog"], ["cat"], ["cat"]]})
    table.to_parquet(tmp_path / "list.parquet")
    assert read_manifest(tmp_path / "list.parquet").table["label"].tolist() == ["dog", "cat", "cat"]
    table["label"] = [["dog"], ["cat", "dog"], ["cat"]]
    table.to_parquet(tmp_path / "list.parquet")
    with pytest.raises(DataError, match=r"list.parquet:2.*list of several.*multilabel"):
        read_manifest(tmp_path / "list.parquet")


def test_each_label_may_have_a_column(tmp_path):
    file = listed(tmp_path, dog=["1", "0", "no"], cat=["true", "1.0", "0"])
    samples = read_manifest(file, options=ListOptions(task="multilabel", label_columns=["dog", "cat"]))
    assert samples.table["label"].tolist() == ["cat;dog", "cat", ""]
    file = listed(tmp_path, dog=["1", "", "-1"], cat=["1", "1", "0"])
    with pytest.raises(DataError, match=r"list.csv:3.*'dog'.*1 nor 0.*In all 2"):
        read_manifest(file, options=ListOptions(task="multilabel", label_columns=["dog", "cat"]))


def test_numbers_are_read_and_wrong_ones_named(tmp_path):
    samples = read_manifest(listed(tmp_path, label=["3.5", "-1e2", "7"]), options=ListOptions(task="regression"))
    assert samples.classes == ()
    assert samples.target_values.tolist() == [3.5, -100.0, 7.0]
    with pytest.raises(DataError) as caught:
        read_manifest(listed(tmp_path, label=["3,5", "nan", ""]), options=ListOptions(task="regression"))
    assert saying("list.csv:2", "no number", "In all 2", "data.columns") == "\n".join(caught.value.problems)
    assert any("a label is empty" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["1_000", "\u0663", "0x10", "3,5", "1e31"])
def test_what_other_readers_take_for_no_number_is_none(tmp_path, text):
    with pytest.raises(DataError, match="a label is no number"):
        read_manifest(listed(tmp_path, label=["1", "2", text]), options=ListOptions(task="regression"))


def test_grades_are_ordered_by_number_or_as_stated(tmp_path):
    file = listed(tmp_path, label=["10", "9", "1"])
    assert read_manifest(file, options=ListOptions(task="ordinal")).classes == ("1", "9", "10")
    file = listed(tmp_path, label=["mild", "none", "severe"])
    stated = ListOptions(task="ordinal", grades=["none", "mild", "severe"])
    assert read_manifest(file, options=stated).targets.tolist() == [1, 0, 2]
    with pytest.raises(DataError, match=r"order is not known.*data\.grades"):
        read_manifest(file, options=ListOptions(task="ordinal"))
    with pytest.raises(DataError, match=r"severe.*data\.grades does not name"):
        read_manifest(file, options=ListOptions(task="ordinal", grades=["none", "mild"]))


def test_two_spellings_of_a_label_in_a_list_are_one_and_grades_are_those_that_are_stated(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="tlkit")
    file = listed(tmp_path, label=["caf\u00e9;7", "cafe\u0301", "7.0;traffic  light", "traffic light"])
    samples = read_manifest(file, options=ListOptions(task="multilabel"))
    assert samples.classes == ("7", "caf\u00e9", "traffic light")
    assert samples.table["label"].tolist() == ["7;caf\u00e9", "caf\u00e9", "7;traffic light", "traffic light"]
    assert saying("labels", "'7.0' as '7'") == caplog.text
    kept = read_manifest(file, options=ListOptions(task="multilabel", verbatim=True))
    assert len(kept.classes) == 6
    file = listed(tmp_path, label=["1.0", "2", "2.0", "3"])
    stated = read_manifest(file, options=ListOptions(task="ordinal", grades=("1", "2", "3.0")))
    assert stated.classes == ("1", "2", "3.0") and stated.table["label"].tolist() == ["1", "2", "2", "3.0"]


def test_lists_without_labels_and_paths_with_two_numbers_have_a_remedy_that_applies(tmp_path):
    file = listed(tmp_path, label=["", "", ""])
    with pytest.raises(DataError) as caught:
        read_samples(manifest=file, options=ListOptions(task="multilabel"))
    assert str(caught.value) == saying("no label for any of 3 images", "two labels")
    file.write_text("path,label\n0.png,1\n0.png,2\n1.png,3\n")
    with pytest.raises(DataError) as caught:
        read_manifest(file, options=ListOptions(task="regression"))
    assert "one row" in str(caught.value) and "annotat" not in str(caught.value)


def test_two_grades_that_are_one_number_have_no_order(tmp_path):
    file = listed(tmp_path, label=["01", "1", "2", "2"])
    with pytest.raises(DataError) as caught:
        read_manifest(file, options=ListOptions(task="ordinal"))
    assert str(caught.value) == saying("01 and 1", "data.grades", "alike")
    stated = read_manifest(file, options=ListOptions(task="ordinal", grades=("01", "1", "2")))
    assert stated.classes == ("01", "1", "2")


def test_class_folders_have_grades_but_no_numbers(image_folder):
    root = image_folder(classes=("blue", "red"), train=2)
    grades = ListOptions(task="ordinal", grades=["red", "blue"])
    assert read_samples(root, options=grades).classes == ("red", "blue")
    with pytest.raises(DataError, match=r"task is regression.*data\.manifest"):
        read_samples(root, options=ListOptions(task="regression"))


def test_labels_without_training_images_are_named(tmp_path):
    file = listed(tmp_path, label=["cat", "cat", "dog"], split=["train", "train", "val"])
    with pytest.raises(DataError, match=r"label 'dog' has 1 val images, but no training images"):
        read_samples(file, options=ListOptions(task="multilabel"))
    with pytest.raises(DataError, match="two different numbers"):
        read_samples(listed(tmp_path, label=["2", "2"]), options=ListOptions(task="regression"))


def test_a_list_of_several_labels_that_is_read_as_classes_is_called_so_in_few_lines(tmp_path):
    train, test = ["a;b", "a", "b;c"], [f"{one};{other}" for one in "abcd" for other in "wxyz"]
    file = listed(tmp_path, label=[*train, *test], split=["train"] * len(train) + ["test"] * len(test))
    with pytest.raises(DataError) as caught:
        read_samples(file)
    assert len(caught.value.problems) == 7
    assert "11 more" in caught.value.problems[5]
    assert "task: multilabel" in caught.value.problems[-1]
    few = listed(tmp_path, label=["cat", "dog", "owl;bat"], split=["train", "train", "test"])
    with pytest.raises(DataError) as caught:
        read_samples(few)
    assert len(caught.value.problems) == 1


def test_labels_of_other_tasks_have_no_class(tmp_path):
    samples = read_manifest(listed(tmp_path, label=["a;b", "a"]), options=ListOptions(task="multilabel"))
    with pytest.raises(DataError, match=r"task multilabel.*one class"):
        samples.targets  # noqa: B018  # a property that raises


@pytest.mark.parametrize(
    ("task", "labels"),
    [("multilabel", ["b;a", "", "a"]), ("regression", ["1.5", "-2", "+3e1"]), ("ordinal", list("312"))],
)
def test_samples_survive_their_csv_file(tmp_path, task, labels):
    samples = read_manifest(listed(tmp_path, label=labels), options=ListOptions(task=task))
    samples.to_csv(tmp_path / "split.csv")
    read = Samples.from_csv(tmp_path / "split.csv", root=tmp_path, classes=samples.classes, task=task)
    assert read.classes == samples.classes
    assert np.array_equal(read.target_values, samples.target_values)
    assert apply_split(samples, tmp_path / "split.csv").table["label"].tolist() == samples.table["label"].tolist()


@pytest.mark.parametrize(
    ("labels", "grades", "classes", "named"),
    [
        (["mild", "none", "severe"], ("none", "mild"), ("none", "mild", "severe"), ("severe", "data.grades")),
        (["2", "10", "bad"], (), ("2", "10", "bad"), ("bad", "order is not known")),
        (["1", "01", "2"], (), ("01", "1", "2"), ("01 and 1", "one number")),
    ],
)
@pytest.mark.parametrize("source", ["list", "folders", "shards"])
def test_the_doctor_goes_on_where_the_order_of_grades_is_wrong(source, labels, grades, classes, named, tmp_path):
    options, root = ListOptions(task="ordinal", grades=grades), tmp_path / "images"
    made = [(f"{label}/{number}.png", label) for label in labels for number in range(2)]
    for number, (path, _) in enumerate(made):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (40 * number, 9, 9)).save(root / path)
    where: Path = root
    if source == "list":
        where = tmp_path / "images" / "list.csv"
        pd.DataFrame(made, columns=["path", "label"]).to_csv(where, index=False)
    elif source == "shards":
        where = write_tar(tmp_path / "shard.tar", {path: (root / path).read_bytes() for path, _ in made})
    found, samples = diagnose(where, options=options)
    assert samples.classes == classes and found.images == 6 and found.reaches("error")
    assert [saying(*named)] == [one for finding in found.findings if finding.kind == "layout" for one in finding.items]
    assert summarize_data(where, options=options)[0].images == 6
    with pytest.raises(DataError) as caught:
        read_samples(where, options=options)
    assert str(caught.value) == saying(*named)
