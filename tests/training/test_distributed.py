"""Two ranks train as one process does on batches twice as large, and write one run."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from kill_runs import fit_together, stop_after
from messages import saying, says
from safetensors.torch import load_file

from tlkit.errors import RecipeError, RunError
from tlkit.recipe import load_recipe
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run
from tlkit.training.fit import fit
from tlkit.training.launch import find_world
from tlkit.training.prepare import prepare

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


@pytest.mark.slow
def test_two_ranks_train_as_one_process_on_the_same_batches_and_resume_to_the_same_bits(recipe):
    """Phases, weighted classes, accumulation over an uneven last batch: all of it in one run of each kind."""
    more = {
        "strategy": {"kind": "lp_ft", "probe_epochs": 1},
        "train.accumulate_grad_batches": 2,
        "train.class_weights": {"blue": 1.0, "red": 3.0},
    }
    one = fit(recipe, PLAIN | more | {"name": "one"})
    assert fit_together(Path(), recipe, BOTH | more | {"name": "two"}) == [0, 0]
    two = Run(RunDirectory(Path("runs/two")))
    expected = tensors(one)
    for name, tensor in tensors(two).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
    pd.testing.assert_frame_equal(two.history, one.history, rtol=1e-4)
    np.testing.assert_allclose(two.predictions().proba, one.predictions().proba, atol=1e-5)
    assert two.environment["processes"] == 2
    log = Path("log").read_text()
    assert says(log, "2 processes", "batches of 4", "16 images")
    assert log.count("\nEpoch ") == 2
    assert Path("log-1").read_text() == ""
    assert sorted(path.name for path in Path("runs").iterdir()) == ["one", "two"]

    folder, cut = Path(), BOTH | more | {"name": "cut"}
    assert fit_together(folder, recipe, cut, kind="after a batch", at=5, with_signal=signal.SIGINT) == [130, 0]
    assert Path("runs/cut/checkpoints/epoch-0002-batch-000002.ckpt").is_file()
    with pytest.raises(RunError, match=saying("another recipe", "data.batch_size", "train.devices").pattern):
        fit(recipe, PLAIN | more | {"name": "cut"}, resume=True)
    assert fit_together(folder, recipe, cut, resume=True) == [0, 0]
    resumed = Run(RunDirectory(Path("runs/cut")))
    pd.testing.assert_frame_equal(resumed.history, two.history)
    assert all(torch.equal(tensor, tensors(two)[name]) for name, tensor in tensors(resumed).items())


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_rank_names_the_images_of_all(recipe):
    broken = BOTH | {"train.learning_rate": 1000, "train.optimizer": "sgd", "train.gradient_clip_val": None}
    assert fit_together(Path(), recipe, broken) == [2, -signal.SIGTERM]
    assert re.search(r"batch \d \(\d images: train/.*train.learning_rate", Path("log").read_text())
    assert Path("log-1").read_text() == ""


@pytest.mark.slow
def test_one_process_trains_on_cached_features(recipe):
    frozen = BOTH | {"strategy.kind": "frozen", "augment.preset": "none"}
    assert fit(recipe, frozen | {"name": "one"}).environment["processes"] == 1
    assert fit_together(Path(), recipe, frozen | {"name": "two"}) == [0, 0]
    assert says(Path("log").read_text(), "cached features", "one process")


def test_the_number_of_ranks_under_torchrun_is_checked(recipe, monkeypatch):
    found = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    found |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    world = find_world(load_recipe(recipe, {"train.devices": "auto", "train.num_nodes": 2}))
    assert (world.rank, world.size, world.local_size, world.nodes) == (0, 4, 2, 2)
    with pytest.raises(RecipeError, match=saying("torchrun", "train.num_nodes=2 train.devices=2").pattern):
        fit(recipe, PLAIN)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("overrides", "typed"),
    [
        (BOTH | {"strategy": {"kind": "full"}}, r"train\.devices=2 'strategy=\{\"kind\": \"full\"\}'"),
        (
            [*(f"{key}={value}" for key, value in PLAIN.items() if key != "report.enabled"), "train.devices=2"],
            r"augment\.preset=light train\.devices=2",
        ),
    ],
)
def test_fit_in_python_names_the_command_for_several_processes(recipe, overrides, typed):
    with pytest.raises(RecipeError, match=rf"tlkit fit \S+tiny\.yaml .*{typed}") as caught:
        fit(recipe, overrides, overwrite=True)
    assert "--overwrite" in str(caught.value)
    assert "torchrun --standalone --nproc-per-node=2" in str(caught.value)
    assert not Path("runs").exists()


def test_fit_in_python_names_its_folder_where_the_command_would_write_to_another(recipe, tmp_path):
    with pytest.raises(RecipeError) as caught:
        fit(recipe, BOTH, runs_dir=tmp_path / "elsewhere")
    assert says(caught.value, "2 processes", tmp_path / "elsewhere", "torchrun --standalone --nproc-per-node=2")
    assert "Type:" not in str(caught.value)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.num_nodes": 2}, saying("train.num_nodes", "2", "machines")),
        ({"train.device": "mps"}, saying("train.devices", "2", "train.device", "mps")),
        ({"train.devices": 12}, saying("22", "12", "train.devices=1")),
    ],
)
def test_processes_that_cannot_be_are_refused(recipe, changes, said):
    with pytest.raises(RecipeError, match=said.pattern):
        prepare(load_recipe(recipe, BOTH | changes))


def test_a_run_of_more_processes_cannot_be_resumed_by_fewer(recipe, monkeypatch):
    stop_after(monkeypatch, 2)
    run = fit(recipe, PLAIN | {"train.devices": "auto"})
    environment = run.environment | {"processes": 2}
    run.directory.write_json(run.directory.environment, environment)
    with pytest.raises(RunError, match=saying("runs/tiny", "2 processes", "1").pattern):
        fit(recipe, PLAIN | {"train.devices": "auto"}, resume=True)
