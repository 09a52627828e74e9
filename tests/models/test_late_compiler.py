"""torch's compiler is loaded once somebody compiles, and then does what it ever did."""

from __future__ import annotations

import subprocess
import sys

import pytest

TRAINING = """
import logging, sys, warnings
import tlkit.models.backbone
import pytorch_lightning as pl, torch
warnings.simplefilter("ignore")
for name in ("pytorch_lightning", "lightning"):
    logging.getLogger(name).setLevel(logging.ERROR)

def is_loaded():
    return "torch._dynamo.eval_frame" in sys.modules

class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
    def training_step(self, batch, _):
        return self.layer(batch[0]).square().mean()
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1)

def fit(compile):
    pl.seed_everything(0)
    module = Module()
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 3)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu", deterministic="warn",
    )
    trainer.fit(torch.compile(module, backend="eager") if compile else module, batches)
    return module
"""
UNCOMPILED = """
alone = fit(compile=False)
assert not is_loaded() and "sympy" not in sys.modules
"""
COMPILED = """
assert torch.are_deterministic_algorithms_enabled()
together = fit(compile=True)
assert is_loaded() and together._compiler_ctx["compiler"] == "dynamo", "Lightning saw no compiled module"
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
assert torch.equal(alone.layer.weight, together.layer.weight)
import torch._inductor.config
assert torch._inductor.config.deterministic is True, "what was asked of the stand-in is forgotten"
"""
MARKED = """
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.5)
optimizer.zero_grad()  # marked as not to be compiled while nothing is
assert not is_loaded()
parameter = optimizer.param_groups[0]["params"][0]
parameter.grad = torch.ones(3)

@torch.compile(backend="eager")
def step():
    optimizer.step()
    optimizer.zero_grad()

step()
assert is_loaded()
assert parameter.tolist() == [0.5] * 3 and parameter.grad is None
assert torch._dynamo.graph_break.__module__.startswith("torch._dynamo")
"""

OF_NO_FUNCTION = """
head = torch.nn.Linear(3, 1)
whole = torch.nn.Sequential(torch.compiler.disable(head))
assert [it.shape for it in whole.parameters()] == [head.weight.shape, head.bias.shape]

@torch.compiler.disable
class Layer(torch.nn.Module):
    pass

assert isinstance(Layer(), Layer)
"""
AT_ONCE = """
import threading
sys.setswitchinterval(1e-6)
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.5)
failed, done = [], threading.Event()

def train():
    while not done.is_set():
        optimizer.zero_grad()

def ask():
    torch._dynamo.config.recompile_limit

def do(work):
    try:
        work()
    except Exception as error:
        failed.append(error)

threads = [threading.Thread(target=do, args=(work,)) for work in (train, ask, ask, ask)]
for thread in threads:
    thread.start()
for thread in threads[1:]:
    thread.join()
done.set()
threads[0].join()
assert is_loaded() and not failed, failed
"""


def failure_of(program):
    """Return what a program says where it fails; "" where it ends well."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.stderr or "?" if done.returncode else ""


@pytest.mark.slow
def test_training_does_not_load_it_and_compiling_afterwards_does():
    assert failure_of(TRAINING + UNCOMPILED + COMPILED) == ""


@pytest.mark.slow
def test_functions_that_were_marked_without_it_stay_marked():
    assert failure_of(TRAINING + MARKED) == ""


@pytest.mark.slow
@pytest.mark.parametrize("program", [OF_NO_FUNCTION, AT_ONCE], ids=["networks and classes", "threads"])
def test_what_the_stand_in_cannot_do_the_compiler_does(program):
    assert failure_of(TRAINING + program) == ""


@pytest.mark.slow
@pytest.mark.parametrize("part", ["torch._dynamo.config", "torch._dynamo.convert_frame", "torch._inductor.compile_fx"])
def test_any_part_can_be_the_first_that_is_imported(part):
    assert failure_of(f"import tlkit.models.backbone\nimport {part} as part\nassert part.__spec__.origin") == ""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["torch._dynamo", "torch._inductor.config"])
def test_where_it_is_loaded_already_it_stays(before):
    loaded = f"import {before}\nimport tlkit.models.backbone, sys\nfrom tlkit.models.stand_in import StandIn\n"
    assert failure_of(loaded + "assert not any(isinstance(it, StandIn) for it in sys.modules.values())") == ""
