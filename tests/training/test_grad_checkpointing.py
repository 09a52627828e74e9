"""Gradient checkpointing: the bits of training without it, less memory, and refusals in words."""

from __future__ import annotations

import pytest
import timm
import torch
from kill_runs import model_bytes
from mask_images import mask_recipe
from messages import saying
from torch.autograd.graph import saved_tensors_hooks

from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.training.fit import fit
from tlkit.training.grad_checkpointing import GradCheckpointing, require_grad_checkpointing
from tlkit.training.prepare import prepare

SHORT = {"train.epochs": 2, "data.batch_size": 4, "report.enabled": False, "strategy": "full"}
ON = {"train.grad_checkpointing": True}


@pytest.mark.parametrize(
    "model",
    [
        "test_resnet",
        pytest.param("test_efficientnet", marks=pytest.mark.series),
        pytest.param("test_vit", marks=pytest.mark.series),
    ],
)
def test_a_run_ends_with_the_same_bits(tiny_recipe, model):
    """Norm statistics, dropout and drop path included."""
    recipe = tiny_recipe()
    settings = {**SHORT, "model.name": model, "model.drop_rate": 0.2, "data.image_size": 160 if "vit" in model else 32}
    plain = fit(recipe, {**settings, "name": "plain"})
    assert model_bytes(fit(recipe, {**settings, **ON, "name": "again"})) == model_bytes(plain)


def kept_bytes(classifier, images):
    """Bytes that a forward pass keeps for the backward pass."""
    kept = {}
    with saved_tensors_hooks(
        lambda one: kept.setdefault(one.data_ptr(), one.untyped_storage()) and one, lambda one: one
    ):
        classifier(images).sum()
    return sum(storage.nbytes() for storage in kept.values())


def test_fewer_activations_are_kept_while_it_is_on(tiny_recipe):
    classifier = prepare(load_recipe(tiny_recipe(), {**SHORT, "model.name": "test_resnet"})).classifier.train()
    images = torch.zeros(4, 3, 64, 64)
    before, watch = kept_bytes(classifier, images), GradCheckpointing()
    watch.on_fit_start(None, classifier)
    assert kept_bytes(classifier, images) < 0.7 * before
    watch.teardown(None, classifier, "fit")
    assert kept_bytes(classifier, images) == before


def test_a_model_without_it_is_refused_before_images_are_read(tiny_recipe, monkeypatch):
    monkeypatch.setattr("tlkit.training.prepare.load_dataset", lambda *_, **__: pytest.fail("images are read"))
    with pytest.raises(RecipeError, match=saying("grad_checkpointing", "lenet5", "false", "batch_size").pattern):
        prepare(load_recipe(tiny_recipe(), {**SHORT, **ON, "model.name": "lenet5", "model.weights": "none"}))
    with pytest.raises(RecipeError, match=saying("grad_checkpointing", "selecsls42", "false").pattern):
        require_grad_checkpointing(timm.create_model("selecsls42", num_classes=0), name="selecsls42")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"strategy": "frozen"}, ("strategy", "frozen")),
        ({"train.compile": True}, ("train.compile", "Remove")),
        ({"train.parallel": "fsdp", "train.devices": 2}, ("fsdp", "ddp")),
    ],
    ids=str,
)
def test_contradictions_are_refused(tiny_recipe, given, named):
    with pytest.raises(RecipeError, match=saying("train.grad_checkpointing", *named).pattern):
        load_recipe(tiny_recipe(), {**SHORT, **ON, **given})


def test_it_is_off_after_a_fit_that_failed(tiny_recipe):
    classifier = prepare(load_recipe(tiny_recipe(), {**SHORT, "model.name": "test_resnet"})).classifier.train()
    images = torch.zeros(4, 3, 64, 64)
    before, watch = kept_bytes(classifier, images), GradCheckpointing()
    watch.on_fit_start(None, classifier)
    watch.on_exception(None, classifier, RuntimeError("a step failed"))
    assert kept_bytes(classifier, images) == before


def test_an_encoder_of_several_scales_is_refused_in_words(tmp_path):
    path = mask_recipe(tmp_path, tmp_path, strategy="full", train=", grad_checkpointing: true")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert saying("train.grad_checkpointing is true", "task is segmentation", "feature maps") == str(caught.value)
