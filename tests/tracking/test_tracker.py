"""`create_tracker` without W&B, and the null tracker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from opened_trackers import open_tracker

from tlkit.errors import RecipeError
from tlkit.recipe import TrackingSection
from tlkit.tracking import NullTracker
from tlkit.tracking.tracker_creation import require_tracker

ARGUMENTS = {
    "project": "tlkit",
    "entity": None,
    "tags": [],
    "log_model": True,
    "name": "pets",
    "run_dir": Path("runs/pets"),
    "config": {},
}


def test_the_null_tracker_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_tracker(kind="none", mode="auto", **ARGUMENTS) as tracker:
        tracker.log_metrics({"val_loss": 0.1}, epoch=0)
        tracker.log_summary({"accuracy": 0.9})
        tracker.log_predictions(pd.DataFrame(), limit=10)
        tracker.log_confusion(np.eye(2, dtype=np.int64), ["a", "b"])
        tracker.log_table(pd.DataFrame(), name="per_class")
        tracker.log_report(Path("report.html"))
        tracker.log_model(Path("model"), metadata={}, aliases=("best",))
        tracker.finish(1)
    assert isinstance(tracker, NullTracker)
    assert tracker.location == ""
    assert list(tmp_path.iterdir()) == []


def test_the_null_tracker_raises_errors_of_its_body():
    with pytest.raises(KeyError), open_tracker(kind="none", mode="auto", **ARGUMENTS):
        raise KeyError("mine")


def test_auto_with_wandb_mode_disabled_is_the_null_tracker(monkeypatch, logged):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = open_tracker(kind="wandb", mode="auto", **ARGUMENTS)
    assert isinstance(tracker, NullTracker)
    assert logged() == [saying("WANDB_MODE=disabled", "tracked")]


def test_tracked_predictions_have_no_group_column():
    from tlkit.predictions import Predictions
    from tlkit.tracking.tracker import PREDICTION_COLUMNS
    from tlkit.training.tracked_results import tracked_predictions

    predictions = Predictions.build(
        classes=["cat", "dog"],
        path=["a.jpg", "b.jpg"],
        y_true=[0, 1],
        proba=[[0.9, 0.1], [0.6, 0.4]],
        groups=pd.DataFrame({"skin_tone": ["dark-secret", None]}),
    )
    table = tracked_predictions(predictions)
    assert tuple(table.columns) == PREDICTION_COLUMNS
    assert "dark-secret" not in table.to_csv()


def test_variables_that_wandb_refuses_are_named_before_images_are_read(monkeypatch):
    pytest.importorskip("wandb")
    section = TrackingSection(kind="wandb", mode="offline", project="tlkit")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    require_tracker(section, name="pets")
    monkeypatch.setenv("WANDB_MODE", "junk")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "soon")
    with pytest.raises(RecipeError) as error:
        require_tracker(section, name="pets")
    first, second = error.value.problems
    assert says(first, "WANDB_INIT_TIMEOUT is 'soon'", "valid number") and says(
        second, "WANDB_MODE is 'junk'", "offline"
    )
