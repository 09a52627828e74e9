"""Losses, mixing, averaging and accumulation: the papers' formulas, and bit-exact resume."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from messages import saying
from small_training import noise, small_classifier, trainer, whole_half_and_resumed
from torch import nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from tlkit.errors import ModelError, RecipeError
from tlkit.models.averaging import AveragedNetwork
from tlkit.models.classifier import Classifier
from tlkit.models.losses import FocalLoss, logit_adjustment
from tlkit.models.mixup import mix_batch
from tlkit.models.network import Network
from tlkit.models.strategies.lora import merge_adapters
from tlkit.models.weights.weight_files import tensors_digest

_classifier = partial(small_classifier, given={"class_counts": {"a": 9, "b": 3}})


def test_focal_loss_of_two_classes_is_torchvisions_sigmoid_form():
    logits, targets = torch.randn(16, 2), torch.arange(16) % 2
    difference = logits[:, 1] - logits[:, 0]  # a softmax over two logits is the sigmoid of their difference
    expected = sigmoid_focal_loss(difference, targets.float(), alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(FocalLoss(gamma=2.0)(logits, targets), expected)


def test_focal_loss_without_focus_is_the_weighted_cross_entropy():
    logits, targets, weight = torch.randn(16, 3), torch.arange(16) % 3, torch.tensor([1.0, 2.0, 5.0])
    expected = functional.cross_entropy(logits, targets, weight=weight)
    torch.testing.assert_close(FocalLoss(gamma=0.0, weight=weight)(logits, targets), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_loss_has_a_gradient_at_images_that_are_certain(gamma):
    logits = torch.tensor([[80.0, 0.0], [20.0, 0.0], [0.0, 80.0]], requires_grad=True)
    FocalLoss(gamma=gamma)(logits, torch.tensor([0, 0, 0])).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().max() < 1e-6 and logits.grad[2, 1] > 0.3


def test_adjusted_logits_follow_the_paper_and_act_in_training_only():
    torch.testing.assert_close(logit_adjustment(0.5, [9, 3]), 0.5 * torch.tensor([0.75, 0.25]).log())
    adjusted = _classifier(logit_adjustment=1.0).adjustment
    torch.testing.assert_close(adjusted.exp(), torch.tensor([0.75, 0.25]))
    images = next(iter(noise()))[0]
    plain, ours = _classifier().eval(), _classifier(logit_adjustment=1.0).eval()
    assert torch.equal(plain(images), ours(images))
    with pytest.raises(ModelError, match=saying("train.logit_adjustment", "class_counts").pattern):
        Classifier("test_resnet", weights="none", classes=["a", "b"], train={"logit_adjustment": 1.0})


def test_mixup_is_the_papers_formula_and_depends_on_the_seed():
    images, targets = torch.randn(6, 3, 8, 8), torch.arange(6)
    mixed = mix_batch(images, targets, mixup=0.4, cutmix=0.0, seed=3)
    assert 0 < mixed.share < 1
    torch.testing.assert_close(mixed.images, mixed.share * images + (1 - mixed.share) * images[mixed.second])
    again, other = (mix_batch(images, targets, mixup=0.4, cutmix=0.0, seed=seed) for seed in (3, 4))
    assert torch.equal(again.images, mixed.images)
    assert other.share != mixed.share
    assert mix_batch(images, targets, mixup=0.0, cutmix=0.0, seed=3).images is images


def test_cutmix_takes_one_box_and_the_share_is_that_of_its_pixels():
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 16, 12)
    boxes = set()
    for seed in range(20):
        mixed = mix_batch(images, torch.arange(6), mixup=0.0, cutmix=1.0, seed=seed)
        own = mixed.images == images
        swapped = mixed.second != mixed.first
        for image in own[swapped]:
            assert image.float().mean().item() == pytest.approx(mixed.share)
            rows, columns = (~image[0]).any(1).sum(), (~image[0]).any(0).sum()
            assert rows * columns == (~image[0]).sum()  # one box
        expected = mixed.second[swapped].float().view(-1, 1, 1, 1)
        assert torch.equal(mixed.images[swapped] == expected, ~own[swapped])
        boxes.add(mixed.share)
    assert len(boxes) > 10
    assert torch.equal(images[1], torch.ones(3, 16, 12))  # the batch itself does not change


def test_both_mixings_are_chosen_about_equally_often():
    images = torch.randn(4, 3, 8, 8)
    with_box = 0
    for seed in range(200):
        mixed = mix_batch(images, torch.arange(4), mixup=1.0, cutmix=1.0, seed=seed)
        moved = mixed.second != mixed.first
        same = (mixed.images == images)[moved].float().mean().item() if moved.any() else 0.5
        with_box += 0 < same < 1 or mixed.share == 1
    assert 70 < with_box < 130


def test_mixing_is_off_in_the_last_epochs(tmp_path):
    seen = []
    classifier = _classifier(mixup=0.8, mixup_off_epochs=1, epochs=3)
    forward = classifier.network.forward
    originals = [images for images, _ in noise()]
    classifier.network.forward = lambda images, *_: (
        seen.append((classifier.current_epoch, any(torch.equal(images, own) for own in originals))) or forward(images)
    )
    trainer(tmp_path, 3).fit(classifier, noise())
    assert [is_own for epoch, is_own in seen if epoch < 2] == [False] * 6
    assert [is_own for epoch, is_own in seen if epoch == 2] == [True] * 3


def test_an_average_follows_its_formula_with_warm_up_and_norm_statistics():
    network = Network(nn.Sequential(nn.BatchNorm1d(2)), num_features=2, num_classes=2)
    average = AveragedNetwork(network, decay=0.5).train()
    assert not any(module.training for module in average.modules())
    expected = network.head.weight.detach().clone()
    statistics = network.backbone[0].running_mean.clone()
    for t in range(8):
        with torch.no_grad():
            network.head.weight.add_(1.0)
            network.backbone[0].running_mean.add_(1.0)
            network.backbone[0].num_batches_tracked.add_(1)
        average.update(network)
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * network.head.weight.detach()
        statistics = decay * statistics + (1 - decay) * network.backbone[0].running_mean
    torch.testing.assert_close(average.network.head.weight, expected)
    torch.testing.assert_close(average.network.backbone[0].running_mean, statistics)
    assert average.network.backbone[0].num_batches_tracked == 8
    assert torch.equal(average.network.head.bias, network.head.bias)  # constant tensors keep every bit


def test_the_average_of_a_layer_that_is_used_twice_moves_once():
    layer = nn.Linear(2, 2)
    network = Network(nn.Sequential(layer, nn.ReLU(), layer), num_features=2, num_classes=2)
    average = AveragedNetwork(network, decay=0.5)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1.0)
    average.update(network)
    torch.testing.assert_close(average.network.backbone[0].weight, before + 0.9)  # t = 0: d is 1 / 10
    assert average.network.backbone[0] is average.network.backbone[2]


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_the_average_of_adapted_weights_is_the_mean_of_what_the_layers_compute_with(name):
    classifier = small_classifier(name, {"kind": "lora", "rank": 2}, ema_decay=0.6).train()
    optimizer = torch.optim.SGD(classifier.network.parameters(), lr=0.3)

    def plain_weights():
        network = copy.deepcopy(classifier.network)
        merge_adapters(network)
        return {key: value.clone() for key, value in network.state_dict().items() if value.is_floating_point()}

    expected = before = plain_weights()
    for t, (images, targets) in enumerate([*noise()] * 3):
        optimizer.zero_grad()
        functional.cross_entropy(classifier(images), targets).backward()
        optimizer.step()
        classifier.average.update(classifier.network)
        decay = min(0.6, (1 + t) / (10 + t))
        now = plain_weights()
        expected = {key: decay * value + (1 - decay) * now[key] for key, value in expected.items()}
    stored = classifier.plain_network().state_dict()
    assert {key for key, value in stored.items() if value.is_floating_point()} == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(stored[key], value, rtol=0, atol=1e-6)
    changed = [key for key, value in before.items() if not torch.equal(stored[key], value)]
    assert len(changed) > 3 and {"head.weight", "head.bias"} < set(changed)


def test_the_average_is_what_is_validated_and_stored_and_the_frozen_backbone_stays_in_it(tmp_path):
    classifier = _classifier(strategy="frozen", ema_decay=0.9, learning_rate=0.1)
    before = tensors_digest(classifier.network.backbone.state_dict())
    run = trainer(tmp_path, 3)
    run.fit(classifier, noise())
    stored = classifier.plain_network()
    assert stored is classifier.average.network
    assert not torch.equal(stored.head.weight, classifier.network.head.weight)
    assert tensors_digest(stored.backbone.state_dict()) == before
    metrics = run.validate(classifier, noise(batch_size=12), verbose=False)[0]
    images, targets = next(iter(noise(batch_size=12)))
    with torch.no_grad():
        expected = functional.cross_entropy(stored(images), targets).item()
    assert metrics["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert int(classifier.average.updates) == 9


def test_accumulated_batches_step_as_one_large_batch_also_at_the_end_of_an_epoch(tmp_path):
    """12 images: batches of 2, five a step, make steps of 10 and 2 images; batch_size 10 makes the same."""
    make = partial(_classifier, "test_vit", optimizer="sgd", momentum=0.0, schedule="constant", learning_rate=0.1)
    small, large, start = make(), make(), make()
    trainer(tmp_path, accumulate_grad_batches=5).fit(small, noise(batch_size=2))
    trainer(tmp_path).fit(large, noise(batch_size=10))
    for key, value in large.network.state_dict().items():
        torch.testing.assert_close(small.network.state_dict()[key], value, rtol=1e-3, atol=1e-5)
    assert not torch.equal(start.network.head.weight, large.network.head.weight)


@pytest.mark.parametrize(
    ("strategy", "train"),
    [
        (
            {"kind": "lp_ft", "probe_epochs": 2},
            {"mixup": 0.4, "cutmix": 1.0, "mixup_off_epochs": 1, "ema_decay": 0.9, "loss": "focal"},
        ),
        (
            {"kind": "lora", "rank": 4},
            {"ema_decay": 0.99, "logit_adjustment": 1.0, "label_smoothing": 0.1, "optimizer": "sgd"},
        ),
    ],
    ids=["mixed", "adjusted"],
)
def test_many_options_together_resume_to_the_same_bits(strategy, train, tmp_path):
    make = partial(_classifier, strategy=strategy, **train)
    _, half, _ = whole_half_and_resumed(make, noise(), tmp_path, accumulate_grad_batches=2)
    loaded = Classifier.load_from_checkpoint(tmp_path / "half.ckpt", map_location="cpu", weights_only=True)
    assert tensors_digest(loaded.state_dict()) == tensors_digest(half.state_dict())


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"focal_gamma": 1.0}, saying("train.focal_gamma", "1", "cross_entropy")),
        ({"loss": "focal", "label_smoothing": 0.1}, saying("train.label_smoothing", "0.1", "focal")),
        ({"mixup_off_epochs": 1}, saying("train.mixup_off_epochs", "1", "mixup", "cutmix")),
        ({"mixup": 1.0, "mixup_off_epochs": 4}, saying("train.mixup_off_epochs", "4", "train.epochs")),
        ({"class_weights": "balanced", "sampling": "balanced"}, saying("train.class_weights", "train.sampling")),
    ],
)
def test_options_that_contradict_each_other_are_refused(train, said):
    with pytest.raises(RecipeError, match=said.pattern):
        _classifier(**train)
