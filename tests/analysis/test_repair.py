"""`repair` from a run to a new run, in Python and on the command line."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from command import invoke
from messages import saying, says
from PIL import Image

import tlkit
from tlkit.errors import RunError, TlkitError

COUNTS = {"train": (60, 4, 4, 60), "val": (24, 24, 24, 24), "test": (24, 24, 24, 24)}
RECIPE = """\
recipe_version: 1
name: birds
data: {{root: {root}, num_workers: 0, image_size: 32, metadata: metadata.csv, groups: [ground]}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: frozen
train: {{epochs: 3, learning_rate: 0.01}}
audit: {{by: [ground], min_group_size: 20}}
"""


def make_birds(root, counts=COUNTS):
    """Write images whose class is a faint tint of the upper half and whose ground is the bright or dark lower half."""
    rng, rows = np.random.default_rng(0), []
    for split, sizes in counts.items():
        for cell, size in enumerate(sizes):
            label, ground = ("land", "water")[cell // 2], ("dry", "wet")[cell % 2]
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(size):
                pixels = rng.normal(120, 12, (32, 32, 3))
                pixels[:16, :, 0] += 22 if label == "land" else -22
                pixels[16:] += 70 if ground == "dry" else -70
                path = folder / f"{ground}{number:03d}.png"
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
                rows.append((path.relative_to(root).as_posix(), ground))
    pd.DataFrame(rows, columns=["path", "ground"]).to_csv(root / "metadata.csv", index=False)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    home = tmp_path_factory.mktemp("birds")
    make_birds(home / "data")
    (home / "birds.yaml").write_text(RECIPE.format(root=home / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKIT_CACHE", str(home / "cache"))
        yield tlkit.fit(home / "birds.yaml", runs_dir=home / "runs")


@pytest.fixture(scope="module")
def result(parent):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKIT_CACHE", str(parent.path.parents[1] / "cache"))
        return tlkit.repair(parent, by="ground")


@pytest.fixture
def run(parent, tmp_path, monkeypatch):
    """Return a copy of the run that a test may change."""
    monkeypatch.setenv("TLKIT_CACHE", str(parent.path.parents[1] / "cache"))
    shutil.copytree(parent.path, tmp_path / "runs" / "birds")
    return tlkit.open_run(tmp_path / "runs" / "birds")


@pytest.mark.slow
def test_a_repaired_head_is_a_complete_run_that_names_its_parent(parent, result):
    assert result.verdict == "PASS", result.tables()[0].notes
    assert (result.judged_by, result.run) == ("class × ground", "birds-repaired")
    assert result.test.after.value > result.test.before.value
    repaired = tlkit.open_run(parent.path.parent / result.run)
    assert (repaired.status, repaired.recipe.name, repaired.repair) == ("finished", "birds-repaired", result)
    origin = repaired.environment["repair"]
    assert (origin["parent"], origin["method"], origin["by"]) == ("birds", result.chosen, ["ground"])
    again = tlkit.load_model(repaired).predict_samples(repaired.samples.split("test"), num_workers=0)
    stored = repaired.predictions("test")
    assert (again.y_pred == stored.y_pred).all()
    compared = parent.compare(repaired, split="test").overall
    assert compared.second.value == repaired.evaluate("test").accuracy.value == stored.correct.mean()
    assert compared.first.value == parent.predictions("test").correct.mean()
    page = repaired.directory.report.read_text()
    assert "Repair of birds: PASS" in page and "Changes on test" in page
    assert says(page, "repaired from that of birds", result.chosen, origin["parent_digest"][:12], "class × ground")
    assert json.loads((repaired.directory.model / "model.json").read_text())["head"] == {"kind": "repaired", **origin}
    assert parent.repair is None
    with pytest.raises(RunError, match="holds a finished run"):
        tlkit.repair(parent, by="ground")


@pytest.mark.series
def test_a_repair_draws_no_numbers_from_the_generators_of_the_process(run):
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    assert tlkit.repair(run, by="ground").run is not None
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1][1])
    assert random.getstate() == before[2]


@pytest.mark.slow
def test_the_choice_does_not_use_the_test_split(run, result):
    table = pd.read_csv(run.directory.split, dtype=str)
    test = table["split"] == "test"
    table.loc[test, "label"] = np.where(table.loc[test, "label"] == "land", "water", "land")
    table.to_csv(run.directory.split, index=False)
    turned = tlkit.repair(run, by="ground")
    assert turned.chosen == result.chosen
    for ours, theirs in zip(turned.trials, result.trials, strict=True):
        assert (ours.worst, ours.change, ours.overall) == (theirs.worst, theirs.change, theirs.overall)
    assert turned.comparison.overall.second.value == pytest.approx(1 - result.comparison.overall.second.value)
    assert (turned.verdict, turned.run) == ("FAIL", None)
    assert [path.name for path in run.path.parent.iterdir()] == ["birds"]


@pytest.mark.slow
def test_where_nothing_helps_no_model_is_written_and_the_reason_is_given(parent, result, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(parent.path.parents[1] / "cache"))
    repaired = parent.path.parent / result.run
    again = tlkit.repair(repaired, by="ground", name="twice")
    assert (again.verdict, again.chosen, again.run) == ("NOTHING HELPED", None, None)
    assert says(again.tables()[0].notes[0], "No candidate", "worst group")
    assert not (repaired.parent / "twice").exists()
    assert tlkit.open_run(repaired).repair == result, "how it came about stays on record"


@pytest.mark.slow
def test_the_command_writes_a_run_or_gives_the_reason_and_exits_with_0(run):
    shown = invoke(["repair", str(run.path), "--by", "ground", "--name", "other"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("Repair of birds: PASS\n")
    assert says(shown.stdout, "On test", "worst group")
    assert says(shown.stdout, "original head") and "worst group (" in shown.stdout
    assert tlkit.open_run(run.path.parent / "other").predictions("test").classes == ("land", "water")
    few = invoke(["repair", str(run.path), "--by", "ground", "--min-group-size", "90"])
    assert few.exit_code == 0
    assert says(few.stdout, "birds: NOT ENOUGH DATA", "ground", "fewer than 90", "dry 48, wet 48", "No model")
    assert not (run.path.parent / "birds-repaired").exists()
    assert (run.repair.verdict, run.repair.too_few) == ("NOT ENOUGH DATA", {"dry": 48, "wet": 48})
    asked = invoke(["repair", str(run.path), "--min-group-size", "90", "--json"])
    assert json.loads(asked.stdout)["by"] == [], "without --by it is about the worst class"


@pytest.mark.slow
def test_a_group_of_three_images_is_left_out_and_named(run, result):
    table = pd.read_csv(run.directory.split, dtype=str)
    few = table.index[table["split"] == "val"][:3].union(table.index[table["split"] == "test"][:2])
    table.loc[few, "ground"] = "mud"
    table.to_csv(run.directory.split, index=False)
    found = tlkit.repair(run, by="ground")
    assert found.too_few == {"mud": 3} and found.judged_by == "class × ground"
    assert set(found.groups) == set(result.groups) and found.verdict == "PASS"
    assert any(note == saying("worst group", "20 validation images", "mud 3") for note in found.tables()[0].notes)
    assert found.before is not None and found.comparison.overall.pairs.n == 96
    assert {row.name for row in found.comparison.rows if row.by == found.judged_by} >= set(found.groups)
    one = tlkit.repair(run, by="ground", min_group_size=48, name="one")
    assert (one.verdict, set(one.too_few)) == ("NOT ENOUGH DATA", {"mud", "dry"})


def test_without_a_test_split_nothing_is_chosen(run):
    table = pd.read_csv(run.directory.split, dtype=str)
    table[table["split"] != "test"].to_csv(run.directory.split, index=False)
    result = tlkit.repair(run, by="ground")
    assert (result.verdict, result.run, result.trials) == ("NOT ENOUGH DATA", None, ())
    assert result.images["test"] == 0 and result.tables()[0].notes[0] == saying("no test images", "data.test")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"by": "gruond"}, "Did you mean 'ground'"),
        ({"by": "ground", "margin": 1.5}, "margin is 1.5"),
        ({"by": "ground", "min_group_size": 0}, "`min_group_size` must be an integer of at least 1. Got 0"),
        ({"by": "ground:separator=r"}, "holds several values per image"),
        ({"by": "ground", "name": "a/b"}, "name"),
    ],
)
def test_wrong_input_is_refused_before_the_run_is_written(more, message, run):
    with pytest.raises(TlkitError, match=message):
        tlkit.repair(run, **more)
    assert [path.name for path in run.path.parent.iterdir()] == ["birds"]
