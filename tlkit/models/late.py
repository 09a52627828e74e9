"""timm, imported without what it loads and seldom needs; what it does with that still works.

Half of the time that importing timm takes goes to two guests (timm 1.0.31, torchvision 0.28, torch 2.13):

- wandb, where it is installed, for a logger of timm's own that tlkit never calls (timm.utils.summary);
- torch's compiler: torchvision.ops.roi_align asks it a question, and some of timm's models mark functions for it.

Imported before timm, this module gives timm stand-ins, which import the real thing at the first look at it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import torch

COMPILER = "torch._dynamo"


class Late(ModuleType):
    """Stands for a module that is imported when one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return the attribute of the real module."""
        if name.startswith("__"):  # whoever looks through all modules wants no news of this one
            raise AttributeError(name)
        _give_way()
        return getattr(importlib.import_module(self.__name__), name)


def _give_way() -> None:
    """Take all stand-ins out, so that the real modules can be imported."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, Late):
            del sys.modules[name]
    if isinstance(vars(torch).get("_dynamo"), Late):
        del torch._dynamo  # torch imports it when it is asked for


def import_timm() -> None:
    """Import timm; where wandb and torch's compiler are not loaded yet, they stay so."""
    if "timm" in sys.modules:
        return
    try:
        with _without_wandb(), _without_compiler():
            import timm.utils.summary
    except ImportError:  # a later timm or torchvision imports a part of the compiler that has no stand-in
        with _without_wandb():
            import timm
        for name, module in list(sys.modules.items()):  # what the first try has loaded is not named in its package
            package, _, part = name.rpartition(".")
            if package.partition(".")[0] in ("timm", "torchvision") and package in sys.modules:
                vars(sys.modules[package]).setdefault(part, module)
    if not hasattr(timm.utils.summary, "wandb"):
        timm.utils.summary.wandb = Late("wandb")  # type: ignore[attr-defined]


@contextmanager
def _without_wandb() -> Iterator[None]:
    if "wandb" in sys.modules:
        yield
        return
    sys.modules["wandb"] = None  # type: ignore[assignment]  # importing it fails, which timm takes for "not installed"
    try:
        yield
    finally:
        del sys.modules["wandb"]


@contextmanager
def _without_compiler() -> Iterator[None]:
    if COMPILER in sys.modules:
        yield
        return
    compiler, questions = Late(COMPILER), Late(f"{COMPILER}.utils")
    compiler.disable = _disable  # type: ignore[attr-defined]
    questions.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules |= {module.__name__: module for module in (compiler, questions)}
    torch._dynamo = compiler
    try:
        yield
    finally:
        _give_way()


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **_: Any) -> Any:
    """Mark a function for the compiler at its first call, as torch does with functions of its own."""
    return torch._disable_dynamo(function, recursive)  # type: ignore[attr-defined]


def _is_compile_supported(device_type: str) -> bool:
    """Ask the compiler, once it is asked."""
    return bool(importlib.import_module(f"{COMPILER}.utils").is_compile_supported(device_type))


import_timm()
