"""Features made by another process: the same as one's own, only sooner, and never in the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import tlkit.torchvision_cure  # isort: skip

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.command import tlkit
from tlkit import forked
from tlkit.errors import DataError, ModelError
from tlkit.features import engine_choice
from tlkit.features.cache import FeatureCache
from tlkit.forked import ForkedError, tell
from tlkit.pipeline.fit import fit
from tlkit.pipeline.inference import beside
from tlkit.pipeline.inference.beside import FeaturesBeside, can_be_made_beside, can_begin
from tlkit.predictions import read_predictions
from tlkit.recipe import load_recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

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
    torch.manual_seed(0)
    weights = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(root=image_folder(**{"": 8}), weights=tmp_path / "weights.safetensors"))
    return path


@pytest.fixture
def started(monkeypatch):
    """Fork from this process, torch or not, and note every process that makes features."""
    processes = []

    class Noted(forked.Forked):
        def __init__(self, work):
            super().__init__(work)
            processes.append(self)

    monkeypatch.setattr(beside, "can_begin", lambda: True)
    monkeypatch.setattr(beside, "can_fork", lambda: True)
    monkeypatch.setattr(beside, "Forked", Noted)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what a fork inherits of several would keep it waiting
    yield processes
    torch.set_num_threads(threads)
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def cached_images():
    return [info.images for info in FeatureCache().info()]


def test_a_fit_finds_the_features_that_another_process_has_made(recipe, started, caplog):
    caplog.set_level("INFO", logger="tlkit")
    run = fit(recipe)
    assert len(started) == 1
    images = len(run.samples)
    assert f"All {images} images have cached features (test_resnet, torch/cpu)." in caplog.messages
    assert sum("pass through the backbone" in message for message in caplog.messages) == 1
    assert sum(message.startswith("Cropped and edited copies:") for message in caplog.messages) == 1
    assert cached_images() == [images]


@pytest.mark.slow
def test_the_command_makes_them_beside_and_to_the_same_bits(recipe, tmp_path):
    one = tlkit("fit", recipe, cwd=tmp_path)
    with_a_thread = (
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "from tlkit.cli.app import main\n"
        "main()"
    )
    other = tlkit("fit", recipe, "name=alone", cwd=tmp_path, code=with_a_thread)
    assert (one.returncode, other.returncode) == (0, 0), one.stderr + other.stderr
    assert "All 16 images have cached features" in one.stderr  # which this process has not made

    def told(run, *path):
        return (tmp_path / "runs" / run).joinpath(*path)

    probabilities = [read_predictions(told(name, "predictions", "val.parquet")).proba for name in ("tiny", "alone")]
    np.testing.assert_array_equal(*probabilities)
    for place in (("leaks.csv",), ("metrics.csv",), ("split.csv",)):
        assert told("tiny", *place).read_text() == told("alone", *place).read_text()
    made_by = [json.loads(told(name, "environment.json").read_text())["features"] for name in ("tiny", "alone")]
    assert made_by[0] == made_by[1]


def test_features_that_are_there_are_found_and_copies_looked_for_all_the_same(recipe, started, caplog):
    fit(recipe)
    caplog.set_level("INFO", logger="tlkit")
    caplog.clear()
    fit(recipe, {"name": "again"})
    assert len(started) == 2
    assert not any("pass through the backbone" in message for message in caplog.messages)
    assert sum("have cached features" in message for message in caplog.messages) == 1
    assert sum(message.startswith("Cropped and edited copies:") for message in caplog.messages) == 1


def test_views_are_made_beside_as_well(recipe, started, caplog):
    caplog.set_level("INFO", logger="tlkit")
    assert fit(recipe, {"augment.preset": "light", "features.views": 2}).status == "finished"
    made = [message for message in caplog.messages if "pass through the backbone" in message]
    assert len(started) == 1 and len(made) == 3  # each view, and the images as they are


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "full"}, {"augment.preset": "light"}, {"train.mixup": 0.2}, {"features.use": "never"},
        {"train.device": "cuda"}, {"model.weights": "none"},
    ],
)  # fmt: skip
def test_pixels_for_every_epoch_and_gpus_leave_nothing_to_make_beside(recipe, changes):
    assert can_be_made_beside(load_recipe(recipe))
    assert not can_be_made_beside(load_recipe(recipe, changes))


def test_what_leaves_nothing_to_make_beside_is_loaded_while_the_images_are_checked(recipe, started):
    assert fit(recipe, {"train.mixup": 0.2}).status == "finished"
    assert not started


def test_one_core_threads_and_a_torch_that_is_loaded_forbid_it(recipe, monkeypatch):
    monkeypatch.setattr(beside, "can_fork", lambda: True)
    monkeypatch.setattr(beside, "available_cores", lambda: 2)
    assert not can_begin()
    monkeypatch.delitem(sys.modules, "torch")
    assert can_begin()
    monkeypatch.setattr(beside, "available_cores", lambda: 1)
    assert not can_begin()
    with FeaturesBeside(load_recipe(recipe)) as other:
        assert other.load is None


def fail(*_):
    raise MemoryError


def exit_at_once(*_):
    os._exit(3)


def kill_itself(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def tell_junk(home, *_):
    for junk in (3, [1, 2], {}, ("a",), "text"):
        tell(home, junk)


@pytest.mark.parametrize("make", [fail, exit_at_once, kill_itself, tell_junk])
def test_a_fit_goes_on_without_the_other_process(recipe, started, monkeypatch, caplog, make):
    caplog.set_level("INFO", logger="tlkit")
    monkeypatch.setattr(beside, "_make", make)
    run = fit(recipe)
    assert len(started) == 1
    assert run.status == "finished"
    assert cached_images() == [len(run.samples)]
    why = "MemoryError: " if make is fail else "it has ended"
    assert f"The process that makes features beside has stopped ({why})" in caplog.text


@pytest.mark.parametrize("workers", [0, 2])
def test_it_decodes_in_processes_of_its_own_where_the_recipe_says_so(recipe, started, workers, caplog):
    caplog.set_level("INFO", logger="tlkit")
    run = fit(recipe, {"data.num_workers": workers})
    assert len(started) == 1
    assert sum("pass through the backbone" in message for message in caplog.messages) == 1
    assert f"All {len(run.samples)} images have cached features (test_resnet, torch/cpu)." in caplog.messages


def test_a_process_that_says_nothing_is_not_waited_for(recipe, started, monkeypatch, caplog):
    caplog.set_level("INFO", logger="tlkit")
    monkeypatch.setattr(beside, "PATIENCE_S", 0.1)
    monkeypatch.setattr(beside, "_make", lambda *_: time.sleep(60))
    assert fit(recipe).status == "finished"
    assert len(started) == 1
    assert "has stopped (it has said nothing for 0 s); the rest is made here." in caplog.text


def test_where_the_cache_cannot_be_shared_no_process_is_started(recipe, started, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "file"))
    assert fit(recipe).status == "finished"
    assert not started


def test_a_system_that_allows_no_process_is_no_matter(recipe, started, monkeypatch):
    def refuse(self, work):
        raise ForkedError("it cannot be started: Resource temporarily unavailable")

    monkeypatch.setattr(beside, "Forked", type("Refused", (), {"__init__": refuse}))
    assert fit(recipe).status == "finished"


def test_threads_that_come_up_before_it_is_forked_forbid_it(recipe, started, monkeypatch):
    monkeypatch.setattr(beside, "can_fork", lambda: False)
    assert fit(recipe).status == "finished"
    assert not started


def test_damage_of_the_cache_is_told_as_ever(recipe, started, caplog):
    fit(recipe)
    (shard,) = (recipe.parent / "cache").rglob("*.npy")
    data = bytearray(shard.read_bytes())
    data[-4:] = b"\x00\xff\x00\xff"
    shard.write_bytes(data)
    caplog.clear()
    fit(recipe, {"name": "again"})
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum("is damaged; the features of its 16 images are computed again." in message for message in warned) == 1


def test_a_shelf_that_cannot_be_written_is_left_to_this_process(recipe, started, monkeypatch, caplog):
    caplog.set_level("INFO", logger="tlkit")
    fit(recipe)
    (shelf,) = {path.parent for path in (recipe.parent / "cache").rglob("*.npy")}
    shutil.rmtree(shelf)
    shelf.touch()
    caplog.clear()
    before = set(Path(tempfile.gettempdir()).glob("tlkit-features-*"))
    assert fit(recipe, {"name": "again"}).status == "finished"
    assert sum("pass through the backbone" in message for message in caplog.messages) == 1
    assert "The process that makes features beside has stopped (FileExistsError" in caplog.text
    assert len(set(Path(tempfile.gettempdir()).glob("tlkit-features-*")) - before) == 1  # this process's own


def test_engines_are_compared_once_this_process_waits(recipe, started, monkeypatch, caplog):
    caplog.set_level("INFO", logger="tlkit")
    monkeypatch.setattr(engine_choice, "WORTH_TRYING_S", dict.fromkeys(engine_choice.WORTH_TRYING_S, 0.0))
    monkeypatch.setattr(engine_choice, "candidates", lambda device: ("torch", "torch-bf16"))
    assert fit(recipe).status == "finished"
    assert "torch-bf16" in next(message for message in caplog.messages if "runs the frozen backbone" in message)
    assert sum("pass through the backbone" in message for message in caplog.messages) == 1


def test_ctrl_c_while_it_is_at_work_ends_it(recipe, started, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FeaturesBeside, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe)
    assert len(started) == 1  # and gone, as the fixture sees to


def test_images_that_cannot_be_used_are_told_before_any_process_makes_features(recipe, started):
    for path in recipe.parent.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError):
        fit(recipe)
    assert not started


def test_weights_that_do_not_fit_are_told(recipe, started, tmp_path):
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError):
        fit(recipe)
    assert not started


def test_more_images_than_are_worth_it_start_no_process(recipe, started, monkeypatch):
    monkeypatch.setattr(beside, "MOST_IMAGES", 1)
    assert fit(recipe).status == "finished"
    assert not started
