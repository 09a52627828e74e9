"""A stopped run resumes from its newest usable checkpoint, to the same bits as an uninterrupted run."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from kill_runs import model_bytes, stop_after
from messages import saying, says
from run_fixtures import copy_of_run, working_in, write_recipe

from tlkit.errors import ModelError, RunError
from tlkit.inference.predictor import load_predictor
from tlkit.models.classifier import Classifier
from tlkit.runs import RunDirectory
from tlkit.runs.run import open_run
from tlkit.training.callbacks import GracefulStop
from tlkit.training.checkpoint_callback import KeepCheckpoints
from tlkit.training.checkpoint_files import DurableCheckpointIO, FrozenWeights, digest_path, read_checkpoint
from tlkit.training.fit import fit
from tlkit.training.hashed_file import HashedFile
from tlkit.training.start_checkpoint import find_start
from tlkit.training.tracked_results import epoch_metric

OVERRIDES = {"train.epochs": 3, "data.batch_size": 4, "model.drop_rate": 0.3, "augment.preset": "light"}
LAST = "epoch-0003-batch-000002.ckpt"


def names(run):
    return sorted(path.name for path in run.directory.checkpoints.glob("*.ckpt"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a recipe, a run of it that was stopped within its third epoch, and a finished one."""
    folder = tmp_path_factory.mktemp("made")
    recipe = write_recipe(folder)
    with working_in(folder) as patch:
        fit(recipe, {"name": "whole", **OVERRIDES})
        stop_after(patch, 10)
        fit(recipe, {"name": "cut", **OVERRIDES})
    return folder


@pytest.fixture
def recipe(made):
    return made / "tiny.yaml"


@pytest.fixture
def cut(made):
    """Return a copy of the stopped run."""
    run = copy_of_run(made / "runs" / "cut")
    assert names(run) == ["epoch-0002.ckpt", LAST]
    return run


@pytest.fixture
def whole(made):
    return open_run(made / "runs" / "whole")


def resume(recipe, **more):
    return fit(recipe, {"name": "cut", **OVERRIDES, **more}, resume=True)


def test_a_run_resumes_within_an_epoch(recipe, cut, whole, caplog, monkeypatch):
    for name in (".environment.json.1.partial", "checkpoints/.epoch-0003.ckpt.partial", "model/.model.json.partial"):
        (cut.path / name).write_text("{")
    trained = []
    with monkeypatch.context() as patch:
        original = Classifier.training_step
        patch.setattr(Classifier, "training_step", lambda *a: trained.append(1) or original(*a))
        resumed = resume(recipe)
    assert says(caplog.messages, "batch 2 of epoch 3", f"runs/cut/checkpoints/{LAST}")
    assert len(trained) == 2  # of 4 in the epoch: no batch is trained twice
    assert list(cut.path.rglob(".*.partial")) == []
    assert model_bytes(resumed) == model_bytes(whole)
    assert resumed.predictions() == whole.predictions()
    pd.testing.assert_frame_equal(resumed.history, whole.history)
    one, two = (read_checkpoint(r.directory.checkpoints / "epoch-0003.ckpt") for r in (resumed, whole))
    assert str(one["optimizer_states"]) == str(two["optimizer_states"])
    assert one["loops"]["fit_loop"]["epoch_progress"]["total"] == two["loops"]["fit_loop"]["epoch_progress"]["total"]


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.series), 3])
def test_checkpoints_within_an_epoch_change_nothing_and_two_are_kept(recipe, whole, monkeypatch, every):
    with monkeypatch.context() as patch:
        stop_after(patch, 8, error=RuntimeError("power cut"))
        with pytest.raises(RuntimeError, match="power cut"):
            fit(recipe, {"name": "cut", "train.checkpoint_every": every, **OVERRIDES})
    within = {1: ["epoch-0002-batch-000003.ckpt", "epoch-0002-batch-000002.ckpt"], 3: ["epoch-0002-batch-000002.ckpt"]}
    assert names(open_run("runs/cut")) == sorted({"epoch-0001.ckpt", *within[every]})
    resumed = resume(recipe, **{"train.checkpoint_every": every})
    assert model_bytes(resumed) == model_bytes(whole)
    pd.testing.assert_frame_equal(resumed.history, whole.history)


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])
    return saying("damaged", "sha256", f"{LAST}.sha256")


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return saying("damaged", "sha256", f"{LAST}.sha256")


def delete_the_digest(path):
    path.with_name(path.name + ".sha256").unlink()
    return saying("cannot be checked", "No such file")


def replace_it_by_another_runs(path):
    checkpoint = read_checkpoint(path)
    checkpoint["tlkit"]["origin"] = "0" * 64
    DurableCheckpointIO(FrozenWeights()).save_checkpoint(checkpoint, path)
    return saying("another run", "recipe", "images", "weights")


def replace_it_by_other_tensors(path):
    DurableCheckpointIO(FrozenWeights()).save_checkpoint({"weights": torch.ones(3)}, path)
    return saying("not a checkpoint", "KeyError")


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_bit, delete_the_digest, replace_it_by_another_runs, replace_it_by_other_tensors]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(cut, caplog, damage):
    path = cut.directory.checkpoints / LAST
    origin = read_checkpoint(path)["tlkit"]["origin"]
    reason = damage(path)
    assert find_start(cut.directory.checkpoints, origin=origin).path.name == "epoch-0002.ckpt"
    assert says(caplog.messages, f"runs/cut/checkpoints/{LAST}", reason, "earlier checkpoint")


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one_to_the_same_bits(recipe, cut, whole, caplog):
    truncate(cut.directory.checkpoints / LAST)
    resumed = resume(recipe)
    assert says(caplog.messages, "epoch 2", "runs/cut/checkpoints/epoch-0002.ckpt")
    assert model_bytes(resumed) == model_bytes(whole)
    pd.testing.assert_frame_equal(resumed.history, whole.history)


def test_without_a_usable_checkpoint_training_starts_again(recipe, cut, whole, caplog):
    for path in cut.directory.checkpoints.glob("*.ckpt"):
        path.write_bytes(b"")
    resumed = resume(recipe)
    assert says(caplog.messages, "runs/cut", "no usable checkpoint")
    assert model_bytes(resumed) == model_bytes(whole)


def test_sound_checkpoints_of_other_inputs_alone_are_refused(recipe, cut):
    for path in cut.directory.checkpoints.glob("*.ckpt"):
        replace_it_by_another_runs(path)
    with pytest.raises(RunError, match=saying("another run", "--overwrite").pattern):
        resume(recipe)


@pytest.fixture
def replaced(cut):
    """Return the path of a stopped run, and its place after a run that replaces it was killed."""
    earlier = cut.path.with_name(".cut.replaced")
    cut.path.rename(earlier)
    return cut.path, earlier


def test_a_run_is_restored_if_its_replacement_was_killed_before_it_existed(recipe, replaced, caplog):
    path, earlier = replaced
    before = names(open_run(earlier))
    with pytest.raises(RunError, match=saying("runs/cut", "unfinished run").pattern):
        fit(recipe, {"name": "cut", **OVERRIDES})
    assert says(caplog.messages, "runs/cut", "killed", "unchanged")
    assert names(open_run(path)) == before
    assert not earlier.exists()


def test_a_run_is_restored_if_its_replacement_was_killed_and_the_next_one_fails(recipe, replaced, monkeypatch):
    path, earlier = replaced
    before = names(open_run(earlier))
    RunDirectory.create(path)  # what the killed run leaves
    stop_after(monkeypatch, 1, error=RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power cut"):
        fit(recipe, {"name": "cut", **OVERRIDES}, overwrite=True)
    assert names(open_run(path)) == before
    assert not earlier.exists()


def test_a_replacement_that_was_killed_and_resumed_deletes_the_earlier_run(recipe, replaced, whole):
    path, earlier = replaced
    RunDirectory.create(path)
    assert model_bytes(resume(recipe)) == model_bytes(whole)
    assert not earlier.exists()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_checks_the_digest_of_a_checkpoint(cut):
    command = ["sha256sum", "--check", "epoch-0002.ckpt.sha256"]
    said = subprocess.check_output(command, cwd=cut.directory.checkpoints, text=True)
    assert said == "epoch-0002.ckpt: OK\n"


def test_a_run_that_was_moved_keeps_its_best_epoch(tiny_recipe, monkeypatch, tmp_path):
    overrides = {
        "name": "cut",
        "train.epochs": 4,
        "train.learning_rate": 0.3,
        "train.monitor": "val_accuracy",
        "seed": 3,
    }
    recipe = tiny_recipe()
    whole = fit(recipe, overrides)
    bests = [_best_of(path) for path in sorted(whole.directory.checkpoints.glob("*.ckpt"))]
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        fit(recipe, overrides, runs_dir=tmp_path / "before")
    (tmp_path / "before" / "cut").rename(tmp_path / "elsewhere" / "cut")
    moved = fit(recipe, overrides, runs_dir=tmp_path / "elsewhere", resume=True)
    assert [_best_of(path) for path in sorted(moved.directory.checkpoints.glob("*.ckpt"))] == bests
    assert model_bytes(moved) == model_bytes(whole)


def _best_of(path):
    return path.name, read_checkpoint(path)["callbacks"]["KeepCheckpoints"]["best"]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_epoch_is_the_first_of_equals_and_never_one_without_a_figure(tmp_path, mode):
    class Trainer:
        is_global_zero, max_epochs = True, 6
        strategy = SimpleNamespace(
            reduce_boolean_decision=lambda decision, all: decision, checkpoint_io=DurableCheckpointIO(FrozenWeights())
        )

        def save_checkpoint(self, path):
            path.touch()

    files = {"origin": "", "frozen": FrozenWeights(), "every_steps": None, "stop": GracefulStop()}
    keep, trainer, chosen = KeepCheckpoints(tmp_path, monitor="m", mode=mode, **files), Trainer(), []
    for epoch, value in enumerate([np.nan, 0.5, 0.5, 0.4 if mode == "min" else 0.6, np.nan, 0.45]):
        trainer.current_epoch, trainer.callback_metrics = epoch, {"m": value}
        keep.on_train_epoch_end(trainer, None)
        chosen.append(int(keep.best[6:10]))
    assert chosen == [1, 2, 2, 4, 4, 4]
    assert sorted(path.name for path in tmp_path.glob("*")) == ["epoch-0004.ckpt", "epoch-0005.ckpt", "epoch-0006.ckpt"]


def test_a_checkpoint_that_lacks_what_tlkit_writes_is_left_out(cut, caplog):
    path = cut.directory.checkpoints / LAST
    values = read_checkpoint(path)
    for wrong in ({}, {"KeepCheckpoints": {"best": 3}}, []):
        torch.save({**values, "callbacks": wrong}, path)
        digest_path(path).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
        assert find_start(path.parent, origin=values["tlkit"]["origin"]).path.name == "epoch-0002.ckpt"
    assert says(caplog.text, LAST, "lacks")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("state_dict",), None),
        (("state_dict", "network.head.bias"), "x"),
        (("loops",), {}),
        (("loops", "fit_loop"), {}),
        (("optimizer_states",), []),
        (("lr_schedulers",), [{}]),
        (("callbacks", "MetricsRecorder", "rows"), ["x"]),
        (("callbacks", "MetricsRecorder", "rows"), [{"epoch": 1, "train_loss": "low"}]),
    ],
)
def test_a_checkpoint_without_the_state_of_training_is_left_out(cut, keys, value):
    """Lightning continues without what a checkpoint lacks: from the first epoch, or with a new optimizer."""
    alter(cut.directory.checkpoints / LAST, keys, value)
    origin = read_checkpoint(cut.directory.checkpoints / LAST)["tlkit"]["origin"]
    assert find_start(cut.directory.checkpoints, origin=origin).path.name == "epoch-0002.ckpt"


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("state_dict", "network.head.bias"), torch.zeros(7)),
        (("optimizer_states",), [{"a": 1}]),
        (("epoch_loss",), [["x"]]),
        (("pytorch-lightning_version",), 7),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named_with_the_remedy(recipe, cut, keys, value):
    alter(cut.directory.checkpoints / LAST, keys, value)
    with pytest.raises(RunError, match=saying(LAST, "--resume", "--overwrite").pattern):
        resume(recipe)


def alter(file, keys, value):
    """Change a value of a checkpoint, and its digest with it."""
    checkpoint = inner = read_checkpoint(file)
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    torch.save(checkpoint, file)
    digest_path(file).write_text(hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_checkpoint_whose_best_epoch_is_lost_is_not_used(cut, caplog):
    """`trainer.estimated_stepping_batches` loses the loader's position (Lightning #20550); `fit` does not use it."""
    folder = cut.directory.checkpoints
    last = read_checkpoint(folder / LAST)
    assert last["loops"]["fit_loop"]["state_dict"]["combined_loader"] == [{"epoch": 2, "batches": 2}]
    origin = last["tlkit"]["origin"]
    assert find_start(folder, origin=origin).best == folder / "epoch-0002.ckpt"
    (folder / "epoch-0002.ckpt").unlink()
    assert find_start(folder, origin=origin) is None
    assert says(caplog.text, "epoch-0002.ckpt", "No such file")


def test_a_full_disk_keeps_earlier_checkpoints_and_names_the_remedy(recipe, whole, monkeypatch):
    full = []
    original = HashedFile.finish

    def finish(self):
        full.append(1)
        if len(full) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(HashedFile, "finish", finish)
        said = saying("runs/cut/checkpoints/epoch-0002.ckpt", "No space left on device", "Free some space", "--resume")
        with pytest.raises(RunError, match=said.pattern):
            fit(recipe, {"name": "cut", **OVERRIDES})
    run = open_run("runs/cut")
    assert run.status == "failed"
    assert {path.name for path in run.directory.checkpoints.iterdir()} == {"epoch-0001.ckpt", "epoch-0001.ckpt.sha256"}
    assert load_predictor("runs/cut").facts.classes == ("blue", "red")
    assert model_bytes(resume(recipe)) == model_bytes(whole)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_number_that_is_not_finite_stops_with_epoch_batch_and_files(recipe, monkeypatch, what):
    steps, original = [], Classifier.training_step

    def spoilt(self, batch, batch_idx):
        steps.append(batch.index)
        if len(steps) == 3 and what == "loss":
            batch.image[0] = float("inf")
        loss = original(self, batch, batch_idx)
        return loss * torch.tensor(float("nan")) if len(steps) == 3 and what == "gradient" else loss

    monkeypatch.setattr(Classifier, "training_step", spoilt)
    with pytest.raises(ModelError) as caught:
        fit(recipe)
    run = open_run("runs/tiny")
    files = run.samples.split("train").paths[steps[2].numpy()]
    assert says(
        caught.value, what, "nan", "epoch 2, batch 1", "8 images", "train.learning_rate", "train.precision to 32"
    )
    assert says(caught.value, ", ".join(files[:5]), "3 more")
    assert names(run) == ["epoch-0001.ckpt"]
    assert all(bool(torch.isfinite(t).all()) for t in load_predictor(run).network.state_dict().values())


def test_resuming_in_another_environment_is_logged_and_recorded(recipe, cut, caplog):
    facts = cut.environment
    facts["packages"]["torch"], facts["packages"]["pandas"], facts["device"] = "2.10.0", "1.0", "cuda"
    cut.directory.write_json(cut.directory.environment, facts)
    resumed = resume(recipe)
    torchs = f"2.10.0 → {resumed.environment['packages']['torch']}"
    assert says(caplog.messages, "another environment", "device cuda → cpu", f"torch {torchs}")
    assert resumed.environment["changed_on_resume"] == [{"device": "cuda → cpu", "torch": torchs}]


def test_a_disk_that_fills_outside_the_checkpoints_names_the_remedy(recipe, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tlkit.training.callbacks.MetricsRecorder.on_train_epoch_end", full)
    with pytest.raises(RunError, match=saying("runs/tiny", "No space left on device", "Free some space").pattern):
        fit(recipe)


def test_two_evaluations_at_once_keep_both_splits(cut, monkeypatch):
    run = cut
    run.directory.evaluation.unlink()
    original, threads = type(run.directory).write_json, []

    def slow(self, path, values):
        if not threads:  # the other one starts while this one is between reading and writing
            threads.append(threading.Thread(target=run.evaluate, args=("test",)))
            threads[0].start()
            threads[0].join(0.3)
        original(self, path, values)

    monkeypatch.setattr(type(run.directory), "write_json", slow)
    run.evaluate("val")
    threads[0].join()
    assert sorted(run.directory.read_json(run.directory.evaluation)) == ["test", "val"]


@pytest.mark.series
def test_the_tracker_of_a_resumed_run_has_the_whole_history(tiny_recipe, monkeypatch, caplog):
    """W&B cannot continue an offline record, so the new one repeats the epochs before it."""
    recipe = tiny_recipe(tail="tracking: {kind: wandb, mode: offline, project: tests}\n")
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        cut = fit(recipe, {"name": "cut", **OVERRIDES})
    first = set((cut.path / "wandb").glob("offline-run-*"))
    resumed = fit(recipe, {"name": "cut", **OVERRIDES}, resume=True)
    (second,) = set((cut.path / "wandb").glob("offline-run-*")) - first
    earlier = str(first.pop())
    assert sum("whole history" in message and earlier in message for message in caplog.messages) == 1
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(second)]
    lines = subprocess.check_output(command, text=True, timeout=60).splitlines()
    history = [record["history"]["item"] for record in map(json.loads, lines) if record["type"] == "history"]
    names = {name: name if name == "epoch" else epoch_metric(name) for name in resumed.history.columns}
    figures = [{name: row[sent] for name, sent in names.items()} for row in history if "train/loss" in row]
    assert figures == resumed.history.to_dict("records")


@pytest.mark.parametrize(
    ("batches", "epochs"),
    [pytest.param(1, 0, marks=pytest.mark.series), (4, 1), pytest.param(12, 3, marks=pytest.mark.series)],
)
def test_a_stop_at_the_last_batch_of_an_epoch_loses_no_epoch(recipe, whole, monkeypatch, batches, epochs):
    with monkeypatch.context() as patch:
        stop_after(patch, batches)
        cut = fit(recipe, {"name": "cut", **OVERRIDES})
    assert cut.status == ("interrupted" if epochs < 3 else "finished")  # there was nothing left to stop
    assert epochs == 0 or len(cut.history) == epochs
    assert model_bytes(resume(recipe)) == model_bytes(whole)
