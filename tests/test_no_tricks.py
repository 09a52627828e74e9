"""The library does nothing behind Python's back: what its source must not contain, and where exceptions stand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "tlkit"

FORBIDDEN = {
    "os._exit": "ends the process past Python",
    "os.abort": "ends the process past Python",
    "os.fork": "forks a process that may have loaded torch",
    "os.forkpty": "forks a process that may have loaded torch",
    "threading._shutdown": "ends the process past Python",
    "atexit._run_exitfuncs": "ends the process past Python",
    "gc.set_threshold": "changes the process of the caller",
    "gc.disable": "changes the process of the caller",
    "sys.meta_path": "hooks the import system",
    "sys.path_hooks": "hooks the import system",
    "builtins.__import__": "hooks the import system",
    "sys._getframe": "reads the caller's variables",
    "torch.ops": "calls operators that torch does not document",
}
CHANGING = {"update", "pop", "popitem", "clear", "setdefault", "__setitem__", "__delitem__"}
"""Methods that change a dictionary."""


def tricks(source):
    """Yield what a module does that is forbidden, by its full dotted name."""
    tree = ast.parse(source)
    modules = _names_of_modules(tree)

    def full_name(node):
        """Return the dotted name of an expression, such as "torch._C._jit"; None for another expression."""
        if isinstance(node, ast.Name):
            return modules.get(node.id)
        if isinstance(node, ast.Attribute) and (inner := full_name(node.value)):
            return f"{inner}.{node.attr}"
        if _asks_by_name(node) and (inner := full_name(node.args[0])):
            return f"{inner}.{node.args[1].value}"
        return None

    def changes_modules(node):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr in CHANGING and full_name(node.func.value) == "sys.modules"
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            return full_name(node.value) == "sys.modules"
        if isinstance(node, ast.AugAssign):
            return full_name(node.target) == "sys.modules"
        return (
            isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and full_name(node) == "sys.modules"
        )

    for node in ast.walk(tree):
        if changes_modules(node):
            yield "a change of sys.modules"
        names = [full_name(node)] if isinstance(node, ast.Attribute | ast.Name) or _asks_by_name(node) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and _asks_for_fork(node):
            yield "the start method fork"
        for name in filter(None, names):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                part = ".".join(parts[:length])
                last = parts[length - 1]
                if part in FORBIDDEN or (parts[0] == "torch" and last.startswith("_") and not last.startswith("__")):
                    yield part
                    break


def _names_of_modules(tree):
    """Return what the names of a module that are bound by imports stand for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _asks_by_name(node):
    """Return whether a node is a call like `getattr(torch, "_C")`."""
    called = node.func if isinstance(node, ast.Call) else None
    named = isinstance(called, ast.Name) and called.id == "getattr" and len(node.args) > 1
    return named and isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)


def _asks_for_fork(call):
    method = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    words = {value.value for value in given if isinstance(value, ast.Constant)}
    return "fork" in words and method in (
        "get_context",
        "set_start_method",
        "ProcessPoolExecutor",
        "Pool",
        "DataLoader",
    )


def found_in_library():
    found = set()
    for path in sorted(LIBRARY.rglob("*.py")):
        place = path.relative_to(LIBRARY).as_posix()
        found |= {(place, trick) for trick in tricks(path.read_text(encoding="utf-8"))}
    return found


def test_the_library_holds_no_trick():
    assert sorted(found_in_library()) == []


@pytest.mark.parametrize(
    ("source", "trick"),
    [
        ("import sys\nsys.modules['a'] = b", "a change of sys.modules"),
        ("import sys as s\ndel s.modules['a']", "a change of sys.modules"),
        ("from sys import modules\nmodules['a'] = b", "a change of sys.modules"),
        ("import sys\nsys.modules |= {}", "a change of sys.modules"),
        ("import sys\nsys.modules.pop('a')", "a change of sys.modules"),
        ("import sys\nsys.meta_path.insert(0, Finder)", "sys.meta_path"),
        ("import os\nos._exit(0)", "os._exit"),
        ("import os\ngetattr(os, '_exit')(0)", "os._exit"),
        ("import os\nos.abort()", "os.abort"),
        ("import builtins\nbuiltins.__import__ = mine", "builtins.__import__"),
        ("from os import fork\nfork()", "os.fork"),
        ("import threading\nthreading._shutdown()", "threading._shutdown"),
        ("import gc\ngc.set_threshold(700)", "gc.set_threshold"),
        ("import torch\ntorch.ops.mkldnn._convolution_pointwise(x)", "torch.ops"),
        ("import torch\ntorch._C._jit_set_profiling_mode(False)", "torch._C"),
        ("import torch\ngetattr(torch, '_C')", "torch._C"),
        ("import torch\ngetattr(getattr(torch, 'ops'), 'mkldnn')", "torch.ops"),
        ("from torch import _dynamo", "torch._dynamo"),
        ("import torch._inductor.config", "torch._inductor"),
        ("from torch import nn\nnn.modules.batchnorm._BatchNorm", "torch.nn.modules.batchnorm._BatchNorm"),
        ("import multiprocessing\nmultiprocessing.get_context('fork')", "the start method fork"),
        ("from multiprocessing import set_start_method\nset_start_method(method='fork')", "the start method fork"),
    ],
)
def test_a_trick_is_found(source, trick):
    assert trick in set(tricks(source))


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nloaded = 'torch' in sys.modules and sys.modules.get('cv2')",
        "import torch\ntorch.library.Library('torchvision', 'FRAGMENT')",
        "import os\nos.environ['A'] = '1'",
        "import torch\ntorch.__version__",
        "import multiprocessing\nmultiprocessing.get_context('spawn')",
    ],
)
def test_what_is_public_is_no_trick(source):
    assert set(tricks(source)) == set()
