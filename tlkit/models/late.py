"""timm, imported without what it loads and seldom needs; what it does with that still works.

Half of the time that importing timm takes goes to two guests (timm 1.0.31, torchvision 0.28, torch 2.13):

- wandb, where it is installed, for a logger of timm's own that tlkit never calls (timm.utils.summary);
- torch's compiler, see `tlkit.models.late_compiler`: torchvision.ops.roi_align asks it a question, and some of timm's
  models mark functions for it. Lightning, imported later, and torch's optimizers do without it, too.
"""

from __future__ import annotations

import sys

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

from tlkit.models.late_compiler import load_late
from tlkit.models.stand_in import StandIn


def import_timm() -> None:
    """Import timm; where wandb is not loaded yet, it stays so."""
    if "timm" in sys.modules:
        return
    without_wandb = "wandb" not in sys.modules
    if without_wandb:
        sys.modules["wandb"] = None  # type: ignore[assignment]  # importing it fails: timm takes it for "not installed"
    try:
        import timm.utils.summary
    finally:
        if without_wandb:
            del sys.modules["wandb"]
    if not hasattr(timm.utils.summary, "wandb"):
        timm.utils.summary.wandb = StandIn("wandb")  # type: ignore[attr-defined]


load_late()
import_timm()
