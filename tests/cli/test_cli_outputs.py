"""Every option of the command line that names an output is checked before the work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from messages import says
from options import parameters

from tlkit.errors import TlkitError
from tlkit.runs import RunDirectory

OUTPUTS = {"out", "html", "plot", "junit", "summary", "sarif", "export", "fix", "sheet", "dest"}
OUTPUTS |= {"filters", "feature_maps", "log", "log_images", "runs_dir"}
"""Parameters that name a file or a folder to write; all other paths are read."""
PROC = [
    pytest.param(("predict", "run", "photos", "--out", "/proc/x.csv"), id="predict --out"),
    pytest.param(("audit", "p.csv", "--export", "/proc/x.csv"), id="audit --export"),
    pytest.param(("audit", "p.csv", "--gate", "g.yaml", "--junit", "/proc/x.xml"), id="audit --junit"),
    pytest.param(("audit", "p.csv", "--gate", "g.yaml", "--summary", "/proc/x.md"), id="audit --summary"),
    pytest.param(("audit", "p.csv", "--gate", "g.yaml", "--sarif", "/proc/x.sarif"), id="audit --sarif"),
    pytest.param(("data", "doctor", "photos", "--sarif", "/proc/x.sarif"), id="data doctor --sarif"),
    pytest.param(("zero-shot", "c.txt", "photos", "--model", "m", "--out", "/proc/x.csv"), id="zero-shot --out"),
    pytest.param(("evidence", "run", "--out", "/proc/x"), id="evidence --out"),
    pytest.param(("advise", "photos", "--plot", "/proc/x.svg"), id="advise --plot"),
    pytest.param(("learning-curve", "run", "--plot", "/proc/x.svg"), id="learning-curve --plot"),
    pytest.param(("recipe", "tune", "r.yaml", "--plot", "/proc/x.svg"), id="recipe tune --plot"),
    pytest.param(("recipe", "example", "quickstart", "--out", "/proc/x.yaml"), id="recipe example --out"),
    pytest.param(("data", "import", "coco", "a.json", "--out", "/proc/x.csv"), id="data import --out"),
    pytest.param(("data", "split", "photos", "--out", "/proc/x.csv"), id="data split --out"),
    pytest.param(("data", "summary", "photos", "--html", "/proc/x.html"), id="data summary --html"),
    pytest.param(("data", "labels", "run", "--out", "/proc/x.csv"), id="data labels --out"),
    pytest.param(("data", "labels", "run", "--html", "/proc/x.html"), id="data labels --html"),
    pytest.param(("data", "doctor", "photos", "--html", "/proc/x.html"), id="data doctor --html"),
    pytest.param(("data", "doctor", "photos", "--fix", "/proc/x.csv"), id="data doctor --fix"),
    pytest.param(("init", "photos", "--out", "/proc/x.yaml"), id="init --out"),
    pytest.param(("report", "one", "two", "--out", "/proc/x.html"), id="report --out"),
    pytest.param(("calibration", "p.csv", "--plot", "/proc/x.svg"), id="calibration --plot"),
    pytest.param(("abstain", "p.csv", "--plot", "/proc/x.svg"), id="abstain --plot"),
    pytest.param(("conformal", "p.csv", "--plot", "/proc/x.svg"), id="conformal --plot"),
    pytest.param(("robustness", "run", "--plot", "/proc/x.svg"), id="robustness --plot"),
    pytest.param(("explain", "run", "a.png", "--sheet", "/proc/x.svg"), id="explain --sheet"),
    pytest.param(("explain", "run", "--filters", "/proc/x.svg"), id="explain --filters"),
    pytest.param(("explain", "run", "--feature-maps", "/proc/x.svg"), id="explain --feature-maps"),
    pytest.param(("push", "run", "--to", "/proc/x"), id="push --to"),
    pytest.param(("serve", "x.onnx", "--log", "/proc/x"), id="serve --log"),
    pytest.param(("serve", "x.onnx", "--log", "log", "--log-images", "/proc/x"), id="serve --log-images"),
    pytest.param(("sweep", "s.yaml", "--runs-dir", "/proc/x"), id="sweep --runs-dir"),
    pytest.param(("bench", "run", "--plot", "/proc/x.svg"), id="bench --plot"),
    pytest.param(("errors", "p.csv", "--sheet", "/proc/x.svg"), id="errors --sheet"),
    pytest.param(("unknown", "run", "--plot", "/proc/x.svg"), id="unknown --plot"),
    pytest.param(("drift", "run", "photos", "--plot", "/proc/x.svg"), id="drift --plot"),
    pytest.param(("drift", "run", "photos", "--sheet", "/proc/x.svg"), id="drift --sheet"),
    pytest.param(("label-next", "run", "photos", "--out", "/proc/x.csv"), id="label-next --out"),
    pytest.param(("label-next", "run", "photos", "--sheet", "/proc/x.svg"), id="label-next --sheet"),
    pytest.param(("zero-shot", "c.txt", "photos", "--model", "clip", "--out", "/proc/x.csv"), id="zero-shot --out"),
    pytest.param(("data", "sample", "digits", "/proc/sample"), id="data sample dest"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("command", PROC)
def test_an_output_that_cannot_be_written_is_refused_before_any_input_is_read(command, run):
    done = run(*command)  # none of the inputs exists, so what is said first was looked at first
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert says(done.stderr, "/proc/", "cannot be written", "another place")


def test_every_output_option_has_its_case():
    outputs = {
        f"{command} --{name.replace('_', '-')}" for command, name, _, _ in parameters() if name in OUTPUTS - {"dest"}
    }
    assert outputs | {"data sample dest", "push --to"} == {case.id for case in PROC}


def test_a_run_directory_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "runs").touch()
    with pytest.raises(TlkitError) as caught:
        RunDirectory.require_free(Path(tmp_path, "runs", "mine"))
    assert says(str(caught.value), "runs folder", str(tmp_path / "runs"), "a folder is needed")
