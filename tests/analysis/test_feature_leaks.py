"""Cropped copies of test images in train are found by `fit` with cached features, the doctor and `find_run_leaks`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
from command import invoke
from messages import saying, says
from safetensors.torch import save_file
from scenes import scene

import tlkit
from tlkit.analysis.run_leaks import find_run_leaks
from tlkit.data.checks import image_check as check
from tlkit.data.checks import near_duplicates
from tlkit.data.checks.gray_thumbnails import read_gray_thumbnail
from tlkit.errors import DataError, ModelError
from tlkit.preflight import recipe_dataset as images
from tlkit.recipe import AugmentSection, Recipe
from tlkit.runs.run import open_run
from tlkit.training import train_model as fitting
from tlkit.training.fit import fit

CROPPED = ["test/a/t2.png", "test/b/t3.png"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """24 training and 12 test images; of two test images a frame lies in train, of one a smaller version."""
    root = tmp_path_factory.mktemp("leaky")
    for label in "ab":
        (root / "train" / label).mkdir(parents=True)
    for number in range(36):
        split, label = ("test" if number < 12 else "train"), "ab"[number % 2]
        (root / split / label).mkdir(parents=True, exist_ok=True)
        image = scene(number)
        image.save(root / split / label / f"t{number}.png")
        if number in (2, 3):
            image.crop((8, 6, image.width - 6, image.height - 10)).save(root / "train" / label / f"z{number}.png")
        if number == 4:
            image.resize((60, 60)).save(root / "train" / label / f"z{number}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def small_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def recipe_of(root: Path, *, task="multiclass", **data) -> Recipe:
    return Recipe(
        recipe_version=1,
        name="leaky",
        task=task,
        data={"root": str(root), "val": 0.0, "image_size": 64, **data},
        model={"name": "test_resnet", "weights": "none"},
        strategy={"kind": "frozen"},
        augment={"preset": "none"},
        train={"epochs": 1},
        report={"enabled": False},
        features={"engine": "torch"},
    )


@pytest.fixture
def never_read(monkeypatch):
    """Fail if an image is decoded again: the gray thumbnails come from the check of the images."""
    monkeypatch.setattr(
        near_duplicates, "read_gray_thumbnail", lambda file, **_: pytest.fail(f"{file} was decoded once more")
    )


def test_a_fit_with_cached_features_counts_cropped_copies_as_leaks(planted, tmp_path, caplog, never_read):
    caplog.set_level("WARNING", "tlkit")
    run = fit(recipe_of(planted), runs_dir=tmp_path)
    leaks = run.leaks.set_index("path")
    assert leaks["how"].to_dict() == {"test/a/t4.png": "re-encoded", **dict.fromkeys(CROPPED, "cropped")}
    assert leaks.loc[CROPPED, "duplicate_of"].tolist() == ["train/a/z2.png", "train/b/z3.png"]
    clean = run.evaluation("test").without_leaks
    assert (clean.n_leaked, run.evaluation("test").n) == (3, 12)
    pairs = "test/a/t2.png as train/a/z2.png, test/b/t3.png as train/b/z3.png"
    assert saying("Leak", "2 of 12", "2 cropped", pairs) in caplog.messages


def test_the_leaks_are_on_disk_before_training_starts(planted, tmp_path, monkeypatch):
    class Stopped(Exception):
        pass

    def stop(*_, **__):
        raise Stopped

    monkeypatch.setattr(fitting, "train", stop)
    with pytest.raises(Stopped):
        fit(recipe_of(planted), runs_dir=tmp_path)
    assert set(open_run(tmp_path / "leaky").leaks["path"]) == {"test/a/t4.png", *CROPPED}


def test_the_evaluation_of_a_fit_uses_the_leaks_that_it_stores(planted, tmp_path):
    run = fit(recipe_of(planted), runs_dir=tmp_path)
    stored = run.directory.evaluation.read_bytes()
    run.evaluate("test")  # reads leaks and predictions from disk
    assert run.directory.evaluation.read_bytes() == stored


def test_a_run_that_is_resumed_finds_them_without_decoding_an_image_for_it(planted, tmp_path, never_read):
    run = fit(recipe_of(planted), runs_dir=tmp_path)
    found = run.leaks
    run.directory.leaks.unlink()
    run.directory.set_status("interrupted")
    assert fit(recipe_of(planted), runs_dir=tmp_path, resume=True).leaks.equals(found)


def test_beyond_the_limit_of_kept_thumbnails_images_are_decoded_again(planted, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(check, "MAX_KEPT_THUMBNAILS", 30)
    monkeypatch.setattr(
        near_duplicates, "read_gray_thumbnail", lambda *a, **k: read.append(1) or read_gray_thumbnail(*a, **k)
    )
    run = fit(recipe_of(planted), runs_dir=tmp_path)
    assert set(CROPPED) < set(run.leaks["path"])
    assert read


def test_gray_thumbnails_are_kept_where_features_will_be_cached(planted, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        images.Source, "load", lambda self, **options: asked.append(options["gray_thumbnails"]) or sys.exit()
    )
    changed = recipe_of(planted).model_copy(update={"augment": AugmentSection(preset="light")})
    for recipe in (recipe_of(planted), changed):
        with pytest.raises(SystemExit):
            fit(recipe, runs_dir=tmp_path)
    with pytest.raises(SystemExit):
        images.load_dataset(recipe_of(planted))  # as a plan does
    assert asked == [True, False, False]


def test_find_run_leaks_adds_them_to_a_run_and_evaluates_it_again(planted, tmp_path):
    run = fit(recipe_of(planted), runs_dir=tmp_path)
    table = run.leaks
    table[table["how"] != "cropped"].to_csv(run.directory.leaks, index=False)
    assert run.evaluate("test").without_leaks.n_leaked == 1
    result = invoke(["data", "leaks", str(run.path)], catch_exceptions=False)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["test/b/t3.png", "test", "train/b/z3.png", "train", "cropped"] in lines
    assert says(result.stdout, "3 val and test images")
    assert "accuracy without leaks" in result.stdout
    assert run.leaks.sort_values("path", ignore_index=True).equals(table.sort_values("path", ignore_index=True))
    assert run.evaluation("test").without_leaks.n_leaked == 3
    assert find_run_leaks(run).equals(run.leaks)  # a second time finds nothing more
    stated = json.loads(invoke(["data", "leaks", str(run.path), "--json"]).stdout)
    assert {row["path"] for row in stated["leaks"]} == {"test/a/t4.png", *CROPPED}


@pytest.mark.parametrize(("task", "data"), [("ordinal", {"grades": ["a", "b"]}), ("multilabel", {})])
def test_runs_of_other_tasks_list_their_leaks_without_figures(task, data, planted, tmp_path):
    run = fit(recipe_of(planted, task=task, **data), runs_dir=tmp_path)
    stored = run.directory.evaluation.read_bytes()
    table = run.leaks
    table[table["how"] != "cropped"].to_csv(run.directory.leaks, index=False)
    result = invoke(["data", "leaks", str(run.path)], catch_exceptions=False)
    assert (result.exit_code, says(result.stdout, "3 val and test images")) == (0, True)
    assert all(says(result.stdout, path) for path in CROPPED)
    assert set(run.leaks["path"]) == {"test/a/t4.png", *CROPPED}
    stated = json.loads(invoke(["data", "leaks", str(run.path), "--json"]).stdout)
    assert {row["path"] for row in stated["leaks"]} == {"test/a/t4.png", *CROPPED}
    assert stated["evaluation"] == {}
    assert run.directory.evaluation.read_bytes() == stored


def test_error_refuses_to_train_on_them(planted, tmp_path, never_read):
    root = tmp_path / "photos"
    for split, numbers in (("train", range(8)), ("test", (0, 9, 10, 11))):
        for number in numbers:
            folder = root / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            image = scene(number)
            if split == "test" and number == 0:
                image = image.crop((0, 0, image.width - 12, image.height - 12))
            image.save(folder / f"{number}.png")
    with pytest.raises(DataError, match=saying("1 of 4", "1 cropped").pattern):
        fit(recipe_of(root, on_leak="error"), runs_dir=tmp_path / "runs")
    assert not list((tmp_path / "runs/leaky/checkpoints").glob("*.ckpt"))


def test_the_doctor_finds_them_with_a_backbone_and_not_without(planted, tmp_path, never_read):
    weights = tmp_path / "w.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    found = tlkit.data_doctor(planted, embed=f"test_resnet@file:{weights}")
    kinds = {finding.kind: finding for finding in found.findings}
    assert [item.split(" = ")[0] for item in kinds["across-splits"].items] == [
        "test/a/t2.png",
        "test/a/t4.png",
        "test/b/t3.png",
    ]
    assert dict(found.quarantine)["train/b/z3.png"] == saying("test/b/t3.png")
    without = {finding.kind: finding for finding in tlkit.data_doctor(planted).findings}
    assert len(without["across-splits"].items) == 1


def test_a_backbone_that_is_not_here_is_refused_before_any_image_is_read(planted, monkeypatch):
    monkeypatch.setattr("tlkit.analysis.data_doctor.diagnose", lambda *a, **k: pytest.fail("read images"))
    with pytest.raises(ModelError, match=saying("test_vit.r160_in1k", "hub's cache").pattern):
        tlkit.data_doctor(planted, embed="test_vit")
    with pytest.raises(ModelError, match="No model matches 'resnet18x'"):
        tlkit.data_doctor(planted, embed="resnet18x")


def test_unreadable_images_are_skipped(planted, tmp_path):
    import shutil

    root = tmp_path / "broken"
    shutil.copytree(planted, root)
    (root / "train/a/z2.png").write_bytes(b"")
    (root / "train/a/none.png").write_bytes(np.random.default_rng(0).bytes(100))
    weights = tmp_path / "w.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    found = tlkit.data_doctor(root, embed=f"test_resnet@file:{weights}")
    across = next(finding for finding in found.findings if finding.kind == "across-splits")
    assert len(across.items) == 2
