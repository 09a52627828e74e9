"""`fit` on tiny networks and images: the files of a run, its results, and refused input."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from kill_runs import interrupt_after, model_bytes, stop_after
from messages import saying, says
from run_fixtures import copy_of_run, working_in, write_recipe

import tlkit
from tlkit.errors import DataError, ModelError, PredictionsError, RecipeError, RunError
from tlkit.inference.predictor import load_predictor
from tlkit.models.model_files import read_tensors
from tlkit.recipe import load_recipe
from tlkit.runs import write_lock
from tlkit.runs.run import open_run
from tlkit.training.fit import fit


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a recipe and its finished run."""
    folder = tmp_path_factory.mktemp("made")
    with working_in(folder):
        fit(write_recipe(folder, report=True))
    return folder


@pytest.fixture
def tiny_run(made):
    return copy_of_run(made / "runs" / "tiny")


def test_a_fit_leaves_everything_that_the_run_directory_documents(tiny_run):
    there = {str(path.relative_to(tiny_run.path)) for path in tiny_run.path.rglob("*") if path.is_file()}
    promised = """recipe.yaml environment.json split.csv checkpoints/epoch-0001.ckpt checkpoints/epoch-0002.ckpt
        checkpoints/epoch-0002.ckpt.sha256 model/model.safetensors model/model.json metrics.csv
        predictions/val.parquet predictions/test.parquet evaluation.json report.html"""
    assert set(promised.split()) <= there
    assert tiny_run.status == "finished"
    assert not [name for name in there if "partial" in name or "tmp" in name]
    facts = tiny_run.environment
    assert facts["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert facts["data"]["images"] == 32
    assert facts["weights"]["source"] == "none"
    for digest in (facts["data"]["fingerprint"], facts["weights"]["digest"]):
        assert re.fullmatch("[0-9a-f]{64}", digest)
    assert (facts["device"], facts["precision"]) == ("cpu", "32-true")


@pytest.mark.parametrize(
    ("change", "error", "torch"),
    [
        ("train.epochs=-1", "RecipeError", "False"),
        # a network without weights is tried before images are decoded
        pytest.param("data.root=damaged", "DataError", "True", marks=pytest.mark.series),
        pytest.param("train.class_weights={green: 2}", "RecipeError", "True", marks=pytest.mark.series),
    ],
)
def test_errors_in_the_recipe_come_before_torch_is_imported(tiny_recipe, tmp_path, change, error, torch):
    recipe = tiny_recipe()
    for label in "ab":
        (tmp_path / "damaged" / label).mkdir(parents=True)
        (tmp_path / "damaged" / label / "0.png").write_bytes(b"no image")
    code = (
        "import sys, tlkit\n"
        "try:\n    tlkit.fit(sys.argv[1], [sys.argv[2]])\n"
        "except tlkit.TlkitError as error:\n    print(type(error).__name__, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(recipe), change]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == [error, torch]


def test_the_tiny_problem_is_learnt_and_all_results_agree(tiny_recipe):
    tiny_run = fit(tiny_recipe(), {"train.epochs": 8})
    predictions = tiny_run.predictions("test")
    evaluation = tiny_run.evaluate("test")
    assert evaluation.accuracy.value == predictions.correct.mean() == 1.0
    assert len(predictions) == evaluation.n == 8
    stored = json.loads((tiny_run.path / "evaluation.json").read_text())
    assert stored["test"] == evaluation.to_dict()
    assert list(tiny_run.history.columns) == ["epoch", "train_loss", "val_loss", "val_accuracy", "learning_rate"]
    assert list(tiny_run.history["epoch"]) == list(range(1, 9))


def test_the_recorded_learning_rate_is_the_one_that_the_epoch_ended_with(tiny_recipe):
    changes = {"strategy": {"kind": "lp_ft", "probe_epochs": 1}, "train.schedule": "constant", "train.epochs": 3}
    run = fit(tiny_recipe(), {**changes, "report.enabled": False})
    np.testing.assert_allclose(run.history["learning_rate"], [0.01, 0.001, 0.001])


def test_predictions_of_the_run_are_those_of_its_stored_model(tiny_run):
    stored = tiny_run.predictions("test")
    model = tlkit.load_model(tiny_run)
    files = [tiny_run.samples.root / path for path in stored.path]
    again = model.predict(files)
    np.testing.assert_allclose(again.proba, stored.proba, atol=1e-5)
    assert again.classes == stored.classes == ("blue", "red")
    assert (again.y_true == -1).all()


def test_a_run_repeats_from_its_own_recipe_bit_for_bit_and_another_seed_gives_another(tiny_run):
    again = fit(tiny_run.directory.recipe, {"name": "again"})
    assert model_bytes(again) == model_bytes(tiny_run)
    assert again.environment["data"]["fingerprint"] == tiny_run.environment["data"]["fingerprint"]
    assert again.predictions() == tiny_run.predictions()
    pd.testing.assert_frame_equal(again.history, tiny_run.history)
    other = fit(tiny_run.directory.recipe, {"name": "other", "seed": 1, "report.enabled": False})
    assert model_bytes(other) != model_bytes(tiny_run)


def test_a_finished_run_is_not_overwritten_unless_asked(made, tiny_run):
    recipe, before = made / "tiny.yaml", model_bytes(tiny_run)
    with pytest.raises(RunError, match=saying("runs/tiny", "finished run", "--overwrite", "name=OTHER").pattern):
        fit(recipe)
    with pytest.raises(ModelError):
        fit(recipe, {"model.name": "resnett18"}, overwrite=True)
    assert model_bytes(tiny_run) == before and tiny_run.evaluate().n == 8
    assert len(fit(recipe, {"train.epochs": 1}, overwrite=True).history) == 1


def test_a_folder_that_is_not_a_run_is_left_alone_even_if_asked(tiny_recipe, tmp_path):
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="not a run of tlkit"):
            fit(tiny_recipe(), overwrite=overwrite)
    assert (tmp_path / "runs" / "tiny" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("error", "changes", "said"),
    [
        (ModelError, {"model.name": "resnett18"}, saying("'resnet18'")),
        (DataError, {"data.root": "colors"}, saying("colors", "'colours'")),
        (RecipeError, {"train.precision": 16, "train.device": "auto"}, saying("train.precision", "16", "CPU")),
    ],
)
def test_wrong_input_leaves_no_run_behind(tiny_recipe, error, changes, said):
    with pytest.raises(error, match=said.pattern):
        fit(tiny_recipe(), changes)
    assert not Path("runs").exists()


def test_an_unavailable_device_and_unreadable_images_are_refused_by_a_stored_model(tiny_run, tmp_path):
    with pytest.raises(RecipeError, match=saying("device", "gpu", "auto", "cpu").pattern):
        load_predictor(tiny_run, device="gpu")
    (tmp_path / "junk.png").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be read"):
        load_predictor(tiny_run).predict([tmp_path / "junk.png"])


def test_groups_of_the_metadata_reach_the_audit_and_the_report(tiny_recipe):
    groups = {"camera": lambda number, _: "old" if number % 2 else "new", "light": lambda number, _: "cd"[number % 2]}
    run = fit(tiny_recipe(groups=groups), {"train.epochs": 1})
    assert {row.name for row in run.audit().group_table("camera").rows} == {"new", "old"}
    assert "camera" in run.report().read_text()
    with pytest.raises(PredictionsError, match=saying("camra", "'camera'").pattern):
        run.audit(by="camra")
    run.audit(by="light")
    assert run.get_audit() == run.audit()
    assert run.get_audit().settings.by == ("camera",)


def test_a_missing_group_column_is_named_before_training(tiny_recipe, tmp_path):
    recipe = tiny_recipe(more=", metadata: meta.csv, groups: [camera]")
    (tmp_path / "colours" / "meta.csv").write_text("path,kamera\nblue/000.png,old\n")
    with pytest.raises(DataError, match=r"camera.*kamera"):
        fit(recipe)
    assert not (tmp_path / "runs").exists()


def test_an_unreadable_image_is_named_counted_and_excluded(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe()
    (tmp_path / "colours" / "red" / "003.png").write_bytes(b"<html>404</html>")
    run = fit(recipe, {"train.epochs": 1})
    assert [path for path, _ in run.excluded] == ["red/003.png"]
    assert "red/003.png" not in set(run.samples.paths)
    assert any("red/003.png" in message for message in caplog.messages)
    assert run.environment["data"]["excluded"] == 1
    assert "red/003.png" in run.report().read_text()


def test_without_val_and_test_images_the_last_epoch_predicts_train(tiny_recipe):
    run = fit(tiny_recipe(), {"data.val": 0.0, "data.test": 0.0, "train.epochs": 1})
    assert run.directory.predicted_splits == ("train",)


@pytest.mark.parametrize(
    ("strategy", "patience", "epochs"), [("full", 2, 3), ("frozen", 2, 3), ({"kind": "lp_ft", "probe_epochs": 4}, 1, 6)]
)
def test_early_stopping_ends_a_run_that_no_longer_improves_and_no_probe(tiny_recipe, strategy, patience, epochs):
    stopping = {"monitor": "val_accuracy", "patience": patience}
    changes = {"train.epochs": 9, "train.learning_rate": 1e-9, "train.early_stopping": stopping, "strategy": strategy}
    run = fit(tiny_recipe(), {**changes, "report.enabled": False})
    assert (len(run.history), run.status) == (epochs, "finished")


@pytest.mark.series
def test_many_options_together_resume_to_the_same_weights(tiny_recipe, monkeypatch):
    overrides = {
        "train.epochs": 3,
        "train.mixup": 0.4,
        "train.cutmix": 1.0,
        "train.mixup_off_epochs": 1,
        "train.ema_decay": 0.9,
        "train.loss": "focal",
        "train.sampling": "balanced",
        "train.accumulate_grad_batches": 2,
        "strategy": {"kind": "gradual"},
        "data.batch_size": 4,
    }
    recipe = tiny_recipe()
    whole = fit(recipe, {"name": "whole", **overrides})
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        assert fit(recipe, {"name": "cut", **overrides}).status == "interrupted"
    resumed = fit(recipe, {"name": "cut", **overrides}, resume=True)
    assert model_bytes(resumed) == model_bytes(whole)
    pd.testing.assert_frame_equal(resumed.history, whole.history)


def test_the_options_of_training_mean_the_same_on_cached_features(tiny_recipe):
    options = {"train.sampling": "balanced", "train.accumulate_grad_batches": 2, "train.loss": "focal"}
    options |= {"strategy": "frozen", "train.ema_decay": 0.9, "report.enabled": False}
    recipe = tiny_recipe()
    cached = fit(recipe, {"name": "cached", **options})
    live = fit(recipe, {"name": "live", "features.cache": "never", **options})
    mixed = fit(recipe, {"name": "mixed", **options, "train.cutmix": 1.0})
    assert "features" in cached.environment and "features" not in live.environment
    assert "features" not in mixed.environment
    np.testing.assert_allclose(cached.predictions().proba, live.predictions().proba, atol=1e-4)
    assert len(cached.history) == len(live.history) == 2


def test_lora_adapters_are_merged_in_the_stored_model(tiny_recipe):
    run = fit(tiny_recipe(), {"strategy": {"kind": "lora", "rank": 2}, "train.epochs": 1})
    plain = fit(tiny_recipe(), {"name": "plain", "train.epochs": 1})
    assert set(read_tensors(run.directory.model)) == set(read_tensors(plain.directory.model))
    assert fit(run.directory.recipe, {"name": "again"}).predictions() == run.predictions()


def test_sigterm_is_raised_again_after_the_run_is_stored(tiny_recipe, monkeypatch):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    interrupt_after(monkeypatch, 4, signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        fit(tiny_recipe(), {"train.epochs": 5})
    assert caught.value.code == 143
    run, heard = open_run("runs/tiny"), []
    assert (run.status, len(run.history), run.evaluate().n) == ("interrupted", 2, 8)
    signal.signal(signal.SIGTERM, lambda *_: heard.append(run.status))
    try:
        interrupt_after(monkeypatch, 4, signal.SIGTERM)
        assert fit(tiny_recipe(), {"train.epochs": 5}, overwrite=True).status == "interrupted"
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert heard == ["interrupted"]


def test_ctrl_c_leaves_a_usable_run_with_the_best_weights_so_far(tiny_recipe, monkeypatch, caplog):
    before = signal.getsignal(signal.SIGINT)
    interrupt_after(monkeypatch, 4)
    run = fit(tiny_recipe(), {"train.epochs": 5})
    assert run.status == "interrupted"
    assert len(run.history) == 2  # the fourth batch is the last of the second epoch, which is completed
    assert run.evaluate().n == 8
    assert load_predictor(run).facts.classes == ("blue", "red")
    assert "interrupted" in run.report().read_text()
    assert says(caplog.messages, "epoch 2 of 5")
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_a_finished_run_says_so_and_another_recipe_is_refused(made, tiny_run, caplog):
    recipe = made / "tiny.yaml"
    assert fit(recipe, resume=True).status == "finished"
    assert says(caplog.messages, "runs/tiny", "nothing to resume")
    with pytest.raises(RunError, match=saying("another recipe", "data.batch_size", "train.epochs").pattern):
        fit(recipe, {"train.epochs": 9, "data.batch_size": 4}, resume=True)
    with pytest.raises(RunError, match=saying("runs/tyny", "'tiny'").pattern):
        fit(recipe, {"name": "tyny"}, resume=True)


def test_a_fit_works_outside_the_main_thread(tiny_recipe):
    recipe, runs = tiny_recipe(), []
    thread = threading.Thread(target=lambda: runs.append(fit(recipe, {"train.epochs": 1})))
    thread.start()
    thread.join()
    assert runs[0].status == "finished"


def test_a_crash_after_a_good_epoch_is_recorded_and_keeps_its_weights(tiny_recipe, monkeypatch):
    stop_after(monkeypatch, 4, RuntimeError("a fault"))
    with pytest.raises(RuntimeError, match="a fault"):
        fit(tiny_recipe())
    assert open_run("runs/tiny").status == "failed"
    assert load_predictor("runs/tiny").facts.classes == ("blue", "red")


def test_overrides_of_a_loaded_recipe_are_refused(tiny_recipe):
    with pytest.raises(RunError, match="already loaded"):
        fit(load_recipe(tiny_recipe()), {"seed": 1})


def test_class_weights_balanced_and_by_name(tiny_recipe):
    from tlkit.training.prepare import prepare

    recipe = tiny_recipe(train=6, val=2, test=2)
    balanced = prepare(load_recipe(recipe, {"train.class_weights": "balanced"}))
    assert balanced.classifier.loss.weight.tolist() == [1.0, 1.0]
    named = prepare(load_recipe(recipe, {"train.class_weights": {"red": 3.0}}))
    assert named.classifier.loss.weight.tolist() == [1.0, 3.0]
    with pytest.raises(RecipeError, match=saying("train.class_weights", "green").pattern):
        prepare(load_recipe(recipe, {"train.class_weights": {"green": 3.0}}))


def test_model_weights_from_a_run_start_a_second_fit(tiny_run):
    changes = {"name": "second", "model.weights": f"run:{tiny_run.path}", "train.epochs": 1, "report.enabled": False}
    assert fit(tiny_run.directory.recipe, changes).environment["weights"]["origin"] == "tiny"


def test_resuming_on_other_data_is_refused(tiny_recipe, tmp_path, monkeypatch):
    recipe = tiny_recipe()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        fit(recipe, {"train.epochs": 3})
    (tmp_path / "colours" / "blue").rename(tmp_path / "colours" / "zblue")
    with pytest.raises(RunError, match=saying("runs/tiny", "other data", "32 images").pattern):
        fit(recipe, {"train.epochs": 3}, resume=True)


def test_an_overwrite_that_fails_restores_the_earlier_run(made, tiny_run, caplog, monkeypatch):
    before = tiny_run.predictions()

    def refuse(*_, **__):
        raise RunError("the tracker cannot be opened")

    monkeypatch.setattr("tlkit.training.run_training.create_tracker", refuse)
    with pytest.raises(RunError, match="tracker"):
        fit(made / "tiny.yaml", overwrite=True)
    assert tiny_run.status == "finished"
    assert tiny_run.predictions() == before
    assert says(caplog.messages, "runs/tiny", "unchanged")


def test_two_processes_cannot_write_one_run(tiny_recipe):
    recipe = tiny_recipe()
    with write_lock(Path("runs/tiny")), pytest.raises(RunError, match=saying("runs/tiny", "another process").pattern):
        fit(recipe)
