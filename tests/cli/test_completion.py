"""Completion in shells, by the protocol that the printed scripts use; it loads no torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import tlkit
from tlkit.cli.completion import complete_model, complete_override, complete_run
from tlkit.recipe.field_tree import all_keys
from tlkit.runs import RunDirectory


def test_runs_are_completed_by_path_and_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pets", "pests", "birds"):
        RunDirectory.create(Path("runs") / name)
    Path("runs/other").mkdir()
    assert complete_run("pe") == complete_run("runs/pe") == ["runs/pests", "runs/pets"]
    assert complete_run("elsewhere/") == []
    assert complete_run(f"{tmp_path}/runs/b") == [f"{tmp_path}/runs/birds"]


def test_every_recipe_key_is_completed_with_its_choices():
    assert set(complete_override("train.schedule")) == {
        f"train.schedule={kind}" for kind in ("cosine", "one_cycle", "constant")
    }
    assert complete_override("train.epochs") == ["train.epochs=5"]
    for key in all_keys():
        assert any(text.split("=")[0] == key for text in complete_override(key)), key


def test_models_are_those_of_timm():
    assert "resnet18" in complete_model("resnet1") and complete_model("no such") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_one_that_it_reads(shell, tmp_path):
    done = tlkit("completion", shell, cwd=tmp_path)
    assert done.returncode == 0 and "_TLKIT_COMPLETE" in done.stdout
    if found := shutil.which(shell):
        (tmp_path / "script").write_text(done.stdout)
        assert subprocess.run([found, "-n", tmp_path / "script"], check=False, timeout=30).returncode == 0


def test_completing_loads_no_torch(tmp_path):
    code = (
        "import sys\nfrom tlkit.cli.completion import *\n"
        "complete_run('a'), complete_override('train'), complete_model('r')\n"
        "print(sorted({'torch', 'timm', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
