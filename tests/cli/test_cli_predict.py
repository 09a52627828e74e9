"""`tlkit predict`: what its output says of images that it cannot read."""

from __future__ import annotations

import json

import tlkit.torchvision_cure  # noqa: F401  before timm

import pandas as pd
import pytest
import torch
from messages import says

from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import save_artifact
from tlkit.predictions import read_predictions


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    backbone = create_backbone("test_resnet", weights="none", image_size=(32, 32))
    classifier = Classifier(backbone, classes=["blue", "red"])
    save_artifact(tmp_path / "model", classifier.network.state_dict(), classifier.facts())
    return "model"


def test_predict_writes_a_row_for_each_file_that_it_cannot_read(run, model, image_folder, tmp_path):
    colours = sorted(image_folder(**{"": 4}).rglob("*.png"))
    folder = colours[0].parents[1].relative_to(tmp_path)
    damaged = colours[3].relative_to(tmp_path), colours[-1].relative_to(tmp_path)
    for file in damaged:
        (tmp_path / file).write_bytes(b"<html>gone</html>")
    assert run("predict", model, folder, "--out", "p.csv").returncode == 0
    for suffix in ("parquet", "jsonl"):
        assert run("predict", model, folder, "--out", f"p.{suffix}").returncode == 0
    read = [pd.read_csv("p.csv"), pd.read_parquet("p.parquet"), pd.read_json("p.jsonl", lines=True)]
    for table in read:
        assert table["path"].tolist() == [str(file.relative_to(tmp_path)) for file in colours]
        failed = table["path"].isin([str(file) for file in damaged])
        assert table.loc[failed, "error"].notna().all() and table.loc[~failed, "error"].isna().all()
        assert table.loc[failed, ["y_pred", "proba_blue"]].isna().all(axis=None)
        assert table.loc[~failed, ["y_pred", "proba_blue"]].notna().all(axis=None)
    shown = run("predict", model, folder)
    assert all(says(shown.stdout, str(file), "cannot be read") for file in damaged)

    for name in ("p.csv", "p.parquet"):
        predictions = read_predictions(tmp_path / name)
        assert (len(predictions), predictions.group_columns) == (len(colours) - 2, ())


def test_what_predict_writes_can_be_judged_with_a_table_of_labels_and_groups(run, model, image_folder, tmp_path):
    files = sorted(image_folder("photos/val", **{"": 30}).rglob("*.png"))
    (tmp_path / "truth.csv").write_text(
        "path,label,camera\n"
        + "".join(f"val/{f.parent.name}/{f.name},{f.parent.name},{f.stem[-1] > '4'}\n" for f in files)
    )
    assert run("predict", model, "photos/val", "--out", "predictions.csv").returncode == 0
    alone = run("evaluate", "predictions.csv")
    assert alone.returncode == 2 and says(alone.stderr, "y_true", "--groups FILE")
    joined = ("predictions.csv", "--groups", "truth.csv", "--y-true", "label")
    right = pd.read_csv("predictions.csv").pipe(
        lambda table: (table.y_pred == table.path.str.split("/").str[-2]).mean()
    )
    evaluation = json.loads(run("evaluate", *joined, "--json").stdout)
    assert evaluation["n"] == 60 and evaluation["accuracy"]["value"] == pytest.approx(right)
    assert json.loads(run("audit", *joined, "--by", "camera", "--json").stdout)["images"] == 60
    assert run("compare", "predictions.csv", *joined, "--by", "camera").returncode == 0


def test_an_image_in_a_format_that_is_not_read_has_a_row_with_the_remedy(run, model, image_folder, tmp_path):
    folder = image_folder(**{"": 2})
    (folder / "drawing.svg").write_text("<svg/>")
    assert run("predict", model, folder.relative_to(tmp_path), "--out", "p.csv").returncode == 0
    last = pd.read_csv("p.csv").iloc[-1]
    assert last["path"] == str((folder / "drawing.svg").relative_to(tmp_path)) and pd.isna(last["y_pred"])
    assert says(last["error"], "SVG", "PNG")
