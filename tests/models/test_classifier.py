"""Freezing, head initialization, schedules, losses and stored models of the classifier."""

from __future__ import annotations

from functools import partial

import pytest
import timm
import torch
from messages import saying
from safetensors.torch import load_file, save_file
from small_training import SIZE, noise, small_classifier, trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tlkit.errors import ModelError
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import read_tensors, save_artifact
from tlkit.models.network import HEAD_INIT_STD, Network, load_network
from tlkit.models.optim import create_optimizer, create_schedule
from tlkit.models.strategies.plan_phases import Phase
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.recipe import FullStrategy, TrainSection


@pytest.mark.parametrize("name", ["test_efficientnet_gn", "test_nfnet"])  # docs/strategies.md has the other families
def test_frozen_backbone_keeps_parameters_with_group_norms_and_with_none(name, tmp_path):
    classifier = small_classifier(name, "frozen", given={"drop_rate": 0.2})
    head = classifier.network.head.weight.detach().clone()
    before = tensors_digest(classifier.network.backbone.state_dict())
    fresh = create_backbone(name, weights="none", image_size=(SIZE, SIZE))
    fresh.module.load_state_dict(classifier.network.backbone.state_dict())
    trainer(tmp_path, 2).fit(classifier, noise(), noise())
    assert tensors_digest(classifier.network.backbone.state_dict()) == before
    assert not torch.equal(classifier.network.head.weight, head)
    images = next(iter(noise()))[0]
    with torch.no_grad():
        assert torch.equal(classifier.train().network.backbone(images), fresh.module.eval()(images))


def test_a_frozen_module_stays_in_evaluation_mode_whenever_train_is_called():
    classifier = small_classifier(strategy="frozen")
    classifier.eval()
    assert not classifier.network.dropout.training
    classifier.train()
    assert classifier.network.dropout.training
    assert not any(module.training for module in classifier.network.backbone.modules())
    *blocks, head = classifier.layers()
    assert (head.block, head.trains, head.mode) == ("head", True, "train")
    assert {(row.trains, row.mode, row.learning_rate) for row in blocks} == {(False, "eval", 0.0)}
    total = sum(parameter.numel() for parameter in classifier.network.parameters())
    assert sum(row.parameters for row in classifier.layers()) == total


def test_the_head_starts_from_the_stated_distribution_for_any_number_of_classes():
    network = Network(nn.Identity(), num_features=2000, num_classes=2)
    network.init_head(0)
    first = network.head.weight.detach().clone()
    assert first.std().item() == pytest.approx(HEAD_INIT_STD, rel=0.05)
    assert network.head.bias.abs().max() == 0
    network.init_head(1)
    assert not torch.equal(network.head.weight, first)
    network.init_head(0)
    assert torch.equal(network.head.weight, first)
    timms = timm.create_model("tf_efficientnet_lite0", num_classes=2).classifier.weight
    assert timms.std().item() > 10 * HEAD_INIT_STD  # timm's initialization


def test_learning_rates_and_weight_decay_reach_the_right_parameters():
    strategy = FullStrategy(kind="full", backbone_lr_factor=0.1)
    classifier = small_classifier("test_vit", strategy, learning_rate=0.01, weight_decay=0.1)
    classifier.steps_per_epoch = 10
    optimizer = classifier.configure_optimizers()["optimizer"]
    by_parameter = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in classifier.network.named_parameters():
        group = by_parameter[id(parameter)]
        assert group["initial_lr"] == pytest.approx(0.01 if name.startswith("head.") else 0.001)
        exempt = parameter.ndim < 2 or name in {"backbone.pos_embed", "backbone.cls_token", "backbone.reg_token"}
        assert group["weight_decay"] == (0.0 if exempt else 0.1), name


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimizer_of_the_recipe_is_torchs_own(name):
    train = TrainSection(optimizer=name, learning_rate=0.1)
    parameter = nn.Parameter(torch.ones(1))
    optimizer = create_optimizer([{"params": [parameter], "lr": 0.1, "weight_decay": 0.0}], train)
    assert type(optimizer).__name__.lower() == name
    parameter.sum().backward()
    optimizer.step()
    assert parameter.item() < 1


def _rates(train, steps):
    parameter = nn.Parameter(torch.ones(1))
    groups = [{"params": [parameter], "lr": train.learning_rate, "rates": (1.0,)}]
    optimizer = create_optimizer(groups, train)
    schedule = create_schedule(optimizer, train, phases=[Phase("all", 0, train.epochs, {})], steps_per_epoch=steps)
    rates = []
    for _ in range(train.epochs * steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_schedules_have_their_shapes():
    cosine = _rates(TrainSection(epochs=4, learning_rate=1.0, schedule="cosine", warmup_epochs=1), 5)
    assert cosine[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    expected = _torchs(15, 1.0, lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15))
    assert cosine[5:] == pytest.approx(expected)
    assert _rates(TrainSection(epochs=2, learning_rate=0.5, schedule="constant"), 3) == [0.5] * 6


@pytest.mark.parametrize("total", [1, 2, 3, 4, 9, 20])
def test_one_cycle_is_torchs_own(total):
    ours = _rates(TrainSection(epochs=1, learning_rate=0.5, schedule="one_cycle"), total)
    cycle = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=total + 1, cycle_momentum=False)
    assert ours == pytest.approx(_torchs(total, 0.5, cycle))


def _torchs(steps, rate, make):
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=rate)
    schedule, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_label_smoothing_and_class_weights_act_in_training_and_not_in_validation(tmp_path):
    classifier = small_classifier(given={"class_weights": {"a": 3.0, "b": 1.0}}, label_smoothing=0.2)
    images, targets = next(iter(noise()))
    weight = torch.tensor([3.0, 1.0])
    expected = nn.functional.cross_entropy(classifier(images), targets, weight=weight, label_smoothing=0.2)
    assert classifier.loss(classifier(images), targets).item() == pytest.approx(expected.item())
    metrics = trainer(tmp_path).validate(classifier, noise(4), verbose=False)[0]
    classifier.eval()
    images, targets = next(iter(noise(4)))
    with torch.no_grad():
        logits = classifier(images)
    assert metrics["val_loss"] == pytest.approx(nn.functional.cross_entropy(logits, targets).item(), rel=1e-4)
    assert metrics["val_accuracy"] == pytest.approx((logits.argmax(1) == targets).float().mean().item())


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(tmp_path):
    images, targets = next(iter(noise(16, batch_size=16)))
    images[5] = float("nan")
    loader = DataLoader(TensorDataset(images, targets), batch_size=4)
    said = saying("training loss", "nan", "epoch 1, batch 2", "train.learning_rate", "train.precision to 32")
    with pytest.raises(ModelError, match=said.pattern):
        trainer(tmp_path).fit(small_classifier(), loader)


@pytest.mark.parametrize(
    ("classes", "weights", "said"),
    [
        (["a"], None, saying("two or more", "class names")),
        (["a", "a"], None, saying("two or more", "class names")),
        (["a", "b"], {"c": 1.0}, saying("class_weights", "['c']")),
    ],
)
def test_classes_must_be_two_or_more_different_names(classes, weights, said):
    backbone = create_backbone("test_resnet", weights="none")
    with pytest.raises(ModelError, match=said.pattern):
        Classifier(backbone, classes=classes, class_weights=weights)


def test_a_stored_model_gives_the_same_logits(tmp_path):
    classifier = small_classifier("test_efficientnet", given={"drop_rate": 0.3}).eval()
    save_artifact(tmp_path / "model", classifier.network.state_dict(), classifier.facts())
    network, card = load_network(tmp_path / "model")
    images = next(iter(noise()))[0]
    with torch.no_grad():
        assert torch.equal(network(images), classifier(images))
    assert card == classifier.facts()
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]


def test_a_damaged_stored_model_is_named(tmp_path):
    classifier = small_classifier()
    folder = tmp_path / "model"
    with pytest.raises(ModelError, match=saying(folder, "model.json", "missing").pattern):
        load_network(folder)
    save_artifact(folder, classifier.network.state_dict(), classifier.facts())
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100])
    with pytest.raises(ModelError, match=saying("model.safetensors", "damaged", "Restore it").pattern):
        load_network(folder)


def test_weights_that_changed_inside_are_refused_and_those_of_other_tools_are_not(tmp_path):
    classifier = small_classifier()
    file = tmp_path / "model.safetensors"
    save_artifact(tmp_path, classifier.network.state_dict(), classifier.facts())
    content, tensors = file.read_bytes(), load_file(file)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # one bit of the last tensor
    with pytest.raises(ModelError, match=saying("model.safetensors", "damaged", "Restore it").pattern):
        load_network(tmp_path)
    save_file(tensors, file)  # without a digest, as another tool writes it
    assert load_network(tmp_path)[1] == classifier.facts()
    mixed = {"half": torch.zeros(3, dtype=torch.bfloat16), "count": torch.tensor(7), "none": torch.zeros(0, 4)}
    save_artifact(tmp_path, mixed, classifier.facts())
    assert read_tensors(tmp_path).keys() == mixed.keys()
