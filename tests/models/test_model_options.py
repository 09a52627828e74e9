"""What a stored file may hand to timm's `create_model`: fixed names, types and ranges; all else is refused by name."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from messages import says

from tlkit.errors import ModelError
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.model_files import ModelFacts, read_model_facts, save_artifact
from tlkit.models.model_options import check_options
from tlkit.models.network import load_network
from tlkit.models.timm_modules import bare_backbone
from tlkit.models.weights.weight_files import WeightsFacts
from tlkit.preprocess import MAX_SIDE, Preprocess

REFUSED = (
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "cache_dir",
    "pretrained",
    "features_only",
    "x",
)
FACTS = WeightsFacts("none", "none", "", "")


def stored(folder, **options):
    """Store a small model, then write options into its card as somebody else's file might have them."""
    card = ModelFacts("test_vit", ("a", "b"), Preprocess(image_size=(160, 160)), drop_rate=0.0, weights=FACTS)
    module = bare_backbone("test_vit", image_size=(160, 160))
    tensors = {f"backbone.{name}": tensor for name, tensor in module.state_dict().items()}
    save_artifact(folder, {**tensors, "head.weight": torch.zeros(2, 64), "head.bias": torch.zeros(2)}, card)
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "options": options}))
    return file


@pytest.mark.parametrize("name", REFUSED)
def test_a_card_with_another_option_is_refused_by_name_from_every_source(name, tmp_path):
    file = stored(tmp_path / "model", **{name: "a"})
    for load in (
        lambda: read_model_facts(file.parent),
        lambda: create_backbone("test_vit", weights=f"run:{tmp_path}", image_size=(160, 160)),
        lambda: bare_backbone("test_vit", image_size=(160, 160), options={name: "a"}),
    ):
        with pytest.raises(ModelError) as caught:
            load()
        assert says(caught.value, repr(name), "not loaded")
    with pytest.raises(ModelError) as caught:
        read_model_facts(file.parent)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("classes", [["a", "a"], ["a", ""]])
def test_classes_of_one_name_or_none_are_refused_where_the_model_is_read(classes, tmp_path):
    """Not after all images are predicted."""
    file = stored(tmp_path / "model")
    file.write_text(json.dumps({**json.loads(file.read_text()), "classes": classes}))
    with pytest.raises(ModelError) as caught:
        read_model_facts(file.parent)
    assert says(caught.value, file, "classes", "damaged")


def test_a_checkpoint_with_another_option_is_refused_by_name():
    module = bare_backbone("test_resnet", image_size=(32, 32))
    values = Backbone("test_resnet", module, 96, Preprocess(image_size=(32, 32)), FACTS).to_dict()
    with pytest.raises(ModelError) as caught:
        Backbone.from_dict({**values, "options": {"checkpoint_path": "a.pth"}})
    assert says(caught.value, "checkpoint_path", "not loaded")
    with pytest.raises(ModelError, match="damaged"):
        Backbone.from_dict({**values, "preprocess": None})


def test_a_repository_with_another_option_or_source_is_refused(tmp_path, monkeypatch):
    cfg = dict(timm.get_pretrained_cfg("test_vit").to_dict())
    for facts, name in (
        ({"model_args": {"checkpoint_path": "a.pth"}, "pretrained_cfg": cfg}, "checkpoint_path"),
        ({"pretrained_cfg": {**cfg, "custom_load": "hf", "hf_hub_filename": "a.npz"}}, "custom_load"),
    ):
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"architecture": "test_vit", **facts}))
        monkeypatch.setattr("timm.models._hub.download_from_hf", lambda *_, file=file, **__: str(file))
        monkeypatch.setattr("tlkit.models.weights.hub.is_cached", lambda _: True)
        with pytest.raises(ModelError) as caught:
            create_backbone("test_vit", weights="hf-hub:someone/model")
        assert says(caught.value, name, "someone/model", "not loaded")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("img_size", MAX_SIDE + 1),
        ("embed_dim", 10**21),
        ("depth", -1),
        ("depth", True),
        ("depths", [1] * 100),
        ("mlp_ratio", float("nan")),
        ("mlp_ratio", float("inf")),
        ("act_layer", "os"),
        ("norm_layer", {"a": 1}),
        ("qkv_bias", "yes"),
        ("global_pool", 3),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(name, value):
    with pytest.raises(ModelError) as caught:
        check_options({name: value}, source="somewhere/model.json")
    assert says(caught.value, "somewhere/model.json", name, "Use")


def test_options_of_published_repositories_are_accepted_and_reach_the_network():
    options = {"img_size": 64, "init_values": 1e-5, "dynamic_img_size": True, "act_layer": "relu", "depth": 2}
    module = bare_backbone("test_vit", image_size=(64, 64), options=options)
    assert len(module.blocks) == 2
    assert isinstance(module.blocks[0].mlp.act, torch.nn.ReLU)
    assert module.dynamic_img_size or module.patch_embed.dynamic_img_pad is False
    with pytest.raises(ModelError, match="test_resnet"):
        bare_backbone("test_resnet", image_size=(32, 32), options={"mlp_ratio": 2.0})
    with pytest.raises(ModelError, match="100000"):
        create_backbone("test_resnet", weights="none", image_size=(100_000, 100_000))


@pytest.mark.series
def test_a_network_larger_than_the_stored_tensors_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    file = stored(tmp_path / "model", embed_dim=65536, depth=1024)  # 210 TB
    for load in (
        lambda: create_backbone("test_vit", weights=f"run:{tmp_path}", image_size=(160, 160)),
        lambda: load_network(file.parent),
    ):
        with pytest.raises(ModelError) as caught:
            load()
        assert says(caught.value, "parameters", "values are stored", "Restore")


@pytest.mark.parametrize("name", ["depth", "layers", "depths"])
def test_the_number_of_layers_has_a_bound(name):
    assert check_options({name: 1024}, source="a") == {name: 1024}
    with pytest.raises(ModelError) as caught:
        check_options({name: [3, 1025]}, source="a")
    assert says(caught.value, name, "1024")
