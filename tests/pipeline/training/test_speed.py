"""Memory format and compilation: measured on a copy, noted in the run, and the same after a resume."""

from __future__ import annotations

import json

import pytest
import torch

from tlkit.disk import cache_folder
from tlkit.errors import RecipeError
from tlkit.models.weights import tensors_digest
from tlkit.pipeline.fit import fit
from tlkit.pipeline.training import speed
from tlkit.pipeline.training.checkpoints import KeepCheckpoints
from tlkit.pipeline.training.measured import measured_once
from tlkit.pipeline.training.prepare import prepare
from tlkit.recipe import load_recipe
from tlkit.runs import RunDirectory

SHORT = {"train.epochs": 3, "data.batch_size": 4, "report.enabled": False}


def _noted(run):
    return json.loads(run.directory.speed.read_text())


def _weights(run):
    return (run.directory.model / "model.safetensors").read_bytes()


def _stop_after(patch, batches):
    seen, original = [], KeepCheckpoints.on_train_batch_end

    def stopping(self, *arguments):
        seen.append(1)
        self._stop.requested = len(seen) == batches
        return original(self, *arguments)

    patch.setattr(KeepCheckpoints, "on_train_batch_end", stopping)


def test_a_short_run_is_channels_last_unmeasured_and_the_recipe_can_say_otherwise(tiny_recipe, monkeypatch):
    monkeypatch.setattr(speed, "_seconds", None)
    formats = []
    original = torch.nn.functional.conv2d

    def watching(x, weight, *more):
        formats.append(weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous())
        return original(x, weight, *more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watching)
    recipe = tiny_recipe()
    assert _noted(fit(recipe, {**SHORT, "train.epochs": 1}))["memory_format"] == "channels_last"
    assert any(formats)
    plain = prepare(load_recipe(recipe, {"train.memory_format": "contiguous"}))
    with speed.computing(plain, speed.Speed("contiguous", compiled=False), from_pixels=True):
        formats.clear()
        plain.classifier(torch.zeros(2, 3, 32, 32))
    assert formats and not any(formats)


@pytest.mark.parametrize(("measured", "taken"), [((1.0, 0.5), "contiguous"), ((1.0, 0.97), "channels_last")])
def test_a_long_run_takes_what_is_clearly_faster(tiny_recipe, monkeypatch, caplog, measured, taken):
    prepared = prepare(load_recipe(tiny_recipe(), {"train.epochs": 200}))
    directory = RunDirectory.create(tiny_recipe().parent / "run")
    monkeypatch.setattr(speed, "_seconds", lambda prepared, *ways: measured)
    chosen = speed.choose_speed(directory, prepared, resume=False, from_pixels=True)
    assert chosen.memory_format == taken
    rate = round(8 / measured[1], 2)
    assert f"Training steps measured: channels-last 8 images/s, contiguous {rate:g} images/s; training is" in (
        caplog.text
    )
    monkeypatch.setattr(speed, "_seconds", None)
    assert speed.choose_speed(directory, prepared, resume=True, from_pixels=True) == chosen


def test_a_machine_measures_once_and_then_chooses_alike(tiny_recipe, monkeypatch, caplog, tmp_path):
    """The second run would measure otherwise, as a busy machine does; another batch size is another question."""

    def chosen(name, found, **more):
        monkeypatch.setattr(speed, "_seconds", lambda prepared, *ways: found)
        prepared = prepare(load_recipe(tiny_recipe(), {"train.epochs": 200, **more}))
        directory = RunDirectory.create(tmp_path / name)
        return speed.choose_speed(directory, prepared, resume=False, from_pixels=True)

    first = chosen("first", (1.0, 0.5))
    caplog.clear()
    assert chosen("second", (0.5, 1.0), seed=7) == first
    (noted,) = (cache_folder() / "measured").iterdir()
    assert f"Training steps were measured on this machine before, as {noted} says: channels-last 8" in caplog.text
    assert chosen("third", (0.5, 1.0), **{"data.batch_size": 4}).memory_format == "channels_last"
    noted.write_text(noted.read_text()[:20])  # cut
    assert chosen("fourth", (0.5, 1.0)).memory_format == "channels_last"
    assert chosen("fifth", (1.0, 0.5)).memory_format == "channels_last"


def test_of_runs_that_measure_at_the_same_time_the_first_decides(caplog):
    def slower():
        assert measured_once({"a": 1}, lambda: {"x": 1.0}) == ({"x": 1.0}, None)
        return {"x": 2.0}

    assert measured_once({"a": 1}, slower) == ({"x": 1.0}, None)
    figures, noted = measured_once({"a": 1}, slower)
    assert figures == {"x": 1.0} and noted == next((cache_folder() / "measured").iterdir())


def test_a_cache_that_cannot_be_written_does_not_stop_a_run(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "file"))
    assert measured_once({"a": 1}, lambda: {"x": 1.0}) == ({"x": 1.0}, None)
    assert "so another run may choose otherwise" in caplog.text


def test_measuring_leaves_no_trace(tiny_recipe):
    prepared = prepare(load_recipe(tiny_recipe(), {"train.precision": "bf16"}))
    before, stream = tensors_digest(prepared.classifier.state_dict()), torch.get_rng_state()
    ways = speed.Speed("channels_last", compiled=False), speed.Speed("contiguous", compiled=False)
    assert all(0 < seconds < float("inf") for seconds in speed._seconds(prepared, *ways))
    assert tensors_digest(prepared.classifier.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), stream)


def test_a_resumed_run_keeps_its_format_and_ends_with_the_same_bits(tiny_recipe, monkeypatch, caplog):
    recipe = tiny_recipe()
    whole = fit(recipe, {**SHORT, "name": "whole", "train.memory_format": "contiguous"})
    with monkeypatch.context() as patch:
        _stop_after(patch, 5)
        cut = fit(recipe, {**SHORT, "name": "cut", "train.memory_format": "contiguous"})
    assert cut.status == "interrupted"
    resumed = fit(recipe, {**SHORT, "name": "cut", "train.memory_format": "contiguous"}, resume=True)
    assert "Training goes on as it was begun: contiguous." in caplog.text
    assert _weights(resumed) == _weights(whole)


def test_compiled_training_learns_what_eager_training_learns_and_resumes(tiny_recipe, monkeypatch):
    graphs = []

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(speed, "_compile", lambda backbone: backbone.compile(backend=counting, dynamic=False))
    recipe = tiny_recipe()
    eager = fit(recipe, {**SHORT, "name": "eager"})
    assert not graphs
    whole = fit(recipe, {**SHORT, "name": "whole", "train.compile": True})
    assert graphs
    assert _noted(whole)["compiled"] is True
    assert _weights(whole) == _weights(eager)  # the backend of this test computes the graph as it is
    torch._dynamo.reset()
    with monkeypatch.context() as patch:
        _stop_after(patch, 5)
        fit(recipe, {**SHORT, "name": "cut", "train.compile": True})
    resumed = fit(recipe, {**SHORT, "name": "cut", "train.compile": True}, resume=True)
    assert _weights(resumed) == _weights(whole)


def test_a_compiler_that_fails_is_named(tiny_recipe, monkeypatch):
    def failing(graph, inputs):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(speed, "_compile", lambda backbone: backbone.compile(backend=failing, dynamic=False))
    with pytest.raises(RecipeError, match=r"train.compile is true, but torch .* cannot compile here:.*use train"):
        fit(tiny_recipe(), {**SHORT, "train.compile": True})


def test_cached_features_leave_nothing_to_compile(tiny_recipe, caplog):
    run = fit(tiny_recipe(), {**SHORT, "strategy": "frozen", "train.compile": True})
    assert "Training takes features, not images: there is nothing to compile." in caplog.text
    assert _noted(run)["compiled"] is False
