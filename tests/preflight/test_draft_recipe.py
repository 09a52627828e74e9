"""`tlkit init`: the recipe for a folder loads, fits its content, and nothing is ever replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from image_folders import write_image_folder
from messages import saying

from tlkit.errors import DataError
from tlkit.preflight.draft_recipe import draft_recipe, write_draft
from tlkit.recipe import json_schema, load_recipe


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def recipe_of(folder: Path, name: str = "r.yaml"):
    write_draft(draft_recipe(folder), Path(name))
    return load_recipe(name)


def add_table(root: Path, columns: dict[str, list[str]], *, name: str = "meta.csv", key: str = "path") -> None:
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    values = {column: [given[i % len(given)] for i in range(len(paths))] for column, given in columns.items()}
    pd.DataFrame({key: paths, **values}).to_csv(root / name, index=False)


def test_a_plain_folder_gets_held_out_splits_and_no_audit():
    root = write_image_folder(Path("my photos!"), **{"": 60})
    recipe = recipe_of(root)
    assert (recipe.data.root, recipe.data.val, recipe.data.test, recipe.audit.by) == ("my photos!", 0.2, 0.2, ())
    assert recipe.name == "my-photos"
    assert recipe.data.image_size is not None, "the images of the test are small"


def test_splits_of_the_folder_are_kept():
    recipe_text = draft_recipe(write_image_folder(Path("d"), train=8, val=4, test=4)).text
    assert "val:" not in recipe_text and "test:" not in recipe_text


def test_columns_become_groups_numbers_patients_and_times():
    root = write_image_folder(Path("d"), **{"": 60})
    columns = {
        "camera": ["phone", "slr"],
        "age": [str(20 + i) for i in range(60)],
        "patient": [f"p{i // 3}" for i in range(60)],
        "taken_on": [f"2024-01-{1 + i % 28:02d}" for i in range(60)],
        "code": [f"x{i}" for i in range(120)],
        "constant": ["1"],
    }
    add_table(root, columns)
    draft = draft_recipe(root)
    recipe = recipe_of(root)
    assert recipe.data.metadata == "meta.csv"
    assert recipe.data.groups == ("camera", "age", "patient")
    assert (recipe.data.group_by, recipe.audit.cluster_by) == ("patient", "patient")
    assert recipe.audit.columns == ("camera", "age")
    assert "time_column: taken_on" in draft.text and "code, constant" in draft.text


def test_paths_under_another_name_and_tables_of_other_things():
    root = write_image_folder(Path("d"), **{"": 12})
    add_table(root, {"site": ["north", "south"]}, name="a.csv", key="filename")
    (root / "b.csv").write_text("hello,world\n1,2\n")
    (root / "broken.csv").write_bytes(b"\xff\xfe\x00path")
    draft = draft_recipe(root)
    recipe = recipe_of(root)
    assert (recipe.data.metadata, recipe.data.columns, recipe.audit.by) == ("a.csv", {"path": "filename"}, ("site",))
    assert "Not used: b.csv" in draft.text and "Not used: broken.csv" in draft.text


def test_imbalanced_classes_are_weighted():
    root = write_image_folder(Path("d"), **{"": 30})
    for path in sorted((root / "red").glob("*.png"))[5:]:
        path.unlink()
    assert recipe_of(root).train.class_weights == "balanced"


def test_nothing_is_replaced_and_the_schema_lies_beside_the_recipe():
    root = write_image_folder(Path("d"), **{"": 8})
    draft = draft_recipe(root)
    recipe, schema = write_draft(draft, Path("out") / "r.yaml")
    assert recipe.read_text().splitlines()[0] == f"# yaml-language-server: $schema={schema.name}"
    assert json.loads(schema.read_text()) == json_schema()
    recipe.write_text("mine")
    with pytest.raises(DataError, match=saying("r.yaml", "exists", "--out").pattern):
        write_draft(draft, recipe)
    assert recipe.read_text() == "mine"
    assert write_draft(draft, Path("out") / "s.yaml") == [Path("out/s.yaml")]


def test_hostile_names_stay_text():
    root = write_image_folder(Path("a: b #c\n- d"), **{"": 8})
    add_table(root, {"no": ["yes", "on"], "x: y": ["1", "2"]})
    recipe = recipe_of(root)
    assert recipe.data.root == "a: b #c\n- d"
    assert recipe.data.groups == recipe.audit.columns == ("no", "x: y")


@pytest.mark.parametrize("made", ["missing", "empty", "one class"])
def test_a_folder_that_cannot_be_trained_on_is_refused_and_nothing_written(made):
    root = Path("d")
    if made != "missing":
        (root / "cat").mkdir(parents=True)
    if made == "one class":
        write_image_folder(root, **{"": 4})
        for path in (root / "red").glob("*"):
            path.unlink()
    with pytest.raises(DataError):
        write_draft(draft_recipe(root), Path("r.yaml"))
    assert not Path("r.yaml").exists()
