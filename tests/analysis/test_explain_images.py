from __future__ import annotations

import json

import numpy as np
import pytest
from messages import saying
from run_fixtures import working_in, write_recipe
from scipy.stats import spearmanr
from typer.testing import CliRunner

import tlkit
from tlkit.analysis.explain_images import pictures_of, rank_correlation
from tlkit.analysis.image_explanations import ImageExplanations
from tlkit.cli.app import app
from tlkit.errors import TlkitError
from tlkit.render.plots import plot_channels, plot_explanations, plot_filters
from tlkit.render.plots.explanation_plot import overlay


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
    result = CliRunner().invoke(app, ["explain", str(run.path), image, "--json", *options], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["method"] == "grad_cam"
    assert all(file.read_text().startswith("<svg") for file in files.values())
