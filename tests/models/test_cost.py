"""What a backbone costs, held to published counts and to scipy."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from scipy.stats import binom
from torch import nn

from tlkit.models.cost import count_macs, count_parameters, measure_latency, median_estimate


def test_counts_are_those_of_the_papers():
    with torch.device("meta"):
        resnet, vit = timm.create_model("resnet18"), timm.create_model("vit_tiny_patch16_224")
    assert count_parameters(resnet) == 11_689_512
    assert count_macs(resnet, (224, 224)) / 1e9 == pytest.approx(1.82, abs=0.01)  # timm's results: 1.82 GMACs
    assert count_macs(vit, (224, 224)) / 1e9 == pytest.approx(1.26, abs=0.01)  # with attention: 1.26 GMACs


def test_counting_leaves_the_network_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert count_macs(module, (8, 8)) == 4 * 27 * 36
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_network_that_needs_values_has_no_count():
    class Deciding(nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else -images

    assert count_macs(Deciding(), (8, 8)) is None


def test_latency_has_a_median_with_an_interval():
    found = measure_latency(nn.Conv2d(3, 4, 3), (16, 16), device="cpu")
    assert 0 < found.one_ms.low <= found.one_ms.value <= found.one_ms.high
    assert found.one_ms.n >= 9 and found.images_per_s > 0


@pytest.mark.parametrize("n", [6, 9, 20, 50])
def test_interval_of_the_median_covers_at_least_95_percent_and_no_narrower_one_does(n):
    found = median_estimate(list(np.arange(1.0, n + 1)))
    rank = int(found.low)
    assert found.high == n + 1 - rank
    assert 1 - 2 * binom.cdf(rank - 1, n, 0.5) >= 0.95 > 1 - 2 * binom.cdf(rank, n, 0.5)
    few = median_estimate([3.0, 1.0, 2.0])
    assert (few.value, few.low, few.high) == (2, None, None)  # too few for an interval
