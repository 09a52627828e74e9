"""Packages that report their use are told not to before they are imported, and leave nothing in the home folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "tlkit"
SWITCH = "tlkit.no_telemetry"
REPORTING = ("albumentations", "onnxruntime", "ray")


def imported(path):
    """Yield the names of the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def packages_of(path):
    return [folder / "__init__.py" for folder in path.parents if LIBRARY in (folder, *folder.parents)]


def test_every_module_that_imports_a_package_with_reports_turns_them_off_first():
    importing = [path for path in LIBRARY.rglob("*.py") if {n.partition(".")[0] for n in imported(path)} & {*REPORTING}]
    assert len(importing) > 5
    assert [p.name for p in importing if not any(SWITCH in imported(one) for one in (p, *packages_of(p)))] == []


def test_a_file_is_opened_without_a_trace_in_the_home_folder(tmp_path):
    code = "import tlkit.exported.sessions, onnxruntime; onnxruntime.InferenceSession; print(onnxruntime.__version__)"
    environment = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")}
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(home)}, check=True, timeout=120)
    assert [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()] == []


def test_a_value_of_the_user_stays():
    code = "import tlkit.no_telemetry, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["0"]
