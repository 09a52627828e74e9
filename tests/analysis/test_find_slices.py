"""`find_slices` of a run, without torch: images are measured once, and the result is stored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tlkit
from tlkit.data.sources.manifest import digest_of
from tlkit.errors import PredictionsError, RunError
from tlkit.predictions import Predictions
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run, open_run
from tlkit.samples import Samples

RECIPE = """\
recipe_version: 1
name: planted
data: {root: photos, metadata: groups.csv, groups: [light]}
model: {name: resnet18}
audit: {by: [light]}
"""


@pytest.fixture
def planted(tmp_path) -> Run:
    """Return a run on 240 small images, a third of them dark, and most of those wrong."""
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    dark = rng.uniform(size=240) < 0.33
    paths = [f"{i:03d}.png" for i in range(240)]
    for path, gloomy in zip(paths, dark, strict=True):
        low, high = (0, 50) if gloomy else (70, 256)
        Image.fromarray(rng.integers(low, high, (16, 20, 3), dtype=np.uint8)).save(photos / path)
    directory = RunDirectory.create(tmp_path / "runs/planted")
    directory.recipe.write_text(RECIPE)
    light = rng.choice(["day", "night"], 240)
    table = pd.DataFrame(
        {
            "path": paths,
            "label": ["ant", "bee"] * 120,
            "split": "test",
            "digest": [digest_of(photos / p) for p in paths],
            "light": light,
        }
    )
    Samples(photos, ("ant", "bee"), table).to_csv(directory.split)
    y = np.array([0, 1] * 120)
    flip = dark & (rng.uniform(size=240) < 0.6)
    predictions = Predictions.build(
        classes=("ant", "bee"),
        path=paths,
        y_true=y,
        y_pred=np.where(flip, 1 - y, y),
        groups=pd.DataFrame({"light": light}),
    )
    directory.predictions("test").parent.mkdir()
    predictions.to_parquet(directory.predictions("test"))
    directory.write_json(directory.environment, {"data": {"root": str(photos)}})
    directory.set_status("finished")
    return open_run(tmp_path / "runs/planted")


def test_a_planted_slice_is_found_from_the_pixels_and_kept_in_the_run(planted):
    seen = []
    report = tlkit.find_slices(planted, progress=lambda done, of: seen.append((done, of)))
    assert report.confirmed[0].conditions[0].column in ("brightness", "contrast", "sharpness", "colorfulness")
    assert "light" in report.columns
    assert report.clusters == 0  # there is no stored model
    assert seen[-1] == (240, 240)
    assert planted.get_slices() == report
    only = tlkit.find_slices(planted, ["brightness"])
    assert only.confirmed[0].name.startswith("brightness below ")


def test_images_are_decoded_once(planted):
    first = tlkit.find_slices(planted)
    stored = pd.read_parquet(planted.directory.image_properties)
    assert set(stored["digest"]) == set(planted.samples.table["digest"])
    shutil.rmtree(planted.samples.root)
    assert tlkit.find_slices(planted) == first


def test_a_read_only_run_gives_the_same_slices_with_a_warning(planted, monkeypatch, caplog):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    first = tlkit.find_slices(planted)
    planted.directory.image_properties.unlink()
    monkeypatch.setattr("tlkit.analysis.find_slices.write_parquet_table", refuse)
    assert tlkit.find_slices(planted) == first
    assert f"{planted.directory.image_properties} is not stored: Permission denied." in caplog.messages


def test_missing_images_are_an_error(planted):
    root = planted.samples.root
    shutil.rmtree(root)
    with pytest.raises(RunError, match=f"None of the 240 images of .* is at {root} any more"):
        tlkit.find_slices(planted)


def test_images_that_changed_since_the_run_are_left_out(planted, caplog):
    Image.new("RGB", (16, 16)).save(planted.samples.root / "000.png")
    tlkit.find_slices(planted)
    assert "Images that changed since the run (1), left out: 000.png." in caplog.text


def test_an_unknown_column_is_refused_with_the_nearest(planted):
    with pytest.raises(PredictionsError, match=r"has no column 'brightnes' to search\. Did you mean 'brightness'"):
        tlkit.find_slices(planted, ["brightnes"])


@pytest.mark.parametrize("clusters", [-1, 1])
def test_clusters_are_two_or_none(planted, clusters):
    with pytest.raises(PredictionsError, match=rf"clusters is {clusters}\. Use a number from 2, or 0 for none\."):
        tlkit.find_slices(planted, clusters=clusters)


def test_a_file_of_predictions_is_searched_by_its_columns(planted):
    predictions = planted.predictions()
    table = pd.DataFrame({"path": predictions.path, "day": np.arange(240.0)})
    report = tlkit.find_slices(predictions, table)
    assert report.columns == ("day",)
    assert tlkit.find_slices(predictions).columns == ("light",)
    bare = Predictions.build(
        classes=predictions.classes, path=predictions.path, y_true=predictions.y_true, y_pred=predictions.y_pred
    )
    with pytest.raises(PredictionsError, match="have no column to search for slices"):
        tlkit.find_slices(bare)


def test_the_command_finds_slices_without_torch(planted):
    script = (
        "import sys\nsys.argv = ['tlkit', 'slices', 'runs/planted', '--clusters', '0', '--json']\n"
        "from tlkit.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(tlkit.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["slices"][0]["standing"] == "confirmed"


def fail_by_night(run):
    """Make the run's audit fail: predictions by night are wrong more often."""
    predictions = run.predictions()
    night = (predictions.groups["light"] == "night").to_numpy()
    flip = night & (np.random.default_rng(1).uniform(size=240) < 0.7)
    guess = np.where(flip, 1 - predictions.y_true, predictions.y_true)
    proba = np.full((240, 2), 0.2)
    proba[np.arange(240), guess] = 0.8
    Predictions.build(
        classes=predictions.classes,
        path=predictions.path,
        y_true=predictions.y_true,
        proba=proba,
        groups=predictions.groups,
    ).to_parquet(run.directory.predictions("test"))


def test_the_report_shows_the_images_behind_a_failing_row_and_a_slice(planted):
    slices = tlkit.find_slices(planted)
    page = planted.report().read_text()
    assert "Slices" in page
    assert slices.confirmed[0].name in page
    assert 0 < page.count("data:image/jpeg") <= 120
    fail_by_night(planted)
    for file in (planted.directory.evaluation, planted.directory.audit, planted.directory.slices):
        file.unlink(missing_ok=True)
    page = planted.report().read_text()
    assert "Images behind the gaps" in page
    assert "light: night" in page
    assert page.count("data:image/jpeg") == 12  # six wrong, six only just right
    assert planted.audit_images()[0].wrong[0].path in page


def test_missing_images_leave_a_note_instead_of_thumbnails(planted):
    fail_by_night(planted)
    root = planted.samples.root
    shutil.rmtree(root)
    page = planted.report().read_text()
    assert f"The images are no longer at {root}" in page
    assert "data:image/jpeg" not in page
    assert planted.audit_images()[0].wrong[0].path in page


def test_report_thumbnails_limits_the_thumbnails(planted):
    fail_by_night(planted)
    planted.directory.recipe.write_text(RECIPE + "report: {thumbnails: 5}\n")
    assert planted.report().read_text().count("data:image/jpeg") == 5
    planted.directory.recipe.write_text(RECIPE + "report: {thumbnails: 0}\n")
    page = planted.report().read_text()
    assert "data:image/jpeg" not in page
    assert "report.thumbnails: 0" in page


def test_the_model_card_names_limits_and_no_image(planted):
    fail_by_night(planted)
    path = planted.card(intended_use="Sorting ants from bees.")
    text = path.read_text()
    assert path.name == "MODEL_CARD.md"
    assert "Sorting ants from bees." in text
    assert "| light | night | accuracy |" in text
    assert "Not assessed: slices" in text
    assert not any(name in text for name in planted.predictions().path.tolist())
    assert planted.card(intended_use="Sorting ants from bees.") == path  # the same text again
    path.write_text(text + "Edited by hand.\n")
    with pytest.raises(RunError, match="perhaps edited by hand"):
        planted.card()
    planted.card(overwrite=True)
    assert "Not stated" in path.read_text()
