"""`tlkit calibration`, `abstain` and `conformal` on files of predictions of any tool."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import says

from tlkit.predictions import read_predictions


@pytest.fixture
def files(tmp_path):
    for name, seed in (("val", 1), ("test", 2)):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 300)
        score = rng.normal(2.0 * truth - 1.0, 1.0)
        proba = 1 / (1 + np.exp(-4 * score))
        table = pd.DataFrame(
            {
                "path": [f"{name}{i}.jpg" for i in range(300)],
                "y_true": np.where(truth == 1, "dog", "cat"),
                "proba_cat": 1 - proba,
                "proba_dog": proba,
                "light": np.where(rng.random(300) < 0.4, "night", "day"),
            }
        )
        table.to_csv(tmp_path / f"{name}.csv", index=False)


def test_each_command_judges_a_file_with_its_validation_file(run, files, tmp_path):
    shown = run("calibration", "test.csv", "--val", "val.csv", "--by", "light", "--plot", "r.svg")
    assert shown.returncode == 0 and all(
        says(shown.stdout, one) for one in ("ECE", "light: night", "temperature scaling")
    )
    assert (tmp_path / "r.svg").read_text().startswith("<svg")
    told = json.loads(run("calibration", "test.csv", "--val", "val.csv", "--json").stdout)
    assert told["format_version"] == 1 and told["scaling"]["method"] == "temperature"
    risk = run("abstain", "test.csv", "--val", "val.csv", "--by", "light", "--risk", "0.1")
    assert risk.returncode == 0 and all(says(risk.stdout, one) for one in ("AURC", "95% confidence", "light: day"))
    given = ("conformal", "test.csv", "--val", "val.csv", "--method", "aps", "--condition", "group", "--by", "light")
    sets = run(*given, "--plot", "s.svg")
    assert (tmp_path / "s.svg").read_text().startswith("<svg")
    assert sets.returncode == 0 and all(
        says(sets.stdout, one) for one in ("APS", "300 validation images", "within each group")
    )
    assert run("abstain", "test.csv").returncode == 0  # the curve needs no validation images


def test_labels_and_groups_of_val_are_joined_where_its_file_has_none(run, files, tmp_path):
    """A table of the judged images alone need not name those of val; one of all labels both files."""
    parts = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in ("val", "test")}
    for name, table in parts.items():
        table.drop(columns=["y_true", "light"]).to_csv(tmp_path / f"bare_{name}.csv", index=False)
        table[["path", "y_true", "light"]].rename(columns={"y_true": "truth"}).to_csv(
            tmp_path / f"truth_{name}.csv", index=False
        )
    pd.concat([pd.read_csv(tmp_path / f"truth_{name}.csv") for name in parts]).to_csv(tmp_path / "all.csv", index=False)
    parts["val"].rename(columns={"y_true": "truth"}).to_csv(tmp_path / "own_val.csv", index=False)
    options = ("--condition", "group", "--by", "light", "--json")
    own = run("conformal", "test.csv", "--val", "val.csv", *options)
    for val, groups in (("bare_val.csv", "all.csv"), ("own_val.csv", "truth_test.csv")):
        given = ("--val", val, "--groups", groups, "--y-true", "truth")
        found = run("conformal", "bare_test.csv", *given, *options)
        assert (found.returncode, found.stdout) == (0, own.stdout), found.stderr


@pytest.mark.parametrize("command", ["calibration", "abstain", "conformal"])
def test_spellings_in_the_file_of_val_are_kept_beside_one_by_tlkit(run, files, command):
    read_predictions("test.csv").to_parquet("own.parquet")
    found = run(command, "own.parquet", "--val", "val.csv", "--verbatim", "--json")
    own = run(command, "test.csv", "--val", "val.csv", "--verbatim", "--json")
    assert (found.returncode, found.stdout) == (0, own.stdout), found.stderr
    read_predictions("val.csv").to_parquet("own_val.parquet")
    refused = run(command, "own.parquet", "--val", "own_val.parquet", "--verbatim")
    assert refused.returncode == 2 and says(refused.stderr, "--verbatim", "own.parquet", "Leave it out")


def test_a_column_that_begins_like_that_of_the_truth_is_another_one(run, files, tmp_path):
    parts = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in ("val", "test")}
    for name, table in parts.items():
        table.drop(columns="y_true").assign(truth_source="x").to_csv(tmp_path / f"bare_{name}.csv", index=False)
    pd.concat(list(parts.values()))[["path", "y_true"]].rename(columns={"y_true": "truth"}).to_csv(
        "all.csv", index=False
    )
    given = ("--val", "bare_val.csv", "--groups", "all.csv", "--y-true", "truth", "--json")
    found = run("calibration", "bare_test.csv", *given)
    own = run("calibration", "test.csv", "--val", "val.csv", "--json")
    assert (found.returncode, found.stdout) == (0, own.stdout), found.stderr


@pytest.mark.parametrize("command", ["calibration", "abstain", "conformal"])
def test_images_of_val_are_not_judged(run, files, tmp_path, command):
    test = pd.read_csv(tmp_path / "test.csv")
    pd.concat([pd.read_csv(tmp_path / "val.csv"), test.head(2).assign(path=[f"./test{i}.jpg" for i in (0, 1)])]).to_csv(
        tmp_path / "both.csv", index=False
    )
    for val, words in (("test.csv", "300 images are both in val"), ("both.csv", "2 images are both in val")):
        ended = run(command, "test.csv", "--val", val)
        assert ended.returncode == 2 and says(ended.stderr, words, "Judge other images")


def test_what_lacks_is_named_with_the_remedy(run, files, tmp_path):
    for command in (("abstain", "test.csv", "--risk", "0.1"), ("conformal", "test.csv")):
        ended = run(*command)
        assert ended.returncode == 2 and says(ended.stderr, "--val", "test.csv")
    pd.read_csv(tmp_path / "test.csv").drop(columns=["proba_cat", "proba_dog"]).assign(y_pred="cat").to_csv(
        tmp_path / "bare.csv", index=False
    )
    ended = run("calibration", "bare.csv")
    assert ended.returncode == 2 and says(ended.stderr, "probabilities", "proba_")
    ended = run("calibration", "test.csv", "--plot", "r.png")
    assert ended.returncode == 2 and says(ended.stderr, ".svg")
    ended = run("abstain", "test.csv", "--val", "val.csv", "--risk", "5")
    assert ended.returncode == 2 and says(ended.stderr, "--risk", "0.999999")
