"""Learning curve and out-of-fold predictions of a run, in Python and on the command line."""

from __future__ import annotations

import json

import pytest
from messages import says
from typer.testing import CliRunner

import tlkit
from tlkit.analysis.learning_curve_result import LearningCurve
from tlkit.analysis.run_analyses import learning_curve, out_of_fold
from tlkit.cli.app import app

RECIPE = """\
recipe_version: 1
name: probed
data: {{root: {root}, num_workers: 0, image_size: 32, val: 0.25}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {{kind: frozen, head: ridge}}
"""


@pytest.fixture
def run(tmp_path, image_folder, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=image_folder(**{"": 24})))
    return tlkit.fit(tmp_path / "r.yaml")


@pytest.mark.slow
def test_only_training_images_are_used(run, tmp_path):
    found = out_of_fold(run, head="ridge", repeats=2)
    assert sorted(found.predictions.path) == sorted(run.samples.split("train").paths)
    assert found.proba.shape == (2, 36, 2)
    curve = learning_curve(run, head="ridge", sizes=(2, 4, 8), repeats=1)
    assert (curve.n, [point.per_class for point in curve.points]) == (36, [2, 4, 8])
    assert says(curve.tables()[0].notes[-1], "not enough data", "3 points")
    shown = CliRunner().invoke(
        app, ["learning-curve", str(run.path), "--head", "ridge", "--plot", str(tmp_path / "c.svg")]
    )
    assert shown.exit_code == 0 and "images per class" in shown.stdout and "+30 images" in shown.stdout
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    asked = CliRunner().invoke(app, ["learning-curve", str(run.path), "--head", "ridge", "--more", "7", "--json"])
    stated = json.loads(asked.stdout)
    assert stated["forecast"] == {"more": 7, "gain": LearningCurve.from_dict(stated).gain(7).to_dict()}
