"""Linear layers by oneDNN: the same numbers, in networks of every build."""

from __future__ import annotations

import copy

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import numpy as np
import pytest
import timm
import torch
from test_fusing import OfPixels
from torch import nn
from torch.nn import functional

from tlkit.features import fused_linear
from tlkit.features.engines import TorchEngine
from tlkit.features.fused_linear import FusedLinear, can_fuse, fuse_linear

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this build of torch has no oneDNN")


def fused_in(module):
    return [part for part in module.modules() if isinstance(part, FusedLinear)]


def assert_the_same(fused, network, *inputs):
    for values in inputs:
        with torch.inference_mode():
            found, expected = fused(values), network(values)
        assert float(expected.std()) > 0
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_mambaout", "test_convnext2"])
def test_a_network_gives_the_same_features(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    side = network.pretrained_cfg["input_size"][-1]
    fused = fuse_linear(network, torch.randn(1, 3, side, side))
    assert bool(fused_in(fused)) == any(type(part) is nn.Linear for part in network.modules())
    assert not fused_in(network)
    assert_the_same(fused, network, torch.randn(5, 3, side, side))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.GELU(), nn.GELU(approximate="tanh"), timm.layers.GELU(), nn.Sigmoid()], ids=str
)
def test_the_activation_is_computed_by_the_layer_where_onednn_knows_it(activation, bias):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8, bias=bias), activation, nn.Linear(8, 3)).eval()
    fused = fuse_linear(network, torch.randn(1, 6))
    assert [type(part).__name__ for part in fused][::2] == ["FusedLinear", "FusedLinear"]
    assert isinstance(fused[1], nn.Sigmoid if isinstance(activation, nn.Sigmoid) else nn.Identity)
    values = 4 * torch.randn(10, 12)
    shapes = [torch.randn(7, 6), torch.randn(2, 5, 6), torch.randn(2, 3, 4, 6), torch.randn(6), values[:, ::2]]
    assert_the_same(fused, network, *shapes)


def test_layers_that_are_used_twice_or_looked_into_stay_or_still_work():
    class Looking(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.looked_into = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = self.looked_into(self.shared(self.shared(x)))
            return functional.linear(x, self.looked_into.weight, self.looked_into.bias)

    torch.manual_seed(0)
    network = Looking().eval()
    fused = fuse_linear(network, torch.randn(1, 4))
    assert (type(fused.shared), type(fused.looked_into)) == (nn.Linear, FusedLinear)
    assert_the_same(fused, network, torch.randn(3, 4))


def test_what_would_change_the_features_or_fails_is_left_out(monkeypatch):
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    example = torch.randn(1, 4)
    with monkeypatch.context() as patched:
        patched.setattr(fused_linear, "_word_for", lambda _: ("tanh", ""))
        assert fuse_linear(network, example) is network
    with monkeypatch.context() as patched:
        patched.setattr(fused_linear, "_word_for", lambda _: ("no such word", ""))
        assert fuse_linear(network, example) is network
    with monkeypatch.context() as patched:
        patched.setattr(fused_linear, "can_fuse", lambda: False)
        assert fuse_linear(network, example) is network
    double = nn.Sequential(nn.Linear(4, 4)).double().eval()
    assert fuse_linear(double, example.double()) is double


def test_a_network_that_has_run_can_be_copied():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    fused = fuse_linear(network, torch.randn(1, 4))
    assert_the_same(copy.deepcopy(fused), network, torch.randn(3, 4))


def test_the_engine_of_a_vision_transformer_computes_by_it():
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=0).eval()
    pixels = torch.randint(0, 256, (4, 3, 160, 160), dtype=torch.uint8)
    plain, fused = TorchEngine(OfPixels(network)), TorchEngine(OfPixels(network), example=pixels)
    assert fused_in(fused._module) and not fused_in(plain._module)
    np.testing.assert_allclose(fused(pixels), plain(pixels), rtol=1e-4, atol=1e-5)
    assert fused(pixels).tobytes() == fused(pixels).tobytes()
