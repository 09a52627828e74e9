"""`find_slices` of a run, without torch: images are measured once, and the result is stored."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from command import process
from messages import saying, says
from PIL import Image
from run_fixtures import write_run
from tables_of_predictions import predictions_of

import tlkit
from tlkit.data.sources.manifest import digest_of
from tlkit.errors import PredictionsError, RunError
from tlkit.runs.run import Run

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
    light = rng.choice(["day", "night"], 240)
    digests = [digest_of(photos / path) for path in paths]
    table = pd.DataFrame({"path": paths, "label": ["ant", "bee"] * 120, "digest": digests, "light": light})
    y = np.array([0, 1] * 120)
    y_pred = np.where(dark & (rng.uniform(size=240) < 0.6), 1 - y, y)
    predictions = predictions_of(y, y_pred, classes=("ant", "bee"), path=paths, light=light)
    return write_run(tmp_path / "runs/planted", RECIPE, table, predictions, root=photos)


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
    assert says(caplog.messages, planted.directory.image_properties, "Permission denied")


def test_missing_images_are_an_error(planted):
    root = planted.samples.root
    shutil.rmtree(root)
    with pytest.raises(RunError, match=saying("240 images", root).pattern):
        tlkit.find_slices(planted)


def test_images_that_changed_since_the_run_are_left_out(planted, caplog):
    Image.new("RGB", (16, 16)).save(planted.samples.root / "000.png")
    tlkit.find_slices(planted)
    assert says(caplog.text, "changed", "1", "000.png")


def test_an_unknown_column_is_refused_with_the_nearest(planted):
    with pytest.raises(PredictionsError, match="Did you mean 'brightness'"):
        tlkit.find_slices(planted, ["brightnes"])


@pytest.mark.parametrize("clusters", [-1, 1])
def test_clusters_are_two_or_none(planted, clusters):
    with pytest.raises(PredictionsError, match=saying(f"clusters is {clusters}", "from 2", "0").pattern):
        tlkit.find_slices(planted, clusters=clusters)


def test_a_file_of_predictions_is_searched_by_its_columns(planted):
    predictions = planted.predictions()
    table = pd.DataFrame({"path": predictions.path, "day": np.arange(240.0)})
    report = tlkit.find_slices(predictions, table)
    assert report.columns == ("day",)
    assert tlkit.find_slices(predictions).columns == ("light",)
    with pytest.raises(PredictionsError, match="no column"):
        tlkit.find_slices(replace(predictions, groups=predictions.groups[[]]))


def test_the_command_finds_slices_without_torch(planted):
    code = (
        "import sys\nfrom tlkit.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = process("slices", planted.path, "--clusters", "0", "--json", cwd=planted.path, code=code)
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
    replace(predictions, y_pred=guess, proba=proba).to_parquet(run.directory.predictions("test"))


def thumbnails(page: str) -> set[str]:
    """Return the different thumbnails of a page, which may show one of them more than once."""
    return set(re.findall(r"data:image/jpeg;base64,[^\"]+", page))


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
    assert len(thumbnails(page)) >= 12  # six wrong, six only just right, and the worst of all
    assert planted.audit_images()[0].wrong[0].path in page.replace("<wbr>", "")


def test_missing_images_leave_a_note_instead_of_thumbnails(planted):
    fail_by_night(planted)
    root = planted.samples.root
    shutil.rmtree(root)
    page = planted.report().read_text()
    assert says(page, "images", f"no longer at {root}")
    assert "data:image/jpeg" not in page
    assert planted.audit_images()[0].wrong[0].path in page.replace("<wbr>", "")


def test_report_thumbnails_limits_the_thumbnails(planted):
    fail_by_night(planted)
    planted.directory.recipe.write_text(RECIPE + "report: {thumbnails: 5}\n")
    assert len(thumbnails(planted.report().read_text())) == 5
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
    assert says(text, "light", "night", "accuracy")
    assert says(text, "Not assessed", "slices")
    assert not any(name in text for name in planted.predictions().path.tolist())
    assert planted.card(intended_use="Sorting ants from bees.") == path  # the same text again
    path.write_text(text + "Edited by hand.\n")
    with pytest.raises(RunError, match="perhaps edited by hand"):
        planted.card()
    planted.card(overwrite=True)
    assert "Not stated" in path.read_text()
