"""A label audit of a run, decisions in the CSV file, and a second fit, in Python and on the command line."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from messages import saying, says
from typer.testing import CliRunner

import tlkit
from tlkit.cli.data_commands import app
from tlkit.data.sources.manifest import digest_of
from tlkit.errors import DataError

RECIPE = """\
recipe_version: 1
name: first
data: {{root: {root}, num_workers: 0, image_size: 32, val: 0.25, test: 0.25}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {{kind: frozen, head: ridge}}
report: {{enabled: false}}
"""


@pytest.fixture
def run(tmp_path, image_folder):
    """Fit on 24 blue and 24 red images, of which one red one lies among the blue."""
    root = image_folder(**{"": 24})
    shutil.move(root / "red" / "005.png", root / "blue" / "wrong.png")
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=root))
    return tlkit.fit(tmp_path / "r.yaml")


def test_of_a_run_that_was_fine_tuned_the_audit_says_so(tmp_path, image_folder, caplog):
    recipe = RECIPE.format(root=image_folder(**{"": 24})).replace("{kind: frozen, head: ridge}", "full")
    (tmp_path / "r.yaml").write_text(f"{recipe}train: {{epochs: 1}}\n")
    audit = tlkit.audit_labels(tlkit.fit(tmp_path / "r.yaml"), head="ridge")
    assert (audit.run, audit.strategy) == ("first", "full")
    assert audit.tables()[0].notes[2] == saying("first", "strategy: full", "wrong ones included", "strategy: frozen")
    assert audit.tables()[0].notes[2] in caplog.messages


@pytest.mark.slow
def test_a_wrong_label_is_found_decided_on_and_refitted(run, tmp_path, caplog):
    before = {path: digest_of(path) for path in (tmp_path / "colours").rglob("*.png")}
    audit = tlkit.audit_labels(run, head="ridge")
    assert audit.suspects[0].path == "blue/wrong.png" and audit.suspects[0].suggested == "red"
    assert audit.total == 48 and set(audit.images) == {"train", "val", "test"}
    assert (audit.run, audit.strategy, len(audit.tables()[0].notes)) == ("first", "frozen", 2)
    asked = ["labels", str(run.path), "--head", "ridge", "--out", "labels.csv", "--html", "sheet.html"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0 and "blue/wrong.png" in shown.stdout
    assert "\n".join(audit.tables()[0].notes) in shown.stdout
    following = shown.stdout.splitlines()[-1]
    assert says(following, "sheet.html", "relabel to CLASS", "data.label_corrections=labels.csv")
    page = CliRunner().invoke(app, ["labels", str(run.path), "--head", "ridge", "--html", "sheet.html"])
    assert page.exit_code == 0 and "--out labels.csv" in page.stdout.splitlines()[-1]
    (tmp_path / "mine.html").write_text("mine")
    refused = CliRunner().invoke(app, ["labels", str(run.path), "--html", "mine.html"])
    assert str(refused.exception) == saying("mine.html exists", "another name", "--overwrite")
    assert (tmp_path / "mine.html").read_text() == "mine"
    sheet = (tmp_path / "sheet.html").read_text()
    assert "rather <strong>red</strong>?" in sheet and sheet.count("data:image/jpeg") == len(audit.suspects)
    table = pd.read_csv("labels.csv", dtype=str, keep_default_na=False)
    assert table["path"].tolist() == [one.path for one in audit.suspects] and set(table["decision"]) == {""}
    table.loc[0, "decision"] = "relabel to red"
    table.to_csv("labels.csv", index=False)
    again = tlkit.fit(tmp_path / "r.yaml", {"name": "second", "data.label_corrections": "labels.csv"})
    assert says(caplog.text, "labels.csv", digest_of("labels.csv")[:12], "1 of 48")
    assert again.environment["data"]["sources"] == {"labels.csv": digest_of("labels.csv")}
    old, new = (one.samples.table.set_index("path") for one in (run, again))
    assert (old["split"] == new["split"]).all() and (old["label"] != new["label"]).sum() == 1
    assert new.loc["blue/wrong.png", "label"] == "red"
    assert "blue/wrong.png" not in [one.path for one in tlkit.audit_labels(again, head="ridge").suspects]
    assert {path: digest_of(path) for path in (tmp_path / "colours").rglob("*.png")} == before
    refused = CliRunner().invoke(app, asked)
    assert isinstance(refused.exception, DataError) and says(
        refused.exception, "labels.csv", "exists already", "Remove it"
    )
    only = CliRunner().invoke(app, ["labels", str(run.path), "--head", "ridge", "--split", "val", "--json"])
    assert set(json.loads(only.stdout)["images"]) == {"val"}
    with pytest.raises(DataError, match=saying("'vla'", "'val'?", "train, val, test").pattern):
        tlkit.audit_labels(run, splits=["vla"])
