"""A plan shows what a fit would use, and trains nothing."""

from __future__ import annotations

import pytest
from messages import saying, says

from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.training.plan import plan_tables
from tlkit.training.prepare import prepare


def test_a_plan_tells_images_settings_and_what_trains(tiny_recipe, tmp_path):
    prepared = prepare(load_recipe(tiny_recipe(train=9, val=3, test=2), {"strategy": "frozen", "data.batch_size": 4}))
    images, settings, phase = plan_tables(prepared)
    assert images.rows == (("blue", 9, 3, 2, 14), ("red", 9, 3, 2, 14), ("all", 18, 6, 4, 28))
    facts = dict(settings.rows)
    assert facts["backbone"] == saying("test_resnet", "weights none")
    assert facts["preprocessing"].startswith("32x32 px, crop 0.95, bilinear, mean (0.5, 0.5, 0.5)")
    assert facts["steps"] == "2 epochs x 5 = 10, batches of 4"
    assert facts["device"] == "cpu, precision 32-true"
    assert phase.title == "epochs 1 to 2: the classifier"
    *blocks, head, total = phase.rows
    assert [column.name for column in phase.columns] == ["block", "mode", "learning_rate", "trained", "parameters"]
    assert head == ("head", "train", 0.01, 194, 194)
    assert total == ("all", None, None, 194, sum(row[-1] for row in blocks) + 194)
    assert all(row[1:4] == ("eval", None, 0) for row in blocks)
    assert not (tmp_path / "runs").exists()


def test_a_plan_shows_every_phase_of_a_strategy_and_leaves_the_first_one_set(tiny_recipe):
    overrides = {"strategy": {"kind": "lp_ft", "probe_epochs": 1, "layer_decay": 0.5}, "train.epochs": 4}
    prepared = prepare(load_recipe(tiny_recipe(train=9, val=3, test=2), overrides))
    _, _, probe, tuned, inputs = plan_tables(prepared)
    assert inputs.column("trains") == ("the classifier", "everything")
    assert [phase.title for phase in (probe, tuned)] == ["epoch 1: the classifier", "epochs 2 to 4: everything"]
    assert [row[:2] for row in probe.rows[:-1]] == [(row[0], "eval") for row in probe.rows[:-2]] + [("head", "train")]
    blocks = ("conv1, bn1", "layer1", "layer2", "layer3", "layer4")
    assert tuned.column("block")[:-1] == (*(f"backbone: {block}" for block in blocks), "head")
    assert tuned.column("learning_rate")[:-1] == pytest.approx([0.001 * 0.5**k for k in (5, 4, 3, 2, 1, 0)])
    assert not any(parameter.requires_grad for parameter in prepared.classifier.network.backbone.parameters())


def test_the_steps_of_a_plan_are_those_of_the_loader(tiny_recipe):
    recipe = tiny_recipe(train=9, val=2)
    for batch_size in (1, 4, 5, 17, 18, 64):
        prepared = prepare(load_recipe(recipe, {"data.batch_size": batch_size, "strategy": "frozen"}))
        assert prepared.steps_per_epoch == len(prepared.data.train_dataloader())


def test_the_recipes_geometry_overrides_the_backbones(tiny_recipe):
    recipe = tiny_recipe(train=4, val=2)
    own = prepare(load_recipe(recipe)).classifier.preprocess
    assert (own.resize, own.crop_pct, own.image_size) == ("crop", 0.95, (32, 32))
    changed = {"data.resize": "letterbox", "data.background": [0, 1, 2], "data.image_size": [32, 48]}
    prepared = prepare(load_recipe(recipe, changed))
    assert prepared.classifier.preprocess == own.replace(resize="letterbox", background=(0, 1, 2), image_size=(32, 48))
    assert prepared.data.preprocess == prepared.classifier.preprocess


def test_a_column_that_cannot_be_audited_by_is_found_before_training(tiny_recipe):
    recipe = tiny_recipe(
        groups={"camera": lambda *_: "old", "age": lambda number, _: f"{number} years"},
        tail="audit: {by: [camera, {column: age, quantiles: 2}], positive: mauve}\n",
    )
    with pytest.raises(RecipeError) as caught:
        prepare(load_recipe(recipe))
    assert says(caught.value.problems, "audit.by", "val", "'age'", "quantiles")
    assert says(caught.value.problems, "audit.positive", "'mauve'")
