"""Images that change between the check and training: the run says so, and trains on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from messages import says
from PIL import Image

from tlkit.training import run_training
from tlkit.training.fit import fit

PIXELS = {"model.name": "test_vit", "train.epochs": 2, "train.device": "cpu", "augment.preset": "light"}


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.series), 2])
def test_a_run_names_the_images_that_changed_after_their_check(workers, tiny_recipe, monkeypatch, caplog):
    recipe, original = tiny_recipe(train=4, val=2, test=1), run_training.prepare

    def prepare_and_change(*arguments, **options):
        prepared = original(*arguments, **options)
        Image.new("RGB", (40, 40), "green").save(Path(recipe.parent, "colours/train/red/001.png"))
        Image.new("RGB", (40, 40), "green").save(Path(recipe.parent, "colours/test/red/000.png"))  # only predicted
        os.utime(Path(recipe.parent, "colours/train/red/002.png"))  # its content is the same
        return prepared

    monkeypatch.setattr(run_training, "prepare", prepare_and_change)
    run = fit(recipe, PIXELS | {"data.num_workers": workers})
    assert run.environment["changed_images"] == ["test/red/000.png", "train/red/001.png"]
    assert says(run.report().read_text(encoding="utf-8"), "changed", "train/red/001.png", "split.csv")
    if workers == 0:  # worker processes log for themselves
        said = [record.getMessage() for record in caplog.records if "changed since" in record.getMessage()]
        assert len(said) == 2 and says(said[0], "train/red/001.png") and says(said[1], "test/red/000.png")


def test_a_run_on_unchanged_images_says_nothing(tiny_recipe):
    run = fit(tiny_recipe(train=4, val=2, test=1), PIXELS | {"train.epochs": 1})
    assert "changed_images" not in run.environment
    assert "split.csv has" not in run.report().read_text(encoding="utf-8")
