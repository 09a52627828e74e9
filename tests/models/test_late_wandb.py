"""timm does not load wandb, and can still use it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
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


def test_importing_timm_does_not_load_wandb_and_timm_still_finds_it():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
