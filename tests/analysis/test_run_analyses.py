"""Learning curve and out-of-fold predictions of a run, in Python and on the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import timm
from command import invoke
from messages import saying, says
from PIL import Image
from safetensors.torch import save_file
from scenes import scene

import tlkit
from tlkit.analysis.audit_labels import audit_labels
from tlkit.analysis.learning_curve_result import LearningCurve
from tlkit.analysis.run_analyses import learning_curve, out_of_fold
from tlkit.errors import RunError
from tlkit.features import folds

RECIPE = """\
recipe_version: 1
name: probed
data: {{root: {root}, num_workers: 0, image_size: 32, val: 0.25}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {{kind: frozen, head: ridge}}
report: {{enabled: false}}
"""


@pytest.fixture
def run(tmp_path, image_folder, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=image_folder(**{"": 24})))
    return tlkit.fit(tmp_path / "r.yaml")


@pytest.mark.slow
def test_only_training_images_are_used(run, tmp_path):
    found = out_of_fold(run, head="ridge", repeats=2)
    assert sorted(found.predictions.path) == sorted(run.samples.split("train").paths)
    assert found.proba.shape == (2, 36, 2)
    curve = learning_curve(run, head="ridge", sizes=(2, 4, 8), repeats=1)
    assert (curve.n, [point.per_class for point in curve.points]) == (36, [2, 4, 8])
    assert says(curve.tables()[0].notes[-1], "not enough data", "3 points")
    shown = invoke(["learning-curve", str(run.path), "--head", "ridge", "--plot", str(tmp_path / "c.svg")])
    assert shown.exit_code == 0 and "images per class" in shown.stdout and "+30 images" in shown.stdout
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    asked = invoke(["learning-curve", str(run.path), "--head", "ridge", "--more", "7", "--json"])
    stated = json.loads(asked.stdout)
    assert stated["forecast"] == {"more": 7, "gain": LearningCurve.from_dict(stated).gain(7).to_dict()}


def test_the_column_of_the_split_binds_folds_without_being_a_group(tmp_path, image_folder, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    root = image_folder(**{"": 24})
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    patient = {path: f"p{row // 4}" for row, path in enumerate(paths)}
    pd.DataFrame({"path": list(patient), "patient": list(patient.values())}).to_csv(tmp_path / "m.csv", index=False)
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=root))
    run = tlkit.fit(tmp_path / "r.yaml", {"data.metadata": str(tmp_path / "m.csv"), "data.group_by": "patient"})
    assert run.predictions("val").group_columns == ()
    found = out_of_fold(run, head="ridge", repeats=1, folds=3)
    fold = pd.Series(found.folds.assignments[0], index=found.predictions.path)
    assert (fold.groupby(patient).nunique() == 1).all() and fold.nunique() == 3
    for command in ("leaks", "labels"):
        shown = invoke(["data", command, str(run.path)])
        assert shown.exit_code == 0, shown.output
    table = run.samples.table.drop(columns="patient")
    run.directory.split.write_text(table.to_csv(index=False, lineterminator="\n"))
    with pytest.raises(RunError, match=r"split\.csv has no column 'patient'"):
        out_of_fold(run, head="ridge")


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A run on 40 training images that are pairs of near duplicates: one scene, of which one has a patch of gray."""
    root = tmp_path_factory.mktemp("twins")
    for split, scenes in (("train", range(20)), ("val", range(20, 52)), ("test", range(60, 92))):
        for number in scenes:
            folder = root / "data" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            image = scene(number)
            image.save(folder / f"{number}.png")
            if split == "train":
                pixels = np.array(image)
                pixels[30:42, 30:42] = 128
                Image.fromarray(pixels).save(folder / f"{number}_patch.png")
    recipe = RECIPE.format(root=root / "data").replace("head: ridge", "head: auto").replace(", val: 0.25", "")
    (root / "r.yaml").write_text(recipe)
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), root / "test.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKIT_CACHE", str(root / "cache"))
        seen = spy(patch)
        yield tlkit.fit(root / "r.yaml", runs_dir=root / "runs"), seen[-1]


def spy(monkeypatch) -> list[list[int]]:
    """Return the list to which every assignment of folds adds the sizes of its units."""
    sizes: list[list[int]] = []
    real = folds._assign_units

    def noted(units, *arguments):
        sizes.append([len(unit) for unit in units])
        return real(units, *arguments)

    monkeypatch.setattr(folds, "_assign_units", noted)
    return sizes


def test_a_fit_stores_its_near_duplicates_and_its_head_is_chosen_on_folds_that_they_bind(twins):
    run, sizes = twins
    assert len(run.alike) == 20
    assert not run.alike["is_copy"].any()
    assert {tuple(sorted(pair)) for pair in run.alike[["path", "other"]].to_numpy().tolist()} == {
        (f"train/{'ab'[number % 2]}/{number}.png", f"train/{'ab'[number % 2]}/{number}_patch.png")
        for number in range(20)
    }
    assert sizes == [2] * 20
    assert run.leaks.empty


CONSUMERS = {
    "learning curve": lambda run: learning_curve(run, head="ridge", sizes=(4, 8), repeats=1),
    "out of fold": lambda run: out_of_fold(run, head="ridge"),
    "label audit": lambda run: audit_labels(run, head="ridge", splits="train"),
    "repair": lambda run: tlkit.repair(run, min_group_size=5, overwrite=True),
    "advice": lambda run: tlkit.advise(
        run, backbones=f"test_resnet@file:{run.path.parent.parent / 'test.safetensors'}"
    ),
}


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_every_consumer_of_folds_keeps_near_duplicates_together(twins, consumer, monkeypatch):
    sizes = spy(monkeypatch)
    CONSUMERS[consumer](twins[0])
    whole = [units for units in sizes if sum(units) == 40]
    assert whole and all(units == [2] * 20 for units in whole)


def test_the_settings_within_a_learning_curve_are_chosen_on_bound_folds_too(twins, monkeypatch):
    sizes = spy(monkeypatch)
    learning_curve(twins[0], head="ridge", sizes=(16,), repeats=1)
    assert [2] * 16 in sizes  # the training part of the first of five folds: 32 images, no pair torn apart


def test_where_out_of_fold_accuracy_lies_far_above_that_on_test_the_table_says_so(twins, monkeypatch):
    run = twins[0]
    curve = learning_curve(run, head="ridge", sizes=(4, 8), repeats=1)
    assert curve.measured == run.evaluation("test").accuracy
    assert len(curve.tables()[0].notes) == 2
    far = json.loads(json.dumps(curve.to_dict()))
    far["points"][-1]["accuracy"] |= {"value": 0.99, "low": 0.97, "high": 1.0}
    assert LearningCurve.from_dict(far).tables()[0].notes[1] == saying("0.990", "data.group_by")
