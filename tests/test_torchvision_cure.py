"""torchvision imports beside a CPU build of torch, whichever part of tlkit is imported first."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "tlkit"
CURE = "tlkit.torchvision_cure"
DOORS = {"lightning.py", "timm.py"}
"""The modules that import the cure and, after it, what imports torchvision."""
GUESTS = ("timm", "torchvision", "torchmetrics", "pytorch_lightning", "lightning_fabric")
"""Packages that import torchvision when they are imported."""
LATE_GUESTS = ("open_clip", "segmentation_models_pytorch")
"""The same, imported when they are used, by modules that import a door at their top."""


def names_of(node):
    """Return the full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []


def unprepared(root):
    """Return the modules that import the cure, or what imports torchvision, past the doors."""
    found = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [name for node in tree.body for name in names_of(node)]
        everywhere = [name for node in ast.walk(tree) for name in names_of(node)]
        place = path.relative_to(root).as_posix()
        guests = [name for name in everywhere if name.partition(".")[0] in GUESTS]
        late = [name for name in everywhere if name.partition(".")[0] in LATE_GUESTS]
        if place in DOORS:
            wrong = CURE not in top[: min(map(top.index, guests), default=0)]
        else:
            wrong = CURE in top or bool(guests) or (bool(late) and "tlkit.timm" not in top)
        found += [place] if wrong else []
    return found


def test_two_modules_are_the_doors_of_the_cure_and_of_all_that_imports_torchvision():
    assert unprepared(LIBRARY) == []


def test_an_import_past_the_doors_is_found(tmp_path):
    sources = {
        "timm.py": f"import timm\nimport {CURE}\n",
        "lightning.py": f"import {CURE}\nimport pytorch_lightning\n",
        "past.py": "def later():\n    from torchvision.ops import nms\n",
        "cured.py": f"import {CURE}\n",
        "late.py": "def later():\n    import open_clip\n",
        "prepared.py": "import tlkit.timm\ndef later():\n    import open_clip\n",
        "plain.py": "from tlkit.timm import timm\nimport torch\n",
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    assert unprepared(tmp_path) == ["cured.py", "late.py", "past.py", "timm.py"]


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
