"""Memory format and compilation: chosen by rule, stored in the run, kept on resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from kill_runs import model_bytes, stop_after
from messages import saying, says

from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.runs import RunDirectory
from tlkit.training import compute_format as speed
from tlkit.training.fit import fit
from tlkit.training.prepare import prepare

SHORT = {"train.epochs": 3, "data.batch_size": 4, "report.enabled": False}


def _stored(run):
    return json.loads(run.directory.compute_format.read_text())


def test_training_is_channels_last_by_default(tiny_recipe, monkeypatch):
    formats = []
    original = torch.nn.functional.conv2d

    def watching(x, weight, *more):
        formats.append(weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous())
        return original(x, weight, *more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watching)
    recipe = tiny_recipe()
    stored = _stored(fit(recipe, {**SHORT, "train.epochs": 1}))
    assert (stored["memory_format"], stored["compiled"]) == ("channels_last", False)
    assert any(formats)
    plain = prepare(load_recipe(recipe, {"train.memory_format": "contiguous"}))
    chosen = speed.ComputeFormat("contiguous", compiled=False)
    with speed.applied_compute_format(plain.classifier, chosen, device="cpu"):
        formats.clear()
        plain.classifier(torch.zeros(2, 3, 32, 32))
    assert formats and not any(formats)


def _choose(prepared, folder, *, resume=False):
    directory = RunDirectory(folder / "run") if resume else RunDirectory.create(folder / "run")
    return speed.choose_compute_format(directory, prepared, resume=resume, from_pixels=True)


@pytest.mark.parametrize("epochs", [1, 5000])
def test_the_choice_depends_only_on_the_recipe(tiny_recipe, tmp_path, epochs):
    prepared = prepare(load_recipe(tiny_recipe(), {"train.epochs": epochs}))
    assert _choose(prepared, tmp_path) == speed.ComputeFormat("channels_last", compiled=False)


def test_a_resumed_run_uses_the_stored_choice(tiny_recipe, tmp_path):
    recipe = tiny_recipe()
    chosen = {"train.memory_format": "contiguous", "train.compile": True}
    started = _choose(prepare(load_recipe(recipe, chosen)), tmp_path)
    assert started == speed.ComputeFormat("contiguous", compiled=True)
    assert _choose(prepare(load_recipe(recipe)), tmp_path, resume=True) == started


def test_sharded_weights_are_contiguous(tiny_recipe, tmp_path):
    prepared = prepare(load_recipe(tiny_recipe()))
    recipe = prepared.recipe.model_copy(update={"train": prepared.recipe.train.model_copy(update={"parallel": "fsdp"})})
    sharded = replace(prepared, recipe=recipe, world=replace(prepared.world, size=2))
    assert _choose(sharded, tmp_path) == speed.ComputeFormat("contiguous", compiled=False)


def test_a_resumed_run_keeps_its_format_and_ends_with_the_same_bits(tiny_recipe, monkeypatch):
    recipe, settings = tiny_recipe(), {**SHORT, "train.memory_format": "contiguous"}
    whole = fit(recipe, {**settings, "name": "whole"})
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert fit(recipe, {**settings, "name": "cut"}).status == "interrupted"
    assert model_bytes(fit(recipe, {**settings, "name": "cut"}, resume=True)) == model_bytes(whole)


def compile_by(backend, monkeypatch):
    own = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **given: own(module, backend=backend, **given))


@pytest.mark.series
def test_compiled_training_equals_eager_training_and_resumes(tiny_recipe, monkeypatch):
    graphs, limit = [], torch.compiler.config.recompile_limit

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compile_by(counting, monkeypatch)
    recipe = tiny_recipe()
    eager = fit(recipe, {**SHORT, "name": "eager"})
    assert not graphs
    whole = fit(recipe, {**SHORT, "name": "whole", "train.compile": True})
    assert graphs
    assert _stored(whole)["compiled"] is True
    assert torch.compiler.config.recompile_limit == limit
    assert model_bytes(whole) == model_bytes(eager)  # the backend of this test computes the graph as it is
    torch.compiler.reset()
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        fit(recipe, {**SHORT, "name": "cut", "train.compile": True})
    resumed = fit(recipe, {**SHORT, "name": "cut", "train.compile": True}, resume=True)
    assert model_bytes(resumed) == model_bytes(whole)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("test_resnet", "BasicBlock"), ("test_vit", "Block"), ("test_efficientnet", "InvertedResidual")],
)
def test_regions_are_the_repeated_blocks(name, blocks):
    backbone = timm.create_model(name, num_classes=0)
    regions = speed.repeated_blocks(backbone)
    expected = [module for module in backbone.modules() if type(module).__name__ == blocks]
    assert len(expected) > 1
    assert {id(module) for module in expected} <= {id(module) for module in regions}
    inside = [module for region in regions for module in region.modules()]
    assert len({id(module) for module in inside}) == len(inside), "no region lies in another"


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch 2.13 looks at a block's input
def test_regional_compilation_compiles_the_blocks_and_changes_no_bit(tiny_recipe, monkeypatch):
    graphs = []

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compile_by(counting, monkeypatch)
    torch.compiler.reset()
    prepared = prepare(load_recipe(tiny_recipe(), {"model.name": "test_vit", "data.image_size": 160}))
    images = torch.rand(2, 3, 160, 160)
    backbone = prepared.classifier.eval().network.backbone.requires_grad_(True)

    def output_and_gradients():
        backbone.zero_grad()
        logits = prepared.classifier(images)
        logits.square().sum().backward()
        return [logits.detach(), *(parameter.grad.clone() for parameter in backbone.parameters())]

    eager = output_and_gradients()
    chosen = speed.ComputeFormat("contiguous", compiled="regional")
    with speed.applied_compute_format(prepared.classifier, chosen, device="cpu"):
        graphs.clear()
        assert all(map(torch.equal, output_and_gradients(), eager))
    blocks = len(speed.repeated_blocks(backbone))
    assert 0 < len(graphs) < blocks, "alike blocks are compiled once"
    torch.compiler.reset()


def test_a_network_without_repeated_blocks_is_refused(tiny_recipe):
    prepared = prepare(load_recipe(tiny_recipe(), {"model.name": "lenet5", "model.weights": "none"}))
    chosen = speed.ComputeFormat("contiguous", compiled="regional")
    refusal = pytest.raises(RecipeError, match=saying("regional", "lenet5", "train.compile: true").pattern)
    with refusal, speed.applied_compute_format(prepared.classifier, chosen, device="cpu"):
        pass


def test_a_missing_compiler_is_reported_before_training(tiny_recipe, monkeypatch):
    def failing(graph, inputs):
        raise RuntimeError("no C++ compiler")

    compile_by(failing, monkeypatch)
    with pytest.raises(RecipeError, match=saying("train.compile", "cannot compile", "use train").pattern):
        fit(tiny_recipe(), {**SHORT, "train.compile": True})
    assert not list(Path("runs/tiny/checkpoints").glob("*"))  # before training starts


def test_training_on_cached_features_is_not_compiled(tiny_recipe, caplog):
    run = fit(tiny_recipe(), {**SHORT, "strategy": "frozen", "train.compile": True})
    assert says(caplog.messages, "nothing to compile")
    assert _stored(run)["compiled"] is False
