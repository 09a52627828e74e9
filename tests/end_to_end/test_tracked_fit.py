"""What Weights & Biases gets of a fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from run_fixtures import day_and_night
from sklearn.metrics import precision_recall_curve

from tlkit.evaluation import evaluate
from tlkit.predictions import Predictions
from tlkit.training.fit import fit
from tlkit.training.push_run import push_run
from tlkit.training.tracked_results import chosen_images, tracker_summary


def inspected(folder):
    """Return the records of an offline run by type, through W&B's own reader."""
    record = next(Path(folder).glob("*.wandb"))
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", record]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    of = {}
    for line in text.splitlines():
        one = json.loads(line)
        of.setdefault(one["type"], []).append(one.get(one["type"], {}))
    return of


def summary_in(of):
    """Return the last value of each key of the summary."""
    return {key: value for one in of["summary"] for key, value in one["update"].items()}


class Tables:
    """The W&B Tables of a record by their key."""

    def __init__(self, of, folder):
        self.keys = {k: v for one in of["history"] for k, v in one["item"].items() if isinstance(v, str)}
        self.folder = folder / "files"

    def __getitem__(self, key):
        return json.loads((self.folder / self.keys[f"{key}.path"]).read_text())


@pytest.fixture
def offline_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    Path("home").mkdir()


@pytest.mark.series
def test_a_tracked_run_can_be_read_back_with_wandbs_own_reader(tiny_recipe, offline_home):
    """The whole path, offline, item by item; then sent once more by `push_run`."""
    recipe = tiny_recipe(groups={"camera": day_and_night}, report=True)
    run = fit(recipe, {"tracking": "wandb", "tracking.log_images": 6, "tracking.phase_runs": True})
    folders = {next(iter(inspected(one)["run"]))["display_name"]: one for one in (run.path / "wandb").glob("offline-*")}
    assert set(folders) == {run.recipe.name, f"{run.recipe.name}-phase-1"}
    of, folder = inspected(folders[run.recipe.name]), folders[run.recipe.name]
    check_record(run, of, folder)

    history = [one["item"] for one in of["history"] if "train/loss" in one["item"]]
    assert [row["train/loss"] for row in history] == pytest.approx(list(run.history["train_loss"]))
    assert [row["train/phase"] for row in history] == [1] * len(history)
    rates = [max(value for name, value in row.items() if name.startswith("learning_rate/")) for row in history]
    assert rates == pytest.approx(list(run.history["learning_rate"]))
    assert of["stats"], "system metrics"
    phase = inspected(folders[f"{run.recipe.name}-phase-1"])
    assert (phase["run"][0]["run_group"], phase["run"][0]["job_type"]) == (run.recipe.name, "phase")
    assert [row["item"]["train/loss"] for row in phase["history"]] == [row["train/loss"] for row in history]

    location = push_run(run, kind="wandb", mode="offline")
    pushed = inspected(location)
    check_record(run, pushed, Path(location))
    rows = [one["item"] for one in pushed["history"] if "train/loss" in one["item"]]
    assert [row["epoch"] for row in rows] == list(run.history["epoch"])
    assert not list(Path("home").rglob("*.wandb"))


def check_record(run, of, folder):
    """Check every item that a fit and a push have in common."""
    evaluation, predictions = run.evaluation("test"), run.predictions("test")
    config = of["run"][0]["config"]["update"]
    assert {key: config[key] for key in ("train", "data", "model")} == {
        key: run.recipe.model_dump(mode="json")[key] for key in ("train", "data", "model")
    }
    assert config["environment"]["data"]["fingerprint"] == run.environment["data"]["fingerprint"]
    assert "commit" in config["environment"]
    axes = {one.get("name", one.get("glob_name")): one for one in of["metric"]}
    assert axes["*"]["step_metric"] == "epoch"
    assert "min" in str(axes["val/loss"]["summary"])

    summary = summary_in(of)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        found = [summary[f"test/{name}{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx([getattr(getattr(evaluation, name), end) for end in ("value", "low", "high")])
    assert summary["data/fingerprint"] == run.environment["data"]["fingerprint"]
    assert summary["test/audit"] == run.get_audit("test").verdict

    tables = Tables(of, folder)
    assert tables["test/per_class"]["columns"][:5] == [
        "class",
        "images",
        "precision",
        "precision_low",
        "precision_high",
    ]
    assert [row[0] for row in tables["test/per_class"]["data"]] == list(evaluation.classes)
    assert [row[0] for row in tables["test/predictions"]["data"]] == list(predictions.path)
    files = {
        entry["path"]: Path(entry["local_path"])
        for one in of["artifact"]
        if one["type"] == "run_table"
        for entry in one["manifest"]["contents"]
    }
    images = json.loads(files["test/images.table.json"].read_text())
    assert images["columns"] == ["image", "path", "true", "predicted", "confidence", "correct"]
    assert len(images["data"]) == min(6, len(predictions))
    for image, path, *_ in images["data"]:
        with Image.open(files[image["path"]]) as stored, Image.open(run.samples.root / path) as original:
            assert max(stored.size) == min(160, max(original.size))
            shades = [np.asarray(one.convert("RGB")).mean((0, 1)) for one in (stored, original)]
            assert shades[0] == pytest.approx(shades[1], abs=4)

    points = pd.DataFrame(
        tables["test/reliability_points"]["data"], columns=tables["test/reliability_points"]["columns"]
    )
    model = points[points["series"] == "model"]
    assert model["images"].sum() == len(predictions)
    assert np.average(model["accuracy"], weights=model["images"]) == pytest.approx(evaluation.accuracy.value)
    assert (model["accuracy_low"] <= model["accuracy"]).all()
    curve = tables["test/pr_curve_points"]
    for position, name in enumerate(evaluation.classes):
        found = sorted((row[1], row[2]) for row in curve["data"] if row[0] == name)
        precision, recall, _ = precision_recall_curve(predictions.y_true == position, predictions.proba[:, position])
        assert np.array(found) == pytest.approx(np.array(sorted(zip(recall, precision, strict=True))))

    artifacts = {one["type"]: one for one in of["artifact"]}
    assert set(artifacts["model"]["aliases"]) == {"latest", "best"}
    metadata = json.loads(artifacts["model"]["metadata"])
    assert metadata["data"]["fingerprint"] == run.environment["data"]["fingerprint"]
    assert metadata["dataset"] == f"{artifacts['dataset']['name']}:latest"
    assert f"data-{run.environment['data']['fingerprint'][:12]}" in artifacts["dataset"]["aliases"]
    (listed,) = artifacts["dataset"]["manifest"]["contents"]
    listing = pd.read_csv(listed["local_path"])
    assert list(listing.columns) == ["path", "label", "split", "digest"]
    assert len(listing) == len(run.samples)
    (stored,) = artifacts["report"]["manifest"]["contents"]
    assert stored["path"] == "report.html"
    assert "data:image/jpeg" not in Path(stored["local_path"]).read_text()
    sent = [path for path in folder.rglob("*") if path.suffix in (".json", ".csv") and "day" in path.read_text()]
    assert not [path for path in sent if "config" not in path.name and "camera" in path.read_text()]


def test_a_fit_without_images_sends_none_and_its_audits_tables_on_request(tiny_recipe, offline_home):
    recipe = tiny_recipe(groups={"camera": day_and_night})
    keys = {"tracking.log_images": 0, "tracking.log_audit": True, "tracking.log_model": False, "name": "fold-3"}
    run = fit(recipe, {"tracking": "wandb", **keys, "data.folds": 4, "data.fold": 3, "data.val": 0.0, "data.test": 0.0})
    (folder,) = (run.path / "wandb").glob("offline-*")
    of = inspected(folder)
    assert of["run"][0]["job_type"] == "fold-3"
    tables = Tables(of, folder)
    assert not [key for key in tables.keys if "/images" in key]
    split = run.judged_split()
    (first,) = [key for key in tables.keys if key.startswith(f"{split}/audit/") and key.endswith(".path")][:1]
    assert json.loads((folder / "files" / tables.keys[first]).read_text())["data"]


def test_the_chosen_images_are_confident_errors_and_a_spread_of_the_others():
    table = pd.DataFrame({"confidence": np.linspace(0.5, 1.0, 100), "correct": [i % 5 > 0 for i in range(100)]})
    chosen = chosen_images(table, most=10)
    assert list(chosen.index[:5]) == [95, 90, 85, 80, 75]
    assert len(chosen) == len(set(chosen.index)) == 10
    assert chosen["confidence"][5:].max() - chosen["confidence"][5:].min() > 0.3
    assert len(chosen_images(table, most=1000)) == 100


def test_the_figures_without_leaks_go_to_a_tracker():
    predictions = Predictions.build(
        classes=["cat", "dog"], path=list("abcd"), y_true=[0, 1, 0, 1], proba=[[0.9, 0.1], [0.8, 0.2]] * 2
    )
    evaluation = evaluate(predictions, leaked=["a"])
    values = tracker_summary(evaluation)
    assert (values["images"], values["leaked_images"], values["accuracy"]) == (4, 1, 0.5)
    without = evaluation.without_leaks.accuracy
    found = [values[f"accuracy_without_leaks{end}"] for end in ("", "_low", "_high")]
    assert found == [without.value, without.low, without.high]
