"""Tables of groups and labels that are joined to predictions: labels, and paths below another folder."""

from __future__ import annotations

import pandas as pd
import pytest
from messages import saying, says

from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions


def unlabelled(*paths):
    return Predictions.build(classes=["cat", "dog"], path=paths, proba=[[0.9, 0.1]] * len(paths))


def test_a_joined_table_labels_predictions_without_labels(tmp_path):
    file = tmp_path / "truth.csv"
    file.write_text("path,y_true,tone\na.jpg,dog,dark\nb.jpg,,pale\n")
    joined = unlabelled("a.jpg", "b.jpg", "c.jpg").with_groups(file)
    assert joined.y_true.tolist() == [1, -1, -1]
    assert joined.group_columns == ("tone",)
    with pytest.raises(PredictionsError, match=saying("y_true", "Rename").pattern):
        joined.with_groups(file)  # they have labels now, which are not replaced without a word
    named = pd.DataFrame({"path": ["a.jpg"], "label": ["cat"]})
    assert joined.with_groups(named, y_true="label").y_true.tolist() == [0, -1, -1]
    with pytest.raises(PredictionsError, match=saying("label", "'cow'", "cat, dog").pattern):
        joined.with_groups(named.assign(label="cow"), y_true="label")


@pytest.mark.parametrize(
    ("paths", "keys"),
    [
        (("photos/val/a/1.jpg", "photos/val/b/1.jpg"), ("val/a/1.jpg", "val/b/1.jpg")),
        (("photos/val/a/1.jpg", "photos/val/b/1.jpg"), ("a/1.jpg", "b/1.jpg")),
        (("val/a/1.jpg", "val/b/1.jpg"), ("/data/val/a/1.jpg", "/data/val/b/1.jpg")),
        (("photos/val/a/1.jpg", "photos/val/b/1.jpg"), ("a/1.jpg", "b/1.jpg", "b/2.jpg")),
    ],
)
def test_paths_are_compared_below_a_common_folder_where_none_is_alike(paths, keys, caplog):
    caplog.set_level("INFO", logger="tlkit")
    joined = unlabelled(*paths).with_groups(pd.DataFrame({"path": keys, "tone": ["dark", "pale", "dark"][: len(keys)]}))
    assert joined.groups["tone"].tolist() == ["dark", "pale"]
    assert joined.path.tolist() == list(paths)
    assert says(caplog.messages, "taken to be below")


@pytest.mark.parametrize("keys", [("1.jpg",), ("train/a/1.jpg", "train/b/1.jpg"), ("a/1.jpg", "b/3.jpg")])
def test_images_of_other_folders_do_not_match_by_chance(keys):
    table = pd.DataFrame({"path": keys, "tone": ["dark", "pale"][: len(keys)]})
    with pytest.raises(PredictionsError, match=saying("val/a/1.jpg", keys[0]).pattern):
        unlabelled("val/a/1.jpg", "val/b/1.jpg").with_groups(table)


def test_labels_and_groups_are_joined_from_parquet_by_paths_in_another_spelling(tmp_path):
    table = pd.DataFrame({"path": ["a\\1.jpg", "./b/1.jpg"], "y_true": ["dog ", "cat"], "age": ["7", "7.0"]})
    table.to_parquet(tmp_path / "truth.parquet")
    for paths in (("a/1.jpg", "b/1.jpg"), ("photos/a/1.jpg", "photos/b/1.jpg")):
        joined = unlabelled(*paths).with_groups(tmp_path / "truth.parquet")
        assert joined.y_true.tolist() == [1, 0]
        assert joined.groups["age"].tolist() == ["7", "7"]
        with pytest.raises(PredictionsError, match=saying("y_true", "'dog '").pattern):
            unlabelled(*paths).with_groups(tmp_path / "truth.parquet", verbatim=True)
    table.assign(path=["a/1.jpg", "a\\1.jpg"]).to_parquet(tmp_path / "truth.parquet")
    with pytest.raises(PredictionsError, match=saying("more than once", "a/1.jpg").pattern):
        unlabelled("a/1.jpg", "b/1.jpg").with_groups(tmp_path / "truth.parquet")
