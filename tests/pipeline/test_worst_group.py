"""The worst group during training: logged with its interval, and able to choose the epoch that is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tlkit.errors import RecipeError
from tlkit.pipeline.cached import FeatureBatches, cached_features
from tlkit.pipeline.fit import fit
from tlkit.pipeline.prepare import prepare
from tlkit.recipe import load_recipe
from tlkit.stats.intervals import wilson

WORST = "val_worst_group_accuracy"


@pytest.fixture
def recipe(tiny_recipe):
    """Return a recipe whose images have a group column: every third image of a class is a night picture."""
    path = tiny_recipe(
        more=", metadata: metadata.csv, groups: [light]", tail="audit: {by: [light], min_group_size: 2}\n",
        train=12, val=9, test=6,
    )  # fmt: skip
    root = path.parent / "colours"
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.png"))
    rows = [(name, "night" if int(name[-7:-4]) % 3 == 0 else "day") for name in files]
    pd.DataFrame(rows, columns=["path", "light"]).to_csv(root / "metadata.csv", index=False)
    path.write_text(path.read_text().replace(", val: 0.25, test: 0.25", ""))
    return path


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
def test_group_balanced_epochs_hold_equally_many_of_every_crossing(recipe, strategy):
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


def test_group_balanced_sampling_needs_groups_and_stands_alone(recipe):
    with pytest.raises(RecipeError, match=r"train\.sampling is group_balanced, but audit\.by names no column"):
        load_recipe(recipe, {"train.sampling": "group_balanced", "audit.by": []})
    with pytest.raises(RecipeError, match="each make up for rare classes"):
        load_recipe(recipe, {"train.sampling": "group_balanced", "train.class_weights": "balanced"})


def test_without_groups_to_be_about_it_is_a_contradiction(recipe):
    with pytest.raises(RecipeError, match=r"train\.monitor is val_worst_group_accuracy, but audit\.by names no column"):
        load_recipe(recipe, {"train.monitor": WORST, "audit.by": []})
    with pytest.raises(RecipeError, match="a soup is chosen by val_loss or val_accuracy"):
        load_recipe(recipe, {"train.monitor": WORST, "train.soup": 2})


def test_groups_that_are_too_small_are_said_before_training(recipe):
    with pytest.raises(RecipeError, match="needs two groups or more"):
        fit(recipe, {"train.monitor": WORST, "audit.min_group_size": 10})
