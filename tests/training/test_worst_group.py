"""The worst group during training: logged with its interval, and a monitor of the best epoch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from messages import saying
from run_fixtures import day_and_night

from tlkit.data.loading.batch import Batch
from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.stats.intervals import wilson
from tlkit.training.cached_features import FeatureBatches, cached_features
from tlkit.training.fit import fit
from tlkit.training.plan import plan_tables
from tlkit.training.prepare import prepare
from tlkit.training.resume import origin_of
from tlkit.training.worst_group_metric import WorstGroup

WORST = "val_worst_group_accuracy"


@pytest.fixture
def recipe(tiny_recipe):
    """Return a recipe whose images have a group column."""
    return tiny_recipe(groups={"light": day_and_night}, train=12, val=9, test=6)


@pytest.mark.slow
def test_the_epoch_that_is_kept_is_the_one_whose_worst_group_is_most_accurate(recipe):
    run = fit(recipe, {"train.monitor": WORST, "train.epochs": 3})
    history, val = run.history, run.predictions("val")
    light = val.groups["light"].to_numpy(dtype=str)
    rates = {name: val.correct[light == name].mean() for name in ("day", "night")}
    name = min(rates, key=rates.get)
    assert history[WORST].max() == pytest.approx(rates[name], abs=1e-6)
    best = int(history[WORST].to_numpy().argmax())
    inside = light == name
    expected = wilson(int(val.correct[inside].sum()), int(inside.sum()))
    assert history[f"{WORST}_low"][best] == pytest.approx(expected.low, abs=1e-6)
    assert history[f"{WORST}_high"][best] == pytest.approx(expected.high, abs=1e-6)
    assert (np.diff(history["epoch"]) == 1).all()


@pytest.mark.parametrize("strategy", ["full", "frozen"])
def test_group_balanced_epochs_hold_equally_many_images_of_every_intersection(recipe, strategy):
    overrides = {"train.sampling": "group_balanced", "strategy": strategy, "data.batch_size": 5}
    prepared = prepare(load_recipe(recipe, overrides))
    cached = cached_features(prepared)
    batches = prepared.data if cached is None else FeatureBatches(prepared, cached)
    assert (cached is None) == (strategy == "full")
    train = prepared.data.samples.split("train")
    crossed = train.table["label"] + train.table["light"]
    assert sorted(crossed.value_counts()) == [4, 4, 8, 8]
    loader, epochs = batches.train_dataloader(), []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        rows = torch.cat([batch.index for batch in loader]).numpy()
        assert crossed.iloc[rows].value_counts().tolist() == [6, 6, 6, 6]
        epochs.append(rows.tolist())
    assert epochs[0] != epochs[1]
    loader.sampler.set_epoch(0)
    assert torch.cat([batch.index for batch in loader]).tolist() == epochs[0]


def test_sampling_and_loss_by_group_count_the_groups_once(recipe, caplog):
    prepared = prepare(load_recipe(recipe, {"train.sampling": "group_balanced", "train.loss": "group_dro"}))
    (said,) = [message for message in caplog.messages if message.startswith("Groups by")]
    assert said == saying("class × light", "4 to 8")
    assert len(prepared.classifier.loss.log_q) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.sampling": "group_balanced", "audit.by": []}, saying("train.sampling", "group_balanced", "audit.by")),
        (
            {"train.sampling": "group_balanced", "train.class_weights": "balanced"},
            saying("train.sampling", "train.class_weights"),
        ),
        ({"train.monitor": WORST, "audit.by": []}, saying("train.monitor", WORST, "audit.by")),
        ({"train.monitor": WORST, "train.model_soup_size": 2}, saying("val_loss", "val_accuracy")),
        ({"train.monitor": WORST, "audit.min_group_size": 10}, saying("two groups")),
    ],
)
def test_what_the_groups_cannot_serve_is_refused_before_training(recipe, changes, said):
    with pytest.raises(RecipeError, match=said.pattern):
        fit(recipe, changes)


def test_images_that_every_process_sees_count_once():
    """If val has fewer images than processes, each process evaluates all of them."""
    callback = WorstGroup(("day", "night"), torch.tensor([0, 1]))
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.tensor([0, 1]))
    for rank in range(3):
        trainer = SimpleNamespace(global_rank=rank, world_size=3)
        callback.on_validation_batch_end(trainer, None, {"y_pred": torch.tensor([0, 0])}, batch, 0)
    assert callback.metric.counts.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("strategy", ["full", "frozen"])
def test_group_dro_weights_the_intersections_of_class_and_group(recipe, strategy):
    prepared = prepare(load_recipe(recipe, {"train.loss": "group_dro", "strategy": strategy, "augment": "none"}))
    train = prepared.data.samples.split("train").table
    crossed = (train["label"] + train["light"]).to_numpy(dtype=str)
    code = prepared.classifier.loss.group_of.numpy()
    assert len(set(zip(crossed, code, strict=True))) == len(set(code)) == len(prepared.classifier.loss.q) == 4
    settings = dict(plan_tables(prepared)[1].rows)
    assert settings["loss"] == saying("group_dro", "4 groups", "class × light", "0.01")
    before = origin_of(prepared)
    prepared.classifier.loss.set_groups(code[::-1].copy())
    assert origin_of(prepared) != before


@pytest.mark.series
def test_group_dro_trains_equally_on_features_and_images(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    options = {"train.loss": "group_dro", "train.group_dro_step": 0.5, "strategy": "frozen", "augment": "none"}
    cached = fit(recipe, {"name": "cached", **options})
    live = fit(recipe, {"name": "live", "features.cache": "never", **options})
    plain = fit(recipe, {"name": "plain", "strategy": "frozen", "augment": "none"})
    assert "features" in cached.environment and "features" not in live.environment
    np.testing.assert_allclose(cached.predictions().proba, live.predictions().proba, atol=1e-4)
    assert np.abs(cached.predictions().proba - plain.predictions().proba).max() > 1e-6
