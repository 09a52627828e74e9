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

HUB = """
import sys
import tlkit.models.backbone
import timm.models._hub as part
assert "huggingface_hub.hf_api" not in sys.modules and "httpx" not in sys.modules, "loaded with timm"
assert part.has_hf_hub()
import huggingface_hub, huggingface_hub.utils
asked = []

def no_such_file(repo_id, library_name, **_):
    asked.append((repo_id, library_name))
    raise huggingface_hub.utils.EntryNotFoundError("no such file")

huggingface_hub.hf_hub_download = no_such_file
try:
    part.load_state_dict_from_hf("org/repository")
except huggingface_hub.utils.EntryNotFoundError:
    pass
assert len(asked) > 1 and set(asked) == {("org/repository", "timm")}, asked  # the safe formats first
assert part.EntryNotFoundError is huggingface_hub.utils.EntryNotFoundError
assert part.RepositoryNotFoundError is huggingface_hub.utils.RepositoryNotFoundError
assert part.HfApi is huggingface_hub.HfApi and part.model_info is huggingface_hub.model_info
"""
HUB_BEFORE = """
import huggingface_hub
import tlkit.models.backbone
import timm.models._hub as part
assert part.has_hf_hub() and part.HfApi is huggingface_hub.HfApi
"""
HUB_OF_A_LATER_TIMM = """
import builtins, sys
import tlkit.torchvision_cure
importing = builtins.__import__

def of_a_later_version(name, *rest, **more):
    if name == "huggingface_hub" and type(sys.modules.get(name)).__name__ == "_Promises":
        importing("huggingface_hub.errors")
    return importing(name, *rest, **more)

builtins.__import__ = of_a_later_version
import tlkit.models.backbone
import huggingface_hub
import timm.models._hub as part
assert part.has_hf_hub() and part.HfApi is huggingface_hub.HfApi
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


@pytest.mark.parametrize("program", [HUB, HUB_BEFORE, HUB_OF_A_LATER_TIMM], ids=["late", "before", "another timm"])
def test_importing_timm_does_not_load_the_hubs_client_and_timm_still_uses_it(program):
    assert failure_of(program) == ""
