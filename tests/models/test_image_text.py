"""Image-text models: open_clip's preprocessing, the hub's cache, and messages about what cannot be loaded."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import tlkit.torchvision_cure  # noqa: F401  before open_clip

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from image_text_models import PREPROCESS, TEXT, VIT, plant_in_cache, write_model
from messages import says
from PIL import Image
from safetensors.torch import load_file, save_file

from tlkit.data.decode.resizing import resize_image
from tlkit.data.loading.batch import normalize
from tlkit.errors import MissingExtraError, ModelError
from tlkit.models.image_text import load_image_text_model, named_templates, preprocess_of_open_clip
from tlkit.models.weights.weight_files import tensors_digest

open_clip = pytest.importorskip("open_clip")

SIZES = [(40, 60), (60, 40), (32, 32), (33, 97), (90, 40), (31, 17), (224, 225), (101, 100), (64, 49)]


@pytest.mark.parametrize("size", [32, (48, 32)], ids=["square", "tall"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_the_preprocessing_is_that_of_open_clip(resize_mode, interpolation, size):
    cfg = {**PREPROCESS, "size": size, "resize_mode": resize_mode, "interpolation": interpolation, "fill_color": 7}
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**cfg), is_train=False)
    ours, rng = preprocess_of_open_clip(cfg), np.random.default_rng(0)
    for width, height in SIZES:
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        pixels = torch.from_numpy(np.array(resize_image(picture, ours))).permute(2, 0, 1)[None]
        torch.testing.assert_close(normalize(pixels, ours)[0], transform(picture), atol=1e-6, rtol=0)


def test_what_is_not_known_of_a_preprocessing_is_refused():
    for wrong in ({"resize_mode": "stretch"}, {"interpolation": "lanczos9"}, {"mean": [0.5, 0.5]}, {"size": "large"}):
        with pytest.raises(ModelError, match="preprocessing"):
            preprocess_of_open_clip({**PREPROCESS, **wrong})


def test_a_model_in_the_hubs_cache_is_that_of_its_folder(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "m")
    own = load_image_text_model(str(folder))
    plant_in_cache(folder, tmp_path / "hub", "org/clip")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = load_image_text_model("hf-hub:org/clip")
    assert cached.weights.digest == own.weights.digest and cached.weights.source == "hf-hub:org/clip"
    np.testing.assert_array_equal(cached.embed_names(["ant"], ["a {}."]), own.embed_names(["ant"], ["a {}."]))
    with pytest.raises(ModelError) as error:
        load_image_text_model("hf-hub:org/other")
    assert says(error, "org/other", "hf download org/other")


def test_the_digest_is_that_of_all_tensors(tmp_path):
    folder = write_model(tmp_path / "m")
    tensors = load_file(folder / "open_clip_model.safetensors")
    assert load_image_text_model(str(folder)).weights.digest == tensors_digest(tensors)


def test_a_name_of_open_clip_takes_a_file(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "m")
    (tmp_path / "configs").mkdir()
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "configs" / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "configs")
    loaded = load_image_text_model("tiny-clip", weights=folder / "open_clip_model.safetensors")
    assert loaded.weights.digest == load_image_text_model(str(folder)).weights.digest
    for arguments, words in (
        (("tiny-clip", None), ["--weights FILE"]),
        (("ViT-B-32", None), ["hf-hub:laion"]),
        (("tiny-klip", None), ["tiny-clip"]),
        (("tiny-clip", tmp_path / "none.safetensors"), ["none.safetensors"]),
        ((str(folder), tmp_path / "w.safetensors"), ["--weights", "Leave one"]),
    ):
        with pytest.raises(ModelError) as error:
            load_image_text_model(arguments[0], weights=arguments[1])
        assert says(error, *words), error.value


def test_files_that_are_damaged_or_need_more_are_named(tmp_path):
    folder = write_model(tmp_path / "m")
    config = json.loads((folder / "open_clip_config.json").read_text())

    def with_config(**changes):
        text = json.dumps({**config, "model_cfg": {**config["model_cfg"], **changes}})
        (folder / "open_clip_config.json").write_text(text)
        with pytest.raises(ModelError) as error:
            load_image_text_model(str(folder))
        return error

    assert says(with_config(text_cfg={**TEXT, "hf_tokenizer_name": "org/words"}), "pip install transformers")
    trunk = {"timm_model_name": "hf-hub:org/any", "image_size": 32}
    assert says(with_config(vision_cfg=trunk), "hf-hub:org/any", "no name of timm")
    assert says(with_config(vision_cfg={**VIT, "layers": 3}), "cannot be loaded")
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelError, match="model_cfg"):
        load_image_text_model(str(folder))
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_image_text_model(str(folder))
    (folder / "open_clip_config.json").unlink()
    with pytest.raises(ModelError, match=r"open_clip_config\.json"):
        load_image_text_model(str(folder))


@pytest.mark.parametrize(
    ("side", "key", "value"), [("text_cfg", "vocab_size", 10**12), ("vision_cfg", "layers", 10**12)]
)
def test_a_network_larger_than_its_weights_is_refused_before_it_is_made(side, key, value, tmp_path):
    file = write_model(tmp_path / "clip") / "open_clip_config.json"
    config = json.loads(file.read_text())
    config["model_cfg"][side][key] = value
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError) as error:
        load_image_text_model(str(tmp_path / "clip"))
    assert says(error, "open_clip_config.json", "parameters", "Fetch")


def test_a_long_prompt_is_warned_of_and_templates_are_open_clips(tmp_path, caplog):
    model = load_image_text_model(str(write_model(tmp_path / "m")))
    model.embed_names(["ant"], ["a photo of a {}."])
    assert not caplog.records
    model.embed_names(["ant", "a very long name " * 5], ["a photo of a {}."])
    assert says(caplog.text, "16 tokens", "very long name")
    assert len(named_templates("simple")) == 7 and len(named_templates("imagenet")) == 80
    assert set(named_templates("simple")) <= set(named_templates("imagenet"))


def test_prompts_that_are_padded_as_by_siglip_are_warned_of_only_where_they_are_cut(tmp_path, caplog):
    model = load_image_text_model(str(write_model(tmp_path / "m")))
    own = model._tokenizer

    def padded(texts):
        """SigLIP's tokenizer pads with 1, and ends a prompt that is cut with 1, too."""
        tokens = own(texts)
        tokens[tokens == 0] = 1
        tokens[:, -1] = 1
        return tokens

    siglip = replace(model, _tokenizer=padded)
    siglip.embed_names(["ant", "bee"], ["a photo of a {}."])
    assert not caplog.records
    siglip.embed_names(["ant", "a very long name " * 5], ["a photo of a {}."])
    assert says(caplog.text, "16 tokens", "very long name")
    caplog.clear()
    model.embed_names(["a long name of one letter each", "\u8c93" * 9], ["a {}."])  # fewer letters, more tokens
    assert says(caplog.text, "\u8c93" * 9)
    assert "a long name" not in caplog.text


def test_without_open_clip_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtraError, match=r'pip install "tlkit\[clip\]"'):
        load_image_text_model("ViT-B-32")


def test_half_precision_weights_are_computed_in_float32(tmp_path):
    folder = write_model(tmp_path / "m")
    file = folder / "open_clip_model.safetensors"
    save_file({name: value.half() for name, value in load_file(file).items()}, file)
    model = load_image_text_model(str(folder))
    assert {value.dtype for value in model.tower.parameters()} == {torch.float32}
