"""What pages of runs hold: several runs on one page, the kept epoch, thumbnails within a size."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from PIL import Image
from run_fixtures import write_run
from tables_of_predictions import predictions_of
from test_run_questions import RECIPE, make_run

from tlkit.audit.error_examples import worst_images
from tlkit.errors import RunError
from tlkit.runs import run_pages
from tlkit.runs.run_pages import report_images
from tlkit.runs.run_tables import kept_epochs
from tlkit.runs.runs_side_by_side import report_side_by_side


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return make_run(folder / "old", wrong_at_night=90), make_run(folder / "new", wrong_at_night=20)


def test_two_runs_stand_beside_each_other_with_the_paired_difference(runs, tmp_path):
    path = report_side_by_side(runs, path=tmp_path / "both.html")
    text = path.read_text(encoding="utf-8")
    low = runs[0].compare(runs[1]).overall.difference.low
    assert says(text, "new", "better", "old", f"{round(100 * low, 1):g} points", "600 images")
    assert "old, new" in text
    assert report_side_by_side(runs, path=path) == path  # its own page may be replaced


def test_runs_without_a_common_image_are_shown_and_not_compared(runs, tmp_path, caplog):
    table = pd.DataFrame({"path": [f"other{i}.jpg" for i in range(40)], "label": ["ant", "bee"] * 20, "light": "day"})
    predictions = predictions_of([0, 1] * 20, [0, 1] * 20, classes=("ant", "bee"), path=table.path, light=["day"] * 40)
    other = write_run(tmp_path / "other", RECIPE.format(name="other"), table, predictions)
    text = report_side_by_side((runs[0], other), path=tmp_path / "both.html").read_text(encoding="utf-8")
    assert says(text, "NOT COMPARABLE", "no image in common")
    assert "Image by image" not in text


def test_a_foreign_file_and_a_run_given_twice_are_refused(runs, tmp_path):
    notes = tmp_path / "notes.html"
    notes.write_text("mine")
    with pytest.raises(RunError, match=saying("notes.html", "--overwrite").pattern):
        report_side_by_side(runs, path=notes)
    assert notes.read_text() == "mine"
    with pytest.raises(RunError, match=saying("folder").pattern):
        report_side_by_side(runs, path=tmp_path)
    with pytest.raises(RunError, match=saying("twice").pattern):
        report_side_by_side((runs[0], runs[0]), path=tmp_path / "x.html")


@pytest.mark.parametrize(
    ("monitor", "figures", "kept"),
    [
        ("val_loss", [0.5, 0.3, 0.3, 0.4], (2,)),
        ("val_accuracy", [0.5, 0.9, 0.8, 0.9], (2,)),
        ("val_accuracy", [np.nan, np.nan, 0.8, np.nan], (3,)),
        ("val_loss", [np.nan] * 4, ()),
    ],
)
def test_the_kept_epoch_is_the_first_with_the_best_monitored_figure(runs, monitor, figures, kept):
    history = pd.DataFrame({"epoch": [1, 2, 3, 4], monitor: figures})
    assert kept_epochs(runs[0].directory, history, monitor=monitor) == kept


def test_without_validation_the_last_epoch_is_kept_and_a_soup_keeps_several(runs, tmp_path):
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0]})
    assert kept_epochs(runs[0].directory, history, monitor="val_loss") == (3,)
    assert kept_epochs(runs[0].directory, history.head(0), monitor="val_loss") == ()
    soup = make_run(tmp_path / "soup", wrong_at_night=1).directory
    soup.soup.write_text(json.dumps({"epochs": [3, 1]}))
    assert kept_epochs(soup, history, monitor="val_loss") == (1, 3)


def test_thumbnails_stay_within_the_size_of_a_page_however_often_an_image_is_shown(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for place in range(8):
        Image.fromarray(rng.integers(0, 255, (300, 300, 3), dtype=np.uint8)).save(tmp_path / f"{place}.png")
    predictions = predictions_of([0] * 8, proba=np.tile([0.2, 0.8], (8, 1)))
    groups = (worst_images(predictions),) * 2  # each image is shown three times
    whole = report_images(predictions, groups, None, root=tmp_path, most=120).thumbnails
    assert len(whole) == 8
    assert Image.open(io.BytesIO(base64.b64decode(whole["0.png"]))).size == (240, 240)
    monkeypatch.setattr(run_pages, "BYTES", 3 * sum(map(len, whole.values())) - 1)
    assert len(report_images(predictions, groups, None, root=tmp_path, most=120).thumbnails) == 7
    assert len(report_images(predictions, groups, None, root=tmp_path, most=3).thumbnails) == 3
