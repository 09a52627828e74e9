"""Features made by another process: the same as one's own, only sooner, and never in the way."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from tlkit.errors import DataError
from tlkit.features.cache import FeatureCache
from tlkit.features.features import Provenance, View
from tlkit.pipeline.fit import fit
from tlkit.pipeline.starting import beside
from tlkit.pipeline.starting.beside import FeaturesBeside, can_be_made_beside
from tlkit.preprocess import Preprocess
from tlkit.recipe import load_recipe
from tlkit.samples import Samples

RECIPE = """\
recipe_version: 1
name: tiny
data: {{root: {root}, batch_size: 8, num_workers: 0, image_size: 32, val: 0.25}}
augment: none
model: {{name: test_resnet, weights: "file:{weights}"}}
strategy: frozen
train: {{epochs: 1, device: cpu}}
"""


@pytest.fixture
def recipe(tmp_path, image_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(beside, "FEWEST_IMAGES", 16)
    monkeypatch.setattr(beside, "available_cores", lambda: 2)
    torch.manual_seed(0)
    weights = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(root=image_folder(**{"": 8}), weights=tmp_path / "weights.safetensors"))
    return path


@pytest.fixture
def started(monkeypatch):
    """Note every process that is started to make features."""
    processes = []
    real = subprocess.Popen

    def note(command, **options):
        process = real(command, **options)
        if beside.MAIN in command:
            processes.append(process)
        return process

    monkeypatch.setattr(beside.subprocess, "Popen", note)
    return processes


def cached_images():
    return [info.images for info in FeatureCache().info()]


@pytest.mark.slow
def test_a_fit_finds_the_features_that_another_process_has_made(recipe, started, monkeypatch, caplog, tmp_path):
    caplog.set_level("INFO", logger="tlkit")
    run = fit(recipe)
    assert len(started) == 1
    images = len(run.samples)
    assert f"features.engine is auto: torch, whose features of {images} images are kept already." in caplog.messages
    assert f"All {images} images have cached features (test_resnet, torch/cpu)." in caplog.messages
    assert sum("pass through the backbone" in message for message in caplog.messages) == 1
    assert sum(message.startswith("Cropped and edited copies:") for message in caplog.messages) == 1

    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(beside, "FEWEST_IMAGES", 1000)
    alone = fit(recipe, {"name": "alone"})
    assert len(started) == 1
    one, other = run.predictions("val"), alone.predictions("val")
    np.testing.assert_array_equal(one.proba, other.proba)
    assert run.leaks.equals(alone.leaks)


@pytest.mark.slow
def test_no_process_is_started_for_features_that_are_cached(recipe, started):
    fit(recipe)
    fit(recipe, {"name": "again"})
    assert len(started) == 2  # the second is ended when the images are found in the cache
    assert len(cached_images()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "full"}, {"augment.preset": "light"}, {"augment.preset": "light", "features.views": 2},
        {"train.mixup": 0.2}, {"features.use": "never"}, {"train.device": "cuda"},
        {"model.weights": "none"},
    ],
)  # fmt: skip
def test_pixels_for_every_epoch_and_gpus_leave_nothing_to_make_beside(recipe, changes):
    assert can_be_made_beside(load_recipe(recipe))
    assert not can_be_made_beside(load_recipe(recipe, changes))


def test_few_images_and_one_core_are_not_worth_a_process(recipe, started, monkeypatch):
    read = load_recipe(recipe)
    monkeypatch.setattr(beside, "FEWEST_IMAGES", 1000)
    with FeaturesBeside(read):
        pass
    monkeypatch.setattr(beside, "FEWEST_IMAGES", 16)
    monkeypatch.setattr(beside, "available_cores", lambda: 1)
    with FeaturesBeside(read):
        pass
    assert not started


@pytest.mark.parametrize(
    "program",
    ["raise SystemExit(3)", "print('no JSON'); raise MemoryError", "print(3); print([1, 2]); print({}); print()",
     "import sys; sys.stdout.buffer.write(bytes([255, 10]))"],
)  # fmt: skip
def test_a_fit_goes_on_without_the_other_process(recipe, started, monkeypatch, program):
    monkeypatch.setattr(beside, "MAIN", program)
    run = fit(recipe)
    assert started[0].poll() is not None
    assert run.status == "finished"
    assert cached_images() == [len(run.samples)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_it_decodes_in_processes_of_its_own_where_the_recipe_says_so(recipe, started, workers, caplog):
    caplog.set_level("INFO", logger="tlkit")
    run = fit(recipe, {"data.num_workers": workers})
    assert started[0].poll() is not None
    assert sum("pass through the backbone" in message for message in caplog.messages) == 1
    assert f"All {len(run.samples)} images have cached features (test_resnet, torch/cpu)." in caplog.messages


@pytest.mark.parametrize("program", ["", "print('null', flush=True); "])
def test_a_process_that_says_nothing_is_not_waited_for(recipe, started, monkeypatch, caplog, program):
    caplog.set_level("INFO", logger="tlkit")
    monkeypatch.setattr(beside, "PATIENCE_S" if program else "FIRST_WORD_S", 0.1)
    monkeypatch.setattr(beside, "MAIN", f"{program}import sys; sys.stdin.read()")
    assert fit(recipe).status == "finished"
    assert "The process that makes features beside says nothing more; they are made here." in caplog.messages
    assert started[0].poll() is not None


@pytest.mark.parametrize("python", ["/nowhere/python", "", None])
def test_a_python_that_cannot_be_started_is_no_matter(recipe, started, monkeypatch, python):
    monkeypatch.setattr(beside.sys, "executable", python)
    with FeaturesBeside(load_recipe(recipe)) as other:
        other.wait()
    assert not started


def test_it_reads_no_modules_from_the_working_directory_and_keeps_to_what_is_cached(recipe, monkeypatch, caplog):
    caplog.set_level("INFO", logger="tlkit")
    (recipe.parent / "json.py").write_text("raise SystemExit('a stranger')\n")
    monkeypatch.setattr(sys, "path", [*sys.path, recipe.parent])  # no text: Python passes over it
    program = "import json, os\nprint(json.dumps(['tlkit', 'offline ' + os.environ['HF_HUB_OFFLINE']]))"
    monkeypatch.setattr(beside, "MAIN", program)
    with FeaturesBeside(load_recipe(recipe)) as other:
        other.wait()
    assert "offline 1" in caplog.messages


def test_where_the_cache_cannot_be_shared_no_process_is_started(recipe, started, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "file"))
    with FeaturesBeside(load_recipe(recipe)):
        pass
    assert not started


def test_ctrl_c_while_the_cache_is_looked_at_ends_the_other_process(recipe, started, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(beside, "are_cached", interrupt)
    with pytest.raises(KeyboardInterrupt), FeaturesBeside(load_recipe(recipe)):
        pass
    assert len(started) == 1 and started[0].returncode is not None


def test_features_of_another_size_or_of_views_are_not_those_that_are_wanted(recipe):
    read, files = load_recipe(recipe), sorted(recipe.parent.rglob("*.png"))
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]

    def keep(size, view):
        made_by = Provenance(
            "test_resnet", "0f", "pooled", Preprocess(image_size=size), "rules 1", "torch/cpu", "float32", view
        )
        keys = [made_by.key(digest, sample_id=1) for digest in digests]
        FeatureCache().shelf(made_by).add(keys, np.zeros((len(keys), 4), dtype=np.float32))

    keep((64, 64), None)
    keep((32, 32), View("light", 0, 0))
    assert not beside.are_cached(read, files)
    keep((32, 32), None)
    assert beside.are_cached(read, files)


def test_what_is_wrong_with_the_images_ends_the_other_process(recipe, started, image_folder):
    for path in sorted((recipe.parent).rglob("*.png")):
        path.write_bytes(b"no image")
    with pytest.raises(DataError):
        fit(recipe)
    assert started[0].poll() is not None


def test_it_ends_when_the_process_that_started_it_is_gone(recipe):
    process = subprocess.Popen(
        [sys.executable, "-c", beside.MAIN, json.dumps(sys.path)], stdin=subprocess.PIPE, text=True
    )
    process.stdin.write("{}\n")  # it waits for the images
    process.stdin.close()
    assert process.wait(timeout=60) == 1


def test_more_images_than_are_worth_it_end_the_other_process(recipe, started, monkeypatch, tmp_path):
    import pandas as pd

    monkeypatch.setattr(beside, "MOST_IMAGES", 1)
    columns = {"path": ["a.png", "b.png"], "label": "cat", "split": "train", "digest": ""}
    with FeaturesBeside(load_recipe(recipe)) as other:
        other.give(Samples(tmp_path, ("cat",), pd.DataFrame(columns)))
        assert started[0].poll() is not None
        other.wait()
