"""torch's compiler, loaded once somebody compiles.

Importing it takes 0.5 s, SymPy included, and whoever trains imports it (torch 2.13, torchvision 0.28, Lightning 2.6):
to mark functions that it should not touch, to ask whether a network is compiled, to tell it that a step ends or that
algorithms should be deterministic. While nothing is compiled, the answers are known without it.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch  # noqa: F401  its parts' stand-ins are put into it

from tlkit.models.stand_in import StandIn, give_way, put_in

COMPILER, BACKEND = "torch._dynamo", "torch._inductor"


def load_late() -> None:
    """Put stand-ins in the compiler's place, where it is not loaded yet; they make way once it is needed."""
    if COMPILER in sys.modules or BACKEND in sys.modules:
        return
    put_in(
        StandIn(COMPILER, disable=_disable, graph_break=_graph_break, OptimizedModule=_OptimizedModule),
        StandIn(f"{COMPILER}.utils", is_compile_supported=_is_compile_supported),
        StandIn(BACKEND),
        StandIn(f"{BACKEND}.config"),
    )


def _loaded(name: str) -> Any:
    """Return a module of the compiler; None while it is not loaded."""
    if isinstance(sys.modules.get(COMPILER), StandIn | None):
        return None
    importlib.import_module(COMPILER)  # waits for it, where another thread is importing it
    return sys.modules.get(name)


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **_: Any) -> Any:
    """Mark a function as one that is not compiled, from the time that anything is; leave the rest to the compiler."""
    if function is None:
        return functools.partial(_disable, recursive=recursive)
    if not isinstance(function, FunctionType | MethodType):  # networks and classes stay what they are
        give_way()
        return importlib.import_module(COMPILER).disable(function, recursive)
    marked: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        nonlocal marked
        if marked is None and (compiler := _loaded(COMPILER)) is not None:
            marked = compiler.disable(function, recursive)
        return (marked or function)(*args, **keywords)

    return call


def _graph_break(*_: Any, **__: Any) -> None:
    """Do what it does outside of compiled code: nothing."""


class _IsCompiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        frames = _loaded(f"{COMPILER}.eval_frame")
        return frames is not None and isinstance(instance, frames.OptimizedModule)


class _OptimizedModule(metaclass=_IsCompiled):
    """What compiled networks are instances of: none, until there are any."""


def _is_compile_supported(device_type: str) -> bool:
    """Ask the compiler itself."""
    give_way()
    return bool(importlib.import_module(f"{COMPILER}.utils").is_compile_supported(device_type))
