"""Progress bars in a notebook: in a real kernel, and of a fit whose process says that it is one."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest
from run_fixtures import write_recipe

import tlkit
from tlkit.notebook_progress import in_notebook, notebook_bars, with_notebook_bar

CELL = """
from tlkit.notebook_progress import in_notebook, notebook_bars
with notebook_bars() as show:
    for done in range(1, 4):
        show("counting", done, 3)
print(in_notebook())
"""


class KernelShell:
    """What other packages ask of a kernel's shell: W&B reads its configuration."""

    kernel = object()
    config: ClassVar[dict[str, object]] = {}


@pytest.fixture
def in_a_kernel(monkeypatch):
    """Let this process look like the kernel of a notebook without ipywidgets."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=KernelShell))
    monkeypatch.setattr("tlkit.notebook_progress.find_spec", lambda name: None)


def test_a_kernel_draws_a_bar_and_removes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    (cell,) = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute().cells
    texts = [output.get("text", "") + str(output.get("data", "")) for output in cell.outputs]
    assert any("counting" in text or "widget-view" in text for text in texts)
    assert any("True" in text for text in texts)
    assert not any("Warning" in text for text in texts)


def test_outside_a_notebook_nothing_is_drawn_and_a_callers_callback_is_kept():
    calls = []

    @with_notebook_bar("counting")
    def count(*, progress=None):
        if progress is not None:
            progress(1, 2)
        return progress

    assert not in_notebook()
    with notebook_bars() as show:
        assert show is None
    assert count() is None
    assert count(progress=lambda *where: calls.append(where)) and calls == [(1, 2)]


def test_a_callers_callback_is_kept_in_a_notebook_too(in_a_kernel, capfd):
    mine = []

    @with_notebook_bar("counting")
    def count(*, progress=None):
        progress(1, 2)

    count(progress=lambda *where: mine.append(where))
    assert mine == [(1, 2)] and capfd.readouterr().err == ""
    count()
    assert "counting" in capfd.readouterr().err


def test_a_fit_in_a_notebook_draws_its_steps_unless_told_not_to(in_a_kernel, tmp_path, capfd):
    recipe = write_recipe(tmp_path, strategy="frozen", tail="report: {enabled: false}\n")
    tlkit.fit(recipe, runs_dir=tmp_path / "a")
    drawn = capfd.readouterr().err
    for step in ("checking images", "computing features", "training"):
        assert step in drawn, step
    tlkit.fit(recipe, runs_dir=tmp_path / "b", progress=False)
    assert "training" not in capfd.readouterr().err
