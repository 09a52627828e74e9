"""What is wrong with the device, the hub, the weights or the strategy is reported before an image is decoded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from messages import saying, says
from safetensors.torch import save_file

from tlkit import advise, fit, load_model
from tlkit.cli.recipe_commands import plan, tune
from tlkit.data import dataset_source
from tlkit.errors import TlkitError
from tlkit.recipe import load_recipe
from tlkit.training.load_with_model import may_refuse


@pytest.fixture
def decoding(monkeypatch):
    """Return a list that grows where images are decoded."""
    seen, check = [], dataset_source.check_images
    monkeypatch.setattr(dataset_source, "check_images", lambda *given, **more: seen.append(1) or check(*given, **more))
    return seen


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.weights=hub", "model.name=resnet18"], saying("resnet18", "hub", "hf download")),
        (["model.weights=hf-hub:someone/thing"], saying("someone/thing", "hf download")),
        (["model.weights=file:other.safetensors"], saying("other.safetensors", "architecture", "model.name")),
        (["model.weights=run:nowhere"], saying("nowhere", "no stored model")),
        (["train.device=cuda"], saying("train.device", "cuda", "auto")),
        (
            ["model.weights=file:own.safetensors", "strategy={kind: last_n, stages: 9}"],
            saying("strategy.stages", "9", "5"),
        ),
        (["augment.transforms=[{name: Blurr}]"], saying("Blurr", "'Blur'")),
        (
            ["model.name=test_vit", "model.weights=file:other.safetensors", "data.image_size=33"],
            saying("33x33", "image_size"),
        ),
    ],
    ids=["hub", "repository", "file", "run", "device", "strategy", "augmentation", "size"],
)
def test_what_is_wrong_with_the_model_comes_before_the_images(overrides, said, tiny_recipe, decoding, monkeypatch):
    if "train.device=cuda" in overrides and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(Path("hub").resolve()))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    save_file(timm.create_model("test_vit").state_dict(), "other.safetensors")
    save_file(timm.create_model("test_resnet").state_dict(), "own.safetensors")
    recipe = tiny_recipe()
    for verb in (fit, plan, tune):
        with pytest.raises(TlkitError, match=said.pattern):
            verb(recipe, overrides)
        assert decoding == []
        with pytest.raises(TlkitError, match=saying("mistyped").pattern):  # the folder comes first
            verb(recipe, [*overrides, "data.root=mistyped"])
    assert not Path("runs", "tiny").exists()


def test_the_model_that_is_opened_first_is_the_one_that_trains(tiny_recipe, decoding):
    given = timm.create_model("test_resnet").state_dict()
    save_file(given, "own.safetensors")
    run = fit(tiny_recipe(), ["model.weights=file:own.safetensors", "strategy=frozen", "report.enabled=false"])
    assert len(decoding) == 1
    trained = load_model(run).network.backbone.state_dict()
    assert trained and all(torch.equal(value, given[name]) for name, value in trained.items())


def test_an_unknown_backbone_of_advise_comes_before_the_images(tiny_recipe, decoding):
    tiny_recipe()
    with pytest.raises(TlkitError, match=saying("resnett18").pattern):
        advise("colours", backbones="resnett18")
    assert decoding == []


IMPOSSIBLE = """
import sys
from tlkit import fit
from tlkit.data import dataset_source

def refuse(*_, **__):
    raise SystemExit("an image was decoded")

dataset_source.check_images = refuse
for what in sys.argv[2:]:
    assert "timm" not in sys.modules
    fit(sys.argv[1], ["model.weights=none", *what.split(";")])
"""


@pytest.mark.series
def test_without_weights_what_the_model_cannot_do_comes_before_the_images_too(tiny_recipe):
    """In a process of its own, where timm is not loaded yet."""
    wrong = "model.name=test_vit;data.image_size=33"
    done = subprocess.run(
        [sys.executable, "-c", IMPOSSIBLE, str(tiny_recipe()), wrong], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert says(done.stderr, "33x33", "image_size") and "was decoded" not in done.stderr


@pytest.mark.parametrize(
    ("overrides", "refusable"),
    [
        ([], True),  # its image_size
        (["data.image_size=null"], False),
        (["data.image_size=null", "strategy=frozen"], False),
        (["data.image_size=null", "strategy={kind: last_n, stages: 9}"], True),
        (["data.image_size=null", "strategy={kind: lora}"], True),
        (["data.image_size=null", "strategy={kind: full, layer_decay: 0.5}"], True),
        (["data.image_size=null", "augment.transforms=[{name: HorizontalFlip}]"], True),
        (["data.image_size=null", "train.precision=16"], True),
        (["data.image_size=null", "model.weights=hub"], True),
    ],
)
def test_the_model_waits_only_where_nothing_can_be_refused(overrides, refusable, tiny_recipe):
    assert may_refuse(load_recipe(tiny_recipe(), overrides)) == refusable


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ({"kind": "wandb", "project": "a/b"}, saying("tracking.project", "a/b")),
        ({"kind": "wandb", "mode": "online"}, saying("tracking.mode", "WANDB_API_KEY")),
        ({"kind": "mlflow", "mode": "online"}, saying("tracking.mode", "MLFLOW_TRACKING_URI")),
    ],
    ids=["name", "key", "address"],
)
def test_what_the_tracker_lacks_comes_before_the_images(tracking, said, tiny_recipe, decoding, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for verb in (fit, plan):
        with pytest.raises(TlkitError, match=said.pattern):
            verb(tiny_recipe(), [f"tracking.{key}={value}" for key, value in tracking.items()])
    assert decoding == [] and not Path("runs", "tiny").exists()
