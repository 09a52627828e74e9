"""timm loads neither wandb nor torch's compiler, and can still use both."""

from __future__ import annotations

import subprocess
import sys

import pytest

WANDB = """
import sys
import tlkit.models.backbone
import timm.utils.summary
assert "timm" in sys.modules
assert "wandb" not in sys.modules, "loaded with timm"
stand_in = timm.utils.summary.wandb
import wandb
assert stand_in.log is wandb.log
assert stand_in.Settings is wandb.Settings
"""
COMPILER = """
import sys
import tlkit.models.backbone
import timm, torch
assert not [name for name in sys.modules if name.startswith("torch._dynamo")], "loaded with timm"
from torchvision.ops import roi_align
assert sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu") in (True, False)
assert torch._dynamo.OptimizedModule is sys.modules["torch._dynamo"].OptimizedModule
compiled = torch.compile(timm.create_model("test_vit").eval(), backend="eager")
assert isinstance(compiled, torch._dynamo.OptimizedModule)
images = torch.zeros(1, 3, 160, 160)
torch.testing.assert_close(compiled(images), compiled._orig_mod(images))
"""
ASKED = """
import sys
import tlkit.torchvision_cure
from tlkit.models import late
for name in [name for name in sys.modules if name.startswith("torch._dynamo")]:
    raise AssertionError(name)
with late._without_compiler():
    {statement}
import torch._dynamo
assert not isinstance(sys.modules["torch._dynamo"], late.Late)
assert not isinstance(torch._dynamo, late.Late)
assert torch._dynamo.config.suppress_errors is False
"""
LATER = """
import builtins, sys
import tlkit.torchvision_cure
importing = builtins.__import__

def of_a_later_version(name, *rest, **more):
    if name == "torch._dynamo.utils" and type(sys.modules.get("torch._dynamo")).__name__ == "Late":
        importing("torch._dynamo.config", *rest)
    return importing(name, *rest, **more)

builtins.__import__ = of_a_later_version
import tlkit.models.backbone
import timm
assert "wandb" not in sys.modules
assert type(sys.modules["torch._dynamo"]).__name__ == "module"
assert timm.create_model("test_resnet").eval() is not None
"""


def failure_of(program):
    """Return what a program says where it fails; "" where it ends well."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.stderr or "?" if done.returncode else ""


def test_importing_timm_does_not_load_wandb_and_timm_still_finds_it():
    assert failure_of(WANDB) == ""


@pytest.mark.slow
def test_importing_timm_does_not_load_the_compiler_which_still_compiles():
    assert failure_of(COMPILER) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement", ["from torch._dynamo.utils import counters", "from torch._dynamo import graph_break"]
)
def test_whatever_is_asked_of_a_stand_in_gets_the_real_one(statement):
    assert failure_of(ASKED.format(statement=statement)) == ""


@pytest.mark.slow
def test_where_a_stand_in_does_not_do_timm_is_imported_as_ever():
    assert failure_of(LATER) == ""
