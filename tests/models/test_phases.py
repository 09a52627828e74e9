"""Phases: which parameters train in which epoch at which rate, optimizer groups, and resume at any boundary."""

from __future__ import annotations

import logging
import re
from functools import partial

import pytest
import pytorch_lightning as pl
import timm
import torch
from messages import saying, says
from small_training import STRATEGIES, noise, small_classifier, trainer, whole_half_and_resumed
from timm.optim import param_groups_layer_decay
from torch import nn

from tlkit.errors import ModelError, RecipeError
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import save_artifact
from tlkit.models.network import load_network
from tlkit.models.strategies.apply_phase import frozen_modules
from tlkit.models.strategies.layers import stages_of
from tlkit.models.strategies.lora import LowRank, add_adapters, merge_adapters
from tlkit.models.strategies.plan_phases import norm_parameters, phase_at
from tlkit.models.weights.weight_files import tensors_digest


class _Watch(pl.Callback):
    """Record which parameters train, and their rates, at the start of every batch."""

    def __init__(self):
        self.learning, self.rates = [], []

    def on_train_batch_start(self, trainer, module, *_):
        self.learning.append({name for name, p in module.network.named_parameters() if p.requires_grad})
        rates = {}
        names = {id(p): name for name, p in module.network.named_parameters()}
        for group in trainer.optimizers[0].param_groups:
            rates.update({names[id(p)]: group["lr"] for p in group["params"]})
        self.rates.append(rates)


def test_probe_then_tune_trains_the_head_first_and_everything_from_there(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, logger="tlkit")
    strategy = {"kind": "lp_ft", "probe_epochs": 1, "finetune_lr_factor": 0.1}
    classifier = small_classifier(strategy=strategy, epochs=3, learning_rate=0.01, schedule="constant")
    watch = _Watch()
    trainer(tmp_path, 3, callbacks=[watch]).fit(classifier, noise())
    names = {name for name, _ in classifier.network.named_parameters()}
    head = {"head.weight", "head.bias"}
    assert watch.learning == [head] * 3 + [names] * 6
    assert {name for name, rate in watch.rates[0].items() if rate} == head
    assert watch.rates[0]["head.weight"] == pytest.approx(0.01)
    assert list(watch.rates[3].values()) == pytest.approx([0.001] * len(names))
    probe, tune = [message for message in caplog.messages if message.startswith("Training ")]  # each phase once
    assert says(probe, "classifier", "epoch 1 to 1") and says(tune, "everything", "epoch 2")
    assert re.search(r"backbone: layer4 +eval +– +0 +\d", probe)
    assert re.search(r"backbone: layer4 +train +0\.001 +(\S+) +\1", tune)


def test_gradual_unfreezes_one_stage_after_another_from_the_top(caplog):
    classifier = small_classifier("test_vit", {"kind": "gradual", "epochs_per_stage": 2}, epochs=7)
    stage_of, count = stages_of(classifier.network.backbone)
    assert count == 7
    for phase, lowest in zip(classifier.phases, (7, 6, 5, 4), strict=True):
        there = {name for name, stage in stage_of.items() if stage >= lowest}
        assert {name.removeprefix("backbone.") for name in phase.rates if name.startswith("backbone.")} == there
    assert [(phase.first_epoch, phase.epochs) for phase in classifier.phases] == [(0, 2), (2, 2), (4, 2), (6, 1)]
    with caplog.at_level(logging.DEBUG, logger="tlkit"):
        small_classifier("test_vit", "gradual", epochs=5)
    assert says(caplog.messages, "train.epochs", "5", "last 4", "7 stages")


def test_a_short_last_phase_warms_up_for_the_same_share_of_it():
    strategy = {"kind": "gradual", "epochs_per_stage": 4}
    classifier = small_classifier(strategy=strategy, epochs=9, schedule="constant", warmup_epochs=2, learning_rate=1.0)
    assert [phase.epochs for phase in classifier.phases] == [4, 4, 1]
    classifier.steps_per_epoch = 4
    configured = classifier.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    head = next(place for place, group in enumerate(optimizer.param_groups) if group["name"].startswith("head"))
    rates = []
    for _ in range(9 * 4):
        rates.append(schedule.get_last_lr()[head])
        optimizer.step()
        schedule.step()
    assert rates[:9] == [*(n / 8 for n in range(1, 9)), 1.0]
    assert rates[32:] == [0.5, 1.0, 1.0, 1.0]  # half of its 4 steps, as 8 of 16 in the others


def test_the_last_stage_takes_a_lone_final_norm_with_it():
    backbone = create_backbone("test_convnext2", weights="none").module
    stage_of, count = stages_of(backbone)
    assert (count, stage_of["head.norm.weight"], stage_of["stages.3.blocks.0.mlp.fc1.weight"]) == (5, 4, 4)
    learning = small_classifier("test_convnext2", {"kind": "last_n", "stages": 1}).phases[0].rates
    assert "backbone.stages.3.blocks.0.mlp.fc1.weight" in learning
    assert "backbone.stages.2.blocks.0.mlp.fc1.weight" not in learning


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "inception_v3"])
def test_layer_decay_is_timms_own(name):
    size = None if name == "inception_v3" else (32, 32)
    classifier = Classifier(
        create_backbone(name, weights="none", image_size=size),
        classes=["a", "b"],
        strategy={"kind": "full", "layer_decay": 0.75},
        train={"weight_decay": 0.05},
        steps_per_epoch=1,
    )
    factor = classifier.strategy.backbone_lr_factor
    model = timm.create_model(name, num_classes=2)
    names = {id(p): key for key, p in model.named_parameters()}
    exempt = getattr(model, "no_weight_decay", set)()
    groups = param_groups_layer_decay(model, weight_decay=0.05, no_weight_decay_list=exempt, layer_decay=0.75)
    expected = {names[id(p)]: (g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]}
    ours = classifier.configure_optimizers()["optimizer"].param_groups
    group_of = {id(p): group for group in ours for p in group["params"]}
    parameters = dict(classifier.network.backbone.named_parameters())
    assert len(parameters) > 10
    for key, parameter in parameters.items():
        group = group_of[id(parameter)]
        assert (group["initial_lr"] / 1e-3 / factor, group["weight_decay"]) == pytest.approx(expected[key]), key


def test_training_the_biases_alone_keeps_the_norm_statistics():
    classifier = small_classifier(strategy="bias_only").train()
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    live = small_classifier(strategy="norm_only").train()
    assert all(module.training for module in live.modules() if isinstance(module, nn.BatchNorm2d))
    assert norm_parameters(live.network.backbone) | {"head.weight", "head.bias"} == set(live.phases[0].rates)


def test_dropout_lives_where_something_learns_and_rests_where_nothing_does():
    block = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    network = nn.Sequential(block, nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    block.requires_grad_(False)
    assert frozen_modules(network) == (block,)  # with all that is in it
    block[0].weight.requires_grad_()
    assert frozen_modules(network) == ()
    assert frozen_modules(network.requires_grad_(False)) == (network,)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s if isinstance(s, str) else s["kind"])
def test_four_epochs_are_two_and_two_resumed_bit_for_bit(strategy, tmp_path):
    make = partial(small_classifier, strategy=strategy, learning_rate=0.01, schedule="one_cycle")
    _, _, resumed = whole_half_and_resumed(make, noise(), tmp_path)
    assert phase_at(resumed.phases, 3) is resumed.phase


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ({"kind": "last_n", "stages": 9}, saying("strategy.stages", "9", "5 stages")),
        ({"kind": "lora", "rank": 4096}, saying("strategy", "lora", "no weights")),
    ],
)
def test_strategies_that_a_backbone_cannot_have_are_refused(strategy, said):
    with pytest.raises(ModelError, match=said.pattern):
        small_classifier(strategy=strategy)


def test_wrong_settings_in_python_have_the_messages_of_a_recipe():
    with pytest.raises(RecipeError) as caught:
        small_classifier(strategy={"kind": "fulll"}, lr=0.1)
    assert caught.value.problems == (
        saying("Classifier", "strategy.kind", "'fulll'", "frozen", "lora", "Did you mean full"),
        saying("Classifier", "train.lr", "train.learning_rate"),
    )
    with pytest.raises(RecipeError, match=saying("strategy.probe_epochs", "5", "train.epochs", "3").pattern):
        small_classifier(strategy={"kind": "lp_ft", "probe_epochs": 5}, epochs=3)


@pytest.mark.parametrize("strategy", ["full", {"kind": "lora", "rank": 4}])
def test_a_checkpoint_of_lightning_loads_without_weights_and_without_pickle(strategy, tmp_path):
    classifier = small_classifier("test_vit", strategy, optimizer="sgd", momentum=0.5)
    run = trainer(tmp_path)
    run.fit(classifier, noise())
    run.save_checkpoint(tmp_path / "a.ckpt")
    loaded = Classifier.load_from_checkpoint(tmp_path / "a.ckpt", map_location="cpu", weights_only=True)
    assert tensors_digest(loaded.state_dict()) == tensors_digest(classifier.state_dict())
    for name in ("classes", "strategy", "settings"):
        assert getattr(loaded, name) == getattr(classifier, name)
    assert loaded.facts() == classifier.facts()


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_adapters_are_stored_as_plain_weights_with_the_same_logits(name, tmp_path):
    classifier = small_classifier(name, {"kind": "lora", "rank": 4}, learning_rate=0.01)
    plain = timm.create_model(name, num_classes=0).state_dict()
    trainer(tmp_path).fit(classifier, noise())
    classifier.eval()
    stored = classifier.plain_network()
    assert {key.removeprefix("backbone.") for key in stored.state_dict() if key.startswith("backbone.")} == set(plain)
    save_artifact(tmp_path / "model", stored.state_dict(), classifier.facts())
    network, _ = load_network(tmp_path / "model")
    images = next(iter(noise()))[0]
    with torch.no_grad():
        assert torch.equal(network(images), classifier(images))
    assert any("parametrizations" in key for key in classifier.network.state_dict())  # training can continue


def test_an_adapter_is_the_papers_formula_and_starts_at_zero():
    layer = nn.Linear(6, 5)
    weight, images = layer.weight.detach().clone(), torch.randn(3, 6)
    before = layer(images).detach()
    assert add_adapters(nn.Sequential(layer), rank=2, alpha=8.0, without=set(), seed=0) == 1
    assert torch.equal(layer(images), before)
    change = layer.parametrizations.weight[0]
    assert isinstance(change, LowRank)
    with torch.no_grad():
        change.up.copy_(torch.randn(5, 2))
    expected = before + (images @ change.down.T @ change.up.T) * (8.0 / 2)
    torch.testing.assert_close(layer(images), expected)
    merge_adapters(layer)
    torch.testing.assert_close(layer(images), expected)
    torch.testing.assert_close(layer.weight.detach(), weight + 4.0 * change.up.detach() @ change.down.detach())
    convolution = nn.Conv2d(8, 8, 3, groups=8)
    assert add_adapters(nn.Sequential(convolution), rank=2, alpha=8.0, without=set(), seed=0) == 0
