"""A backbone is cut where timm's own intermediate features lie, and its suffix continues from them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tlkit.models.backbone import create_backbone
from tlkit.models.cuts import NoCutError, Parts, find_cut
from tlkit.models.strategies.layers import stages_of

SIZE = (64, 64)


def made(name):
    torch.manual_seed(0)
    backbone = create_backbone(name, weights="none", image_size=SIZE).module.eval()
    return backbone, *stages_of(backbone)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_prefix_gives_timms_intermediate_features_and_the_suffix_the_whole(name):
    backbone, stage_of, count = made(name)
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    ours, theirs = [], backbone.forward_intermediates(images, intermediates_only=True)
    parts = Parts(backbone)
    for stage in range(2, count):
        cut = find_cut(parts, {n for n, place in stage_of.items() if place >= stage}, image_size=SIZE)
        with torch.no_grad():
            ours.append(parts.prefix(cut.after)(images))
            torch.testing.assert_close(parts.suffix(cut.after)(ours[-1]), backbone(images))
        assert tuple(ours[-1].shape[1:]) == cut.shape
        torch.testing.assert_close(cut.restore(cut.flatten(ours[-1])), ours[-1], rtol=0, atol=0)
    for activations in ours:
        same = [one for one in theirs if one.shape == activations.shape]
        assert any(torch.allclose(one, activations, rtol=1e-3, atol=1e-4) for one in same)


def test_the_suffix_shares_the_parameters_of_the_backbone_and_the_prefix_does_not():
    backbone, stage_of, count = made("test_resnet")
    parts = Parts(backbone)
    after = parts.last_boundary({name for name, stage in stage_of.items() if stage == count - 1})
    own = {id(parameter) for parameter in backbone.parameters()}
    assert {id(parameter) for parameter in parts.suffix(after).parameters()} <= own
    assert not {id(parameter) for parameter in parts.prefix(after).parameters()} & own


def test_a_cut_is_refused_where_training_computes_otherwise_below_it():
    backbone, stage_of, count = made("test_resnet")
    learning = {name for name, stage in stage_of.items() if stage == count - 1}
    backbone.bn1.train()
    before = backbone.bn1.running_mean.clone()
    with pytest.raises(NoCutError, match="statistics"):
        find_cut(Parts(backbone), learning, image_size=SIZE)
    assert torch.equal(backbone.bn1.running_mean, before)
    backbone.eval()
    backbone.maxpool = nn.Sequential(backbone.maxpool, nn.Dropout(0.5))
    backbone.maxpool.train()
    with pytest.raises(NoCutError, match="dropout"):
        find_cut(Parts(backbone), learning, image_size=SIZE)


def test_there_is_no_cut_below_a_first_stage_that_learns_or_in_a_network_that_cannot_be_traced():
    backbone, stage_of, _ = made("test_resnet")
    with pytest.raises(NoCutError, match="boundary"):
        find_cut(Parts(backbone), set(stage_of), image_size=SIZE)
    with pytest.raises(NoCutError, match="trace"):
        Parts(create_backbone("test_vit", weights="none").module)
