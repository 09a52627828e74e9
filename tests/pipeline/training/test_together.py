"""Two processes train as one does on batches twice as large, write one run, and end together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from killing import fit_apart, fit_together
from safetensors.torch import load_file

from tlkit.errors import RecipeError, RunError
from tlkit.pipeline.fit import fit
from tlkit.pipeline.training import together
from tlkit.pipeline.training.checkpoints import KeepCheckpoints
from tlkit.pipeline.training.world import find_world
from tlkit.recipe import load_recipe

PLAIN = {
    "model.name": "test_vit",
    "data.batch_size": 8,
    "train.epochs": 2,
    "train.optimizer": "sgd",
    "train.learning_rate": 0.02,
    "train.device": "cpu",
    "augment.preset": "light",
    "report.enabled": False,
}
BOTH = PLAIN | {"data.batch_size": 4, "train.devices": 2}


@pytest.fixture
def recipe(tiny_recipe):
    """Return a recipe over 22 training images (two full batches of 8 and one of 6) and 5 for validation."""
    path = tiny_recipe(train=11, val=3, test=1)
    (path.parent / "colours" / "val" / "red" / "000.png").unlink()
    return path


def tensors(run):
    return load_file(run.directory.model / "model.safetensors")


def assert_close(one, two):
    first, second = tensors(one), tensors(two)
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=1e-6)
    pd.testing.assert_frame_equal(two.history, one.history, rtol=1e-4)


def stop_in_the_first_process(monkeypatch, batches, action):
    seen, original = [], KeepCheckpoints.on_train_batch_end

    def counting(self, *arguments):
        seen.append(1)
        if len(seen) == batches:
            action(self)
        return original(self, *arguments)

    monkeypatch.setattr(KeepCheckpoints, "on_train_batch_end", counting)


@pytest.mark.slow
def test_two_processes_train_as_one_on_the_same_batches_and_resume_to_the_same_bits(recipe, caplog):
    """Phases, weighted classes, accumulation over an uneven last batch: all of it in one run of each kind."""
    more = {
        "strategy": {"kind": "lp_ft", "probe_epochs": 1},
        "train.accumulate_batches": 2,
        "train.class_weights": {"blue": 1.0, "red": 3.0},
    }
    one = fit(recipe, PLAIN | more | {"name": "one"})
    caplog.clear()
    two = fit(recipe, BOTH | more | {"name": "two"})
    assert_close(one, two)
    np.testing.assert_allclose(two.predictions().proba, one.predictions().proba, atol=1e-5)
    assert two.environment["processes"] == 2
    assert "2 processes train with batches of 4: each step sees 16 images." in caplog.messages
    assert sum(message.startswith("Epoch ") for message in caplog.messages) == 2
    assert sorted(path.name for path in Path("runs").iterdir()) == ["one", "two"]
    assert not torch.distributed.is_initialized()

    folder, cut = Path(), BOTH | more | {"name": "cut"}
    assert fit_together(folder, recipe, cut, kind="after a batch", at=5, with_signal=signal.SIGINT) == [130, 0]
    assert Path("runs/cut/checkpoints/epoch-0002-batch-000002.ckpt").is_file()
    with pytest.raises(RunError, match=r"was started with another recipe: data.batch_size, train.devices differ"):
        fit(recipe, PLAIN | more | {"name": "cut"}, resume=True)
    assert fit_together(folder, recipe, cut, resume=True) == [0, 0]
    resumed = type(two)(type(two.directory)(Path("runs/cut")))
    pd.testing.assert_frame_equal(resumed.history, two.history)
    assert all(torch.equal(tensor, tensors(two)[name]) for name, tensor in tensors(resumed).items())


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_and_says_so(recipe, monkeypatch):
    started, original = [], together._start
    monkeypatch.setattr(together, "_start", lambda *a, **o: started.append(original(*a, **o)) or started[-1])
    stop_in_the_first_process(monkeypatch, 5, lambda _: started[0].kill())
    with pytest.raises(RunError, match=r"Process 2 of 2 was killed by SIGKILL .*continue with --resume"):
        fit(recipe, BOTH | {"train.sampling": "balanced", "train.mixup": 0.4})
    assert len(pd.read_csv("runs/tiny/metrics.csv")) == 1
    assert all(process.poll() is not None for process in started)


@pytest.mark.slow
def test_the_other_process_ends_where_the_first_is_killed(recipe, tmp_path):
    folder = tmp_path / "apart"
    folder.mkdir()
    assert fit_apart(folder, recipe, BOTH, kind="after a batch", at=2) == -signal.SIGKILL
    until = time.monotonic() + 60
    while time.monotonic() < until and _followers(folder):
        time.sleep(0.1)
    assert not _followers(folder)


def _followers(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            if "tlkit.pipeline.training.follower" in command and (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_names_the_images_of_all(recipe):
    broken = BOTH | {"train.learning_rate": 1e30, "train.gradient_clip": None}
    assert fit_together(Path(), recipe, broken) == [2, 2]
    assert re.search(r"batch \d \(\d images: train/.*Lower train.learning_rate", Path("log").read_text())


@pytest.mark.slow
def test_torchrun_on_two_machines_trains_as_one_process(recipe):
    """Two agents on one machine stand for two machines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    changes = [f"{key}={value}" for key, value in {**BOTH, "train.devices": 1, "train.num_nodes": 2}.items()]
    changes[-1:] = ["train.num_nodes=2", "report.enabled=false"]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}",
             "--master-addr=127.0.0.1", f"--master-port={port}", "-m", "tlkit", "fit", str(recipe), *changes],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    said = [node.communicate(timeout=200)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "tiny: finished" in said[0]
    assert "Epoch" not in said[1]
    one = fit(recipe, PLAIN | {"name": "one"})
    assert_close(one, type(one)(type(one.directory)(Path("runs/tiny"))))


DIES_DURING_THE_CHECK = """
import os, signal, sys, threading, time
from pathlib import Path
from tlkit.pipeline.fit import fit

def die():
    while not Path("checking").exists():
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

def check(done, images):
    Path("checking").touch()
    time.sleep(300)  # until torchrun ends it

if os.environ["RANK"] == "1":
    threading.Thread(target=die, daemon=True).start()
fit(sys.argv[1], {"train.devices": 2, "train.device": "cpu"}, on_check=check)
"""


@pytest.mark.slow
def test_a_process_of_torchrun_that_dies_while_the_first_checks_the_images_ends_the_run(recipe):
    Path("script.py").write_text(DIES_DURING_THE_CHECK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["script.py", str(recipe)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 1
    assert Path("checking").exists()
    assert "exitcode  : -9" in ended.stderr
    assert not Path("runs/tiny").exists()


def test_the_number_of_processes_is_checked_where_torchrun_has_started_them(recipe, monkeypatch):
    found = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    world = find_world(load_recipe(recipe, {"train.devices": "auto", "train.num_nodes": 2}))
    assert (world.rank, world.size, world.local_size, world.nodes, world.launcher) == (1, 4, 2, 2, "torchrun")
    with pytest.raises(
        RecipeError,
        match=r"torchrun has started 2 processes on each of 2 machines, but the recipe has train.num_nodes 1 and "
        r"train.devices 1. Use train.num_nodes=2 train.devices=2, or start another number.",
    ):
        find_world(load_recipe(recipe))


def test_several_machines_without_torchrun_and_too_few_images_are_refused(recipe):
    with pytest.raises(RecipeError, match=r"train.num_nodes is 2, but nothing has started tlkit on other machines"):
        fit(recipe, BOTH | {"train.num_nodes": 2})
    with pytest.raises(RecipeError, match=r"22 training images are too few for 12 processes. Use train.devices=1."):
        fit(recipe, BOTH | {"train.devices": 12})
    with pytest.raises(RecipeError, match=r"train.devices is 2, but train.device is mps"):
        load_recipe(recipe, {"train.device": "mps", "train.devices": 2})


def test_a_run_of_more_processes_cannot_be_resumed_by_fewer(recipe, monkeypatch):
    stop_in_the_first_process(monkeypatch, 2, lambda keeper: setattr(keeper._stop, "requested", True))
    run = fit(recipe, PLAIN | {"train.devices": "auto"})
    environment = run.environment | {"processes": 2}
    run.directory.write_json(run.directory.environment, environment)
    with pytest.raises(RunError, match=r"runs/tiny was started in 2 processes, and now there are 1"):
        fit(recipe, PLAIN | {"train.devices": "auto"}, resume=True)


def test_cached_features_are_left_to_one_process(recipe, caplog):
    run = fit(recipe, PLAIN | {"strategy.kind": "frozen", "augment.preset": "none", "train.devices": 2})
    assert run.status == "finished"
    assert "The head learns from cached features, which one process does; the other 1 end." in caplog.messages
    assert os.environ.get("WORLD_SIZE") is None
