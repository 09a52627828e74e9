"""Decoders above timm's backbones: weights, groups, what is frozen, and losses of the library."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("segmentation_models_pytorch")

import segmentation_models_pytorch as smp
import timm
from safetensors.torch import save_file

from tlkit import Classifier
from tlkit.errors import ModelError, RecipeError
from tlkit.models.backbone import create_backbone
from tlkit.models.mask_decoder import DecoderFacts, mask_loss, mask_parts, mask_parts_of
from tlkit.models.mask_head import SegmentationHead, mean_image_iou
from tlkit.models.model_files import save_artifact
from tlkit.models.network import load_network
from tlkit.models.strategies.layers import layers_of, stages_of

CLASSES = ["background", "cat", "dog"]


def classifier(name="test_resnet", **given):
    return Classifier(name, classes=CLASSES, weights="none", task="segmentation", **given)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_encoder_has_the_weights_and_feature_maps_of_the_whole_network(name):
    backbone = create_backbone(name, weights="none", image_size=(64, 64))
    encoder, _ = mask_parts_of(backbone, DecoderFacts(channels=64), classes=3)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    alone = timm.create_model(name, features_only=True)
    state = {key: encoder.state_dict()[f"encoder.model.{key}"] for key in alone.state_dict()}
    alone.load_state_dict(state)
    whole = backbone.module.eval()
    final, maps = whole.forward_intermediates(images)
    with torch.no_grad():
        features = encoder.eval()(images)
        expected = alone.eval()(images)
    assert torch.equal(features[-1], expected[-1])
    torch.testing.assert_close(features[-1], maps[-1].detach(), atol=1e-5, rtol=1e-5)
    assert final.shape[0] == 2


@pytest.mark.parametrize(("kind", "size"), [("unet", 64), ("fpn", 64), ("deeplabv3plus", 64)])
def test_width_of_256_is_the_library_and_logits_have_the_size_of_images(kind, size):
    encoder, decoder = mask_parts("test_resnet", DecoderFacts(kind), classes=3, image_size=(size, size))
    own = smp.create_model(kind, "tu-test_resnet", encoder_weights=None, classes=3)
    names = {key.removeprefix("decoder."): one.shape for key, one in own.state_dict().items() if "decoder" in key}
    assert {key: one.shape for key, one in decoder.decoder.state_dict().items()} == names
    assert decoder.eval()(encoder.eval()(torch.zeros(2, 3, size, size))).shape == (2, 3, size, size)


def test_layers_and_stages_are_those_of_the_whole_network():
    backbone = create_backbone("test_resnet", weights="none", image_size=(64, 64))
    encoder, _ = mask_parts_of(backbone, DecoderFacts(channels=64), classes=3)
    for of in (stages_of, layers_of):
        whole, count = of(backbone.module)
        own, own_count = of(encoder)
        assert {name: whole[name.removeprefix("encoder.model.")] for name in own} == own
        assert own_count == count


@pytest.mark.parametrize(
    ("strategy", "trains"),
    [
        ("frozen", set()),
        ({"kind": "last_n", "stages": 1}, {"layer4"}),
        ("full", {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
    ],
)
def test_what_a_strategy_freezes_stays_the_same_to_the_bit_with_its_statistics(strategy, trains):
    model = classifier(strategy=strategy, decoder={"kind": "fpn", "channels": 64, "values": [0, 1, 2], "void": None})
    model.train()
    before = {name: one.clone() for name, one in model.network.state_dict().items()}
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        images = torch.randn(2, 3, 64, 64, generator=generator)
        targets = torch.randint(0, 3, (2, 64, 64), generator=generator)
        optimizer.zero_grad()
        model.loss(model(images), targets).backward()
        optimizer.step()
    changed = {name for name, one in model.network.state_dict().items() if not torch.equal(one, before[name])}
    of_encoder = {name.split(".")[3] for name in changed if name.startswith("backbone.")}
    assert of_encoder == trains
    statistics = {name for name in changed if "running" in name and name.startswith("backbone.")}
    assert bool(statistics) == bool(trains)
    assert any(name.startswith("head.decoder") for name in changed)
    assert any(name.startswith("head.segmentation_head") for name in changed)


def test_layer_decay_gives_rates_from_the_stem_to_the_decoder():
    model = classifier(strategy={"kind": "full", "backbone_lr_factor": 0.5, "layer_decay": 0.5})
    rates = model.phases[0].rates
    by_layer = {name.split(".")[3]: rate for name, rate in rates.items() if name.startswith("backbone.")}
    assert by_layer["conv1"] < by_layer["layer1"] < by_layer["layer4"] < 0.5
    assert {rate for name, rate in rates.items() if name.startswith("head.")} == {1.0}


def test_losses_are_those_of_the_library_and_void_has_no_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 8, 8, generator=generator, requires_grad=True)
    targets = torch.randint(0, 4, (3, 8, 8), generator=generator)
    targets[:, :2] = 255
    expected = {
        "dice": smp.losses.DiceLoss("multiclass", ignore_index=255),
        "focal": smp.losses.FocalLoss("multiclass", ignore_index=255),
    }
    for kind, theirs in expected.items():
        assert torch.equal(mask_loss(kind)(logits, targets), theirs(logits, targets))
    own = torch.nn.functional.cross_entropy(logits, targets, ignore_index=255, reduction="sum") / targets.numel()
    torch.testing.assert_close(mask_loss("cross_entropy")(logits, targets), own)
    for kind in ("dice", "focal", "cross_entropy"):
        head = SegmentationHead(kind)
        (gradient,) = torch.autograd.grad(head.batch_loss(logits, targets), logits)
        assert gradient[:, :, :2].abs().max() == 0
        assert gradient[:, :, 2:].abs().max() > 0
        each = head.losses(logits, targets)
        assert each.shape == (3,)
        torch.testing.assert_close(each[1], mask_loss(kind)(logits[[1]], targets[[1]]))
        assert head.losses(logits, torch.full_like(targets, 255)).tolist() == [0, 0, 0]


def test_mean_iou_of_images_is_that_of_the_library():
    generator = torch.Generator().manual_seed(1)
    called, targets = (torch.randint(0, 3, (4, 8, 8), generator=generator) for _ in range(2))
    targets[:, 0] = 255
    values, known = mean_image_iou(called, targets, 3)
    shifted = torch.where(targets == 255, -1, targets)
    stats = smp.metrics.get_stats(called, shifted, mode="multiclass", ignore_index=-1, num_classes=3)
    torch.testing.assert_close(values, smp.metrics.iou_score(*stats, reduction="none").mean(dim=1))
    assert known.all()


def test_a_stored_model_gives_the_same_logits_and_names_its_numbers(tmp_path):
    decoder = {"kind": "unet", "channels": 64, "values": [0, 7, 300], "void": 255}
    model = classifier(decoder=decoder)
    save_artifact(tmp_path, model.plain_network().state_dict(), model.facts())
    network, card = load_network(tmp_path)
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(network(images), model.eval()(images))
    assert card.decoder == decoder
    assert json.loads((tmp_path / "model.json").read_text())["format_version"] == 6


def test_equal_seeds_start_equal_decoders():
    one, two, other = (classifier(seed=seed).network.head.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_networks_without_feature_maps_and_odd_sizes_are_refused_with_a_remedy():
    with pytest.raises(ModelError, match=r"test_vit gives no feature maps.*resnet18"):
        classifier("test_vit")
    backbone = create_backbone("test_resnet", weights="none", image_size=(70, 70))
    with pytest.raises(ModelError, match=r"70x70.*multiples of 32.*\[64, 64\]"):
        mask_parts_of(backbone, DecoderFacts("fpn"), classes=3)
    with pytest.raises(RecipeError, match="mixup"):
        classifier(train={"mixup": 0.2})


def test_encoder_starts_from_weights_of_a_file_and_of_a_run_of_another_task(tmp_path):
    module = timm.create_model("test_resnet", num_classes=5)
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    named = Classifier("test_resnet", classes=["a", "b"], weights=f"file:{tmp_path / 'own.safetensors'}")
    save_artifact(tmp_path / "run" / "model", named.plain_network().state_dict(), named.facts())
    for weights in (f"file:{tmp_path / 'own.safetensors'}", f"run:{tmp_path / 'run'}"):
        model = Classifier("test_resnet", classes=CLASSES, weights=weights, task="segmentation")
        state = model.network.backbone.state_dict()
        assert all(
            torch.equal(one, module.state_dict()[name.removeprefix("encoder.model.")]) for name, one in state.items()
        )
    save_artifact(tmp_path / "masks" / "model", model.plain_network().state_dict(), model.facts())
    with pytest.raises(ModelError, match="run of segmentation"):
        create_backbone("test_resnet", weights=f"run:{tmp_path / 'masks'}")


@pytest.mark.parametrize("strategy", ["lp_ft", "gradual", "norm_only", "bias_only", "lora"])
def test_every_other_strategy_holds_on_the_encoder(strategy):
    model = classifier(strategy=strategy, train={"epochs": 8})
    names = {name for phase in model.phases for name in phase.rates if name.startswith("backbone.")}
    assert names
    if strategy == "lora":
        assert all("parametrizations" in name for name in names)
        images = torch.randn(1, 3, 64, 64)
        model.eval()
        torch.testing.assert_close(model.plain_network()(images), model(images))
