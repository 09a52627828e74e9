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
assert "torch._dynamo.eval_frame" not in sys.modules, "loaded with timm"
from torchvision.ops import roi_align
assert sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu") in (True, False)
assert torch._dynamo.OptimizedModule is sys.modules["torch._dynamo"].OptimizedModule
compiled = torch.compile(timm.create_model("test_vit").eval(), backend="eager")
assert isinstance(compiled, torch._dynamo.OptimizedModule)
images = torch.zeros(1, 3, 160, 160)
torch.testing.assert_close(compiled(images), compiled._orig_mod(images))
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
