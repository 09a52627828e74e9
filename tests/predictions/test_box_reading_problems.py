"""A box that cannot be used is named with what is wrong with it."""

from __future__ import annotations

import json

import pytest

from tlkit.errors import PredictionsError
from tlkit.predictions import read_detection

GOOD = {"image_id": 1, "category_id": 7, "bbox": [1, 2, 30, 40]}
TRUTH = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 99, "height": 99}],
    "categories": [{"id": 7, "name": "cat"}],
    "annotations": [GOOD],
}


def written(folder, name, values):
    (folder / name).write_text(json.dumps(values))
    return folder / name


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"score": float("nan")}, "score nan"),
        ({"score": None}, "score None"),
        ({"image_id": 5}, "image_id 5"),
        ({"image_id": [1]}, r"image_id \[1\]"),
        ({"category_id": "cat"}, "category_id cat"),
        ({"bbox": [1, 2, 3]}, "four numbers"),
        ({"bbox": "1234"}, "four numbers"),
        ({"bbox": [1, 2, -3, 4]}, "below 0"),
        ({"bbox": [1, 2, float("inf"), 4]}, "four numbers"),
    ],
)
def test_a_result_that_is_no_box_is_named_with_its_reason(tmp_path, changed, named):
    truth = written(tmp_path, "truth.json", TRUTH)
    results = written(tmp_path, "found.json", [{**GOOD, "score": 0.5}, {**GOOD, "score": 0.5, **changed}])
    with pytest.raises(PredictionsError, match=f"1 of 2 .*number 1: .*{named}") as caught:
        read_detection(results, truth)
    assert "Error" not in str(caught.value)


@pytest.mark.parametrize("key", ["image_id", "category_id", "bbox", "score"])
def test_a_key_that_lacks_is_named(tmp_path, key):
    truth = written(tmp_path, "truth.json", TRUTH)
    results = [{name: value for name, value in {**GOOD, "score": 0.5}.items() if name != key}]
    with pytest.raises(PredictionsError, match=f"number 0: no {key}"):
        read_detection(written(tmp_path, "found.json", results), truth)


@pytest.mark.parametrize("area", [None, "x", float("nan")])
def test_a_true_box_whose_area_is_no_number_is_named(tmp_path, area):
    truth = written(tmp_path, "truth.json", {**TRUTH, "annotations": [{**GOOD, "area": area}]})
    with pytest.raises(PredictionsError, match="number 0: area"):
        read_detection(written(tmp_path, "found.json", []), truth)
