"""Runs on what is no plain folder: lists, several folders, fixed splits."""

from __future__ import annotations

import pandas as pd
import pytest

from tlkit.data.make_split import make_split
from tlkit.data.split import SplitPlan
from tlkit.errors import DataError
from tlkit.pipeline.fit import fit
from tlkit.pipeline.judge import open_run


@pytest.fixture
def listed(tiny_recipe, tmp_path):
    """Write a list of the tiny recipe's images, two of them to a patient."""
    recipe = tiny_recipe()
    root = tmp_path / "colours"
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    table = pd.DataFrame({"path": paths, "label": [path.split("/")[0] for path in paths]})
    table["patient"] = [f"p{row // 2}" for row in range(len(table))]
    table["quarantine"] = ["", "blurred"] + [""] * (len(table) - 2)
    table.to_csv(tmp_path / "list.csv", index=False)
    return recipe


def test_a_run_on_a_list_is_evaluated_resumed_and_reported_like_any_other(listed, tmp_path):
    given = {"data.manifest": str(tmp_path / "list.csv"), "data.group_by": "patient"}
    run = fit(listed, given)
    assert run.status == "finished"
    table = run.samples.table
    assert len(table) == 31
    assert list(table.columns) == ["path", "label", "split", "digest"]
    patients = pd.read_csv(tmp_path / "list.csv").set_index("path").loc[table["path"], "patient"].to_numpy()
    assert (table.assign(patient=patients).groupby("patient")["split"].nunique() == 1).all()
    assert len(run.environment["data"]["sources"][str(tmp_path / "list.csv")]) == 64
    assert run.samples.root == tmp_path / "colours"
    assert all((run.samples.root / path).is_file() for path in table["path"])
    assert open_run(run.path).report().is_file()
    again = fit(run.path / "recipe.yaml", {"name": "again"})
    pd.testing.assert_frame_equal(again.samples.table, table)


def test_a_run_with_a_fixed_split_uses_it_and_refuses_other_images(tiny_recipe, tmp_path):
    recipe = tiny_recipe()
    root = tmp_path / "colours"
    made = make_split(root, tmp_path / "split.csv", plan=SplitPlan(val=0.1, test=0.4, seed=8))
    run = fit(recipe, {"data.split": "split.csv"})
    pd.testing.assert_frame_equal(run.samples.table, made.table)
    assert list(run.environment["data"]["sources"]) == ["split.csv"]
    same = fit(recipe, {"data.split": str(run.directory.split), "name": "same", "train.epochs": 1})
    pd.testing.assert_frame_equal(same.samples.table, made.table)
    next(root.glob("red/*.png")).unlink()
    with pytest.raises(DataError, match="an image is missing from"):
        fit(recipe, {"data.split": "split.csv", "name": "other"})


def test_a_run_on_two_folders_merges_their_classes(tiny_recipe, image_folder, tmp_path):
    recipe = tiny_recipe()
    image_folder("more", **{"": 8})
    run = fit(recipe, {"data.root": [str(tmp_path / "colours"), str(tmp_path / "more")], "train.epochs": 1})
    assert run.samples.counts().sum(axis=1).tolist() == [24, 24]
    assert run.samples.root == tmp_path
