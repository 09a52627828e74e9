"""A plan shows what a fit would use, and trains nothing."""

from __future__ import annotations

import pandas as pd
import pytest

from tlkit.errors import RecipeError
from tlkit.pipeline.training.plan import plan_rows
from tlkit.pipeline.training.prepare import prepare
from tlkit.recipe import load_recipe


def test_a_plan_tells_images_settings_and_what_trains(tiny_recipe, tmp_path):
    prepared = prepare(load_recipe(tiny_recipe(train=9, val=3, test=2), {"strategy": "frozen", "data.batch_size": 4}))
    images, settings, [(title, blocks)] = plan_rows(prepared)
    assert images == [
        ("class", "train", "val", "test"),
        ("blue", "9", "3", "2"),
        ("red", "9", "3", "2"),
        ("all", "18", "6", "4"),
    ]
    facts = dict(settings)
    assert facts["backbone"] == "test_resnet, weights none (random initialisation)"
    assert facts["preprocessing"].startswith("32x32 px, crop 0.95, bilinear, mean (0.5, 0.5, 0.5)")
    assert facts["steps"] == "2 epochs x 5 = 10, batches of 4"
    assert facts["device"] == "cpu, precision 32-true"
    assert title == "epochs 1 to 2: the classifier"
    assert blocks[0] == ("block", "trains", "mode", "learning rate", "parameters")
    assert blocks[-2] == ("head", "yes", "train", "0.01", "194")
    assert blocks[-1][-1].startswith("194 of ")
    assert all(row[1:4] == ("no", "eval", "-") for row in blocks[1:-2])
    assert not (tmp_path / "runs").exists()


def test_a_plan_shows_every_phase_of_a_strategy_and_leaves_the_first_one_set(tiny_recipe):
    overrides = {"strategy": {"kind": "lp_ft", "probe_epochs": 1, "layer_decay": 0.5}, "train.epochs": 4}
    prepared = prepare(load_recipe(tiny_recipe(train=9, val=3, test=2), overrides))
    _, _, tables = plan_rows(prepared)
    assert [title for title, _ in tables] == ["epoch 1: the classifier", "epochs 2 to 4: everything"]
    (_, probe), (_, tuned) = tables
    assert [row[:3] for row in probe[1:-1]] == [(row[0], "no", "eval") for row in probe[1:-2]] + [
        ("head", "yes", "train")
    ]
    assert [row[0] for row in tuned[1:-1]] == [
        "backbone: conv1, bn1", "backbone: layer1", "backbone: layer2", "backbone: layer3", "backbone: layer4", "head",
    ]  # fmt: skip
    assert [row[3] for row in tuned[1:-1]] == ["3.1e-05", "6.3e-05", "0.00013", "0.00025", "0.0005", "0.001"]
    assert not any(parameter.requires_grad for parameter in prepared.classifier.network.backbone.parameters())


def test_the_steps_of_a_plan_are_those_of_the_loader(tiny_recipe):
    for batch_size in (1, 4, 5, 17, 18, 64):
        prepared = prepare(
            load_recipe(tiny_recipe(train=9, val=2), {"data.batch_size": batch_size, "strategy": "frozen"})
        )
        assert prepared.steps_per_epoch == len(prepared.data.train_dataloader())


def test_the_recipes_geometry_overrides_the_backbones(tiny_recipe):
    recipe = tiny_recipe(train=4, val=2)
    own = prepare(load_recipe(recipe)).classifier.preprocess
    assert (own.resize, own.crop_pct, own.image_size) == ("crop", 0.95, (32, 32))
    changed = {"data.resize": "letterbox", "data.background": [0, 1, 2], "data.image_size": [32, 48]}
    prepared = prepare(load_recipe(recipe, changed))
    assert prepared.classifier.preprocess == own.replace(resize="letterbox", background=(0, 1, 2), image_size=(32, 48))
    assert prepared.data.preprocess == prepared.classifier.preprocess


def test_a_column_that_cannot_be_audited_by_is_found_before_training(tiny_recipe, tmp_path):
    recipe = tiny_recipe(
        more=", metadata: meta.csv, groups: [camera, age]",
        tail="audit: {by: [camera, {column: age, quantiles: 2}], positive: mauve}\n",
    )
    files = sorted((tmp_path / "colours").rglob("*.png"))
    rows = [(str(f.relative_to(tmp_path / "colours")), "old", f"{i} years") for i, f in enumerate(files)]
    pd.DataFrame(rows, columns=["path", "camera", "age"]).to_csv(tmp_path / "colours" / "meta.csv", index=False)
    with pytest.raises(RecipeError) as caught:
        prepare(load_recipe(recipe))
    told = " ".join(caught.value.problems)
    assert "audit.by, val split: The column 'age' is to be cut by quantiles, but holds" in told
    assert "audit.positive is 'mauve', which the data does not have." in told
