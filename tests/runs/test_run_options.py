"""Every judgement of a run takes the audit settings of its recipe, unless something overrides them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import invoke
from run_fixtures import write_run
from tables_of_predictions import predictions_of

from tlkit.analysis.find_slices import find_slices
from tlkit.audit.explain import explain_predictions
from tlkit.data.checks.image_properties import COLUMNS
from tlkit.runs.run import Run, open_run

RECIPE = """\
recipe_version: 1
name: {name}
seed: 7
data: {{root: photos, metadata: groups.csv, groups: [site, age, subject]}}
model: {{name: resnet18}}
evaluate: {{confidence: 0.9}}
audit: {{by: [site, {{column: age, bins: [18, 65]}}], tolerance: 0.3, cluster_by: subject, min_group_size: 30}}
"""
IMAGES = 600


def make_run(path: Path, *, wrong: float, whole_subjects: bool = False) -> Run:
    """Write a run with 600 test images of 60 subjects, at two sites, whose southern images are wrong more often.

    Args:
        path: of the run.
        wrong: share of the southern images that are wrong.
        whole_subjects: whether all images of a subject are wrong alike.
    """
    rows = np.arange(IMAGES)
    groups = {
        "site": np.where(rows < 300, "north", "south"),
        "age": [str(12 + row % 70) for row in rows],
        "subject": [f"s{row // 10}" for row in rows],
    }
    paths = [f"{row}.jpg" for row in rows]
    table = pd.DataFrame({"path": paths, "label": np.where(rows % 2, "bee", "ant"), **groups})
    place, y = rows if whole_subjects else rows * 7, rows % 2
    missed = np.where(rows < 300, rows % 20 == 0, place % 100 < 100 * wrong)
    predictions = predictions_of(y, np.where(missed, 1 - y, y), classes=("ant", "bee"), path=paths, **groups)
    return write_run(path, RECIPE.format(name=path.name), table, predictions)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs/old", wrong=0.2)


@pytest.fixture
def extra(tmp_path):
    """Return a CSV with one more column for the images of the run."""
    table = pd.DataFrame({"path": [f"{row}.jpg" for row in range(IMAGES)], "lens": ["wide", "long"] * (IMAGES // 2)})
    table.to_csv(tmp_path / "extra.csv", index=False)
    return tmp_path / "extra.csv"


def printed(*arguments) -> dict:
    """Return what a command prints as JSON."""
    done = invoke(["-q", *map(str, arguments), "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


def test_joined_columns_leave_the_verdict_and_the_settings_of_a_run_as_they_are(run, extra):
    plain = printed("audit", run.path, "--by", "site")
    joined = printed("audit", run.path, "--by", "site", "--groups", extra)
    assert joined["settings"] == plain["settings"]
    assert {name: plain["settings"][name] for name in ("tolerance", "cluster_by", "confidence", "seed")} == {
        "tolerance": 0.3,
        "cluster_by": "subject",
        "confidence": 0.9,
        "seed": 7,
    }
    assert [row["verdict"] for row in plain["group_tables"][0]["rows"]] == ["PASS", "PASS"]
    assert joined["group_tables"] == plain["group_tables"]
    assert joined["explanation"] == plain["explanation"]


def test_a_joined_column_is_audited_with_the_settings_of_the_run(run, extra):
    found = printed("audit", run.path, "--by", "lens", "--groups", extra, "--tolerance", "0.2")
    settings = found["settings"]
    assert (settings["cluster_by"], settings["confidence"], settings["min_group_size"]) == ("subject", 0.9, 30)
    assert settings["tolerance"] == 0.2
    assert not run.directory.audit.exists()


def test_the_command_explains_with_the_options_of_its_audit_in_one_explanation(run, monkeypatch):
    used = []

    def counted(predictions, options, **more):
        used.append(options)
        return explain_predictions(predictions, options, **more)

    monkeypatch.setattr("tlkit.runs.run.explain_predictions", counted)
    found = printed(
        "audit", run.path, "--by", "site", "--min-group-size", "50", "--tolerance", "0.1", "--cluster-by", "age"
    )
    (options,) = used
    assert (options.by, options.min_group_size, options.tolerance, options.cluster_by) == (("site",), 50, 0.1, "age")
    stated = {name: found["settings"][name] for name in found["explanation"]["settings"]}
    assert found["explanation"]["settings"] == stated
    assert (stated["min_group_size"], stated["cluster_by"], stated["confidence"]) == (50, "age", 0.9)
    alone = run.explain("site", min_group_size=50, cluster_by="age")
    assert found["explanation"]["columns"] == json.loads(json.dumps(alone.to_dict()))["columns"]
    assert not run.directory.explanation.exists()


def test_a_comparison_cuts_columns_as_the_recipe_of_the_run_does(run, tmp_path):
    other = make_run(tmp_path / "runs/new", wrong=0.1)
    names = ["<18", "[18, 65)", "≥65"]
    for found in (run.compare(other), run.compare(other.predictions())):
        assert [row.name for row in found.rows if row.by == "age"] == names
    table = tmp_path / "new.csv"
    other.predictions().table().to_csv(table, index=False)
    found = printed("compare", run.path, table)
    assert [row["name"] for row in found["rows"] if row["by"] == "age"] == names
    assert found["settings"]["confidence"] == 0.9


def test_a_column_that_is_named_alone_keeps_the_cut_of_the_recipe(run):
    (table,) = run.audit("age").group_tables
    assert [row.name for row in table.rows] == ["<18", "[18, 65)", "≥65"]
    (halved,) = run.audit("age:quantiles=2").group_tables
    assert len(halved.rows) == 2
    assert [column.by for column in run.explain("age").columns] == ["age"]
    assert run.explain("age").column("age").ordered.order == ("<18", "[18, 65)", "≥65")


def test_a_comparison_allows_for_the_clusters_of_the_recipe(tmp_path):
    run, other = (make_run(tmp_path / f"runs/wrong-{share}", wrong=share, whole_subjects=True) for share in (0.4, 0.1))
    clustered = run.compare(other).overall
    recipe = run.directory.recipe
    recipe.write_text(recipe.read_text().replace("cluster_by: subject, ", ""))
    plain = open_run(run.path).compare(other).overall
    assert clustered.difference.value == pytest.approx(plain.difference.value)
    assert clustered.difference.high - clustered.difference.low > plain.difference.high - plain.difference.low
    assert clustered.p > plain.p


def test_gates_take_the_settings_of_the_run_where_their_file_says_nothing(run, tmp_path):
    file = tmp_path / "gates.yaml"
    file.write_text("gates_version: 1\ntolerances:\n  - {by: age, tolerance: 0.3}\n")
    found = run.gate(file)
    assert [row.group for row in found.rows] == ["<18", "[18, 65)", "≥65"]
    settings = found.settings
    assert (settings.cluster_by, settings.confidence, settings.min_group_size) == ("subject", 0.9, 30)
    file.write_text(
        "gates_version: 1\nconfidence: 0.99\nmin_group_size: 5\ntolerances:\n  - {by: site, tolerance: 0.3}\n"
    )
    settings = run.gate(file).settings
    assert (settings.cluster_by, settings.confidence, settings.min_group_size) == ("subject", 0.99, 5)


def test_slices_take_the_confidence_and_the_sizes_of_the_run(run, monkeypatch):
    nothing = pd.DataFrame(index=pd.Index([f"{row}.jpg" for row in range(IMAGES)], name="path"), columns=COLUMNS)
    monkeypatch.setattr("tlkit.analysis.find_slices.load_image_properties", lambda *_, **__: nothing)
    found = find_slices(run, ["site"], clusters=0).settings
    assert (found.confidence, found.min_group_size, found.seed) == (0.9, 30, 7)
    found = find_slices(run, ["site"], clusters=0, confidence=0.8, min_images=25).settings
    assert (found.confidence, found.min_group_size) == (0.8, 25)


def test_the_images_behind_an_audit_are_those_of_its_own_groups(run):
    found = run.audit("age:bins=40", tolerance=0.0)
    assert {table.by for table in found.group_tables} == {"age"}
    for one in run.audit_images(audit=found):
        assert one.group in ("<40", "≥40")


def test_matched_sets_replace_the_clusters_of_the_recipe(run):
    settings = run.audit("site", pair_by="age").settings
    assert (settings.pair_by, settings.cluster_by) == ("age", None)


def test_an_audit_that_overrides_nothing_is_stored(run):
    found = run.audit()
    assert run.get_audit() == found
    run.audit("site", tolerance=0.01)
    assert run.get_audit() == found
