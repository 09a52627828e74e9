"""`tlkit compare` as a person meets it."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest
from messages import saying, says


@pytest.fixture
def two_files(tmp_path):
    for name, wrong in (("old", 30), ("new", 10)):
        rows = [(f"{i}.png", "cat", "dog" if i < wrong else "cat", "day" if i % 2 else "night") for i in range(100)]
        pd.DataFrame(rows, columns=["path", "y_true", "y_pred", "light"]).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_two_files_of_predictions_are_compared_image_by_image(run, two_files):
    done = run("compare", "old.csv", "new.csv", "--details")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^\(all\) +all images +100 +0\.700 +0\.900 +\+0\.200 .* 0 +20 +<0\.001 +better$", done.stdout, re.MULTILINE
    )
    assert says(done.stdout, "new", "0.700", "0.900")
    values = json.loads(run("compare", "old.csv", "new.csv", "--by", "light", "--json").stdout)
    assert [row["by"] for row in values["rows"]] == ["(all)", "(class)", "light", "light"]


def test_columns_of_files_with_one_name_get_different_names(run, two_files):
    for folder in ("a", "b"):
        (two_files / folder).mkdir()
        shutil.copy(two_files / "old.csv", two_files / folder)
    done = run("compare", "a/old.csv", "b/old.csv", "--details")
    assert re.search(r"^by .* a/old.csv +b/old.csv ", done.stdout, re.MULTILINE)
    done = run("compare", "old.csv", two_files / "old.csv", "--details")
    assert re.search(
        r"^by .* old +old \(again\) .* only old right +only old \(again\) right ", done.stdout, re.MULTILINE
    )
    assert done.stderr == saying("old.csv", "itself")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("old.csv", "missing.csv"), saying("missing.csv")),
        (("old.csv", "runs/none"), saying("runs/none", "exist")),
        (("old.csv", "new.csv", "--by", "lihgt"), saying("'light'", "mean")),
        (("old.csv", "new.csv", "--split", "test"), saying("--split", "test", "runs")),
    ],
)
def test_wrong_input_ends_with_exit_code_2(run, arguments, message, two_files):
    done = run("compare", *arguments)
    assert done.returncode == 2, done.stderr
    assert says(done.stderr, message)
    assert "Traceback" not in done.stderr


def test_several_models_and_any_metric_are_compared_pair_by_pair(run, two_files):
    shutil.copy(two_files / "new.csv", two_files / "third.csv")
    done = run("compare", "old.csv", "new.csv", "third.csv", "--metric", "recall:cat")
    assert done.returncode == 0, done.stderr
    assert says(done.stdout, "new", "better", "old", "Holm")
    values = json.loads(run("compare", "old.csv", "new.csv", "--metric", "recall:cat", "--json").stdout)
    assert [one["name"] for one in values["contenders"]] == ["old", "new"]
    assert values["changes"][0]["difference"]["value"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("old.csv", "new.csv", "--metric", "acuracy"), saying("acuracy", "accuracy")),
        (("old.csv", "new.csv", "--metric", "brier"), saying("probabilities", "old")),
        (("old.csv", "new.csv", "--metric", "mcc", "--by", "light"), saying("--by", "accuracy")),
        (("old.csv", "new.csv", "--metric", "accuracy", "--cluster-by", "lihgt"), saying("cluster_by", "light")),
        (("old.csv", "new.csv", "missing.csv"), saying("missing.csv")),
    ],
)
def test_what_cannot_be_compared_by_a_metric_ends_with_exit_code_2(run, arguments, message, two_files):
    done = run("compare", *arguments)
    assert done.returncode == 2, done.stderr
    assert says(done.stderr, message)
    assert "Traceback" not in done.stderr
