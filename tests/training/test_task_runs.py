"""Runs of several labels, numbers and grades, from recipe to report."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from kill_runs import model_bytes, stop_after
from PIL import Image
from run_fixtures import verify_on_few_sizes, working_in
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from task_images import task_recipe, write_task_images

import tlkit
from tlkit.audit.multilabel_audit import audit_multilabel
from tlkit.errors import RunError
from tlkit.evaluation.label_thresholds import choose_thresholds
from tlkit.evaluation.task_figures import task_figures
from tlkit.inference.export.export_run import export_run
from tlkit.predictions import MultilabelPredictions, read_multilabel, read_numbers
from tlkit.recipe import load_recipe
from tlkit.runs.run import open_run
from tlkit.runs.run_options import options_of_run
from tlkit.runs.task_pages import task_contents
from tlkit.training.fit import fit
from tlkit.training.task_steps import judge_task
from tlkit.training.tracked_task import track_task, track_task_report


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_task_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def runs(images, tmp_path_factory):
    """Return a folder with a run of each task, on a frozen backbone, and the runs."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    with working_in(folder) as patch:
        patch.setenv("TLKIT_CACHE", str(folder / "cache"))
        for task in ("multilabel", "regression", "ordinal"):
            made[task] = fit(task_recipe(folder, images, task))
    return {task: open_run(folder / run.path) for task, run in made.items()}


def test_labels_are_predicted_judged_and_reported(runs):
    run = runs["multilabel"]
    found = read_multilabel(run.directory.predictions("test"))
    assert (run.task, found.labels, len(found)) == ("multilabel", ("blue", "red"), 40)
    listed = pd.read_csv(run.samples.root / "list.csv", keep_default_na=False).set_index("path").loc[found.path]
    assert np.array_equal(found.y_true, listed[["blue", "red"]].to_numpy())
    result = run.task_evaluation()
    assert result.mean_average_precision.value == pytest.approx(
        average_precision_score(found.y_true, found.proba, average="macro"), abs=1e-12
    )
    assert result.macro_f1.value == pytest.approx(f1_score(found.y_true, found.y_pred, average="macro"), abs=1e-12)
    assert result.mean_average_precision.value > 0.8
    assert run.get_task_audit() == audit_multilabel(found, options_of_run(run))
    assert "val_accuracy" not in run.history.columns
    assert run.history["val_loss"].iloc[-1] < run.history["val_loss"].iloc[0]
    page = run.directory.report.read_text(encoding="utf-8")
    assert all(word in page for word in ("mean average precision", "Chosen on val", "blue", "Audit across groups"))
    assert "Confusion" not in page


def test_thresholds_are_chosen_on_val_alone_and_stored(runs):
    run = runs["multilabel"]
    stored = json.loads((run.directory.model / "model.json").read_text())
    val, test = (read_multilabel(run.directory.predictions(split)) for split in ("val", "test"))
    chosen = choose_thresholds(val, seed=run.recipe.seed)
    assert stored["rule"]["thresholds"] == chosen.to_dict()
    assert dict(zip(test.labels, test.thresholds, strict=True)) == chosen.values
    assert np.array_equal(test.y_pred, test.proba >= np.array(test.thresholds))


def test_numbers_have_their_unit_and_calibrated_intervals(runs):
    run = runs["regression"]
    found, val = (read_numbers(run.directory.predictions(split)) for split in ("test", "val"))
    listed = pd.read_csv(run.samples.root / "list.csv").set_index("path").loc[found.path]
    assert np.array_equal(found.y_true, listed["bright"])
    result = run.task_evaluation()
    assert result.mean_absolute_error.value == pytest.approx(mean_absolute_error(found.y_true, found.y_pred))
    assert result.root_mean_squared_error.value == pytest.approx(mean_squared_error(found.y_true, found.y_pred) ** 0.5)
    assert result.r_squared.value == pytest.approx(r2_score(found.y_true, found.y_pred))
    assert result.r_squared.value > 0.5
    kept = run.history.loc[run.history["val_loss"].idxmin(), "val_mae"]
    assert kept == pytest.approx(mean_absolute_error(val.y_true, val.y_pred), rel=1e-4)
    margin = np.sort(np.abs(val.errors))[int(np.ceil(41 * 0.95)) - 1]  # split conformal: the ceil((n+1)·0.95)-th of 40
    np.testing.assert_allclose(found.upper - found.y_pred, margin, rtol=1e-9)
    facts = json.loads((run.directory.model / "model.json").read_text())
    train = pd.read_csv(run.samples.root / "list.csv").query("split == 'train'")["bright"]
    np.testing.assert_allclose(facts["target_scale"], [train.mean(), train.std(ddof=0)], rtol=1e-6)


def test_grades_keep_the_order_that_the_recipe_states(runs):
    run = runs["ordinal"]
    found = read_numbers(run.directory.predictions("test"), task="ordinal")
    assert found.grades == run.samples.classes == ("none", "one", "two")
    listed = pd.read_csv(run.samples.root / "list.csv", keep_default_na=False).set_index("path").loc[found.path]
    assert [found.grades[int(place)] for place in found.y_true] == listed["many"].tolist()
    result = run.task_evaluation()
    assert result.of_grades.quadratic_kappa.value == pytest.approx(
        cohen_kappa_score(found.y_true, found.y_pred, weights="quadratic")
    )
    assert result.of_grades.accuracy.value > 0.8


@pytest.mark.parametrize("task", ["multilabel", "regression", "ordinal"])
def test_stored_model_predicts_what_the_run_predicted(runs, task):
    run = runs[task]
    model = tlkit.load_model(run.path, device="cpu")
    stored = run.task_predictions("test").take(np.arange(6))
    found = model.predict([run.samples.root / path for path in stored.path])
    if task == "multilabel":
        np.testing.assert_allclose(found.proba, stored.proba, atol=1e-5)
        assert found.thresholds == stored.thresholds
    else:
        np.testing.assert_allclose(found.y_pred, stored.y_pred, rtol=1e-4)
        np.testing.assert_allclose(found.upper, stored.upper, rtol=1e-4)


def test_card_and_report_are_written_again_from_the_files_of_a_run(runs):
    for task, figure in (("multilabel", "macro F1"), ("regression", "R²"), ("ordinal", "quadratic kappa")):
        run = runs[task]
        before = run.directory.report.read_bytes()
        assert run.report().read_bytes() == before
        card = run.card().read_text(encoding="utf-8")
        assert figure in card
        assert f"task: {task}" in card


def test_questions_about_one_class_are_refused(runs):
    for question in (lambda run: run.predictions(), lambda run: run.evaluation(), lambda run: run.audit(by="light")):
        for task, run in runs.items():
            with pytest.raises(RunError, match=rf"task {task}.*tlkit evaluate"):
                question(run)


def test_stopped_run_of_labels_resumes_to_the_same_bits(images, tmp_path, monkeypatch):
    given = {"strategy": "full", "rate": "0.02", "epochs": "2", "train": ", mixup: 0.4, class_weights: balanced"}
    recipes = {name: task_recipe(tmp_path, images, "multilabel", name=name, **given) for name in ("whole", "cut")}
    monkeypatch.chdir(tmp_path)
    whole = fit(recipes["whole"])
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        assert fit(recipes["cut"]).status == "interrupted"
    resumed = fit(recipes["cut"], resume=True)
    assert resumed.status == "finished"
    assert model_bytes(resumed) == model_bytes(whole)
    for split in ("val", "test"):
        assert resumed.task_predictions(split) == whole.task_predictions(split)


@pytest.mark.series
@pytest.mark.parametrize("task", ["multilabel", "regression", "ordinal"])
def test_shuffled_labels_are_learnt_no_better_than_chance(task, tmp_path, monkeypatch):
    root = write_task_images(tmp_path / "images", shuffled=True)
    monkeypatch.chdir(tmp_path)
    found = fit(task_recipe(tmp_path, root, task)).task_evaluation()
    if task == "multilabel":
        base = np.mean([one.support / found.n for one in found.per_label])
        assert found.mean_average_precision.low < base + 0.05
    elif task == "regression":
        assert found.r_squared.low < 0.05
    else:
        assert found.of_grades.quadratic_kappa.low < 0.05


def test_the_clusters_of_an_audit_are_counted_once_for_val_and_test(images, tmp_path, caplog):
    recipe = load_recipe(
        task_recipe(tmp_path, images, "multilabel"), {"data.groups": ["light", "scene"], "audit.cluster_by": "scene"}
    )
    groups = pd.DataFrame({"light": ["day", "night"] * 20, "scene": [str(n % 8) for n in range(40)]})
    truth = np.arange(40)[:, None] % [2, 3] == 0
    one = MultilabelPredictions.build(
        labels=["a", "b"], path=[f"{n}.png" for n in range(40)], y_true=truth, proba=truth * 0.8 + 0.1, groups=groups
    )
    caplog.set_level("INFO", "tlkit")
    judge_task(recipe, {"test": one, "val": one})
    assert sum("8 clusters" in record.getMessage() for record in caplog.records) == 1


class Recorder:
    """Keeps what a run sends, by name."""

    def __init__(self):
        self.summary, self.tables, self.reports, self.alerts = {}, {}, [], []

    def log_summary(self, values):
        self.summary |= values

    def log_table(self, table, *, name):
        self.tables[name] = table

    def log_report(self, page):
        self.reports.append(page)

    def alert(self, title, text):
        self.alerts.append(title)


def test_trackers_get_figures_labels_and_predictions_without_groups(runs, tmp_path):
    for task, name in (("multilabel", "mean_average_precision"), ("regression", "r_squared")):
        run = runs[task]
        sent = Recorder()
        results = run.task_predictions("test"), run.task_evaluation("test"), run.get_task_audit("test")
        track_task(sent, "test", *results, log_audit=False)
        value = task_figures(results[1])[name]
        assert (sent.summary[f"test/{name}"], sent.summary[f"test/{name}_low"]) == (value.value, value.low)
        assert sent.summary["test/audit"] == results[2].verdict
        assert len(sent.tables["test/predictions"]) == 40
        assert "light" not in sent.tables["test/predictions"].columns
        assert ("test/per_label" in sent.tables) == (task == "multilabel")
        assert not any("audit" in table for table in sent.tables)
        track_task(sent, "test", *results, log_audit=True)
        assert any("audit" in table for table in sent.tables)
        track_task_report(sent, tmp_path / task, task_contents(run))
        assert sent.reports[-1].is_file()


@pytest.mark.parametrize(
    ("task", "head"), [("multilabel", "logistic"), pytest.param("regression", "ridge", marks=pytest.mark.series)]
)
def test_heads_fitted_to_cached_features_are_stored_as_a_layer_and_predict(images, tmp_path, monkeypatch, task, head):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    text = task_recipe(tmp_path, images, task).read_text().splitlines(keepends=True)
    lines = [one for one in text if not one.startswith("train:")]
    (tmp_path / "fitted.yaml").write_text(
        "".join(lines).replace("strategy: frozen", f"strategy: {{kind: frozen, head: {head}}}")
    )
    run = fit("fitted.yaml")
    facts = run.directory.read_model_facts()
    assert (facts["head"]["kind"], facts["task"]) == (head, task)
    assert facts["rule"]
    figures = task_figures(run.task_evaluation())
    assert figures["macro_f1" if task == "multilabel" else "r_squared"].value > (0.7 if task == "multilabel" else 0.3)
    paths = [images / path for path in run.task_predictions().path[:5]]
    again, stored = tlkit.load_model(run, device="cpu").predict(paths), run.task_predictions().take(np.arange(5))
    name = "proba" if task == "multilabel" else "y_pred"
    np.testing.assert_allclose(getattr(again, name), getattr(stored, name), atol=1e-4)


def test_a_run_of_quantiles_has_intervals_of_its_own_width_that_val_moves(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    more = ", number_loss: quantile, quantile_coverage: 0.8}\nevaluate: {confidence: 0.8"
    run = fit(task_recipe(tmp_path, images, "regression", train=more, epochs="6"))
    facts = run.directory.read_model_facts()
    assert (facts["rule"]["intervals"]["method"], facts["quantiles"]) == ("cqr", pytest.approx([0.1, 0.9]))
    stored = run.task_predictions()
    widths = stored.upper - stored.lower
    assert np.ptp(widths) > 1e-3 * widths.mean()
    predictor = tlkit.load_model(run, device="cpu")
    again = predictor.predict([images / path for path in stored.path[:5]])
    np.testing.assert_allclose(again.lower, stored.lower[:5], atol=1e-3)
    val = run.task_predictions("val")
    margin = facts["rule"]["intervals"]["margin"]
    scores = np.sort(np.maximum(val.lower + margin - val.y_true, val.y_true - (val.upper - margin)))
    assert margin == pytest.approx(scores[int(np.ceil(41 * 0.8)) - 1], abs=1e-4)
    assert "CQR" in run.directory.report.read_text(encoding="utf-8")
    verify_on_few_sizes(monkeypatch)
    written = export_run(run, images=6)
    assert written.verification.verdict == "PASS"
    found = tlkit.load_model(written.files[1]).predict([images / path for path in stored.path[:5]])
    np.testing.assert_allclose(found.upper, stored.upper[:5], rtol=1e-3)
    session = onnxruntime.InferenceSession(written.files[1])
    pixels = np.stack([np.asarray(Image.open(images / path)) for path in stored.path[:5]])
    interval = session.run(["interval"], {"images": pixels})[0]
    np.testing.assert_allclose(interval, np.column_stack([found.lower, found.upper]), rtol=1e-4)
