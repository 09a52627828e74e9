"""A greedy soup of the best epochs: the papers' rules, never worse where it was chosen, the same after a resume."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from kill_runs import model_bytes, stop_after
from messages import saying, says
from safetensors.torch import load_file
from torch.optim.swa_utils import update_bn

from tlkit.errors import RecipeError
from tlkit.models.averaging import mean_state, moved_statistics, renew_statistics
from tlkit.models.backbone import create_backbone
from tlkit.models.network import Network
from tlkit.models.weights.weight_files import tensors_digest, without_prefix
from tlkit.recipe import load_recipe
from tlkit.runs.run import open_run
from tlkit.training import model_soup as soup
from tlkit.training.checkpoint_files import read_checkpoint
from tlkit.training.fit import fit

SOUP = {
    "train.epochs": 4,
    "train.model_soup_size": 3,
    "data.batch_size": 4,
    "report.enabled": False,
    "train.schedule": "constant",
}


def _stored(run):
    return json.loads(run.directory.soup.read_text())


def _weights_are_the_mean_of(run, epochs, *, prefix="network."):
    states = [read_checkpoint(run.directory.checkpoints / f"epoch-{epoch:04d}.ckpt")["state_dict"] for epoch in epochs]
    stored = load_file(run.directory.model / "model.safetensors")
    for name, tensor in stored.items():
        if "running_" not in name and tensor.is_floating_point():
            expected = np.mean([state[prefix + name].numpy().astype(np.float64) for state in states], axis=0)
            np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    backbone = create_backbone("test_resnet", weights="none", image_size=(32, 32))
    return Network(backbone.module, num_features=backbone.num_features, num_classes=2)


def test_statistics_are_those_of_torchs_update_bn_and_nothing_else_changes(network):
    images = torch.randn(12, 3, 32, 32) + 1
    batches = list(images.split(4))
    ours, theirs = ({name: value.clone() for name, value in network.state_dict().items()} for _ in range(2))
    network.load_state_dict(theirs)
    update_bn(batches, network)
    theirs = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(ours)
    layers = moved_statistics(network, [ours, theirs])
    assert len(layers) == sum("running_mean" in name for name in ours) > 3
    momenta = [layer.momentum for layer in layers]
    renew_statistics(network, layers, [*batches, images[:1]])  # a batch of one has no statistics
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-6)
    assert [layer.momentum for layer in layers] == momenta
    assert not any(module.training for module in network.modules())


def test_what_is_the_same_in_all_states_stays_the_same_to_the_bit(network):
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in mean_state([state] * 3).items())
    assert moved_statistics(network, [state, state]) == []


@pytest.mark.parametrize("monitor", ["val_loss", pytest.param("val_accuracy", marks=pytest.mark.series)])
def test_the_soup_is_never_worse_than_the_best_epoch_and_is_the_runs_model(tiny_recipe, monitor):
    run = fit(tiny_recipe(), {**SOUP, "train.monitor": monitor, "train.learning_rate": 0.003})
    stored = _stored(run)
    assert stored["tried"][0]["taken"]
    assert len(stored["tried"]) == 3
    best = stored["tried"][0]["value"]
    assert stored["value"] <= best if monitor == "val_loss" else stored["value"] >= best
    predictions = run.predictions("val")
    chosen = predictions.proba[np.arange(len(predictions)), predictions.y_true]
    measured = -np.log(chosen).mean() if monitor == "val_loss" else predictions.correct.mean()
    assert measured == pytest.approx(stored["value"], rel=1e-3)
    if len(stored["epochs"]) > 1:
        _weights_are_the_mean_of(run, stored["epochs"])


def test_an_epoch_stays_in_the_mean_only_if_validation_is_not_worse_with_it(tiny_recipe, monkeypatch, caplog):
    figures = iter([0.5, 0.6, 0.5])
    monkeypatch.setattr(soup, "_figure", lambda *_: next(figures))
    run = fit(tiny_recipe(), SOUP)
    stored = _stored(run)
    assert [one["taken"] for one in stored["tried"]] == [True, False, True]
    taken = [one["epoch"] for one in stored["tried"] if one["taken"]]
    assert stored["epochs"] == sorted(taken)
    _weights_are_the_mean_of(run, taken)
    both = ", ".join(map(str, sorted(taken)))
    assert says(caplog.messages, f"mean of epochs {both}", "val_loss 0.5")


@pytest.mark.series
def test_a_resumed_run_has_the_same_soup_of_its_averages(tiny_recipe, monkeypatch):
    recipe, more = tiny_recipe(), {"train.ema_decay": 0.9, "train.monitor": "val_accuracy"}
    whole = fit(recipe, {**SOUP, **more, "name": "whole"})
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        cut = fit(recipe, {**SOUP, **more, "name": "cut"})
    assert cut.status == "interrupted" and not cut.directory.soup.exists()
    fit(recipe, {**SOUP, **more, "name": "cut"}, resume=True)
    assert _stored(open_run(cut.path)) == _stored(whole)
    assert model_bytes(cut) == model_bytes(whole)
    _weights_are_the_mean_of(whole, _stored(whole)["epochs"], prefix="average.network.")


@pytest.mark.parametrize(
    "more", [pytest.param({}, marks=pytest.mark.series), {"train.ema_decay": 0.9}], ids=["weights", "averages"]
)
def test_heads_on_cached_features_are_averaged_on_their_backbone(tiny_recipe, monkeypatch, more):
    monkeypatch.setattr(soup, "_figure", lambda *_: 0.5)  # each epoch stays in
    run = fit(tiny_recipe(strategy="frozen"), {**SOUP, **more, "train.learning_rate": 0.003})
    epochs = _stored(run)["epochs"]
    states = [read_checkpoint(run.directory.checkpoints / f"epoch-{epoch:04d}.ckpt")["state_dict"] for epoch in epochs]
    stored = load_file(run.directory.model / "model.safetensors")
    prefix = "average.network." if more else "network."
    for name in ("head.weight", "head.bias"):
        expected = np.mean([state[prefix + name].numpy().astype(np.float64) for state in states], axis=0)
        np.testing.assert_array_equal(stored[name].numpy(), expected.astype(np.float32))
    assert len(epochs) == 3
    assert tensors_digest(without_prefix(stored, "backbone.")) == run.environment["weights"]["digest"]


def test_a_damaged_epoch_is_left_out_of_the_soup(tiny_recipe, monkeypatch, caplog):
    original = soup.average_best_epochs

    def damaging(prepared, batches, folder, ranked):
        (folder / ranked[1][0]).write_bytes(b"junk")
        return original(prepared, batches, folder, ranked)

    monkeypatch.setattr("tlkit.training.trainer.average_best_epochs", damaging)
    run = fit(tiny_recipe(), SOUP)
    assert len(_stored(run)["tried"]) == 2
    assert says(caplog.messages, "damaged", "sha256")


def test_without_validation_there_is_no_soup(tiny_recipe, caplog):
    run = fit(tiny_recipe(), {**SOUP, "data.val": 0})
    assert not run.directory.soup.exists()
    assert says(caplog.messages, "no val images", "soup")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train.model_soup_size": 5}, saying("5", "train.epochs", "2", "null")),
        ({"train.model_soup_size": 2, "strategy": "lora"}, saying("2", "low-rank", "another strategy")),
    ],
)
def test_a_soup_that_cannot_be_is_refused(tiny_recipe, given, said):
    with pytest.raises(RecipeError, match=saying("train.model_soup_size", said).pattern):
        load_recipe(tiny_recipe(), given)
