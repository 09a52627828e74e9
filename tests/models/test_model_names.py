"""The names that a recipe may use, read off timm's sources, against timm's own list."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
from messages import saying, says

import tlkit.models.small_networks  # noqa: F401  registers LeNet-5 and AlexNet
from tlkit.errors import ModelError
from tlkit.models import model_names as names
from tlkit.models.backbone import list_models
from tlkit.models.model_names import known_names, require_name, require_weights
from tlkit.models.timm_modules import split_name


@pytest.fixture
def without_timm(monkeypatch):
    """Let the check believe that timm is not loaded, as at the start of a command."""
    monkeypatch.setattr(names, "sys", type("NoModules", (), {"modules": {}}))


def test_the_names_read_off_the_sources_are_those_that_timm_lists():
    assert known_names() == set(timm.list_models())


@pytest.mark.parametrize("pattern", ["*", "resnet1", "vit_*_patch16_2?4", "lenet"])
def test_names_match_as_timm_lists_them(pattern):
    assert names.matching_names(pattern) == list_models(pattern)


def test_a_pattern_without_a_match_suggests_the_nearest_name():
    with pytest.raises(ModelError, match=saying("'resnett18'", "'resnet18'").pattern):
        names.matching_names("resnett18")
    with pytest.raises(ModelError, match="--pretrained"):
        names.matching_names("resnet18.a1_in1k")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("efficientnet_bo", "efficientnet_b0"),
        ("efficientnet-b3", "efficientnet_b3"),
        ("ResNet5O", "resnet50"),
        ("resnetl8", "resnet18"),
        ("efficientnetb0", "efficientnet_b0"),
        ("vgg11_bnn", "vgg11_bn"),
    ],
)
def test_letters_that_look_alike_are_the_nearest(typed, meant):
    with pytest.raises(ModelError, match=rf"Did you mean '{meant}'"):
        split_name(typed)
    with pytest.raises(ModelError, match=rf"Did you mean '{meant}'"):
        names.matching_names(typed)


@pytest.mark.usefixtures("without_timm")
def test_every_name_with_weights_and_every_deprecated_name_is_accepted():
    for name in timm.list_pretrained():
        require_name(name)
    for name in ("convnext_tiny_in22ft1k", "vit_base_patch16_224_in21k"):
        assert timm.is_model(name), "timm still takes it"
        assert name not in known_names()
        require_name(name)


@pytest.mark.usefixtures("without_timm")
def test_a_misspelt_name_has_the_same_message_as_in_timms_registry():
    for check in (require_name, split_name):
        with pytest.raises(ModelError) as caught:
            check("resnett18.a1_in1k")
        assert says(caught.value, "model.name", "'resnett18.a1_in1k'", timm.__version__, "'resnet18'")


def test_with_timm_imported_the_names_in_its_registry_count(monkeypatch):
    with pytest.raises(ModelError):
        require_name("a_network_that_somebody_registered")
    monkeypatch.setattr(timm, "is_model", lambda name: name == "a_network_that_somebody_registered")
    assert require_name("a_network_that_somebody_registered") is None
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModelError):
        patch.setattr(names, "sys", type("NoModules", (), {"modules": {}}))
        require_name("a_network_that_somebody_registered")


def test_the_check_imports_neither_timm_nor_torch():
    code = (
        "import sys; from tlkit.models.model_names import require_name, require_weights; "
        "require_name('resnet18.a1_in1k'); "
        "require_weights('hub'); print([name for name in ('timm', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("weights", ["pip:no-such-weights", "file:nowhere.safetensors", "file:notes.txt"])
def test_missing_weights_are_named(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError) as error:
        require_weights(weights)
    assert error.value.problems[0] == saying("model.weights", weights.partition(":")[2])


def test_other_sources_of_weights_are_checked_later(monkeypatch):
    looked: list[object] = []
    monkeypatch.setattr(names, "package_weights", looked.append)
    monkeypatch.setattr(names, "require_weights_file", looked.append)
    for weights in ("hub", "none", "hf-hub:org/repo", "run:runs/pets"):
        require_weights(weights)
    assert looked == []
