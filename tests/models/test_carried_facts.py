"""What weights of a run or a file bring along: size, channels, preprocessing, pooling, drop path."""

from __future__ import annotations

import pytest
import timm
import torch
from messages import saying
from safetensors.torch import save_file
from timm.layers import DropPath, resample_abs_pos_embed

from tlkit.errors import ModelError
from tlkit.inference.recipe_features import recipe_backbone
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.network import Network, load_network
from tlkit.models.timm_modules import bare_backbone
from tlkit.models.weights.weight_files import WeightsFacts
from tlkit.recipe import Recipe


@pytest.fixture
def stored_run(tmp_path):
    """Return a maker of runs: the backbone of some options and size, stored as a finished fit stores it."""

    def make(name, size, *, options=None, **preprocess):
        torch.manual_seed(0)
        module = bare_backbone(name, image_size=size, options=options)
        stated = create_backbone(name, weights="none", image_size=size).preprocess.replace(**preprocess)
        weights = WeightsFacts("hub", "x", "0", "mit")
        network = Network(module, num_features=module.num_features, num_classes=2)
        facts = ModelFacts(name, ("a", "b"), stated, 0.0, weights, options or {})
        save_artifact(tmp_path / "run" / "model", network.state_dict(), facts)
        return Backbone(name, module, module.num_features, stated, weights, options or {})

    return make


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("test_vit", (288, 512)),
        ("test_vit", (192, 192)),
        ("test_vit", (256, 144)),
        ("deit_tiny_patch16_224", (96, 192)),
    ],
)
def test_position_embeddings_of_a_run_are_resampled_from_their_true_grid(name, after, stored_run, tmp_path):
    source = stored_run(name, (144, 256))
    carried = create_backbone(name, weights=f"run:{tmp_path}/run", image_size=after)
    grid = tuple(side // 16 for side in after)
    prefix = 0 if source.module.no_embed_class else source.module.num_prefix_tokens
    true = resample_abs_pos_embed(source.module.pos_embed, grid, (9, 16), num_prefix_tokens=prefix)
    torch.testing.assert_close(carried.module.pos_embed, true, rtol=0, atol=1e-6)
    assert carried.preprocess == source.preprocess.replace(image_size=after)
    stored = Backbone.from_dict(carried.to_dict()).module
    stored.load_state_dict(carried.module.state_dict())
    assert carried.module.eval()(torch.zeros(1, 3, *after)).shape == (1, carried.num_features)


def test_weights_that_depend_on_the_size_go_along_or_are_refused(stored_run, tmp_path):
    source = stored_run("test_vit_relpos", (160, 160))
    carried = create_backbone("test_vit_relpos", weights=f"run:{tmp_path}/run", image_size=(96, 128)).module
    own = source.module.state_dict()
    assert all(torch.equal(own[key], value) for key, value in carried.state_dict().items() if "rel_pos" not in key)
    stored_run("levit_128s", (224, 224))
    with pytest.raises(ModelError, match=saying("levit_128s", "224x224", "256x192", "data.image_size").pattern):
        create_backbone("levit_128s", weights=f"run:{tmp_path}/run", image_size=(256, 192))


@pytest.mark.parametrize("size", [None, (160, 160), (96, 128)])
def test_pooling_and_drop_path_of_a_run_stay_at_every_size(size, stored_run, tmp_path):
    source = stored_run("test_vit", (160, 160), options={"global_pool": "max", "drop_path_rate": 0.3})
    carried = create_backbone("test_vit", weights=f"run:{tmp_path}/run", image_size=size)
    assert carried.module.global_pool == "max"
    drops = [module.drop_prob for module in carried.module.modules() if isinstance(module, DropPath)]
    assert max(drops) == pytest.approx(0.3)
    assert carried.options == source.options


def test_all_preprocessing_of_a_run_comes_along_also_when_its_file_is_named(stored_run, tmp_path):
    stated = {
        "resize": "letterbox",
        "crop_pct": 0.5,
        "interpolation": "lanczos",
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "background": (1, 2, 3),
        "decode": "full",
    }
    source = stored_run("test_resnet", (64, 96), **stated)
    for weights in (f"run:{tmp_path}/run", f"run:{tmp_path}/run/model", f"file:{tmp_path}/run/model/model.safetensors"):
        model = {"name": "test_resnet", "weights": weights}
        for data, expected in (({}, {}), ({"background": (9, 9, 9), "image_size": 32}, {"background": (9, 9, 9)})):
            recipe = Recipe(recipe_version=1, name="next", data={"root": "x", **data}, model=model)
            size = (32, 32) if "image_size" in data else (64, 96)
            found = recipe_backbone(recipe)
            assert found.preprocess == source.preprocess.replace(image_size=size, **expected)
            assert found.weights.license == "mit"
            assert weights.startswith("file:") or found.weights.origin == "run"


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_weights_for_gray_images_give_the_same_features_of_gray_images(name, tmp_path):
    torch.manual_seed(0)
    gray = timm.create_model(name, num_classes=0, in_chans=1).eval()
    save_file(gray.state_dict(), tmp_path / "gray.safetensors")
    backbone = create_backbone(name, weights=f"file:{tmp_path}/gray.safetensors")
    images = torch.randn(2, 1, 160, 160)
    with torch.no_grad():
        features = backbone.module.eval()(images.expand(2, 3, 160, 160))
        torch.testing.assert_close(features, gray(images), rtol=1e-4, atol=1e-4)


def test_a_file_may_be_for_the_size_that_the_recipe_states(tmp_path):
    model = timm.create_model("test_vit", num_classes=0, img_size=(96, 128)).eval()
    save_file(model.state_dict(), tmp_path / "wide.safetensors")
    weights = f"file:{tmp_path}/wide.safetensors"
    backbone = create_backbone("test_vit", weights=weights, image_size=(96, 128))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in backbone.module.state_dict().items())
    with pytest.raises(ModelError, match=saying("wide.safetensors", "pos_embed", "data.image_size").pattern):
        create_backbone("test_vit", weights=weights)


def test_a_network_that_uses_a_layer_twice_is_stored_and_loaded(stored_run, tmp_path):
    source = stored_run("coat_tiny", (224, 224))
    network, _ = load_network(tmp_path / "run" / "model")
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(network.backbone(images), source.module.eval()(images))


@pytest.mark.parametrize("name", ["halonet_h1", "mvitv2_tiny"])
def test_an_error_of_timm_without_text_is_put_into_words(name):
    with pytest.raises(ModelError, match=saying(name, "101x90", "data.image_size").pattern):
        create_backbone(name, weights="none", image_size=(101, 90))
