"""timm, imported without wandb; what timm does with wandb still works.

timm imports wandb, where it is installed, for a logger of its own that tlkit never calls (timm.utils.summary, seen with
timm 1.0.31); that is a third of what importing timm takes. Imported before timm, this module keeps it from that, and
gives timm a stand-in that imports wandb at the first look at it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import tlkit.torchvision_cure  # isort: skip  # noqa: F401


class Late(ModuleType):
    """Stands for a module that is imported when one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return the attribute of the real module."""
        return getattr(importlib.import_module(self.__name__), name)


def import_timm() -> None:
    """Import timm; where wandb is not loaded yet, it stays so."""
    if "wandb" in sys.modules or "timm" in sys.modules:
        return
    sys.modules["wandb"] = None  # type: ignore[assignment]  # importing it fails, which timm takes for "not installed"
    try:
        import timm.utils.summary
    finally:
        del sys.modules["wandb"]
    if not hasattr(timm.utils.summary, "wandb"):
        timm.utils.summary.wandb = Late("wandb")  # type: ignore[attr-defined]


import_timm()
