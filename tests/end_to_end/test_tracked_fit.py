"""What Weights & Biases gets of a fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from run_fixtures import day_and_night

from tlkit.evaluation import evaluate
from tlkit.predictions import Predictions
from tlkit.training.fit import fit
from tlkit.training.tracked_results import summary_of


def test_a_tracked_run_can_be_read_back_with_wandbs_own_reader(tiny_recipe, monkeypatch):
    """The whole path, offline: config, history, figures with intervals, tables, report and model artifact."""
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    Path("home").mkdir()
    recipe = tiny_recipe(groups={"camera": day_and_night})
    run = fit(recipe, {"tracking": "wandb"})
    record = next((run.path / "wandb").rglob("*.wandb"))
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", record]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    records = [json.loads(line) for line in text.splitlines()]
    for word in ("test_resnet", "val_accuracy", "test/predictions", "test/confusion_matrix"):
        assert word in text, word
    summary = {
        key: value for one in records if one["type"] == "summary" for key, value in one["summary"]["update"].items()
    }
    evaluation = run.evaluation("test")
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        found = [summary[f"test/{name}{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx([getattr(getattr(evaluation, name), end) for end in ("value", "low", "high")])
    assert summary["data/fingerprint"] == run.environment["data"]["fingerprint"]

    files = {Path(file).name: Path(file) for file in (run.path / "wandb").rglob("*") if Path(file).is_file()}
    rates = next(json.loads(file.read_text()) for name, file in files.items() if name.startswith("per_class"))
    assert rates["columns"][:5] == ["class", "images", "precision", "precision_low", "precision_high"]
    assert [row[0] for row in rates["data"]] == list(evaluation.classes)

    artifacts = {one["artifact"]["type"]: one["artifact"] for one in records if one["type"] == "artifact"}
    assert set(artifacts["model"]["aliases"]) == {"latest", "best"}
    metadata = json.loads(artifacts["model"]["metadata"])
    assert metadata["data"]["fingerprint"] == run.environment["data"]["fingerprint"]
    (stored,) = artifacts["report"]["manifest"]["contents"]
    assert stored["path"] == "report.html"
    assert "data:image/jpeg" not in Path(stored["local_path"]).read_text()
    assert not list(Path("home").rglob("*.wandb"))


def test_the_figures_without_leaks_go_to_a_tracker():
    predictions = Predictions.build(
        classes=["cat", "dog"], path=list("abcd"), y_true=[0, 1, 0, 1], proba=[[0.9, 0.1], [0.8, 0.2]] * 2
    )
    evaluation = evaluate(predictions, leaked=["a"])
    values = summary_of(evaluation)
    assert (values["images"], values["leaked_images"], values["accuracy"]) == (4, 1, 0.5)
    without = evaluation.without_leaks.accuracy
    found = [values[f"accuracy_without_leaks{end}"] for end in ("", "_low", "_high")]
    assert found == [without.value, without.low, without.high]
