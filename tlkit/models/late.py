"""timm, imported without what it loads and seldom needs; what it does with that still works.

Half of the time that importing timm takes goes to three guests (timm 1.0.31, torchvision 0.28, torch 2.13):

- wandb, where it is installed, for a logger of timm's own that tlkit never calls (timm.utils.summary);
- the client of the model hub with its HTTP library, for weights that are fetched from there (timm.models._hub);
- torch's compiler, see `tlkit.models.late_compiler`: torchvision.ops.roi_align asks it a question, and some of timm's
  models mark functions for it. Lightning, imported later, and torch's optimizers do without it, too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

from tlkit.models.late_compiler import load_late
from tlkit.models.stand_in import StandIn

HUB = ("huggingface_hub", "huggingface_hub.utils")


class Promised:
    """Something of a module that is imported when it is called, or asked for an attribute."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _kept(self) -> Any:
        for module in [module for name, module in sys.modules.copy().items() if name.partition(".")[0] == "timm"]:
            for name, value in vars(module).items():
                if isinstance(value, Promised):  # also errors, which are no good to `except` before
                    vars(module)[name] = getattr(importlib.import_module(value._module), value._name)
        return getattr(importlib.import_module(self._module), self._name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the real thing."""
        return self._kept()(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        """Return the attribute of the real thing."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._kept(), name)


class _Promises(ModuleType):
    """Promises whatever it is asked for."""

    def __getattr__(self, name: str) -> Promised:
        if name.startswith("_"):
            raise AttributeError(name)
        return Promised(self.__name__, name)


def import_timm() -> None:
    """Import timm; where wandb and the hub's client are not loaded yet, they stay so."""
    if "timm" in sys.modules:
        return
    later: dict[str, ModuleType | None] = {}
    if "wandb" not in sys.modules:
        later["wandb"] = None  # importing it fails, which timm takes for "not installed"
    if not any(name in sys.modules for name in HUB) and find_spec(HUB[0]) is not None:
        later |= {name: _Promises(name) for name in HUB}
    with _in_their_place(later):
        import timm.models._hub
        import timm.utils.summary
    if not hasattr(timm.utils.summary, "wandb"):
        timm.utils.summary.wandb = StandIn("wandb")  # type: ignore[attr-defined]
    if HUB[0] in later and not timm.models._hub._has_hf_hub:  # a later timm imports a part that is not promised
        importlib.reload(timm.models._hub)


@contextmanager
def _in_their_place(modules: dict[str, ModuleType | None]) -> Iterator[None]:
    sys.modules |= modules  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


load_late()
import_timm()
