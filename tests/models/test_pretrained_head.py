"""Pretrained heads: timm's own outputs under ImageNet's names, and labels matched with them."""

from __future__ import annotations

import tlkit.torchvision_cure  # noqa: F401  before timm

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import ImageNetInfo

from tlkit.errors import DataError, ModelError
from tlkit.models.pretrained_head import load_pretrained, match_classes


def stored(path, name, *, num_classes=1000, renamed=False):
    """Write the weights of a timm network, perhaps under other names in the same order."""
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=num_classes).eval()
    tensors = {key: value.clone() for key, value in module.state_dict().items()}
    if renamed:  # a .pth keeps the order of names, safetensors sorts them
        torch.save({f"body.{number}.{key}": value for number, (key, value) in enumerate(tensors.items())}, path)
    else:
        save_file(tensors, path)
    return module


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_the_outputs_are_those_of_timm(name, tmp_path):
    module = stored(tmp_path / "w.safetensors", name)
    loaded = load_pretrained(name, weights=f"file:{tmp_path}/w.safetensors")
    images = torch.randn(2, 3, *loaded.facts.preprocess.image_size)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network(images), module(images))
    assert loaded.facts.weights.source.startswith("file:")


def test_classes_are_those_of_timms_table_and_all_different(tmp_path):
    stored(tmp_path / "w.safetensors", "test_resnet")
    loaded = load_pretrained("test_resnet", weights=f"file:{tmp_path}/w.safetensors")
    table = ImageNetInfo("imagenet-1k")
    assert len(set(loaded.facts.classes)) == 1000
    for index, name in enumerate(loaded.facts.classes):
        number, words = table.index_to_label_name(index), table.index_to_description(index)
        assert name in {*words.split(", "), words, number} and loaded.other_names[name][0] == number


def test_labels_are_matched_by_names_words_and_numbers():
    others = {"crane": ("n1", "crane"), "n2": ("n2", "crane"), "ant": ("n3", "ant, emmet", "ant", "emmet")}
    classes = ("crane", "n2", "ant")
    labels = ("Emmet", "n1", "n2", "ameisen")
    found = match_classes(labels, classes, others, {"ameisen": "ant"})
    assert found == {"Emmet": "ant", "n1": "crane", "n2": "n2", "ameisen": "ant"}
    with pytest.raises(DataError) as error:
        match_classes(["ants", "bees"], classes, others, {"bee": "ant"})
    assert len(error.value.problems) == 3 and "'ant'" in str(error.value.problems)


def test_weights_without_a_head_or_without_names_are_refused(tmp_path):
    stored(tmp_path / "none.safetensors", "test_resnet", num_classes=0)
    stored(tmp_path / "seven.safetensors", "test_resnet", num_classes=7)
    for file, what in (("none", "no head"), ("seven", "7 classes")):
        with pytest.raises(ModelError, match=what):
            load_pretrained("test_resnet", weights=f"file:{tmp_path}/{file}.safetensors")
    with pytest.raises(ModelError, match="no head"):
        load_pretrained("test_resnet", weights="none")


def test_renamed_weights_with_another_number_of_classes_are_loaded(tmp_path):
    from tlkit.models.backbone import create_backbone

    module = stored(tmp_path / "w.pth", "test_resnet", num_classes=11, renamed=True)
    backbone = create_backbone("test_resnet", weights=f"file:{tmp_path}/w.pth")
    images = torch.randn(2, 3, *backbone.preprocess.image_size)
    with torch.inference_mode():
        features = module.forward_head(module.forward_features(images), pre_logits=True)
        torch.testing.assert_close(backbone.module.eval()(images), features)


def test_renamed_weights_with_a_head_of_other_layers_are_loaded_without_it(tmp_path):
    from tlkit.models.backbone import create_backbone

    stored(tmp_path / "w.pth", "test_resnet", num_classes=0, renamed=True)
    tensors = torch.load(tmp_path / "w.pth", weights_only=True)
    body = create_backbone("test_resnet", weights=f"file:{tmp_path}/w.pth").weights.digest
    head = {"mlp.0.weight": torch.zeros(5, 64), "mlp.0.bias": torch.zeros(5), "mlp.1.weight": torch.zeros(2, 5)}
    torch.save({**tensors, **head}, tmp_path / "more.pth")
    assert create_backbone("test_resnet", weights=f"file:{tmp_path}/more.pth").weights.digest == body
    torch.save({**tensors, "deeper.weight": torch.zeros(64, 64, 3, 3)}, tmp_path / "deeper.pth")
    with pytest.raises(ModelError, match="does not hold the weights"):
        create_backbone("test_resnet", weights=f"file:{tmp_path}/deeper.pth")
