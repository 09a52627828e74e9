"""Full memory is named as such, with what to do; other errors keep their words."""

from __future__ import annotations

import subprocess
import sys

import tlkit.torchvision_cure  # noqa: F401

import numpy as np
import pytest
import torch
from messages import saying
from run_fixtures import write_recipe

from tlkit.cli.app import main
from tlkit.errors import RunError
from tlkit.memory_errors import memory_problem
from tlkit.models.classifier import Classifier
from tlkit.runs import RunDirectory
from tlkit.training.fit import fit

TOO_MANY = 2**50


def numpy_array():
    np.zeros(TOO_MANY)


def cpu_tensor():
    torch.zeros(TOO_MANY)


def device():
    raise torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7 GiB."
    )


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (numpy_array, ("The memory is full", "Unable to allocate")),
        (cpu_tensor, ("The memory is full",)),
        (device, ("The memory is full", "CUDA out of memory")),
    ],
)
def test_full_memory_is_recognized_in_the_errors_of_the_libraries(cause, words):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        cause()
    assert saying(*words) == memory_problem(caught.value)
    assert "\n" not in memory_problem(caught.value)


def test_a_loading_process_that_was_killed_is_named_and_one_that_ended_by_itself_is_not():
    """In a process of its own: torch's handler of SIGCHLD raises wherever the process stands."""
    code = """
import os
from torch.utils.data import DataLoader
from tlkit.memory_errors import memory_problem

class Dying(list):
    def __getitem__(self, way):
        os.kill(os.getpid(), 9) if way == "killed" else os._exit(3)

for way in ("killed", "ended"):
    try:
        next(iter(DataLoader(Dying([0]), sampler=[way], num_workers=1)))
    except RuntimeError as error:
        print(memory_problem(error))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    killed, exited = ended.stdout.splitlines()
    assert saying("process that loads images", "killed by signal", "memory") == killed
    assert exited == "None"
    assert memory_problem(RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault. ")) is None


def test_full_shared_memory_of_a_container_has_its_own_remedy():
    error = RuntimeError(
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        "shared memory. Please try to raise your shared memory limit."
    )
    waiting = RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")
    waiting.__cause__ = error
    for one in (error, waiting):
        assert saying("Bus error", "/dev/shm", "--shm-size") == memory_problem(one)


@pytest.mark.parametrize("error", [ValueError("memory"), RuntimeError("shapes differ"), KeyError("a"), SystemExit(1)])
def test_other_errors_are_not_taken_for_full_memory(error):
    assert memory_problem(error) is None


def test_a_fit_that_runs_out_of_memory_says_what_needs_less_and_keeps_its_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(tmp_path)
    step = Classifier.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1:
            device()
        return step(self, batch, batch_idx)

    overrides = {"strategy": "full", "train.epochs": 2}
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", training_step)
        with pytest.raises(RunError) as caught:
            fit(recipe, overrides)
    assert saying("runs/tiny", "CUDA out of memory", "data.batch_size", "--resume") == str(caught.value)
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    assert RunDirectory.open(tmp_path / "runs/tiny").status == "failed"
    assert fit(recipe, overrides, resume=True).status == "finished"


def test_the_command_line_ends_with_2_and_no_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tlkit.cli.app.command_tree", lambda: lambda **_: numpy_array())
    monkeypatch.setattr(sys, "argv", ["tlkit", "predict"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert saying("error:", "The memory is full") == said
    assert "Traceback" not in said
