"""A step over several batches equals a step on one batch of the same images, whatever their sizes."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from messages import saying
from small_training import SIZE, small_classifier, trainer
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from tlkit.errors import ModelError
from tlkit.models.losses import loss_of, weight_in_loss
from tlkit.models.mask_decoder import IGNORED
from tlkit.models.mask_head import SegmentationHead
from tlkit.models.mixup import mix_batch
from tlkit.models.optimizer_step import StepWeight
from tlkit.models.task_heads import create_task_loss
from tlkit.models.training_step import batch_seed
from tlkit.models.tuning_sweep import sweep_rates

RATE, CLIP, GROUPS = 0.1, 0.05, 3
OPTIONS = {
    "plain": ({}, {}),
    "smoothed": ({"label_smoothing": 0.2}, {"class_weights": {"a": 1.0, "b": 5.0}}),
    "focal": ({"loss": "focal", "ema_decay": 0.5}, {"class_weights": {"a": 0.2, "b": 3.0}}),
    "mixed": ({"mixup": 1.0, "cutmix": 1.0}, {"class_weights": {"a": 1.0, "b": 4.0}}),
    "group_dro": ({"loss": "group_dro", "group_dro_step": 3.0, "ema_decay": 0.5}, {"num_groups": GROUPS}),
}
make = partial(
    small_classifier, "test_vit", {"kind": "full", "backbone_lr_factor": 1.0}, optimizer="sgd",
    momentum=0.0, weight_decay=0.0, schedule="constant",
    learning_rate=RATE, gradient_clip_val=CLIP,
)  # fmt: skip


def batches_of(sizes):
    """Return batches of noise, uneven targets and rows."""
    count, stream = sum(sizes), torch.Generator().manual_seed(sum(sizes))
    images = torch.randn(count, 3, SIZE, SIZE, generator=stream) + 1
    parts = images, (torch.rand(count, generator=stream) < 0.3).long(), torch.arange(count)
    batches = [list(batch) for batch in zip(*(part.split(sizes) for part in parts), strict=True)]
    return DataLoader(batches, batch_size=None)


def groups_of(rows):
    return rows % 5 % GROUPS


def step_by_definition(network, batches, q, *, label_smoothing=0.0, loss="cross_entropy", weights=(1.0, 1.0), mixed=()):
    """Set the gradient of the mean loss of all images of a step; return the weights of the groups after it."""
    total, weight, dro = 0.0, 0.0, []
    for number, (images, targets, rows) in batches:
        pairs, mix = [(1.0, targets)], None
        if mixed:
            mix = mix_batch(images, targets, mixup=1.0, cutmix=1.0, seed=batch_seed(0, epoch=0, batch=number))
            pairs = [(mix.share, mix.first), (1 - mix.share, mix.second)]
        logits = network(mix.images if mix else images)
        for share, labels in pairs:
            if loss == "focal":
                log_p = logits.log_softmax(1)[torch.arange(len(labels)), labels]
                each = -torch.tensor(weights)[labels] * (1 - log_p.exp()) ** 2 * log_p
            else:
                each = functional.cross_entropy(
                    logits, labels, torch.tensor(weights), reduction="none", label_smoothing=label_smoothing
                )
            total = total + share * each.sum()
        weight += torch.tensor(weights)[targets].sum()
        dro.append((each, groups_of(rows)))
    if loss == "group_dro":
        each, group = (torch.cat(parts) for parts in zip(*dro, strict=True))
        means = torch.stack([each[group == g].mean() if (group == g).any() else each.sum() * 0 for g in range(GROUPS)])
        q = q * (3.0 * means.detach()).exp()
        q = q / q.sum()
        (q * means).sum().backward()
    else:
        (total / weight).backward()
    return q


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), each=st.integers(1, 4))
def test_a_step_over_batches_of_any_size_is_that_of_all_their_images(name, sizes, each, tmp_path_factory):
    train, more = OPTIONS[name]
    ours, network = make(given=more, **train), make(given=more, **train).network.train()
    if name == "group_dro":
        ours.loss.set_groups(groups_of(torch.arange(sum(sizes))).tolist())
    batches, average, q = batches_of(sizes), network.head.bias.detach().clone(), torch.full((GROUPS,), 1 / GROUPS)
    trainer(tmp_path_factory.mktemp("t"), accumulate_grad_batches=each, gradient_clip_val=CLIP).fit(ours, batches)
    weights = tuple(more.get("class_weights", {"a": 1.0, "b": 1.0}).values())
    known = {key: train[key] for key in ("label_smoothing", "loss") if key in train}
    numbered = list(enumerate(batches))
    for update, start in enumerate(range(0, len(batches), each)):
        network.zero_grad()
        q = step_by_definition(
            network, numbered[start : start + each], q, weights=weights, mixed="mixup" in train, **known
        )
        clip_grad_norm_(network.parameters(), CLIP)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.sub_(RATE * parameter.grad)
        average = average.lerp(network.head.bias.detach(), 1 - min(0.5, (1 + update) / (10 + update)))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    if ours.average is not None:
        torch.testing.assert_close(ours.average.network.head.bias, average, rtol=1e-4, atol=1e-6)
    if name == "group_dro":
        torch.testing.assert_close(ours.loss.q, q, rtol=1e-4, atol=1e-6)


def test_class_weights_count_where_each_batch_holds_one_image(tmp_path):
    biases = []
    for weights in ({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 100.0}):
        ours = make(given={"class_weights": weights})
        trainer(tmp_path, accumulate_grad_batches=6).fit(ours, batches_of([1] * 6))
        biases.append(ours.network.head.bias.detach())
    assert biases[0][1] < 0 < biases[1][1]  # most images are of class a


def test_the_logged_loss_of_an_epoch_weighs_every_image_as_training_does(tmp_path):
    ours = make(given={"class_weights": {"a": 1.0, "b": 5.0}}, learning_rate=1e-9)
    batches = batches_of([4, 2, 1])
    run = trainer(tmp_path, accumulate_grad_batches=2)
    run.fit(ours, batches)
    images, targets, _ = (torch.cat(parts) for parts in zip(*batches, strict=True))
    expected = functional.cross_entropy(ours.network.train()(images), targets, torch.tensor([1.0, 5.0]))
    assert float(run.callback_metrics["train_loss"]) == pytest.approx(expected.item(), rel=1e-5)


def test_group_dro_over_several_batches_keeps_norm_statistics_of_one_pass(tmp_path):
    """The second computation of the activations must not move the running statistics again."""
    plain, dro = (
        small_classifier("test_resnet", learning_rate=1e-12, optimizer="sgd", given=more, **train)
        for more, train in (({}, {}), ({"num_groups": GROUPS}, {"loss": "group_dro"}))
    )
    dro.loss.set_groups([0, 1, 2] * 4)
    for ours in (plain, dro):
        trainer(tmp_path, accumulate_grad_batches=2).fit(ours, batches_of([4, 4, 4]))
    for key, value in plain.network.state_dict().items():
        if "running" in key or "tracked" in key:
            torch.testing.assert_close(dro.network.state_dict()[key], value, rtol=1e-5, atol=1e-6)


def test_a_sweep_of_learning_rates_takes_the_steps_of_training():
    weighted = {"class_weights": {"a": 1.0, "b": 5.0}}
    one = sweep_rates(make(given=weighted), batches_of([6]), steps=3)
    several = sweep_rates(make(given=weighted, accumulate_grad_batches=3), batches_of([1, 3, 2]), steps=3)
    assert several.losses == pytest.approx(one.losses, rel=1e-4)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
@pytest.mark.parametrize("sizes", [[4, 2], [1] * 6, [1, 5]])
def test_a_step_over_masks_weighs_every_pixel_as_one_batch_does(loss, sizes):
    pytest.importorskip("segmentation_models_pytorch")
    of = create_task_loss(SegmentationHead(loss), ["a", "b", "c"])
    stream = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(6, 3, 8, 8, generator=stream), torch.randint(0, 3, (6, 8, 8), generator=stream)
    for number, mask in enumerate(masks):
        mask.view(-1)[: 64 - 12 * number] = IGNORED  # of the first image no pixel is known
    bias = torch.zeros(3, 1, 1, requires_grad=True)
    loss_of(of, logits + bias, masks).backward()
    whole, step, optimizer = bias.grad.clone(), StepWeight(), torch.optim.SGD([bias], lr=1.0)
    bias.grad = None
    for number, (part, targets) in enumerate(zip(logits.split(sizes), masks.split(sizes), strict=True)):
        factor = step.add(weight_in_loss(of, targets), starts=number == 0)
        (loss_of(of, part + bias, targets) * factor / len(sizes)).backward()  # Lightning divides by the batches
    step.scale_gradients(optimizer, batches=len(sizes))
    torch.testing.assert_close(bias.grad, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_class_weight_that_is_no_weight_is_refused(weight):
    with pytest.raises(ModelError, match=saying("class_weights", "above 0").pattern):
        make(given={"class_weights": {"a": 1.0, "b": weight}})
