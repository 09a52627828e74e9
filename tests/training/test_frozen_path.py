"""Training on cached features equals training on images with a frozen backbone."""

from __future__ import annotations

import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from kill_runs import interrupt_after
from messages import saying, says

import tlkit
from tlkit.errors import MissingExtraError, RecipeError
from tlkit.features import FeatureCache
from tlkit.features.engines.engine_choice import create_engine
from tlkit.models.model_files import read_tensors
from tlkit.models.weights.weight_files import tensors_digest, without_prefix
from tlkit.recipe import load_recipe
from tlkit.training.fit import fit

FROZEN = {"strategy": "frozen", "features.engine": "torch"}
SETTINGS = {
    **FROZEN,
    "train.epochs": 4,
    "model.drop_rate": 0.3,
    "train.label_smoothing": 0.1,
    "train.gradient_clip_val": 0.5,
    "train.class_weights": {"red": 2.0},
    "train.warmup_epochs": 1,
    "data.batch_size": 5,
    "report.enabled": False,
}


@pytest.fixture
def recipe(tiny_recipe):
    return tiny_recipe(strategy="frozen")


def backbone_passes(caplog):
    counts = [int(m.split("backbone runs on ")[1].split()[0]) for m in caplog.messages if "backbone runs on " in m]
    caplog.clear()
    return sum(counts)


def tensors(run):
    return read_tensors(run.directory.model)


def assert_same_head(one, other, *, atol):
    ours, theirs = tensors(one), tensors(other)
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(ours[name], theirs[name], atol=atol, rtol=1e-3)
    backbones = [tensors_digest(without_prefix(part, "backbone.")) for part in (ours, theirs)]
    assert backbones[0] == backbones[1]


@pytest.mark.parametrize("name", ["test_resnet", pytest.param("test_vit", marks=pytest.mark.series)])
def test_a_head_on_cached_features_equals_one_trained_on_images(recipe, caplog, name):
    chosen = {**SETTINGS, "model.name": name}
    cached = fit(recipe, {**chosen, "name": "cached"})
    assert says(caplog.messages, "head", "cached features")
    live = fit(recipe, {**chosen, "name": "live", "features.cache": "never", "features.engine": "auto"})
    assert_same_head(cached, live, atol=1e-5)
    pd.testing.assert_frame_equal(cached.history, live.history, atol=1e-4, rtol=1e-3)
    for split in ("val", "test"):
        np.testing.assert_allclose(cached.predictions(split).proba, live.predictions(split).proba, atol=1e-5)
        assert cached.predictions(split).path.tolist() == live.predictions(split).path.tolist()


def test_predictions_from_cached_features_are_those_of_the_stored_model(recipe, caplog):
    run = fit(recipe, SETTINGS)
    assert backbone_passes(caplog) == 32
    stored = run.predictions("test")
    again = tlkit.load_model(run).predict([run.samples.root / path for path in stored.path])
    np.testing.assert_allclose(again.proba, stored.proba, atol=1e-5)
    made_by = run.environment["features"]
    assert (made_by["architecture"], made_by["engine"], made_by["dtype"]) == ("test_resnet", "torch/cpu", "float32")
    assert made_by["weights"] == run.environment["weights"]["digest"]
    fit(recipe, {**SETTINGS, "name": "other", "train.optimizer": "sgd", "data.val": 0.5})
    assert backbone_passes(caplog) == 0


def test_cached_views_equal_the_augmented_images_of_as_many_epochs(recipe, caplog):
    chosen = {**SETTINGS, "augment.preset": "medium", "train.epochs": 2}
    cached = fit(recipe, {**chosen, "name": "cached", "features.views": 2})
    assert says(caplog.messages, "head", "2 augmented views")
    assert backbone_passes(caplog) == 16 + 2 * 16
    live = fit(recipe, {**chosen, "name": "live"})
    assert says(caplog.messages, "augmentation", "every epoch")
    assert backbone_passes(caplog) == 0
    assert_same_head(cached, live, atol=1e-5)
    more = fit(recipe, {**chosen, "name": "more", "features.views": 2, "train.epochs": 5})
    assert len(more.history) == 5
    assert backbone_passes(caplog) == 0


@pytest.mark.parametrize("batches", [4])
def test_a_stopped_run_on_cached_features_resumes_to_the_same_weights(recipe, monkeypatch, batches):
    whole = fit(recipe, {**SETTINGS, "name": "whole"})
    with monkeypatch.context() as patch:
        interrupt_after(patch, batches)
        assert fit(recipe, {**SETTINGS, "name": "cut"}).status == "interrupted"
    resumed = fit(recipe, {**SETTINGS, "name": "cut"}, resume=True)
    assert resumed.status == "finished"
    assert tensors_digest(tensors(resumed)) == tensors_digest(tensors(whole))
    pd.testing.assert_frame_equal(resumed.history, whole.history)


def test_a_small_head_trains_on_one_thread_and_the_number_is_restored(recipe, monkeypatch):
    seen = []
    original = torch.nn.Linear.forward
    monkeypatch.setattr(
        torch.nn.Linear, "forward", lambda self, x: seen.append(torch.get_num_threads()) or original(self, x)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(recipe, {**SETTINGS, "train.epochs": 2})
        assert seen[0] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_run_that_trains_the_backbone_caches_nothing(tiny_recipe):
    run = fit(tiny_recipe(), {"train.epochs": 1})
    assert FeatureCache().info() == []
    assert "features" not in run.environment


def test_an_engine_that_is_not_installed_is_named_before_training(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=re.escape('pip install "tlkit[openvino]"')):
        fit(recipe, {**FROZEN, "features.engine": "openvino"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "full", "augment.preset": "light"}, saying("strategy: full", "frozen", "last_n")),
        ({"augment.preset": "light", "features.cache": "never"}, saying("features.cache", "never")),
        ({"augment.preset": "light", "train.mixup": 0.2, "train.cutmix": 1.0}, saying("train.mixup", "train.cutmix")),
        ({}, saying("augment", "none")),
    ],
)
def test_contradictory_views_are_refused(recipe, changes, said):
    with pytest.raises(RecipeError, match=saying("features.views", "2", said).pattern):
        load_recipe(recipe, {"features.views": 2, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "full", "features.engine": "openvino"}, saying("openvino", "strategy: full")),
        ({"features.cache": "never", "features.engine": "torch"}, saying("torch", "features.cache", "never")),
        ({"features.tolerance": 0.99, "features.engine": "torch"}, saying("features.tolerance", "0.99", "torch")),
    ],
)
def test_an_unused_engine_is_refused(recipe, changes, said):
    with pytest.raises(RecipeError, match=saying("features.engine", said).pattern):
        load_recipe(recipe, changes)


@pytest.mark.parametrize(
    "views", [pytest.param({}, marks=pytest.mark.series), {"augment.preset": "light", "features.views": 2}]
)
def test_a_resumed_run_keeps_its_engine(recipe, tmp_path, monkeypatch, caplog, views):
    settings = {**SETTINGS, **views, "features.engine": "auto"}
    (tmp_path / "empty").mkdir()
    with monkeypatch.context() as patch:  # bf16 is chosen
        patch.setattr("tlkit.inference.embed.choose_engine", _choose_bfloat16)
        whole = fit(recipe, {**settings, "name": "whole"})
        interrupt_after(patch, 4)
        assert fit(recipe, {**settings, "name": "cut"}).status == "interrupted"
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "empty"))  # chosen again, it would be float32
    resumed = fit(recipe, {**settings, "name": "cut"}, resume=True)
    assert says(caplog.messages, "features.engine", "auto", "torch-bf16")
    assert resumed.environment["features"] == whole.environment["features"]
    assert resumed.environment["features"]["dtype"] == "bfloat16"
    assert tensors_digest(tensors(resumed)) == tensors_digest(tensors(whole))


def _choose_bfloat16(module, folded, pixels, *, device, **_):
    return create_engine("torch-bf16", folded(), pixels, device=device)
