"""Runs with scikit-learn heads: stored files, resume and overwrite, predictions of the stored model."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from messages import saying, says
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkit
from tlkit.choices import MOST_HEAD_IMAGES
from tlkit.errors import ModelError, RecipeError, RunError
from tlkit.features.heads.head_tables import facts_sentence
from tlkit.inference.embed_run import embed_run
from tlkit.models.model_files import read_tensors
from tlkit.models.network import load_network
from tlkit.recipe import load_recipe
from tlkit.stats.estimate import Estimate
from tlkit.training.plan import plan_tables
from tlkit.training.prepare import prepare

RECIPE = """\
recipe_version: 1
name: {head}
data: {{root: {root}, batch_size: 8, num_workers: 0, image_size: 32, val: 0.25, test: 0.25}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {{kind: frozen, head: {head}}}
"""


@pytest.fixture
def head_recipe(tmp_path, image_folder, monkeypatch):
    """Return a maker of recipes with a head, over a small folder of coloured images."""
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    root = image_folder(classes=("blue", "green", "red"), **{"": 20})

    def make(head, *, root=root) -> Path:
        path = tmp_path / f"{head}.yaml"
        path.write_text(RECIPE.format(head=head, root=root))
        return path

    return make


def same(one, two):
    """Return whether two tables predict the same, images named from the root or from here."""
    order = [np.argsort([Path(path).name + Path(path).parent.name for path in table.path]) for table in (one, two)]
    return np.allclose(one.proba[order[0]], two.proba[order[1]], atol=1e-6)


def test_four_images_in_all_are_cross_validated_in_four_folds(head_recipe, image_folder, caplog):
    caplog.set_level("INFO", logger="tlkit")
    run = tlkit.fit(head_recipe("ridge", root=image_folder("few", train=2, val=2, test=2)))
    assert says(caplog.messages, "4 folds instead of 5")
    assert run.evaluate("val").accuracy.n == 4


def test_linear_head_of_a_run_is_scikit_learns_own_and_a_layer_of_the_model(head_recipe):
    run = tlkit.fit(head_recipe("logistic"))
    assert run.status == "finished" and run.evaluate("test").accuracy.value > 0.5
    card = json.loads((run.path / "model" / "model.json").read_text())
    assert (card["format_version"], card["head"]["kind"]) == (3, "logistic")
    assert sorted(path.name for path in (run.path / "model").iterdir()) == [
        "model.json",
        "model.safetensors",
        "val_scores.parquet",
    ]
    features = embed_run(run, splits=("train",))
    samples = run.samples.split("train")
    y = samples.targets[[samples.paths.tolist().index(path) for path in features.path]]
    c, temperature = card["head"]["settings"]["C"], card["head"]["temperature"]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-10, max_iter=100_000))
    x = features.x.astype(np.float64)
    expected = softmax(model.fit(x, y).decision_function(x) / temperature, axis=1)
    tensors = read_tensors(run.path / "model")
    found = softmax(x @ tensors["head.weight"].numpy().T + tensors["head.bias"].numpy(), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    network, _ = load_network(run.path / "model")
    assert network.head.in_features == features.width


@pytest.mark.parametrize("word", [pytest.param("lda", marks=pytest.mark.series), "auto"])
def test_a_run_stores_the_facts_of_its_head_and_log_and_report_put_them_into_words(word, head_recipe, caplog):
    caplog.set_level("INFO", logger="tlkit")
    run = tlkit.fit(head_recipe(word))
    facts = json.loads((run.path / "model" / "model.json").read_text())["head"]
    texts = {value for key, value in facts.items() if isinstance(value, str) and key != "file"}
    assert texts == {facts["kind"]}, "no sentences"
    said = facts_sentence(facts)
    assert says(said, facts["kind"], Estimate.from_dict(facts["out_of_fold_accuracy"]).format())
    assert caplog.messages.count(said) == 1
    page = re.sub("<[^>]*>", "", (run.path / "report.html").read_text())  # words of the glossary are marked
    assert said in html.unescape(page)


def test_other_heads_are_stored_beside_the_tensors_and_predict_as_the_run_did(head_recipe):
    run = tlkit.fit(head_recipe("svm"))
    stored = run.path / "model"
    assert json.loads((stored / "model.json").read_text())["format_version"] == 3
    assert {path.name for path in stored.iterdir()} == {
        "head.json",
        "head.skops",
        "model.json",
        "model.safetensors",
        "val_scores.parquet",
    }
    predictor = tlkit.load_model(run)
    files = [run.samples.root / path for path in run.samples.split("test").paths]
    assert same(predictor.predict(files), run.predictions("test"))
    np.testing.assert_allclose(run.predictions("test").proba.sum(axis=1), 1, atol=1e-5)
    assert (run.path / "report.html").is_file()
    with pytest.raises(ModelError, match=saying("svm", "tlkit.load_model").pattern):
        load_network(stored)
    assert embed_run(run, splits=("val",)).width == predictor.network.head.in_features
    (stored / "head.skops").unlink()
    with pytest.raises(ModelError, match=r"has no head\.skops"):
        tlkit.load_model(run)


@pytest.mark.series
def test_head_runs_are_resumed_and_replaced_by_the_same_rules(head_recipe, caplog):
    path = head_recipe("ridge")
    run = tlkit.fit(path)
    before = (run.path / "model" / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="holds a finished run"):
        tlkit.fit(path)
    tlkit.fit(path, resume=True)
    assert says(caplog.messages, "nothing to resume")
    run.directory.set_status("interrupted")
    (run.path / "model" / "model.safetensors").unlink()
    assert tlkit.fit(path, resume=True).status == "finished"
    assert (run.path / "model" / "model.safetensors").read_bytes() == before
    replaced = tlkit.fit(run.path / "recipe.yaml", {"strategy.head": "knn"}, overwrite=True)
    assert (replaced.path / "model" / "head.skops").is_file()


def test_the_plan_names_head_and_features(head_recipe):
    _, settings, phase = plan_tables(prepare(load_recipe(head_recipe("lda"))))
    rows = dict(settings.rows)
    assert rows["head"] == saying("lda", "7 settings", "5-fold")
    assert rows["features"] == saying("30 training images", "cached")
    assert "optimizer" not in rows and "steps" not in rows
    assert phase.title == "no epochs: the head" and set(phase.column("trained")) == {0}
    assert "head" not in phase.column("block") and "fitted to the features" in phase.notes[0]


def test_auto_chooses_the_head_of_a_run(head_recipe, caplog):
    run = tlkit.fit(head_recipe("auto"), {"report.enabled": False})
    facts = json.loads((run.path / "model" / "model.json").read_text())["head"]
    assert facts["kind"] == facts["choice"]["chosen"]
    assert [one["kind"] for one in facts["choice"]["candidates"]][:3] == ["logistic", "lda", "ridge"]
    assert says(caplog.messages, "head", "auto", facts["kind"])
    assert run.evaluate("test").accuracy.value > 0.5


def test_more_images_than_a_head_takes_are_refused_before_features_are_computed(head_recipe, monkeypatch):
    monkeypatch.setitem(MOST_HEAD_IMAGES, "svm", 20)
    with pytest.raises(RecipeError, match=saying("strategy.head", "svm", "20", "auto").pattern):
        tlkit.fit(head_recipe("svm"))
    assert not Path(os.environ["TLKIT_CACHE"]).exists()
