"""The estimate of a fit's time: what it times, what it leaves as it was, and its range."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from messages import says

from tlkit.recipe import load_recipe
from tlkit.training.cached_features import cached_features
from tlkit.training.prepare import prepare
from tlkit.training.time_estimate import estimate_time


def prepared_of(recipe, **overrides):
    return prepare(load_recipe(recipe, overrides))


def parts_of(estimate):
    return {part.name: part for part in estimate.parts}


def state_of(prepared):
    return {name: tensor.clone() for name, tensor in prepared.classifier.state_dict().items()}


def test_a_frozen_backbone_passes_over_the_images_that_are_not_cached(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    prepared = prepared_of(tiny_recipe(train=20, val=4, test=3), strategy="frozen")
    before = state_of(prepared)
    estimate = estimate_time(prepared, started_s=1.25)
    parts = parts_of(estimate)
    assert list(parts) == ["start", "features", "training"]
    assert (parts["start"].low_s, parts["start"].high_s) == (1.25, 1.25)
    assert says(parts["features"].work, "54 of 54 images")
    assert 0 < parts["features"].low_s < parts["features"].high_s
    assert says(parts["training"].work, f"{2 * prepared.steps_per_epoch} steps")
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(prepared).items())
    assert not list(Path(tmp_path, "cache").rglob("*.npy")) and not (tmp_path / "runs").exists()

    cached_features(prepared)
    again = parts_of(estimate_time(prepared, started_s=1.25))["features"]
    assert says(again.work, "0 of 54 images", "cached")
    assert (again.low_s, again.high_s) == (0, 0)


def test_views_are_passes_over_the_training_images(tiny_recipe):
    recipe = tiny_recipe(train=9, val=3, test=2)
    prepared = prepared_of(recipe, **{"strategy": "frozen", "augment": "light", "features.views": 3})
    parts = parts_of(estimate_time(prepared, started_s=1.0))
    assert says(parts["features of 3 views"].work, "54 of 54 images")
    assert says(parts["features"].work, "10 of 10 images")


@pytest.mark.parametrize(("strategy", "augment"), [("full", "none"), ("frozen", "light"), ("gradual", "none")])
def test_training_on_images_is_timed_by_its_batches(tiny_recipe, strategy, augment):
    recipe = tiny_recipe(train=9, val=3, test=2)
    overrides = {"strategy": strategy, "augment": augment, "train.epochs": 6, "data.batch_size": 4}
    prepared = prepared_of(recipe, **overrides)
    before = state_of(prepared)
    estimate = estimate_time(prepared, started_s=1.0)
    parts = parts_of(estimate)
    assert list(parts) == ["start", "training", "val and test"]
    assert says(parts["training"].work, f"{6 * prepared.steps_per_epoch} batches of 4 images")
    assert says(parts["val and test"].work, f"{6 * 6 + 10} images")
    assert all(0 < part.low_s <= part.high_s for part in estimate.parts)
    assert any(says(note, "augment: none", "cached features") for note in estimate.notes) == (strategy == "frozen")
    assert any(says(note, "phase") for note in estimate.notes) == (strategy == "gradual")
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(prepared).items())


def test_a_batch_that_would_exceed_the_budget_is_not_tried(tiny_recipe, monkeypatch):
    prepared = prepared_of(tiny_recipe(train=20, val=4), **{"strategy": "full", "data.batch_size": 16})
    sizes = []
    real = type(prepared.classifier).batch_loss

    def recorded(self, batch, **options):
        sizes.append(len(batch[1]))
        return real(self, batch, **options)

    monkeypatch.setattr(type(prepared.classifier), "batch_loss", recorded)
    monkeypatch.setattr("tlkit.training.time_estimate.BUDGET_S", 0.0)
    part = parts_of(estimate_time(prepared, started_s=0.0))["training"]
    assert sizes == [4]
    assert part.high_s > part.low_s > 0


def test_the_table_ends_with_the_sum(tiny_recipe):
    estimate = estimate_time(prepared_of(tiny_recipe(train=4, val=2), strategy="frozen"), started_s=2.0)
    table = estimate.table()
    assert table.column("low_s")[-1] == pytest.approx(sum(table.column("low_s")[:-1])) == pytest.approx(estimate.low_s)
    assert table.column("high_s")[-1] == pytest.approx(estimate.high_s)
