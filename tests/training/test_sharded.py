"""Sharded weights: two processes with half of each train as one does, and store and resume whole tensors."""

from __future__ import annotations

import copy
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from kill_runs import fit_together, model_bytes
from messages import saying
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule

from tlkit.errors import RecipeError, RunError
from tlkit.models.network import Network
from tlkit.recipe import load_recipe
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run
from tlkit.training.checkpoint_files import read_checkpoint
from tlkit.training.fit import fit
from tlkit.training.sharded import _shard

PLAIN = {
    "model.name": "test_vit",
    "data.batch_size": 8,
    "train.epochs": 4,
    "train.learning_rate": 0.002,
    "train.device": "cpu",
    "train.memory_format": "contiguous",
    "augment.preset": "light",
    "report.enabled": False,
}
BOTH = PLAIN | {"data.batch_size": 4, "train.devices": 2, "train.parallel": "fsdp"}


@pytest.fixture
def recipe(tiny_recipe):
    """Return a recipe over 22 training images, two full batches of 8 and one of 6, and 5 for validation."""
    path = tiny_recipe(train=11, val=3, test=1)
    (path.parent / "colours" / "val" / "red" / "000.png").unlink()
    return path


def in_two(recipe, overrides, name, **more) -> Run:
    found = fit_together(Path(), recipe, BOTH | overrides | {"name": name}, **more)
    assert found == [0, 0], Path("log").read_text() + Path("log-1").read_text()
    return Run(RunDirectory(Path("runs") / name))


def last_checkpoint(run):
    return read_checkpoint(max(run.directory.checkpoints.glob("*.ckpt")))


def tensors_of(checkpoint):
    """Return every tensor of weights and optimizer by name; all of them are whole and plain."""
    state = checkpoint["optimizer_states"][0]["state"]
    slots = {f"{place} {name}": torch.as_tensor(value) for place, slot in state.items() for name, value in slot.items()}
    return checkpoint["state_dict"] | slots


def assert_close(one, two):
    states = [tensors_of(last_checkpoint(run)) for run in (one, two)]
    assert set(states[0]) <= set(states[1])  # one process leaves the frozen weights out
    for name, tensor in states[0].items():
        assert type(states[1][name]) is torch.Tensor
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    pd.testing.assert_frame_equal(two.history, one.history, rtol=1e-3)


MANY = {
    "strategy": {"kind": "lp_ft", "probe_epochs": 2},
    "train.optimizer": "sgd",
    "train.accumulate_grad_batches": 2,
    "train.gradient_clip_val": 0.5,
    "train.ema_decay": 0.9,
    "train.class_weights": {"blue": 1.0, "red": 3.0},
}


@pytest.mark.series
def test_two_processes_with_sharded_weights_train_as_one(recipe):
    """Phases, accumulation over an uneven last batch, clipping, weighted classes, a moving average."""
    one = fit(recipe, PLAIN | MANY | {"name": "one"})
    two = in_two(recipe, MANY, "two")
    assert_close(one, two)
    whole, part = re.search(r"of ([\d,]+) weights rank 0 holds ([\d,]+)", Path("log").read_text()).groups()
    assert whole == "300,226"
    assert 150_113 <= int(part.replace(",", "")) < 151_000
    assert len(model_bytes(two)) == len(model_bytes(one))


@pytest.mark.series
def test_a_run_with_sharded_weights_that_is_killed_resumes_to_the_same_bits(recipe):
    whole = in_two(recipe, MANY, "whole")
    cut = BOTH | MANY | {"name": "cut"}
    assert fit_together(Path(), recipe, cut, victim=1, kind="before a step", at=5)[1] == -signal.SIGKILL
    with pytest.raises(RunError, match=saying("another recipe", "train.parallel").pattern):
        fit(recipe, PLAIN | MANY | {"name": "cut", "data.batch_size": 4}, resume=True)
    resumed = in_two(recipe, MANY, "cut", resume=True)
    assert "Resuming after" in Path("log").read_text()
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    expected = tensors_of(last_checkpoint(whole))
    for name, tensor in tensors_of(last_checkpoint(resumed)).items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.series
def test_sharded_lora_adapters_train_as_in_one_process(recipe):
    more = {"strategy": "lora", "train.optimizer": "sgd", "train.epochs": 2, "train.ema_decay": 0.9}
    assert_close(fit(recipe, PLAIN | more | {"name": "one"}), in_two(recipe, more, "two"))


@pytest.mark.series
def test_norm_statistics_equal_those_of_processes_with_whole_weights(recipe):
    more = {"model.name": "test_resnet", "train.optimizer": "sgd", "train.epochs": 2}
    copies = in_two(recipe, more | {"train.parallel": "ddp"}, "copies")
    assert_close(copies, in_two(recipe, more, "parts"))


class _Reshaping(torch.nn.Linear):
    """A block whose output is a view, as that of Swin is."""

    def forward(self, features):
        return super().forward(features).view(features.shape)


def test_blocks_that_return_views_can_be_sharded():
    blocks = torch.nn.Sequential(_Reshaping(4, 4), _Reshaping(4, 4))
    whole = Network(blocks, num_features=4, num_classes=2)
    parts = copy.deepcopy(whole)
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    try:
        _shard(parts, init_device_mesh("cpu", (1,)))
        assert sum(isinstance(part, FSDPModule) for part in parts.modules()) == 3
        images = torch.randn(3, 1, 4)
        for network in (whole, parts):
            network(images).sum().backward()
        for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
            assert torch.equal(two.grad.full_tensor(), one.grad)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"train.devices": 1}, saying("one process", "train.devices to 2")),
        ({"train.precision": 16, "train.device": "cuda"}, saying("train.precision", "16", "bf16", "parallel: ddp")),
        ({"train.memory_format": "channels_last"}, saying("train.memory_format", "contiguous", "parallel: ddp")),
        ({"train.compile": True}, saying("train.compile", "compile: false", "parallel: ddp")),
        (
            {"train.loss": "group_dro", "train.accumulate_grad_batches": 2},
            saying("train.accumulate_grad_batches", "2", "data.batch_size", "parallel: ddp"),
        ),
    ],
)
def test_options_that_contradict_sharding_are_refused(recipe, more, said):
    with pytest.raises(RecipeError, match=saying("train.parallel", "fsdp", said).pattern):
        load_recipe(recipe, {"train.parallel": "fsdp", "train.devices": 2} | more)
