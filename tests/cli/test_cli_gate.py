"""`tlkit audit --gate` as a build meets it: its exit codes, its files, and life without torch."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from command import process
from messages import saying, says

TORCH_SIDE = ("torch", "timm", "pytorch_lightning", "lightning", "albumentations", "wandb", "torchvision")
BLOCKED = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {TORCH_SIDE!r}:
            raise ImportError(f'{{name}} is blocked')
sys.meta_path.insert(0, Block())
from tlkit.cli.app import main
sys.argv[0] = 'tlkit'
main()
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with predictions of another tool (day .95, night .70 of 1,000 each) and gates for them."""
    rows = [
        (f"{light}{i}.png", "cat" if i % 2 else "dog", light, i >= right)
        for light, right in (("day", 950), ("night", 700))
        for i in range(1000)
    ]
    table = pd.DataFrame(rows, columns=["path", "y_true", "light", "wrong"])
    table["y_pred"] = table.y_true.where(~table.wrong, table.y_true.map({"cat": "dog", "dog": "cat"}))
    table.drop(columns="wrong").to_csv(tmp_path / "p.csv", index=False)
    table.assign(y_pred=table.y_true).drop(columns="wrong").to_csv(tmp_path / "perfect.csv", index=False)
    for name, text in {
        "pass": "limits:\n  - {by: light, at_least: 0.6}\n",
        "fail": "tolerances:\n  - {by: light, tolerance: 0.05}\n",
        "open": "limits:\n  - {by: light, at_least: 0.7}\n",
        "wrong": "limits:\n  - {by: lihgt, at_least: 0.7}\n",
        "worse": "no_worse_than: {baseline: perfect.csv, by: [light], margin: 0.02}\n",
        "alone": "no_worse_than: {baseline: runs/none}\n",
        "stored": "no_worse_than: {baseline: audit.json}\n",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(f"gates_version: 1\n{text}")
    return tmp_path


@pytest.mark.parametrize(
    ("gates", "code", "verdict"),
    [("pass", 0, "PASS"), ("fail", 1, "FAIL"), ("open", 3, "NOT ENOUGH DATA"), ("worse", 1, "FAIL")],
)
def test_the_exit_code_is_the_verdict(run, folder, gates, code, verdict):
    done = run("audit", "p.csv", "--by", "light", "--gate", f"{gates}.yaml")
    assert done.returncode == code, done.stderr
    assert re.search(rf"^Gates of {gates}\.yaml: . {verdict}$", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("named_alike", [True, False])
def test_a_baseline_has_the_columns_that_are_named_or_the_usual_ones(run, folder, named_alike):
    other = {"y_true": "label", "y_pred": "guess"}
    pd.read_csv(folder / "p.csv").rename(columns=other).to_csv(folder / "q.csv", index=False)
    if named_alike:
        pd.read_csv(folder / "perfect.csv").rename(columns=other).to_csv(folder / "perfect.csv", index=False)
    names = ("--y-true", "label", "--y-pred", "guess")
    done = run("audit", "q.csv", *names, "--by", "light", "--gate", "worse.yaml")
    assert done.returncode == 1, done.stderr
    assert re.search(r"^Gates of worse\.yaml: . FAIL$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gate", "wrong.yaml"), saying("error", "wrong.yaml:3", "'lihgt'", "'light'")),
        (("--gate", "none.yaml"), saying("none.yaml", "error", "exist")),
        (("--gate", "alone.yaml"), saying("alone.yaml:2", "runs/none")),
        (("--gate", "stored.yaml"), saying("error", "stored.yaml:2", "audit.json")),
        (("--junit", "x.xml"), saying("error", "--junit", "x.xml", "--gate", "gates.yaml")),
        (("--gate", "pass.yaml", "--summary", "."), saying("error", "--summary")),
    ],
)
def test_wrong_input_ends_with_exit_code_2(run, folder, arguments, message):
    done = run("audit", "p.csv", "--by", "light", *arguments)
    assert done.returncode == 2, done.stdout
    assert says(done.stderr, message)
    assert done.stdout == ""


def test_the_files_for_ci_are_written_and_json_holds_the_gates(run, folder):
    files = ("--junit", "out/gates.xml", "--summary", "out/gates.md")
    done = run("audit", "p.csv", "--by", "light", "--gate", "fail.yaml", *files, "--json")
    assert done.returncode == 1, done.stderr
    values = json.loads(done.stdout)
    assert values["gate"]["verdict"] == "FAIL"
    suite = ET.parse(folder / "out/gates.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    assert (folder / "out/gates.md").read_text(encoding="utf-8").splitlines()[0].endswith("✗ FAIL**")


def test_audit_and_gate_of_another_tools_csv_work_where_torch_cannot_be_imported(folder):
    done = process("audit", "p.csv", "--by", "light", "--gate", "fail.yaml", cwd=folder, code=BLOCKED)
    assert done.returncode == 1, done.stderr
    assert re.search(r"light +night .*✗ FAIL", done.stdout)
    done = process("compare", "perfect.csv", "p.csv", cwd=folder, code=BLOCKED)
    assert done.returncode == 0, done.stderr


def test_gates_in_python_need_no_torch(folder):
    code = """
import sys, tlkit
report = tlkit.gate(tlkit.read_predictions("p.csv"), "open.yaml")
print(report.exit_code, "torch" in sys.modules)
"""
    assert process(cwd=folder, code=code).stdout.strip() == "3 False"
