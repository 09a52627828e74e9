"""`tlkit doctor-env`: versions and what works here, as text and JSON, and exit code 2 where something needed fails."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest
from command import invoke
from messages import says

from tlkit.models.box_head import operator_problem
from tlkit.training import doctor_env as module
from tlkit.training.doctor_env import doctor_env
from tlkit.training.environment_report import EnvironmentCheck, EnvironmentReport


@pytest.fixture(scope="module")
def report():
    return doctor_env()


def test_this_environment_is_usable_and_its_versions_are_those_of_the_packages(report):
    assert report.is_usable and "usable" in repr(report)
    for name, version in report.versions.items():
        if name not in ("Python", "tlkit") and version is not None:
            assert version == metadata.version(name)
    assert {"torch", "torchvision", "pytorch-lightning", "timm", "albumentations", "openvino", "wandb"} <= set(
        report.versions
    )
    works = {check.name: check.works for check in report.checks}
    assert works == {
        "device": True,
        "torchvision operators": True,
        "training": True,
        "prediction": True,
        "augmentation": True,
        "ONNX Runtime session": True,
        "cache folder": True,
        "threads": None,
        "memory": None,
    }
    assert EnvironmentReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_the_first_line_is_named_exactly_where_timm_does_not_import_without_it(report):
    done = subprocess.run([sys.executable, "-c", "import timm"], capture_output=True, check=False, timeout=120)
    operators = next(check for check in report.checks if check.name == "torchvision operators")
    assert (done.returncode != 0) == ("import tlkit.torchvision_cure" in operators.remedy)
    assert bool(operator_problem()) == ("For detection: Install wheels of torch and torchvision" in operators.remedy)


def test_text_and_json_say_the_same_and_so_does_the_verbose_version(report, monkeypatch):
    monkeypatch.setattr(module, "doctor_env", lambda: report)
    text = invoke(["doctor-env"])
    assert text.exit_code == 0 and says(text.output, "torch", report.versions["torch"])
    for check in report.checks:
        assert check.name in text.output
    assert json.loads(invoke(["doctor-env", "--json"]).output) == report.to_dict()
    for arguments in (["--version", "-v"], ["-v", "--version"]):
        shown = invoke(arguments)
        assert shown.exit_code == 0 and shown.output.startswith("tlkit ") and shown.output.endswith(text.output)
    assert len(invoke(["--version"]).output.splitlines()) == 1


def test_what_fails_is_named_with_its_remedy_and_only_what_is_needed_ends_with_2(monkeypatch, tmp_path):
    def broken():
        raise RuntimeError("operator torchvision::nms does not exist")

    (tmp_path / "file").touch()
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(module.metadata, "version", lambda name: "1.0" if name != "wandb" else missing(name))
    for name in ("_training", "_prediction", "_onnx_runtime", "_augmentation"):
        monkeypatch.setattr(module, name, lambda: EnvironmentCheck("x", True, "", needed=True))
    run = invoke(["doctor-env"])
    assert run.exit_code == 0 and says(run.output, "cache folder", "NO", "TLKIT_CACHE")
    assert says(run.output, "wandb", "not installed")
    monkeypatch.setattr(module, "_torchvision", broken)
    run = invoke(["doctor-env"])
    assert run.exit_code == 2
    assert says(run.output, "torchvision operators", "NO", "torchvision::nms", "pip install")


def missing(name):
    raise metadata.PackageNotFoundError(name)
