"""The command line starts torchrun: signals, exit codes and messages of a run in two processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from kill_runs import fit_apart
from messages import saying, says
from safetensors.torch import load_file

OVERRIDES = {
    "model.name": "test_vit",
    "data.batch_size": 4,
    "train.epochs": 2,
    "train.optimizer": "sgd",
    "train.learning_rate": 0.02,
    "train.device": "cpu",
    "augment.preset": "light",
    "report.enabled": "false",
}
FIT = [sys.executable, "-m", "tlkit", "fit"]
TIMEOUT_S = 200


@pytest.fixture
def recipe(tiny_recipe):
    """Return a recipe over 22 training images, so that the last batch is short, and 6 for validation."""
    return tiny_recipe(train=11, val=3, test=1)


def changes(**more):
    return [f"{key}={value}" for key, value in (OVERRIDES | {"train.devices": 2} | more).items()]


def start(recipe, *arguments):
    """Start a fit whose results go to the file `out`, and its log to the file `log`."""
    with Path("out").open("w") as out, Path("log").open("w") as log:
        return subprocess.Popen(
            [*FIT, str(recipe), *arguments],
            stdout=out,
            stderr=log,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"},
        )


def checkpoints():
    return list(Path("runs/tiny/checkpoints").glob("*.ckpt"))


def wait_for_a_checkpoint(process):
    until = time.monotonic() + TIMEOUT_S
    while not checkpoints():
        assert process.poll() is None and time.monotonic() < until, Path("log").read_text()
        time.sleep(0.02)


def ranks(process):
    """Return the process ids of torchrun's ranks by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == process.pid:
            found |= {int(line[5:]): int(folder.name) for line in environment if line.startswith(b"RANK=")}
    return found


def status():
    return json.loads(Path("runs/tiny/run.json").read_text())["status"]


@pytest.mark.series
def test_sigterm_reaches_every_rank_and_the_run_resumes(recipe):
    """Lightning's own handler starts a collective, so that the ranks deadlock; loaders' workers get the signal, too."""
    arguments = changes(**{"train.epochs": 15, "data.num_workers": 1})
    process = start(recipe, *arguments)
    wait_for_a_checkpoint(process)
    process.terminate()
    assert process.wait(TIMEOUT_S) == 128 + signal.SIGTERM, Path("log").read_text()
    assert status() == "interrupted"
    log = Path("log").read_text()
    assert log.count("Stopping") == 1
    assert "torch.distributed" not in log and "Traceback" not in log
    assert start(recipe, *arguments, "--resume").wait(TIMEOUT_S) == 0
    assert status() == "finished" and Path("out").read_text().startswith("tiny: ")
    assert pd.read_csv("runs/tiny/metrics.csv")["epoch"].tolist() == list(range(1, 16))


@pytest.mark.series
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_rank_that_is_killed_ends_the_run_with_one_message(recipe):
    process = start(recipe, *changes(**{"train.epochs": 100}))
    wait_for_a_checkpoint(process)
    found = ranks(process)
    os.kill(found[1], signal.SIGKILL)
    assert process.wait(TIMEOUT_S) == 2
    log = Path("log").read_text()
    assert says(log, "error: ", "2 of 2", "SIGKILL", "--resume")
    assert "Traceback" not in log
    assert not any(Path(f"/proc/{number}").exists() for number in found.values())
    assert checkpoints()


@pytest.mark.series
def test_an_error_of_rank_0_is_printed_once_with_exit_code_2(recipe):
    process = start(recipe, *changes(**{"train.class_weights": "{green: 2}"}))
    assert process.wait(TIMEOUT_S) == 2
    errors = [line for line in Path("log").read_text().splitlines() if "rror" in line or "Traceback" in line]
    assert len(errors) == 1, errors
    assert errors[0] == saying("error: ", "train.class_weights", "green")
    assert not Path("runs/tiny").exists()


def test_an_error_in_the_recipe_starts_no_processes(recipe):
    process = start(recipe, *changes(**{"train.num_nodes": 2}))
    assert process.wait(TIMEOUT_S) == 2
    assert says(Path("log").read_text(), "error: ", "train.num_nodes", "2")


@pytest.mark.series
def test_torchrun_on_two_machines_trains_as_one_process(recipe):
    """Two torchrun agents on one machine simulate two machines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = changes(**{"train.devices": 1, "train.num_nodes": 2})
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    command += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    fit_it = ["-m", "tlkit", "fit", str(recipe), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    nodes = [subprocess.Popen([*command, f"--node-rank={rank}", *fit_it], **streams) for rank in (0, 1)]
    outputs = [node.communicate(timeout=TIMEOUT_S)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert status() == "finished" and "tiny: " in outputs[0]
    assert "Epoch" not in outputs[1]
    one = OVERRIDES | {"name": "one", "data.batch_size": 8, "report.enabled": False}
    assert fit_apart(Path(), recipe, one) == 0
    tensors = [load_file(Path("runs") / name / "model" / "model.safetensors") for name in ("one", "tiny")]
    for name, tensor in tensors[0].items():
        assert (tensor - tensors[1][name]).abs().max() < 1e-5, name
    pd.testing.assert_frame_equal(*(pd.read_csv(f"runs/{name}/metrics.csv") for name in ("one", "tiny")), rtol=1e-4)


KILLED_DURING_THE_CHECK = """
import os, signal, sys, threading, time
from pathlib import Path
from tlkit.training.fit import fit

def die():
    while not Path("checking").exists():
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

def check(what, done, images):
    Path("checking").touch()
    time.sleep(300)  # until torchrun ends it

if os.environ["RANK"] == "1":
    threading.Thread(target=die, daemon=True).start()
fit(sys.argv[1], {"train.devices": 2, "train.device": "cpu"}, on_step=check)
"""


@pytest.mark.series
def test_a_rank_killed_while_rank_0_checks_the_images_ends_the_run(recipe):
    Path("script.py").write_text(KILLED_DURING_THE_CHECK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["script.py", str(recipe)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert ended.returncode == 1
    assert Path("checking").exists()
    assert "exitcode  : -9" in ended.stderr
    assert not Path("runs/tiny").exists()
