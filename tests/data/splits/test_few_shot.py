"""Lists of few training images: nested, the same test images, kept columns."""

from __future__ import annotations

import pandas as pd
import pytest
from image_folders import write_image_folder
from messages import says

from tlkit.data import few_shot_lists
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError


def read(files):
    return {count: pd.read_csv(file) for count, file in files.items()}


def test_shots_are_nested_and_the_test_images_are_the_same(tmp_path):
    photos = write_image_folder(tmp_path / "photos", **{"": 10})
    files = few_shot_lists(photos, tmp_path / "lists", shots=[4, 1, 8])
    tables = read(files)
    assert list(files) == [1, 4, 8] and files[4].name == "shots_4.csv"
    train = {count: set(table.loc[table["split"] == "train", "path"]) for count, table in tables.items()}
    test = {count: frozenset(table.loc[table["split"] == "test", "path"]) for count, table in tables.items()}
    assert train[1] < train[4] < train[8] and len(set(test.values())) == 1 and not train[8] & test[1]
    for count, table in tables.items():
        own = table[table["split"] == "train"]["label"].value_counts()
        assert own.to_dict() == {"blue": count, "red": count}
    assert len(test[1]) == 4 and len(train[8] | test[1]) == 20
    again = few_shot_lists(photos, tmp_path / "again", shots=[4])
    assert again[4].read_text() != files[4].read_text()  # its test images are all others
    kept = set(read(again)[4].query("split == 'train'")["path"])
    assert kept == train[4]  # the choice does not depend on the other lists
    other = few_shot_lists(photos, tmp_path / "other", shots=[4], seed=1)
    assert set(read(other)[4].query("split == 'train'")["path"]) != train[4]
    samples = read_samples(photos, manifest=files[4])
    assert samples.counts().to_numpy().tolist() == [[4, 0, 2], [4, 0, 2]]


def test_a_test_split_is_kept_and_columns_too(tmp_path):
    photos = write_image_folder(tmp_path / "photos", train=3, test=2)
    rows = [f"{file.relative_to(photos)},{file.parent.name},{file.parts[-3]},day" for file in photos.rglob("*.png")]
    (photos / "list.csv").write_text("\n".join(["path,label,split,light", *rows]) + "\n")
    table = read(few_shot_lists(photos / "list.csv", tmp_path / "lists", shots=[1, 3], columns=["light"]))[1]
    assert set(table[table["split"] == "test"]["path"].str.split("/").str[0]) == {"test"}
    assert len(table) == 6 and set(table["light"]) == {"day"}


def test_too_few_images_are_named(tmp_path):
    photos = write_image_folder(tmp_path / "photos", **{"": 4})
    with pytest.raises(DataError) as error:
        few_shot_lists(photos, tmp_path / "lists", shots=[1, 4])
    assert says(error, "4 images of each class", "blue (4)", "Use fewer shots")
    for wrong in ([], [0, 1]):
        with pytest.raises(DataError, match="whole numbers"):
            few_shot_lists(photos, tmp_path / "lists", shots=wrong)
