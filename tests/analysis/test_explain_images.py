from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from command import invoke
from messages import saying
from PIL import Image
from run_fixtures import copy_of_run, working_in, write_recipe
from scipy.stats import spearmanr

import tlkit
from tlkit.analysis.explain_images import pictures_of, rank_correlation
from tlkit.analysis.image_explanations import ImageExplanations
from tlkit.audit.error_examples import worst_images
from tlkit.audit.heat_maps import HeatMaps
from tlkit.errors import TlkitError
from tlkit.predictions import Predictions
from tlkit.render.plots import plot_channels, plot_explanations, plot_filters
from tlkit.render.plots.explanation_plot import overlay
from tlkit.runs.stored_judgements import stored_result


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    with working_in(folder):
        yield tlkit.fit(write_recipe(folder), ["train.epochs=1"], runs_dir=folder / "runs")


def test_maps_are_for_the_predicted_class_of_every_image(run):
    samples = run.samples.split("test")
    paths = [samples.root / path for path in samples.paths]
    found = tlkit.explain_images(run, paths, check=True, device="cpu")
    predictions = run.predictions("test")
    assert [one.predicted for one in found.images] == [predictions.classes[code] for code in predictions.y_pred]
    assert [one.confidence for one in found.images] == pytest.approx(predictions.confidence, abs=1e-5)
    assert found.method == "grad_cam"
    assert all(one.heat.ndim == 2 and 0 < one.peak[0] < 1 and 0 < one.peak[1] < 1 for one in found.images)
    assert found.random_similarity.n == len(paths)
    back = ImageExplanations.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back.to_dict() == found.to_dict()
    assert len(found.tables()[0].rows) == len(paths)
    plot_explanations(found.images, [picture for _, picture in pictures_of(tlkit.load_model(run), paths)])


def test_target_and_method_are_those_that_were_named_or_refused(run):
    path = run.samples.root / run.samples.paths[0]
    name = run.samples.classes[0]
    found = tlkit.explain_images(run, path, method="occlusion", target=name, device="cpu")
    assert (found.method, found.images[0].explained) == ("occlusion", name)
    assert found.images[0].heat.shape == (8, 8)
    for given, words in [
        ({"target": "zebra"}, ["'zebra'", name]),
        ({"method": "rollout"}, ["no attention", "grad_cam"]),
    ]:
        with pytest.raises(TlkitError) as caught:
            tlkit.explain_images(run, path, device="cpu", **given)
        assert str(caught.value) == saying(*words)


def test_unreadable_images_are_left_out_and_none_is_an_error(run, tmp_path):
    (tmp_path / "junk.png").write_bytes(b"no image")
    good = run.samples.root / run.samples.paths[0]
    assert len(tlkit.explain_images(run, [tmp_path / "junk.png", good], device="cpu").images) == 1
    with pytest.raises(TlkitError):
        tlkit.explain_images(run, tmp_path / "junk.png", device="cpu")


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(7, 7)), rng.integers(0, 4, (7, 7)).astype(float)
    assert rank_correlation(one, two) == pytest.approx(spearmanr(one.ravel(), two.ravel()).statistic)
    assert rank_correlation(one, np.ones((7, 7))) == 0


def test_overlay_leaves_cold_places_as_they_are():
    heat, picture = np.zeros((4, 4)), np.full((40, 40, 3), 90, dtype=np.uint8)
    heat[0, 0] = 1
    drawn = overlay(heat, picture)
    assert np.array_equal(drawn[20:], picture[20:])
    assert not np.array_equal(drawn[:10, :10], picture[:10, :10])
    assert np.array_equal(overlay(np.ones((4, 4)), picture), picture)


def test_filters_and_channels_are_drawn_one_tile_each():
    filters = np.random.default_rng(0).normal(size=(10, 3, 3, 3))
    assert len(plot_filters(filters).images) == 10
    assert len(plot_channels(np.random.default_rng(0).normal(size=(80, 4, 4))).images) == 64


def test_command_line_writes_its_drawings(run, tmp_path):
    files = {name: tmp_path / f"{name}.svg" for name in ("sheet", "filters", "feature-maps")}
    options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    image = str(run.samples.root / run.samples.paths[0])
    result = invoke(["explain", str(run.path), image, "--json", *options], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["method"] == "grad_cam"
    assert all(file.read_text().startswith("<svg") for file in files.values())


def test_the_report_shows_where_the_model_looked_in_the_images_that_it_gets_wrong(run):
    run = copy_of_run(run.path)
    known = run.predictions("test")
    labels = [known.classes[code] for code in known.y_true]
    swapped = Predictions.build(classes=known.classes, path=known.path, y_true=labels, proba=known.proba[:, ::-1])
    swapped.to_parquet(run.directory.predictions("test"))  # as a worse model would have it
    wrong = [one.path for one in worst_images(run.predictions()).wrong]
    assert wrong
    found = tlkit.explain_images(run, device="cpu", method="occlusion")
    assert [one.path for one in found.images] == [str(run.samples.root / path) for path in wrong]
    stored = stored_result(run.directory, run.directory.heat_maps, "test", HeatMaps.from_dict)
    assert set(wrong) <= set(stored.images)
    speaks = {path: one.heat.max() > max(one.heat.min(), 0) for path, one in zip(wrong, found.images, strict=True)}
    assert {path: bool(stored.images[path].picture) for path in wrong} == speaks
    first = next(path for path in wrong if speaks[path])
    picture = Image.open(io.BytesIO(base64.b64decode(stored.images[first].picture)))
    assert (picture.format, max(picture.size)) == ("JPEG", 200)
    page = run.report().read_text(encoding="utf-8")
    assert page.count('class="pair"') == sum(speaks.values())
    assert page.count("no place counted for it") == len(wrong) - sum(speaks.values())


def test_images_of_elsewhere_and_a_report_without_thumbnails_store_no_picture(run, tmp_path):
    given = run.samples.root / run.samples.paths[0]
    elsewhere = tmp_path / "other.png"
    elsewhere.write_bytes(given.read_bytes())
    before = run.directory.heat_maps.read_bytes() if run.directory.heat_maps.is_file() else b""
    tlkit.explain_images(run, elsewhere, device="cpu")
    after = run.directory.heat_maps.read_bytes() if run.directory.heat_maps.is_file() else b""
    assert before == after
    hidden = copy_of_run(run.path)
    hidden.directory.heat_maps.unlink(missing_ok=True)
    text = hidden.directory.recipe.read_text()
    hidden.directory.recipe.write_text(re.sub(r"thumbnails: \d+", "thumbnails: 0", text))
    assert hidden.recipe.report.thumbnails == 0
    tlkit.explain_images(hidden, given, device="cpu")
    assert not hidden.directory.heat_maps.exists()


def test_a_loaded_model_has_no_images_of_its_own(run):
    with pytest.raises(TlkitError, match=saying("Name images").pattern):
        tlkit.explain_images(tlkit.load_model(run, device="cpu"))
