"""torchvision imports beside a CPU build of torch, whichever part of tlkit is imported first."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "tlkit"
CURE = "tlkit.torchvision_cure"
GUESTS = ("timm", "torchvision", "torchmetrics", "pytorch_lightning", "lightning_fabric")
"""Packages that import torchvision when they are imported."""


def imports_in_order(path):
    """Yield the names of the modules that a file imports at its top level, in order."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def imports_the_cure(path, *, before=None):
    names = list(imports_in_order(path))
    return CURE in (names if before is None else names[: names.index(before)])


def unprepared(root):
    """Return what imports torchvision's importers without the cure, in the file or in the package above, before it."""
    found = []
    for path in sorted(root.rglob("*.py")):
        packages = [folder / "__init__.py" for folder in path.parents if root in (folder, *folder.parents)]
        if path.name != "__init__.py" and any(imports_the_cure(package) for package in packages if package.exists()):
            continue
        guests = [name for name in imports_in_order(path) if name.partition(".")[0] in GUESTS]
        found += [path.name for guest in guests[:1] if not imports_the_cure(path, before=guest)]
    return found


def test_every_module_that_imports_torchvision_has_the_cure_before_it():
    assert unprepared(LIBRARY) == []


def test_a_module_without_the_cure_is_found(tmp_path):
    (tmp_path / "__init__.py").touch()
    (tmp_path / "late.py").write_text(f"import timm\nimport {CURE}\n")
    (tmp_path / "early.py").write_text(f"import {CURE}\nimport timm\n")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "__init__.py").write_text(f"import {CURE}\n")
    (tmp_path / "inside" / "covered.py").write_text("import pytorch_lightning\n")
    assert unprepared(tmp_path) == ["late.py"]


def in_a_fresh_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


USE_TORCHVISION = "\nimport torchvision.ops, torch\ntorchvision.ops.box_area(torch.zeros(1, 4))\n"


def test_torchvision_can_be_used_and_torchs_compiler_is_the_real_module_after_training_code_is_imported():
    in_a_fresh_process(
        "import pkgutil, tlkit.models.classifier, torch" + USE_TORCHVISION + "import torch._dynamo\n"
        "assert torch._dynamo.__file__.endswith('__init__.py')\n"
        "assert len(list(pkgutil.iter_modules(torch._dynamo.__path__))) > 20\n"
    )


@pytest.mark.series
@pytest.mark.parametrize(
    "entry",
    [
        "import tlkit.models.small_networks",
        "import tlkit.models.group_accuracy",
        "import tlkit.data.loading.datamodule",
        "import tlkit.training.callbacks",
        "import tlkit.inference.predictor",
    ],
)
def test_any_entry_leaves_a_torchvision_that_can_be_used(entry):
    in_a_fresh_process(entry + USE_TORCHVISION)
