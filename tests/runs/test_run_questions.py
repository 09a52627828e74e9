"""A run's explanation, gates and comparison with another run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from run_fixtures import write_run
from tables_of_predictions import predictions_of

from tlkit.cli.compare_command import compare
from tlkit.cli.output import print_run
from tlkit.errors import PredictionsError, RecipeError, RunError
from tlkit.runs.assess_split import chose_epoch
from tlkit.runs.gate_run import gate
from tlkit.runs.run import Run, open_run

RECIPE = """\
recipe_version: 1
name: {name}
data: {{root: photos, metadata: groups.csv, groups: [light]}}
model: {{name: resnet18}}
audit: {{by: [light]}}
"""


def make_run(path: Path, *, wrong_at_night: int) -> Run:
    """Write what a fit leaves behind: 300 test images by day and by night, and 90 training images by day."""
    light = ["day"] * 300 + ["night"] * 300 + ["day"] * 90
    table = pd.DataFrame({"path": [f"{i}.jpg" for i in range(690)], "label": ["ant", "bee"] * 345, "light": light})
    table["split"] = ["test"] * 600 + ["train"] * 90
    y = np.array([0, 1] * 300)
    guess = np.where((np.arange(600) >= 300) & (np.arange(600) < 300 + wrong_at_night), 1 - y, y)
    paths = table.path[:600].tolist()
    predictions = predictions_of(y, guess, classes=("ant", "bee"), path=paths, light=light[:600])
    return write_run(path, RECIPE.format(name=path.name), table, predictions)


@pytest.fixture
def runs(tmp_path):
    return make_run(tmp_path / "runs/old", wrong_at_night=90), make_run(tmp_path / "runs/new", wrong_at_night=20)


def test_a_run_explains_its_gap_with_its_training_images_and_keeps_what_it_found(runs):
    old, _ = runs
    found = old.explain()
    worst = found.column("light").worst
    assert (worst.group, worst.train, worst.train_share) == ("night", 0, 0.0)
    stored = json.loads(old.directory.explanation.read_text())["test"]
    assert stored == found.to_dict()
    assert old.get_explanation() == found
    old.directory.explanation.unlink()
    old.explain("light", order={"light": ["night", "day"]})
    assert not old.directory.explanation.exists()


def test_a_run_explains_its_gap_with_the_clusters_of_its_recipe_or_others(tmp_path):
    run = make_run(tmp_path / "runs/old", wrong_at_night=90)
    predictions = run.predictions("test")
    bursts = predictions.groups.assign(burst=[str(i // 10) for i in range(600)], w=["1", "2"] * 300)
    replace(predictions, groups=bursts).to_parquet(run.directory.predictions("test"))
    alone = run.explain()
    recipe = run.directory.recipe
    text = recipe.read_text().replace("groups: [light]", "groups: [light, burst, w]")
    recipe.write_text(text.replace("by: [light]", "by: [light], cluster_by: burst"))
    clustered, weighted = open_run(run.path).explain(), open_run(run.path).explain(weights="w")
    assert (alone.settings.cluster_by, clustered.settings.cluster_by) == (None, "burst")
    assert (weighted.settings.cluster_by, weighted.settings.weights) == ("burst", "w")
    one, two = (found.column("light").worst.difference for found in (alone, clustered))
    assert two.high - two.low > 1.5 * (one.high - one.low)
    assert open_run(run.path).get_explanation() == clustered  # what was asked for beside it is not kept
    assert says(open_run(run.path).report().read_text(encoding="utf-8"), "clusters of burst")


def test_the_report_of_a_run_explains_the_gaps(runs):
    text = runs[0].report().read_text(encoding="utf-8")
    assert "Behind the gaps" in text
    gaps = text[text.index("Gaps by light") :]
    (row,) = re.findall(r'<tr class="worst"><th [^>]*>night</th>.*?</tr>', gaps[: gaps.index("</table>")])
    assert row.endswith('<td class="number">0</td><td class="number">0%</td><td class="number">50%</td></tr>')


def test_output_report_and_card_state_that_a_split_selected_the_epoch(runs, capsys):
    old, _ = runs
    old.directory.metrics.write_text("epoch,val_loss\n1,0.5\n2,0.4\n")
    print_run(old, details=False)
    assert says(capsys.readouterr().out, "old", "finished", "test")
    old.directory.predictions("test").rename(old.directory.predictions("val"))
    print_run(old, details=False)
    assert says(" ".join(capsys.readouterr().out.split()), "old", "finished", "val", "chose the epoch")
    for page in (old.report(), old.card()):
        assert says(page.read_text(encoding="utf-8"), "selected the epoch", "data.test")
    old.directory.metrics.write_text("epoch,val_loss\n1,0.5\n")
    assert not chose_epoch("val", old.history)


def test_runs_are_compared_on_their_test_images(runs):
    old, new = runs
    found = old.compare(new)
    assert (found.first, found.second, found.overall.change) == ("old", "new", "better")
    assert {row.by for row in found.rows} == {"(all)", "(class)", "light"}
    assert old.compare(new.predictions()).second == "the other"


def test_runs_are_compared_without_what_either_met_in_training(runs, capsys):
    old, new = runs
    paths = old.predictions().path.tolist()
    header = "path,split,duplicate_of,duplicate_split,how,dropped\n"
    old.directory.leaks.write_text(
        f"{header}{paths[0]},test,x,train,same file,\n{paths[1]},test,x,train,same file,yes\n"
    )
    new.directory.leaks.write_text(f"{header}{paths[2]},test,x,train,same file,\n{paths[3]},val,x,train,same file,\n")
    found = old.compare(new)
    assert (found.leaked, found.without_leaks.pairs.n) == (2, len(paths) - 2)
    assert old.compare(new.predictions()).leaked == 1
    table = new.path.parent / "new.csv"
    new.predictions().table().to_csv(table, index=False)
    compare(old.path, table)
    assert says(capsys.readouterr().out, "1 of these images", "earlier split")


def test_runs_of_one_name_are_shown_with_their_folders(runs, caplog):
    old, _ = runs
    other = make_run(old.path.parents[1] / "more/runs/old", wrong_at_night=90)
    duplicate_of = make_run(old.path.parents[1] / "more/old", wrong_at_night=90)
    found = old.compare(duplicate_of)
    assert (found.first, found.second) == ("runs/old", "more/old")
    found = old.compare(other)
    assert (found.first, found.second) == (f"{old.path.parents[1].name}/runs/old", "more/runs/old")
    assert not caplog.messages


def test_a_link_to_a_run_keeps_its_own_name(runs, caplog):
    old, new = runs
    link = new.path.parent / "latest"
    link.symlink_to(new.path)
    found = old.compare(open_run(link))
    assert (found.first, found.second) == ("old", "latest")
    assert not caplog.messages
    found = new.compare(open_run(link))
    assert (found.first, found.second) == ("new", "latest")
    assert "is compared with itself" in caplog.text


def test_comparing_a_run_with_itself_warns(runs, caplog, monkeypatch):
    monkeypatch.chdir(runs[0].path.parent)
    found = open_run("old").compare(runs[0])
    assert (found.first, found.second) == ("old", "old (again)")
    assert caplog.messages == [saying("old", "with itself")]


def test_a_run_is_held_against_gates_and_another_run(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, new = runs
    Path("gates.yaml").write_text("gates_version: 1\nno_worse_than: {baseline: runs/old, by: [light], margin: 0.05}\n")
    assert new.gate("gates.yaml").verdict == "PASS"
    Path("back.yaml").write_text("gates_version: 1\nno_worse_than: {baseline: runs/new, by: [light]}\n")
    report = gate(old, "back.yaml")
    assert report.exit_code == 1
    assert [row.group for row in report.rows if row.verdict == "FAIL"] == ["all images", "night"]


def test_gates_that_cannot_be_held_against_say_why(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text("gates_version: 1\nno_worse_than: {baseline: runs/odl}\n")
    with pytest.raises(RunError, match=saying("g.yaml:2", "runs/odl", "'old'").pattern):
        runs[0].gate("g.yaml")
    Path("g.yaml").write_text("gates_version: 1\nno_worse_than: {baseline: old.json}\n")
    with pytest.raises(PredictionsError, match=saying("old.json", "paired").pattern):
        runs[0].gate("g.yaml")
    with pytest.raises(RecipeError, match="does not exist"):
        runs[0].gate("none.yaml")
