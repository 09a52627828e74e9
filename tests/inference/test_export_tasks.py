"""Exported files of several labels, grades and numbers say what the stored model says."""

from __future__ import annotations

import json
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from messages import saying
from PIL import Image
from run_fixtures import verify_on_few_sizes, working_in
from task_images import task_recipe, write_task_images
from torch import nn

from tlkit import load_model
from tlkit.cli.app import main
from tlkit.errors import ModelError
from tlkit.exported import open_exported
from tlkit.exported.exported_predictor import load_exported
from tlkit.exported.task_answers import grade_of, margin_of, thresholds_of
from tlkit.inference.export.export_run import export_run
from tlkit.models.task_heads import OrdinalHead
from tlkit.runs.run import open_run
from tlkit.training.fit import fit

TASKS = ("multilabel", "ordinal", "regression")


def run_here(monkeypatch, capsys, *arguments):
    """Run the command line in this process; return its exit code and what it wrote."""
    monkeypatch.setattr(sys, "argv", ["tlkit", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return SimpleNamespace(returncode=int(stop.value.code or 0), stdout=said.out, stderr=said.err)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with images and one exported run of each task, with a network that exports fast."""
    folder = tmp_path_factory.mktemp("exported_tasks")
    root = write_task_images(folder / "images")
    with working_in(folder) as patch:
        patch.setenv("TLKIT_CACHE", str(folder / "cache"))
        verify_on_few_sizes(patch)
        exports = {}
        for task in TASKS:
            recipe = task_recipe(folder, root, task, epochs="2")
            fit(recipe, {"model.name": "lenet5"})
            exports[task] = export_run(f"runs/{task}", images=10)
    return folder, exports


@pytest.mark.parametrize("task", TASKS)
def test_the_files_pass_on_images_of_the_run_and_on_made_ones(made, task):
    written = made[1][task]
    verdicts = {parity.subject: parity.verdict for parity in written.verification.parities}
    assert verdicts.pop("stored predictions", "PASS") == "PASS"
    assert verdicts == {"network.onnx": "PASS", "model.onnx": "PASS"}
    assert ("stored predictions" in [one.subject for one in written.verification.parities]) is (task != "ordinal")
    for parity in written.verification.parities:
        assert parity.largest <= 5e-5
        assert parity.movement > 1e-3


@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_the_file_are_those_of_the_run_with_the_rule_of_val(made, task):
    folder = made[0]
    images = sorted((folder / "images" / "test").glob("*.png"))[:12]
    expected = load_model(folder / "runs" / task, device="cpu").predict(images)
    found = load_model(folder / "runs" / task / "export" / "model.onnx").predict(images)
    assert found.path.tolist() == expected.path.tolist()
    if task == "multilabel":
        assert found.labels == expected.labels
        assert found.thresholds == pytest.approx(expected.thresholds)
        np.testing.assert_allclose(found.proba, expected.proba, atol=5e-5)
        assert (found.y_pred == expected.y_pred).all()
    else:
        assert found.grades == expected.grades
        np.testing.assert_allclose(found.y_pred, expected.y_pred, rtol=1e-4)
        np.testing.assert_allclose(found.lower, expected.lower, rtol=1e-4, atol=1e-4)


def test_the_graphs_last_output_is_what_the_task_means(made):
    folder = made[0]
    names = sorted((folder / "images" / "test").glob("*.png"))[:8]
    images = np.stack([np.asarray(Image.open(name)) for name in names])
    found = {}
    for task in TASKS:
        path = folder / "runs" / task / "export" / "model.onnx"
        session = onnxruntime.InferenceSession(path)
        outputs = [one.name for one in session.get_outputs()]
        found[task] = dict(zip(outputs, session.run(None, {"images": images}), strict=True))
        stated = json.loads(session.get_modelmeta().custom_metadata_map["tlkit"])
        assert (stated["task"], stated["format_version"]) == (task, 2)
    labels = open_exported(folder / "runs/multilabel/export/model.onnx").facts
    cuts = np.array(thresholds_of(labels), dtype=np.float32)
    assert (found["multilabel"]["labels"] == (found["multilabel"]["probabilities"] >= cuts)).all()
    logits = found["multilabel"]["logits"]
    np.testing.assert_allclose(found["multilabel"]["probabilities"], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    grades = np.array(open_exported(folder / "runs/ordinal/export/model.onnx").facts.classes)
    proba = found["ordinal"]["probabilities"]
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert found["ordinal"]["grade"].tolist() == grades[grade_of(proba)].tolist()
    facts = open_exported(folder / "runs/regression/export/model.onnx").facts
    number, interval = found["regression"]["number"], found["regression"]["interval"]
    np.testing.assert_allclose(interval, number + np.array([-margin_of(facts), margin_of(facts)]), rtol=1e-5)


def test_the_median_grade_is_that_of_the_network():
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (200, 4))).float()
    head = OrdinalHead()
    scores = head.scores(logits)
    np.testing.assert_allclose(scores[:, 0].numpy(), 1 - nn.functional.sigmoid(logits[:, 0]).numpy(), atol=1e-6)
    above = torch.cumprod(torch.sigmoid(logits), dim=1)
    np.testing.assert_allclose(scores[:, -1].numpy(), above[:, -1].numpy(), atol=1e-6)
    assert grade_of(scores.numpy()).tolist() == head.predicted(scores).tolist()


def test_what_is_about_one_class_is_refused(made):
    folder = made[0]
    for options, words in (({"int8": True}, ("--int8",)), ({"abstain_at_risk": 0.1}, ("--abstain-at-risk",))):
        with pytest.raises(ModelError) as error:
            export_run(folder / "runs" / "multilabel", **options)
        assert str(error.value) == saying(*words, "task multilabel")
    with pytest.raises(ModelError, match="task regression"):
        load_exported(folder / "runs/regression/export/model.onnx")


def _judge_lists_of_other_tools(run, folder, table, values):
    """Lists elsewhere and under other names, with a column a label or of numbers, give the figures of the own list."""
    file, images = folder / "runs/multilabel/export/model.onnx", folder / "images"
    table.drop(columns="label").rename(columns={"path": "image"}).to_csv("theirs.csv", index=False)
    given = ("--data", "theirs.csv", "--root", images, "--column", "path=image", "--split", "test", "--json")
    columns = ("--label-column", "red", "--label-column", "blue")
    assert json.loads(run("evaluate", file, *given, *columns).stdout) == values
    number = folder / "runs/regression/export/model.onnx"
    found = json.loads(run("evaluate", number, *given, "--column", "label=bright").stdout)
    stored = open_run(folder / "runs" / "regression").task_evaluation("test")
    assert found["mean_absolute_error"]["value"] == pytest.approx(stored.mean_absolute_error.value, rel=1e-4)
    for words, parts in (
        ((number, *given, *columns), ("--label-column", "regression")),
        ((file, *given, *columns, "--column", "label=red"), ("--column label=red", "--label-column")),
        ((file, *given, *columns, "--separator", "|"), ("--separator", "--label-column", "Leave")),
    ):
        done = run("evaluate", *words)
        assert (done.returncode, saying(*parts)) == (2, done.stderr)


def test_exported_files_are_judged_and_compared_on_the_command_line(made, tmp_path, monkeypatch, capsys):
    folder = made[0]
    monkeypatch.setenv("TLKIT_CACHE", str(folder / "cache"))
    monkeypatch.chdir(tmp_path)
    run = partial(run_here, monkeypatch, capsys)
    file, data = folder / "runs/multilabel/export/model.onnx", folder / "images/list.csv"
    values = json.loads(run("evaluate", file, "--data", data, "--split", "test", "--json").stdout)
    stored = open_run(folder / "runs" / "multilabel").task_evaluation("test")
    assert values["macro_f1"]["value"] == pytest.approx(stored.macro_f1.value)
    assert values["mean_average_precision"]["value"] == pytest.approx(stored.mean_average_precision.value, abs=1e-4)
    done = run("audit", file, "--data", data, "--split", "test", "--by", "light")
    assert (done.returncode, saying("recall of red", "light")) == (0, done.stdout)
    done = run("compare", folder / "runs" / "multilabel", file)
    assert (done.returncode, saying("mAP", "not distinguishable")) == (0, done.stdout)
    done = run("evaluate", file)
    assert (done.returncode, saying("model.onnx", "--data")) == (2, done.stderr)
    _judge_lists_of_other_tools(run, folder, pd.read_csv(data), values)
    number = folder / "runs/regression/export/model.onnx"
    done = run("predict", number, folder / "images/test/000.png", "--out", "n.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv("n.csv")
    assert (table["lower"] < table["y_pred"]).all()
    assert run("verify", folder / "runs" / "ordinal", "--images", "5").returncode == 0
