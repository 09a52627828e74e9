"""Runs that read decoded images from the cache: the bits of runs that do not, resumed or not."""

from __future__ import annotations

import shutil

import pytest
from kill_runs import model_bytes, stop_after
from messages import saying, says

from tlkit.data.loading.image_cache import ImageCache
from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.training.fit import fit
from tlkit.training.plan import plan_tables
from tlkit.training.prepare import prepare

SHORT = {
    "train.epochs": 3,
    "data.batch_size": 4,
    "report.enabled": False,
    "strategy": "full",
    "augment": "light",
    "model.name": "test_resnet",
}
NEVER = {"data.image_cache": "never"}


def test_a_run_has_the_bits_of_one_without_the_cache_also_when_resumed(tiny_recipe, monkeypatch):
    recipe = tiny_recipe()
    plain = fit(recipe, {**SHORT, **NEVER, "name": "plain"})
    assert not ImageCache().folder.exists()
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert fit(recipe, {**SHORT, "name": "cut"}).status == "interrupted"
    files = list(ImageCache().files())
    assert files
    files[0][0].unlink()
    assert model_bytes(fit(recipe, {**SHORT, "name": "cut"}, resume=True)) == model_bytes(plain)
    shutil.rmtree(ImageCache().folder)


def test_a_run_of_one_epoch_and_one_on_features_store_no_images(tiny_recipe):
    recipe = tiny_recipe()
    fit(recipe, {**SHORT, "train.epochs": 1, "name": "one"})
    fit(recipe, {**SHORT, "strategy": "frozen", "augment": "none", "name": "features"})
    assert not ImageCache().folder.exists()


def settings_of(recipe, **given):
    tables = {table.name: table for table in plan_tables(prepare(load_recipe(recipe, {**SHORT, **given})))}
    return dict(tables["settings"].rows)


def test_the_plan_states_the_bytes(tiny_recipe):
    recipe = tiny_recipe()
    assert saying("kB", "train images", "val images") == settings_of(recipe)["image cache"]
    assert "image cache" not in settings_of(recipe, **NEVER)
    assert "image cache" not in settings_of(recipe, **{"train.epochs": 1})
    assert "image cache" not in settings_of(recipe, strategy="frozen", augment="none")
    assert not ImageCache().folder.exists()


def test_a_limit_without_a_cache_is_refused(tiny_recipe):
    given = {**SHORT, **NEVER, "data.image_cache_limit_gb": 3}
    with pytest.raises(RecipeError, match=saying("data.image_cache_limit_gb", "never", "auto").pattern):
        load_recipe(tiny_recipe(), given)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tiny_recipe(), {**SHORT, "data.image_cache": "ram"})
    assert says(caught, "data.image_cache", "auto", "never")
