"""Runs on lists, several folders, fixed splits and tar shards."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from kill_runs import model_bytes, stop_after
from messages import saying, says
from tars import write_tar

from tlkit.data.splits.hold_out import SplitPlan
from tlkit.data.splits.split_file import make_split
from tlkit.errors import DataError
from tlkit.inference.predictor import load_predictor
from tlkit.models.classifier import Classifier
from tlkit.runs.run import open_run
from tlkit.training.fit import fit


@pytest.fixture
def listed(tiny_recipe, tmp_path):
    """Write a list of the tiny recipe's images, two of them to a patient."""
    recipe = tiny_recipe()
    root = tmp_path / "colours"
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    table = pd.DataFrame({"path": paths, "label": [path.split("/")[0] for path in paths]})
    table["patient"] = [f"p{row // 2}" for row in range(len(table))]
    table["quarantine"] = ["", "blurred"] + [""] * (len(table) - 2)
    table.to_csv(tmp_path / "list.csv", index=False)
    return recipe


def test_a_run_on_a_list_is_evaluated_resumed_and_reported_like_any_other(listed, tmp_path):
    given = {"data.manifest": str(tmp_path / "list.csv"), "data.group_by": "patient"}
    run = fit(listed, given)
    assert run.status == "finished"
    table = run.samples.table
    assert len(table) == 31
    assert list(table.columns) == ["path", "label", "split", "digest", "patient"]
    patients = pd.read_csv(tmp_path / "list.csv").set_index("path").loc[table["path"], "patient"].to_numpy()
    assert (table.assign(patient=patients).groupby("patient")["split"].nunique() == 1).all()
    assert len(run.environment["data"]["sources"][str(tmp_path / "list.csv")]) == 64
    assert run.samples.root == tmp_path / "colours"
    assert all((run.samples.root / path).is_file() for path in table["path"])
    assert open_run(run.path).report().is_file()
    again = fit(run.path / "recipe.yaml", {"name": "again"})
    pd.testing.assert_frame_equal(again.samples.table, table)


def test_a_run_with_a_fixed_split_uses_it_and_refuses_other_images(tiny_recipe, tmp_path):
    recipe = tiny_recipe()
    root = tmp_path / "colours"
    made = make_split(root, tmp_path / "split.csv", plan=SplitPlan(val=0.1, test=0.4, seed=8))
    run = fit(recipe, {"data.split": "split.csv"})
    pd.testing.assert_frame_equal(run.samples.table, made.table)
    assert list(run.environment["data"]["sources"]) == ["split.csv"]
    same = fit(recipe, {"data.split": str(run.directory.split), "name": "same", "train.epochs": 1})
    pd.testing.assert_frame_equal(same.samples.table, made.table)
    next(root.glob("red/*.png")).unlink()
    with pytest.raises(DataError, match="missing"):
        fit(recipe, {"data.split": "split.csv", "name": "other"})


def test_a_run_on_two_folders_merges_their_classes(tiny_recipe, image_folder, tmp_path):
    recipe = tiny_recipe()
    image_folder("more", **{"": 8})
    run = fit(recipe, {"data.root": [str(tmp_path / "colours"), str(tmp_path / "more")], "train.epochs": 1})
    assert run.samples.counts().sum(axis=1).tolist() == [24, 24]
    assert run.samples.root == tmp_path


def test_leaks_are_stored_and_figures_come_with_and_without_them(tiny_recipe, tmp_path):
    recipe = tiny_recipe(train=8, test=6)
    root = tmp_path / "colours"
    for number in range(2):
        content = (root / "test" / "red" / f"{number:03d}.png").read_bytes()
        (root / "train" / "red" / f"leak{number}.png").write_bytes(content)
    run = fit(recipe, {"train.epochs": 1})
    assert run.leaks["path"].tolist() == ["test/red/000.png", "test/red/001.png"]
    assert run.leaks["how"].tolist() == ["identical"] * 2
    evaluation = run.evaluate("test")
    predictions = run.predictions("test")
    clean = ~np.isin(predictions.path, run.leaks["path"])
    assert evaluation.without_leaks.n_leaked == 2
    assert evaluation.without_leaks.accuracy.n == 10
    assert evaluation.without_leaks.accuracy.value == pytest.approx(predictions.correct[clean].mean())
    assert type(evaluation).from_dict(evaluation.to_dict()) == evaluation
    rows = {metric: basis for metric, _, basis in evaluation.tables()[0].rows}
    assert rows["accuracy without leaks"] == saying("10 images", "2")
    page = run.report("test").read_text(encoding="utf-8")
    assert "Accuracy without leaks" in page
    assert "train/red/leak0.png" in page
    dropped = fit(recipe, {"train.epochs": 1, "data.on_leak": "drop", "name": "dropped"})
    assert dropped.evaluate("test").without_leaks is None
    assert dropped.samples.counts().loc["red", "train"] == 8 - 2  # two were held out for val
    assert says(dropped.report("test").read_text(encoding="utf-8"), "duplicates", "excluded")


def write_block(path, files):
    members = {}
    for file in files:
        key = f"{file.parent.name}{file.stem}"
        members |= {f"{key}.png": file.read_bytes(), f"{key}.cls": file.parent.name.encode()}
    write_tar(path, members)


def test_a_run_on_shards_is_the_run_on_their_folder(tiny_recipe, tmp_path):

    recipe = tiny_recipe()
    root = tmp_path / "colours"
    write_block(tmp_path / "all-0.tar", sorted(root.rglob("*.png")))
    run = fit(recipe, {"data.root": [], "data.shards": str(tmp_path / "all-{0..0}.tar")})
    assert run.status == "finished"
    assert run.samples.counts().sum().tolist() == [16, 8, 8]
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in root.rglob("*.png")}
    assert set(run.samples.table["digest"]) <= digests
    assert len(run.predictions("test")) == 8
    again = load_predictor(run).predict([tmp_path / "all-0.tar"])
    assert len(again) == 32
    assert "all-0.tar/blue000.png" in again.path[0]


STREAM = {
    "data.root": [],
    "data.shards": "s-{0..1}.tar",
    "data.shuffle_buffer": 6,
    "data.batch_size": 4,
    "data.test": 0,
    "report.enabled": False,
}


@pytest.fixture
def streamed(tiny_recipe, tmp_path):
    """Write the tiny recipe's images into two shards, as they come."""
    recipe = tiny_recipe()
    files = np.random.default_rng(0).permutation(sorted((tmp_path / "colours").rglob("*.png")))
    for number in range(2):
        write_block(tmp_path / f"s-{number}.tar", files[number::2])
    return recipe


def indices_of(recipe, changes, monkeypatch):
    """Fit, and return the run with the images that each training step saw."""
    seen, original = [], Classifier.training_step
    with monkeypatch.context() as patch:
        watched = lambda s, batch, *a: seen.append(batch.index.tolist()) or original(s, batch, *a)  # noqa: E731
        patch.setattr(Classifier, "training_step", watched)
        return fit(recipe, {**STREAM, **changes}), seen


def test_a_run_that_reads_shards_front_to_back_is_resumed_within_an_epoch(streamed, monkeypatch, caplog):
    given = {"train.epochs": 2, "augment.preset": "light"}
    whole, steps = indices_of(streamed, {**given, "name": "whole"}, monkeypatch)
    assert says(caplog.messages, "2 shards", "shuffled within 6")
    for epoch in (steps[:6], steps[6:]):
        assert sorted(index for step in epoch for index in step) == list(range(24))
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        fit(streamed, {**STREAM, **given, "name": "cut"})
    resumed = fit(streamed, {**STREAM, **given, "name": "cut"}, resume=True)
    assert model_bytes(resumed) == model_bytes(whole)


def test_cached_features_come_in_the_order_in_which_the_shards_would_be_read(streamed, monkeypatch):
    frozen = {"strategy": "frozen", "train.epochs": 1}
    _, cached = indices_of(streamed, {**frozen, "name": "cached"}, monkeypatch)
    _, live = indices_of(streamed, {**frozen, "name": "live", "features.cache": "never"}, monkeypatch)
    assert cached == live
