"""A pass on the meta device gives the shapes of a real pass and leaves the network as it was."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from tlkit.models.meta_pass import meta_pass
from tlkit.models.timm_facts import feature_width


class Noting(nn.Module):
    """A network that notes the size of its grid and an embedding of it, as timm's rotary embeddings do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.same = self.conv.weight  # a shared parameter
        self.grid = None
        self.register_buffer("embedding", torch.zeros(1))

    def forward(self, images):
        features = self.conv(images)
        if self.grid != features.shape[-2:]:
            self.grid, self.noted = features.shape[-2:], features
            self.embedding = features.new_ones(self.grid.numel())
        return (features.flatten(2) * self.embedding).mean(2)


def test_a_network_is_as_it_was():
    module = Noting().train()
    module.conv.eval()
    before, tensors = copy.deepcopy(module.state_dict()), dict(module.named_parameters(remove_duplicate=False))
    assert meta_pass(module, (9, 7)).shape == (1, 4)
    assert module.grid is None and not hasattr(module, "noted")
    assert module.training and not module.conv.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert dict(module.named_parameters(remove_duplicate=False)).keys() == tensors.keys()
    assert all(tensor is tensors[name] for name, tensor in module.named_parameters(remove_duplicate=False))
    assert module(torch.ones(1, 3, 9, 7)).device.type == "cpu"


def test_a_network_is_as_it_was_after_an_error():
    module = Noting().train()
    with pytest.raises(RuntimeError):
        meta_pass(module, (2, 2))  # smaller than the kernel
    assert module.training and module.conv.weight.device.type == "cpu"
    assert module(torch.ones(1, 3, 9, 7)).shape == (1, 4)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "levit_128s", "convit_tiny"])
def test_the_width_is_that_of_a_real_pass(name, monkeypatch):
    module = timm.create_model(name, pretrained=False, num_classes=0).train()
    _, *size = module.pretrained_cfg["input_size"]
    monkeypatch.setattr(type(module), "__deepcopy__", lambda *_: pytest.fail("the weights are copied"), raising=False)
    found = feature_width(module, tuple(size), name)
    assert module.training
    with torch.no_grad():
        assert module.eval()(torch.zeros(1, 3, *size)).shape == (1, found)
