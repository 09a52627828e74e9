"""Scenes of digits: labels, numbers and grades that agree with the pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_samples
from tlkit.datasets import make_digit_scenes
from tlkit.errors import DataError


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return make_digit_scenes(tmp_path_factory.mktemp("scenes") / "made")


SOURCE = load_digits()


def digits_in(path, pen):
    """Return the rows of scikit-learn's digits in the quarters of a scene in ink."""
    with Image.open(path) as image:
        ink = np.round((255 - np.asarray(image, dtype=float)) * 16 / 255)
    quarters = [ink[top : top + 12, left : left + 12] for top in (0, 12) for left in (0, 12)]
    assert pen == "ink"
    shown = [quarter[2:-2, 2:-2] for quarter in quarters if quarter.any()]
    return [np.flatnonzero((SOURCE.images == one).all(axis=(1, 2))).tolist() for one in shown], SOURCE.target


def test_labels_sum_and_count_are_those_of_the_pixels(scenes):
    table = pd.read_csv(scenes.metadata, dtype=str)
    assert table["split"].value_counts().to_dict() == {"train": 900, "val": 300, "test": 300}
    assert set(table["count"]) == set("1234")
    for row in table[table["pen"] == "ink"].iloc[::120].itertuples():
        found, target = digits_in(scenes.root / row.path, row.pen)
        values = sorted(int(target[rows[0]]) for rows in found)
        assert row.label == ";".join(map(str, sorted(set(values))))
        assert (int(row.total), int(row.count)) == (sum(values), len(values))


def test_no_digit_is_in_the_scenes_of_two_splits(scenes):
    table, seen = pd.read_csv(scenes.metadata, dtype=str), {}
    for split, part in table[table["pen"] == "ink"].groupby("split"):
        found = [digits_in(scenes.root / row.path, row.pen)[0] for row in part.head(25).itertuples()]
        seen[split] = {rows[0] for one in found for rows in one}
    assert not seen["train"] & seen["test"] and not seen["val"] & seen["test"] and not seen["train"] & seen["val"]


def test_the_list_is_a_manifest_of_each_task(scenes):
    for task, names in (("multilabel", {}), ("regression", {"label": "total"}), ("ordinal", {"label": "count"})):
        samples = read_samples(manifest=scenes.metadata, options=ListOptions(task=task, names=names))
        assert samples.split_sizes() == {"train": 900, "val": 300, "test": 300}
    assert samples.classes == tuple("1234")


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(DataError, match="seed is -1"):
        make_digit_scenes(tmp_path / "out", seed=-1)
