"""Activations fused into convolutions: the same bits in fewer passes, or nothing at all."""

from __future__ import annotations

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import numpy as np
import pytest
import timm
import torch
from timm.layers import create_conv2d
from timm.layers.padding import pad_same
from torch import nn

from tlkit.features import fusing
from tlkit.features.engines import TorchEngine
from tlkit.features.folding import fold_batch_norm
from tlkit.features.fusing import FusedConv2d, Turned, can_fuse, fuse_activations

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this build of torch has no oneDNN")


def fused_in(module):
    return [part for part in module.modules() if isinstance(part, FusedConv2d)]


def channels_last(*shape):
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


class OfPixels(nn.Module):
    """A network that takes pixels, as engines give them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        return self.network(pixels / 255)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "tf_efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("batch", [1, 8])
def test_a_network_gives_the_same_features_with_its_activations_fused(name, batch):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    for key, values in network.named_buffers():  # so that activations have something to cut off
        if key.endswith("running_mean"):
            values.normal_(0, 0.5)
    side = 65
    folded = fold_batch_norm(network, torch.randn(1, 3, side, side)).to(memory_format=torch.channels_last)
    fused = fuse_activations(folded, torch.randn(1, 3, side, side))
    assert fused_in(fused) and not fused_in(folded)
    images = channels_last(batch, 3, side, side)
    with torch.inference_mode():
        found, expected = fused(images), folded(images)
    assert float(expected.std()) > 0
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


class Padded(nn.Sequential):
    """Convolutions that pad as TensorFlow does, and the mean over all places."""

    def __init__(self, *others):
        super().__init__(
            create_conv2d(3, 8, 3, stride=2, padding="same"), nn.ReLU(),
            create_conv2d(8, 8, 5, stride=2, padding="same", depthwise=True), *others,
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip


@pytest.mark.parametrize("size", [(32, 32), (31, 32), (33, 30), (7, 9)])
def test_a_network_that_pads_as_tensorflow_does_is_turned_and_gives_the_same(size):
    torch.manual_seed(0)
    network = Padded().eval().to(memory_format=torch.channels_last)
    fused = fuse_activations(network, torch.randn(1, 3, *size))
    assert isinstance(fused, Turned)
    images = channels_last(4, 3, *size)
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), network(images))


@pytest.mark.parametrize(
    ("other", "side"), [(nn.Conv2d(8, 8, 3, stride=2, padding=1), 32), (nn.MaxPool2d(2), 36)], ids=["conv", "pool"]
)
def test_one_that_sees_another_picture_when_turned_is_fused_as_it_stands(other, side):
    torch.manual_seed(0)
    network = Padded(other).eval().to(memory_format=torch.channels_last)
    fused = fuse_activations(network, torch.randn(1, 3, side, side))
    assert fused_in(fused) and not isinstance(fused, Turned)
    images = channels_last(4, 3, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), network(images))


@pytest.mark.parametrize("brightness", [0.0, 0.7])
def test_a_plain_picture_does_not_make_a_network_seem_one_that_can_be_turned(brightness):
    torch.manual_seed(0)
    network = nn.Sequential(  # takes every other place, beginning at the first: in a turned picture, at the last
        create_conv2d(3, 8, 1, stride=2, padding="same"), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()  # fmt: skip
    fused = fuse_activations(network, torch.full((1, 3, 32, 32), brightness))
    assert fused_in(fused) and not isinstance(fused, Turned)
    images = channels_last(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), network(images))


def test_the_activation_is_computed_by_the_convolution_and_nowhere_else():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.ReLU()).eval()
    fused = fuse_activations(network.to(memory_format=torch.channels_last), torch.randn(1, 3, 16, 16))
    assert [type(part).__name__ for part in fused] == ["FusedConv2d", "Identity", "FusedConv2d", "Identity"]
    images = channels_last(4, 3, 16, 16) * 10
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), network(images))
        assert float(fused[0](images).max()) == 6.0


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.conv(x)
        y += x  # the very tensor that the convolution made, with something added
        return self.act(y)


def test_what_is_added_before_the_activation_is_added_before_it():
    network = Residual().eval().to(memory_format=torch.channels_last)
    fused = fuse_activations(network, torch.randn(1, 4, 8, 8))
    assert isinstance(fused.act, nn.ReLU)
    images = channels_last(2, 4, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), network(images))


def test_layers_that_are_used_twice_stay_as_they_are():
    conv, act = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()
    fused = fuse_activations(nn.Sequential(conv, act, conv, act).eval(), torch.randn(1, 3, 8, 8))
    assert not fused_in(fused)


def test_what_would_change_the_features_is_left_out(monkeypatch):
    monkeypatch.setitem(fusing.WORDS, nn.ReLU, ("tanh", []))
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    assert fuse_activations(network, torch.randn(1, 3, 8, 8)) is network


def test_a_network_that_looks_into_its_convolutions_stays_as_it_is():
    class Looking(nn.Sequential):
        def forward(self, x):
            return super().forward(x.to(self[0].weight.dtype))

    network = Looking(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    assert fuse_activations(network, torch.randn(1, 3, 8, 8)) is network


def test_without_onednn_nothing_is_fused(monkeypatch):
    monkeypatch.setattr(fusing, "can_fuse", lambda: False)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    assert fuse_activations(network, torch.randn(1, 3, 8, 8)) is network


@pytest.mark.parametrize("size", [(15, 16), (16, 15), (7, 7)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (3, 1, 2), (1, 1, 1), (2, 3, 1)])
def test_padding_is_that_of_timm(size, kernel, stride, dilation):
    images = channels_last(2, 3, *size)
    window = [(kernel, kernel), (stride, stride), (dilation, dilation)]
    assert torch.equal(fusing._padded_same(images, *window), pad_same(images, *window))


def test_an_engine_with_an_example_gives_the_features_of_one_without():
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    plain, fused = TorchEngine(OfPixels(network)), TorchEngine(OfPixels(network), example=pixels)
    assert fused_in(fused._module) and not fused_in(plain._module)
    np.testing.assert_allclose(fused(pixels), plain(pixels), rtol=1e-5, atol=1e-6)
    assert fused(pixels).tobytes() == fused(pixels).tobytes()
    assert not fused_in(TorchEngine(OfPixels(network), dtype="bfloat16", example=pixels)._module)
