"""Checkpoints of a frozen backbone: small, bit-exact on their frozen weights, refused on others."""

from __future__ import annotations

import tlkit.torchvision_cure  # noqa: F401  # isort: skip
import pytest
import torch
from kill_runs import interrupt_after, same
from messages import saying
from small_training import STRATEGIES
from torch import nn

from tlkit.errors import ModelError, RunError
from tlkit.models.averaging import AveragedNetwork
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import read_tensors
from tlkit.models.network import Network
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.recipe import load_recipe
from tlkit.training.checkpoint_callback import KeepCheckpoints
from tlkit.training.checkpoint_files import DurableCheckpointIO, FrozenWeights, read_checkpoint
from tlkit.training.fit import fit
from tlkit.training.prepare import prepare
from tlkit.training.start_checkpoint import find_start
from tlkit.training.trainer import load_best

CACHED = {"strategy": "frozen", "train.epochs": 3, "data.batch_size": 4, "report.enabled": False}
PIXELS = {**CACHED, "augment.preset": "light"}


@pytest.fixture
def recipe(tiny_recipe):
    return tiny_recipe(strategy="frozen")


def checkpoint_files(run):
    return sorted(run.directory.checkpoints.glob("*.ckpt"))


def bytes_of(*values):
    """Return the bytes of all tensors in nested values."""
    total = 0
    for value in values:
        if isinstance(value, torch.Tensor):
            total += value.numel() * value.element_size()
        elif isinstance(value, dict):
            total += bytes_of(*value.values())
        elif isinstance(value, list | tuple):
            total += bytes_of(*value)
    return total


@pytest.mark.parametrize("settings", [CACHED, PIXELS], ids=["cached features", "pixels"])
def test_a_checkpoint_of_a_frozen_backbone_is_the_head_and_the_optimizer(recipe, settings):
    run = fit(recipe, settings)
    head = bytes_of(dict(prepare(load_recipe(recipe, settings)).classifier.network.head.state_dict()))
    backbone = (run.directory.model / "model.safetensors").stat().st_size - head
    for path in checkpoint_files(run):
        checkpoint = read_checkpoint(path)
        assert checkpoint["state_dict"].keys() == {"network.head.weight", "network.head.bias"}
        assert bytes_of(checkpoint["state_dict"]) == head
        assert bytes_of(checkpoint["optimizer_states"]) <= 2 * head + 100  # Adam's two moments, and its counters
        assert path.stat().st_size < 3 * head + 40_000 < backbone  # the difference is settings, counters and metrics


def test_the_head_of_the_average_is_in_the_checkpoint_and_its_backbone_is_not(recipe):
    run = fit(recipe, {**CACHED, "train.ema_decay": 0.9})
    assert read_checkpoint(checkpoint_files(run)[-1])["state_dict"].keys() == {
        "network.head.weight",
        "network.head.bias",
        "average.network.head.weight",
        "average.network.head.bias",
        "average.updates",
    }


def test_every_epoch_is_written_when_it_ends_and_two_are_kept(recipe, monkeypatch):
    newest, original = [], KeepCheckpoints.on_train_epoch_end

    def look(self, trainer, module):
        original(self, trainer, module)
        newest.append(find_start(self.folder, origin=self._origin).path.name)

    monkeypatch.setattr(KeepCheckpoints, "on_train_epoch_end", look)
    run = fit(recipe, CACHED)
    assert newest == [f"epoch-{epoch:04d}.ckpt" for epoch in (1, 2, 3)]
    assert {"epoch-0002.ckpt", "epoch-0003.ckpt"} <= {path.name for path in checkpoint_files(run)}


@pytest.mark.parametrize("average", [pytest.param({}, marks=pytest.mark.series), {"train.ema_decay": 0.9}])
def test_a_checkpoint_on_its_frozen_weights_restores_every_bit(recipe, average):
    run = fit(recipe, {**CACHED, **average})
    prepared = prepare(load_recipe(recipe, {**CACHED, **average}))
    frozen = prepared.classifier.frozen_tensors()
    started = {name: tensor.clone() for name, tensor in frozen.items()}
    best = read_checkpoint(checkpoint_files(run)[-1])["callbacks"]["KeepCheckpoints"]["best"]
    load_best(prepared, run.directory.checkpoints / best)
    assert same(started, prepared.classifier.frozen_tensors())
    stored = read_tensors(run.directory.model)
    assert tensors_digest(prepared.classifier.plain_network().state_dict()) == tensors_digest(stored)


def test_a_checkpoint_is_refused_on_other_frozen_weights_and_by_lightnings_own_loading(recipe):
    run = fit(recipe, CACHED)
    path = checkpoint_files(run)[-1]
    other = prepare(load_recipe(recipe, CACHED))
    with torch.no_grad():
        next(other.classifier.network.backbone.parameters()).view(-1)[0] += 1
    before = {name: tensor.clone() for name, tensor in other.classifier.state_dict().items()}
    frozen = FrozenWeights.of(other)
    said = saying(path, frozen.digest[:12], "model.weights").pattern
    with pytest.raises(RunError, match=said):
        load_best(other, path)
    with pytest.raises(RunError, match=said):
        DurableCheckpointIO(frozen).load_checkpoint(path)
    assert same(before, dict(other.classifier.state_dict()))
    with pytest.raises(ModelError, match=saying("frozen tensors", "tlkit.load_model").pattern):
        Classifier.load_from_checkpoint(path, map_location="cpu", weights_only=True)


def test_an_earlier_and_a_newer_format_are_refused_by_name(recipe, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        run = fit(recipe, {**CACHED, "name": "cut"})
    path = checkpoint_files(run)[-1]
    checkpoint = read_checkpoint(path)
    for version, by in ((1, "an earlier"), (99, "a newer")):
        checkpoint["tlkit"]["format_version"] = version
        DurableCheckpointIO(FrozenWeights()).save_checkpoint(checkpoint, path)
        with pytest.raises(
            RunError, match=saying(path.name, f"{by} tlkit", f"format {version}", "--overwrite").pattern
        ):
            fit(recipe, {**CACHED, "name": "cut"}, resume=True)
        assert path.is_file()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_frozen_tensors_are_those_that_training_does_not_change(tmp_path, name, strategy):
    torch.manual_seed(0)
    backbone = create_backbone(name, weights="none", image_size=(32, 32))
    classifier = Classifier(
        backbone, classes=["a", "b"], strategy=strategy, train={"epochs": 8, "learning_rate": 0.1, "ema_decay": 0.5}
    )
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    optimizer = torch.optim.SGD(classifier.network.parameters(), lr=0.1)
    for phase in classifier.phases:
        classifier.enter_phase(phase)
        classifier.train()
        for _ in range(2):
            optimizer.zero_grad()
            images = torch.randn(4, 3, 32, 32)
            nn.functional.cross_entropy(classifier(images), torch.tensor([0, 1, 0, 1])).backward()
            optimizer.step()
            classifier.average.update(classifier.network)
    after, frozen = classifier.state_dict(), classifier.frozen_tensors()
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    moved = {name for name in after if name.startswith("network.") and not torch.equal(after[name], before[name])}
    assert not moved & frozen.keys()
    kept = sum(tensor.numel() for name, tensor in after.items() if name not in frozen)
    whole = sum(tensor.numel() for tensor in after.values())
    kind = strategy if isinstance(strategy, str) else strategy["kind"]
    assert bool(frozen) == (kind not in ("full", "lp_ft", "gradual"))
    if kind in ("frozen", "norm_only", "bias_only"):
        assert kept < 0.1 * whole


def test_the_average_of_a_constant_tensor_keeps_the_sign_of_a_zero():
    network = Network(nn.Sequential(nn.Linear(2, 2)), num_features=2, num_classes=2)
    nn.init.constant_(network.backbone[0].weight, -0.0)
    constant = {"backbone.0.weight", "backbone.0.bias"}
    average = AveragedNetwork(network, decay=0.5, constant=constant)
    average.update(network)
    assert torch.signbit(average.network.backbone[0].weight).all()
