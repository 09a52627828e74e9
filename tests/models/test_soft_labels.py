"""Losses with shares of the classes as targets: the mean over annotators, with weights, smoothing and mixup."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tlkit.models.losses import FocalLoss, loss_of, targets_of, weight_in_loss
from tlkit.models.mixup import mix_batch

B, C = 6, 4


@pytest.fixture
def drawn():
    torch.manual_seed(0)
    logits = torch.randn(B, C, dtype=torch.float64)
    votes = torch.randint(0, 3, (B, C)).double() + torch.eye(C, dtype=torch.float64)[torch.arange(B) % C]
    return logits, votes / votes.sum(dim=1, keepdim=True), torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)


def test_without_weights_it_is_torchs_own_cross_entropy_of_probabilities(drawn):
    logits, shares, _ = drawn
    for smoothing in (0.0, 0.1):
        loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
        torch.testing.assert_close(loss_of(loss, logits, shares), loss(logits, shares))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_certain_shares_give_the_loss_of_classes(drawn, smoothing, weighted):
    logits, _, weight = drawn
    y = torch.arange(B) % C
    certain = functional.one_hot(y, C).double()
    given = weight if weighted else None
    for loss in (nn.CrossEntropyLoss(weight=given, label_smoothing=smoothing), FocalLoss(gamma=2.0, weight=given)):
        torch.testing.assert_close(loss_of(loss, logits, certain), loss_of(loss, logits, y))
        assert float(weight_in_loss(loss, certain)) == pytest.approx(float(weight_in_loss(loss, y)))


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, lambda weight: FocalLoss(gamma=1.5, weight=weight)])
def test_shares_give_the_loss_of_one_row_for_each_annotator(drawn, make):
    """Four annotators an image: the loss of the shares is that of four rows with a class each, weighted by class."""
    logits, _, weight = drawn
    votes = torch.tensor([[0, 0, 1, 2], [3, 3, 3, 3], [0, 1, 2, 3], [1, 1, 1, 0], [2, 2, 0, 0], [3, 0, 3, 3]])
    shares = functional.one_hot(votes, C).double().mean(dim=1)
    loss = make(weight=weight)
    rows = loss(logits.repeat_interleave(4, dim=0), votes.flatten())
    torch.testing.assert_close(loss_of(loss, logits, shares), rows)


def test_mixup_mixes_shares_as_it_mixes_classes(drawn):
    logits, shares, _ = drawn
    images = torch.randn(B, 3, 4, 4, dtype=torch.float64)
    soft = mix_batch(images, shares, mixup=1.0, cutmix=0.0, seed=3)
    loss = nn.CrossEntropyLoss()
    mean = soft.share * soft.first + (1 - soft.share) * soft.second  # the cross-entropy is linear in its targets
    torch.testing.assert_close(soft.loss(lambda *given: loss_of(loss, *given), logits), loss(logits, mean))


def test_targets_are_looked_up_by_row():
    batch = (torch.zeros(2, 3), torch.tensor([1, 0]), torch.tensor([2, 0]))
    shares = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    torch.testing.assert_close(targets_of(batch, shares), torch.tensor([[0.2, 0.8], [0.9, 0.1]]))
    assert targets_of(batch, None) is batch[1]
