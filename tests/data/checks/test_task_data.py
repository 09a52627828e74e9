"""`tlkit data summary, doctor and split` on lists of several labels, grades and numbers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from command import invoke
from messages import saying
from task_images import write_task_images

from tlkit.data.checks.dataset_summary import contact_sheets, summarize_data
from tlkit.data.checks.doctor import diagnose
from tlkit.data.sources.list_options import ListOptions


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_task_images(tmp_path_factory.mktemp("images"))


def call(*words: object):
    return invoke([str(word) for word in words])


def test_labels_grades_and_numbers_are_counted(root):
    table = pd.read_csv(root / "list.csv", keep_default_na=False)
    train = table[table["split"] == "train"]
    labels, samples = summarize_data(root / "list.csv", options=ListOptions(task="multilabel"))
    assert {name: counts["train"] for name, counts in labels.counts.items()} == {
        name: int(train[name].sum()) for name in ("blue", "red")
    }
    assert labels.tables()[0].name == "label_counts"
    assert set(contact_sheets(samples)) == {"blue", "red"}
    grades = ListOptions(task="ordinal", names={"label": "many"}, grades=("none", "one", "two"))
    found = summarize_data(root / "list.csv", options=grades)[0]
    assert list(found.counts) == ["none", "one", "two"]
    assert found.counts["two"]["val"] == int(((table["split"] == "val") & (table["many"] == "two")).sum())
    numbers = summarize_data(root / "list.csv", options=ListOptions(task="regression", names={"label": "bright"}))[0]
    images, *quantiles = numbers.numbers["train"]
    assert images == len(train)
    assert quantiles == pytest.approx(np.quantile(train["bright"], [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]), rel=1e-6)
    assert (numbers.counts, numbers.tables()[0].name) == ({}, "numbers")


def test_one_picture_with_two_sets_of_labels_is_a_finding(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    table = pd.read_csv(tmp_path / "copy" / "list.csv", keep_default_na=False)
    first = table[table["label"] == "blue;red"].iloc[0]
    shutil.copy(tmp_path / "copy" / first["path"], tmp_path / "copy" / "train" / "again.png")
    again = {**first.to_dict(), "path": "train/again.png", "split": first["split"]}
    for label, expected in (("blue", True), ("red;blue", False)):
        pd.DataFrame([*table.to_dict("records"), {**again, "label": label}]).to_csv(
            tmp_path / "copy" / "list.csv", index=False
        )
        diagnosis, _ = diagnose(tmp_path / "copy" / "list.csv", options=ListOptions(task="multilabel"))
        kinds = {finding.kind: finding for finding in diagnosis.findings}
        assert ("across-labels" in kinds) is expected
        assert "copies" in kinds
    assert diagnosis.classes == ("blue", "red")


def test_a_split_keeps_the_share_of_every_label_or_quantile(root, tmp_path):
    table = pd.read_csv(root / "list.csv", keep_default_na=False).drop(columns="split")
    listed = tmp_path / "all.csv"
    table.to_csv(listed, index=False)
    out = tmp_path / "split.csv"
    done = call("data", "split", listed, "--root", root, "--task", "multilabel", "--out", out, "--val", "0.25")
    assert (done.exit_code, saying("Images per label", "blue")) == (0, done.output)
    written = pd.read_csv(out, keep_default_na=False)
    held = written[written["split"] == "val"]
    assert len(held) == 32
    for name in ("blue", "red"):
        share = table[name].mean()
        assert held["label"].str.contains(name).mean() == pytest.approx(share, abs=1.5 / 32)
    done = call(
        *("data", "split", listed, "--root", root, "--task", "regression", "--column", "label=bright"),
        *("--out", tmp_path / "numbers.csv"),
    )
    assert (done.exit_code, saying("Numbers by split", "median")) == (0, done.output)


def test_the_command_line_prints_counts_and_refuses_what_does_not_fit(root):
    done = call("data", "summary", root / "list.csv", "--task", "multilabel", "--json")
    assert (json.loads(done.stdout)["task"], done.exit_code) == ("multilabel", 0)
    grades = ("--task", "ordinal", "--column", "label=many", "--grades", "none,one,two")
    done = call("data", "doctor", root / "list.csv", *grades)
    assert done.exit_code in (0, 1)
    columns = ("--label-column", "blue", "--label-column", "red")
    counts = [
        json.loads(call("data", "summary", root / "list.csv", "--task", "multilabel", *words, "--json").stdout)
        for words in ((), columns)
    ]
    assert counts[0]["counts"] == counts[1]["counts"]
    several = (root / "list.csv", "--task", "multilabel", *columns)
    for words, message in (
        (("summary", root, "--task", "regression"), saying("--task regression", "list of images")),
        (("summary", *several, "--column", "label=many"), saying("--column label=many", "--label-column", "blue, red")),
        (("summary", *several, "--separator", "|"), saying("--separator", "--label-column", "blue, red")),
        (("summary", root / "list.csv", *columns), saying("--label-column", "multilabel")),
        (("summary", root / "list.csv", "--grades", "a,b"), saying("--grades", "ordinal")),
    ):
        done = call("data", *words)
        assert done.exit_code != 0
        assert message == str(done.exception)
