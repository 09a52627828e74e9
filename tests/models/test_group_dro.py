"""Group DRO: the weights of the groups as the paper has them, kept over a resume, and what does not go with it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.special import log_softmax
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tlkit.errors import ModelError, RecipeError
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.losses import GroupDROLoss
from tlkit.models.tuning_sweep import sweep_rates
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.recipe import load_recipe

SIZE = 32


def _classifier(**train):
    torch.manual_seed(0)
    backbone = create_backbone("test_resnet", weights="none", image_size=(SIZE, SIZE))
    classifier = Classifier(
        backbone,
        classes=["a", "b"],
        num_groups=3,
        train={"epochs": 4, "loss": "group_dro", "group_dro_step": 0.5, **train},
    )
    classifier.loss.set_groups([0, 1, 2, 1, 0, 1, 0, 1, 0, 1, 2, 1])
    return classifier


def _loader():
    images = torch.randn(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) + 1
    return DataLoader(TensorDataset(images, torch.arange(12) % 2, torch.arange(12)), batch_size=4)


def _trainer(tmp_path, epochs):
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )


def test_the_weights_of_the_groups_are_those_of_algorithm_1_also_where_a_batch_lacks_a_group():
    random, loss = np.random.default_rng(0), GroupDROLoss(groups=3, step=0.7)
    q = np.full(3, 1 / 3)
    for group in np.array([[0, 1, 2, 2, 1], [0, 0, 2, 2, 2], [1, 1, 1, 1, 1], [2, 0, 1, 0, 0]]):
        logits, targets = 3 * random.normal(size=(5, 4)), random.integers(4, size=5)
        each = -log_softmax(logits, axis=1)[np.arange(5), targets]
        losses = np.array([each[group == g].mean() if (group == g).any() else 0.0 for g in range(3)])
        q = q * np.exp(0.7 * losses)
        q /= q.sum()
        x = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
        value = loss(x, torch.tensor(targets), torch.tensor(group))
        np.testing.assert_allclose(loss.q.numpy(), q, rtol=1e-5)
        assert value.item() == pytest.approx(float(q @ losses), rel=1e-5)
        value.backward()
        share = q[group] / np.bincount(group, minlength=3)[group]  # q is held fixed in the gradient
        softmax = np.exp(log_softmax(logits, axis=1)) - np.eye(4)[targets]
        np.testing.assert_allclose(x.grad.numpy(), share[:, None] * softmax, rtol=1e-4, atol=1e-6)


def test_with_one_group_it_is_the_cross_entropy_and_judging_moves_no_weight():
    logits, targets = torch.randn(16, 3), torch.arange(16) % 3
    one = GroupDROLoss(groups=1, step=0.1, label_smoothing=0.1)
    expected = functional.cross_entropy(logits, targets, label_smoothing=0.1)
    torch.testing.assert_close(one(logits, targets, torch.zeros(16, dtype=torch.int64)), expected)
    two = GroupDROLoss(groups=2, step=0.1).eval()
    two(logits, targets, torch.arange(16) // 12)
    assert two.q.tolist() == [0.5, 0.5]


def test_no_group_is_lost_for_good_and_a_loss_that_is_not_finite_spoils_nothing():
    loss, targets, group = GroupDROLoss(groups=2, step=50.0), torch.zeros(2, dtype=torch.int64), torch.arange(2)
    bad, good = torch.tensor([-20.0, 20.0]), torch.tensor([20.0, -20.0])
    loss(torch.stack([bad, good]), targets, group)
    assert loss.q.tolist() == [1.0, 0.0]  # beyond what a float32 can hold, but not beyond its logarithm
    before = loss.log_q.clone()
    assert not torch.isfinite(loss(torch.full((2, 2), float("nan")), targets, group))
    assert torch.equal(loss.log_q, before)
    for _ in range(2):
        loss(torch.stack([good, bad]), targets, group)
    assert loss.q.tolist() == [0.0, 1.0]


def test_a_resumed_run_goes_on_with_the_weights_of_the_groups(tmp_path):
    whole, head, tail = (_classifier() for _ in range(3))
    _trainer(tmp_path, 4).fit(whole, _loader())
    first = _trainer(tmp_path, 2)
    first.fit(head, _loader())
    first.save_checkpoint(tmp_path / "half.ckpt")
    _trainer(tmp_path, 4).fit(tail, _loader(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert tensors_digest(tail.state_dict()) == tensors_digest(whole.state_dict())
    assert not torch.equal(whole.loss.log_q, head.loss.log_q)
    assert not any("group" in name or "log_q" in name for name in whole.plain_network().state_dict())
    loaded = Classifier.load_from_checkpoint(tmp_path / "half.ckpt", map_location="cpu", weights_only=True)
    assert torch.equal(loaded.loss.log_q, head.loss.log_q)
    assert loaded.loss.group_of is None  # a checkpoint says nothing of who is in which group


def test_a_sweep_of_learning_rates_takes_the_groups_and_leaves_their_weights():
    classifier = _classifier()
    before = classifier.loss.log_q.clone()
    assert len(sweep_rates(classifier, _loader(), steps=10).rates)
    assert torch.equal(classifier.loss.log_q, before)


def test_a_classifier_that_is_not_told_the_groups_says_so():
    with pytest.raises(ModelError, match=r"^train.loss: group_dro needs the number of groups. Pass num_groups.$"):
        Classifier("test_resnet", weights="none", classes=["a", "b"], train={"loss": "group_dro"})
    classifier = _classifier()
    with pytest.raises(ModelError, match=r"^Groups must be whole numbers from 0 to 2\.$"):
        classifier.loss.set_groups([0, 3])
    with pytest.raises(ModelError, match=r"Call loss[.]set_groups, and give batches of images, targets, rows"):
        batch = (torch.zeros(2, 3, SIZE, SIZE), torch.zeros(2, dtype=torch.int64))
        classifier.batch_loss(batch, epoch=0, batch_idx=0)


TWICE = "is given, but loss: group_dro already weights each intersection of class and group."
MIXED = "is given, but loss: group_dro needs one group per image."


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"audit.by": []},
            "train.loss is group_dro, but audit.by names no group column. Set audit.by, or use loss: cross_entropy.",
        ),
        (
            {"train.class_weights": "balanced"},
            f"train.class_weights {TWICE} Remove train.class_weights, or use loss: cross_entropy.",
        ),
        (
            {"train.logit_adjustment": 1.0},
            f"train.logit_adjustment {TWICE} Remove train.logit_adjustment, or use loss: cross_entropy.",
        ),
        ({"train.mixup": 0.2}, f"train.mixup {MIXED} Remove train.mixup, or use loss: cross_entropy."),
        ({"train.cutmix": 1.0}, f"train.cutmix {MIXED} Remove train.cutmix, or use loss: cross_entropy."),
        (
            {"train.focal_gamma": 1.0},
            "train.focal_gamma is 1, but loss: group_dro has none. Remove train.focal_gamma, or use loss: focal.",
        ),
        (
            {"train.loss": "focal", "train.group_dro_step": 0.1},
            "train.group_dro_step is 0.1, but loss: focal has none. "
            "Remove train.group_dro_step, or use loss: group_dro.",
        ),
        ({"train.loss": "dro"}, "train.loss is 'dro'. Use cross_entropy, focal or group_dro. Did you mean group_dro?"),
        ({"train.group_dro_step": 0}, "train.group_dro_step is 0. Use a number above 0."),
    ],
)
def test_what_does_not_go_with_group_dro_is_refused(tmp_path, overrides, message):
    path = tmp_path / "r.yaml"
    path.write_text(
        "recipe_version: 1\nname: r\ndata: {root: x, metadata: m.csv, groups: [light]}\nmodel: {name: resnet18}\n"
        "train: {loss: group_dro}\naudit: {by: [light]}\n"
    )
    assert load_recipe(path).train.group_dro_step == 0.01
    with pytest.raises(RecipeError, match=re.escape(message)):
        load_recipe(path, overrides)


def test_a_head_that_is_fitted_at_once_takes_no_group_dro(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "recipe_version: 1\nname: r\ndata: {root: x, metadata: m.csv, groups: [light]}\nmodel: {name: resnet18}\n"
        "augment: none\nstrategy: {kind: frozen, head: logistic}\ntrain: {loss: group_dro}\naudit: {by: [light]}\n"
    )
    with pytest.raises(RecipeError, match=r"train\.loss is given, but head: logistic is not trained in epochs"):
        load_recipe(path)


def test_changing_the_loss_on_the_command_line_drops_the_keys_of_the_other(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "recipe_version: 1\nname: r\ndata: {root: x, metadata: m.csv, groups: [light]}\nmodel: {name: resnet18}\n"
        "train: {loss: group_dro, group_dro_step: 0.1, label_smoothing: 0.1}\naudit: {by: [light]}\n"
    )
    assert load_recipe(path, ["train.loss=cross_entropy"]).train.label_smoothing == 0.1
    assert load_recipe(path, ["train.loss=focal"]).train.label_smoothing == 0.0
