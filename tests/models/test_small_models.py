"""LeNet-5 and AlexNet: the papers' sizes, and models of timm like any other."""

from __future__ import annotations

import timm
import torch

from tlkit.models.backbone import create_backbone, list_models
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import save_artifact
from tlkit.models.network import load_network
from tlkit.models.small_networks import AlexNet, LeNet5
from tlkit.models.strategies.layers import stages_of


def _parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_networks_have_the_known_numbers_of_parameters():
    assert _parameters(LeNet5(num_classes=10, in_chans=1)) == 61_706
    with torch.device("meta"):
        assert _parameters(AlexNet(num_classes=1000)) == 60_965_224


def test_lenets_layers_have_the_papers_shapes():
    shapes, model = [], LeNet5()
    for name in ("c1", "c3", "c5", "f6"):
        getattr(model, name).register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(6, 28, 28), (16, 10, 10), (120, 1, 1), (84,)]
    assert model(torch.zeros(1, 3, 64, 48)).shape == (1, 10)


def test_alexnets_maps_have_the_papers_shapes_and_its_normalisation_is_equation_1():
    with torch.device("meta"):
        model = AlexNet()
        assert model.conv1(torch.zeros(1, 3, 224, 224)).shape == (1, 96, 55, 55)
        assert model.forward_features(torch.zeros(1, 3, 224, 224)).shape == (1, 256, 6, 6)
    maps = torch.rand(1, 7, 2, 2) * 30
    sums = torch.stack([(maps[:, max(0, i - 2) : i + 3] ** 2).sum(1) for i in range(7)], dim=1)
    torch.testing.assert_close(model.norm(maps), maps / (2 + 1e-4 * sums) ** 0.75)


def test_they_are_models_of_timm_and_train_store_and_load_like_any_other(tmp_path):
    assert {"lenet5", "alexnet"} <= set(list_models("*net*"))
    assert isinstance(timm.create_model("lenet5", num_classes=7), LeNet5)
    assert timm.create_model("lenet5", num_classes=0)(torch.zeros(1, 3, 32, 32)).shape == (1, 84)
    backbone = create_backbone("lenet5", weights="none")
    assert (backbone.num_features, backbone.preprocess.image_size) == (84, (32, 32))
    assert stages_of(backbone.module)[1] == 4
    classifier = Classifier(backbone, classes=["a", "b"], strategy="gradual").eval()
    save_artifact(tmp_path / "model", classifier.plain_network().state_dict(), classifier.facts())
    network, _ = load_network(tmp_path / "model")
    images = torch.randn(3, 3, 32, 32)
    assert torch.equal(network(images), classifier(images))
