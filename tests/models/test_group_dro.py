"""Group DRO: the weights of the groups as the paper has them, kept over a resume, and what does not go with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from messages import saying
from scipy.special import log_softmax
from small_training import SIZE, noise, small_classifier, whole_half_and_resumed
from torch.nn import functional

from tlkit.errors import ModelError, RecipeError
from tlkit.models.classifier import Classifier
from tlkit.models.losses import GroupDROLoss
from tlkit.models.tuning_sweep import sweep_rates
from tlkit.recipe import load_recipe

HEAD = "recipe_version: 1\nname: r\ndata: {root: x, metadata: m.csv, groups: [light]}\nmodel: {name: resnet18}\n"


def _classifier(**train):
    chosen = {"loss": "group_dro", "group_dro_step": 0.5, **train}
    classifier = small_classifier(given={"num_groups": 3}, **chosen)
    classifier.loss.set_groups([0, 1, 2, 1, 0, 1, 0, 1, 0, 1, 2, 1])
    return classifier


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
    whole, half, _ = whole_half_and_resumed(_classifier, noise(rows=True), tmp_path)
    assert not torch.equal(whole.loss.log_q, half.loss.log_q)
    assert not any("group" in name or "log_q" in name for name in whole.plain_network().state_dict())
    loaded = Classifier.load_from_checkpoint(tmp_path / "half.ckpt", map_location="cpu", weights_only=True)
    assert torch.equal(loaded.loss.log_q, half.loss.log_q)
    assert loaded.loss.group_of is None  # a checkpoint says nothing of who is in which group
    before = half.loss.log_q.clone()
    assert len(sweep_rates(half, noise(rows=True), steps=10).rates)
    assert torch.equal(half.loss.log_q, before)


def test_a_classifier_that_is_not_told_the_groups_says_so():
    with pytest.raises(ModelError, match=saying("train.loss", "group_dro", "num_groups").pattern):
        Classifier("test_resnet", weights="none", classes=["a", "b"], train={"loss": "group_dro"})
    classifier = _classifier()
    with pytest.raises(ModelError, match=saying("Groups", "0 to 2").pattern):
        classifier.loss.set_groups([0, 3])
    with pytest.raises(ModelError, match=saying("loss.set_groups", "rows").pattern):
        batch = (torch.zeros(2, 3, SIZE, SIZE), torch.zeros(2, dtype=torch.int64))
        classifier.batch_loss(batch, epoch=0, batch_idx=0)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"audit.by": []}, saying("train.loss", "group_dro", "Set audit.by", "loss: cross_entropy")),
        *(
            ({f"train.{key}": value}, saying(f"Remove train.{key}", "loss: cross_entropy"))
            for key, value in (
                ("class_weights", "balanced"),
                ("logit_adjustment", 1.0),
                ("mixup", 0.2),
                ("cutmix", 1.0),
            )
        ),
        ({"train.focal_gamma": 1.0}, saying("train.focal_gamma", "1", "group_dro", "loss: focal")),
        (
            {"train.loss": "focal", "train.group_dro_step": 0.1},
            saying("Remove train.group_dro_step", "0.1", "focal", "loss: group_dro"),
        ),
        ({"train.loss": "dro"}, saying("train.loss", "'dro'", "cross_entropy", "focal", "Did you mean group_dro")),
        ({"train.group_dro_step": 0}, saying("train.group_dro_step", "0", "above")),
        (
            {"augment": "none", "strategy": {"kind": "frozen", "head": "logistic"}, "train.loss": "group_dro"},
            saying("train.loss", "logistic"),
        ),
    ],
)
def test_what_does_not_go_with_group_dro_is_refused(tmp_path, overrides, said):
    path = tmp_path / "r.yaml"
    path.write_text(HEAD + "train: {loss: group_dro}\naudit: {by: [light]}\n")
    assert load_recipe(path).train.group_dro_step == 0.01
    with pytest.raises(RecipeError, match=said.pattern):
        load_recipe(path, overrides)


def test_changing_the_loss_on_the_command_line_drops_the_keys_of_the_other(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        HEAD + "train: {loss: group_dro, group_dro_step: 0.1, label_smoothing: 0.1}\naudit: {by: [light]}\n"
    )
    assert load_recipe(path, ["train.loss=cross_entropy"]).train.label_smoothing == 0.1
    assert load_recipe(path, ["train.loss=focal"]).train.label_smoothing == 0.0
