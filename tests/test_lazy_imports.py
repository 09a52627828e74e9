"""What is imported loads no heavy package before it is needed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "tlkit"

HEAVY = (
    "torch torchvision timm pytorch_lightning wandb albumentations matplotlib jinja2 sklearn scipy.stats pandas numpy"
)
STEPS = {  # what is done, one after the other in one process: what may be loaded by then
    "import tlkit, tlkit.tracking": "",
    "from tlkit.predictions import read_predictions; read_predictions(sys.argv[1])": "pandas numpy",
    "import tlkit.audit, tlkit.render.report, tlkit.render.plots": "pandas numpy",
    "import tlkit.recipe, tlkit.runs.run, tlkit.preflight.recipe_dataset, tlkit.data, tlkit.models, tlkit.training": "",
    "import tlkit.training.fit, tlkit.models.model_names": "",
    "import tlkit.data.checks.label_decisions, tlkit.render.report.dataset_pages": "sklearn scipy.stats",
    "import tlkit.analysis.label_issues, cleanlab.filter; tlkit.analysis.LabelAudit": "sklearn scipy.stats",
}


def test_imports_load_nothing_that_they_do_not_need(tmp_path):
    (tmp_path / "p.csv").write_text("path,y_pred\na,b\n")
    code, allowed = ["import sys", f"heavy = set({HEAVY!r}.split())"], set()
    for step, more in STEPS.items():
        allowed |= set(more.split())
        code += [step, f"early = heavy - {allowed!r} & set(sys.modules)", f"assert not early, ({step!r}, early)"]
    command = [sys.executable, "-c", "\n".join(code), str(tmp_path / "p.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_lazy_name_is_that_of_a_module_beside_it():
    """Importing the module would put it in the place of the function."""
    found = []
    for package in (LIBRARY, *(path.parent for path in LIBRARY.rglob("*/__init__.py"))):
        text = (package / "__init__.py").read_text(encoding="utf-8")
        if "__getattr__ = lazy_names(" in text:
            module = importlib.import_module(".".join(package.relative_to(LIBRARY.parent).parts))
            found += [f"{module.__name__}.{name}" for name in module.__all__ if (package / f"{name}.py").exists()]
            assert module.__all__
    assert found == []
