"""One process trains wherever it is started: variables of schedulers do not concern it."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import pytest
from messages import saying, says

from tlkit.errors import RunError
from tlkit.runs import RunDirectory
from tlkit.training import distributed
from tlkit.training.fit import fit
from tlkit.training.launch import torchrun_world

ALONE = {"model.name": "test_vit", "train.epochs": 1, "train.device": "cpu", "report.enabled": False}
VARIABLES = {
    "slurm": "SLURM_NTASKS=4 SLURM_JOB_NAME=train SLURM_JOB_ID=7 SLURM_PROCID=2",
    "slurm per node": "SLURM_NTASKS=4 SLURM_NTASKS_PER_NODE=4 SLURM_JOB_NAME=t SLURM_NNODES=2",
    "torchelastic": "TORCHELASTIC_RUN_ID=x WORLD_SIZE=4 RANK=3",
    "one of torchrun": "TORCHELASTIC_RUN_ID=x RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1",
    "lsf": "LSB_JOBID=7 LSB_DJOB_RANKFILE=no JSM_NAMESPACE_LOCAL_RANK=1 JSM_NAMESPACE_SIZE=4 JSM_NAMESPACE_RANK=1",
    "kubeflow": "MASTER_ADDR=no.such MASTER_PORT=1 WORLD_SIZE=4 RANK=2 LOCAL_RANK=2",
    "torchelastic without an address": "TORCHELASTIC_RUN_ID=x RANK=0 WORLD_SIZE=4 LOCAL_RANK=0 LOCAL_WORLD_SIZE=4",
    "lightning": "PL_TRAINER_NUM_NODES=2 PL_TRAINER_DEVICES=4 PL_TRAINER_LIMIT_TRAIN_BATCHES=1 PL_TRAINER_MAX_STEPS=1",
    "mpi": "OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 PMI_SIZE=4 PMI_RANK=1",
}


@pytest.mark.parametrize("scheduler", VARIABLES)
def test_one_process_trains_under_a_scheduler(scheduler, tiny_recipe, monkeypatch):
    for variable in VARIABLES[scheduler].split():
        monkeypatch.setenv(*variable.split("="))
    before = dict(os.environ)
    run = fit(tiny_recipe(train=3, val=1, test=1), ALONE)
    assert run.status == "finished" and run.environment["processes"] == 1
    assert len(run.history) == 1 and list(RunDirectory(run.directory.path).checkpoints.glob("*.ckpt"))
    assert dict(os.environ) == before


def test_variables_of_lightning_do_not_change_what_a_recipe_trains(tiny_recipe, monkeypatch, caplog):
    steps = []
    for limit in (None, "1"):
        if limit:
            monkeypatch.setenv("PL_TRAINER_LIMIT_TRAIN_BATCHES", limit)
        run = fit(tiny_recipe(train=6, val=1, test=1), ALONE | {"data.batch_size": 4, "name": f"limit-{limit}"})
        steps.append(run.history["train_loss"].tolist())
    assert steps[0] == steps[1]
    assert any(says(record.message, "PL_TRAINER_LIMIT_TRAIN_BATCHES") for record in caplog.records)


def test_torchrun_is_known_by_all_of_its_variables(monkeypatch):
    found = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    found |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    world = torchrun_world()
    assert world is not None and (world.rank, world.size, world.nodes) == (1, 4, 2)
    for name in found:
        with monkeypatch.context() as without:
            without.delenv(name)
            assert torchrun_world() is None


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.series)])
def test_a_process_that_waits_for_others_says_where_and_for_how_long(rank, monkeypatch, caplog):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    found = {"TORCHELASTIC_RUN_ID": "x", "RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
    for name, value in (found | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(distributed, "PATIENCE", timedelta(seconds=0.1))
    monkeypatch.setattr(distributed, "TIMEOUT", timedelta(seconds=1))
    said = saying(f"Process {rank + 1} of 2", "127.0.0.1", f"port {port}", "TORCHELASTIC_RUN_ID")
    with pytest.raises(RunError) as caught, distributed.joined():
        pytest.fail("there is no other process")
    assert str(caught.value) == said
    assert [record.message for record in caplog.records if record.name.startswith("tlkit")] == [said]
