"""`tlkit recipe check` looks at the files that a recipe names as tables, where they exist."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from messages import saying
from PIL import Image

from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.recipe.table_paths import require_tables

KEYS = ("metadata", "manifest", "split", "quarantine", "label_corrections")


@pytest.fixture
def recipe_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()

    def recipe_with(key, value):
        (tmp_path / "r.yaml").write_text(
            "recipe_version: 1\nname: a\nmodel: {name: resnet18}\n" + f"data: {{root: photos, {key}: {value}}}\n"
        )
        return load_recipe(tmp_path / "r.yaml")

    return recipe_with


@pytest.mark.parametrize("key", KEYS)
def test_folders_images_and_pipes_are_no_tables(key, recipe_with, tmp_path):
    (tmp_path / "folder").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "image.png")
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("folder", "is a folder"), ("image.png", "no table"), ("pipe", "a pipe")):
        with pytest.raises(RecipeError) as caught:
            require_tables(recipe_with(key, name))
        assert caught.value.problems == (saying(f"data.{key} is {name}", said, "CSV"),)


@pytest.mark.parametrize("key", KEYS)
def test_csv_parquet_folders_of_parts_and_missing_files_pass(key, recipe_with, tmp_path):
    table = pd.DataFrame({"path": ["a.png"], "age": ["7"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_csv(tmp_path / "t.txt", index=False)  # a table by its content
    table.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "parts").mkdir()
    table.to_parquet(tmp_path / "parts" / "0.parquet")
    for name in ("t.csv", "t.txt", "t.parquet", "parts", "elsewhere.csv"):
        require_tables(recipe_with(key, name))


def test_metadata_is_looked_for_below_the_folder_of_images_first(recipe_with, tmp_path):
    (tmp_path / "photos" / "meta").mkdir()
    with pytest.raises(RecipeError, match=r"data\.metadata is meta, which is a folder"):
        require_tables(recipe_with("metadata", "meta"))
    (tmp_path / "meta").write_text("path,age\na.png,7\n")  # the working directory has a file of that name
    require_tables(recipe_with("metadata", "meta"))
