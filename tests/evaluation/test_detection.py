from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says

from tlkit.audit.detection_audit import audit_detection
from tlkit.audit.options import AuditOptions
from tlkit.cli.task_file import TaskFile
from tlkit.errors import MissingExtraError, PredictionsError
from tlkit.evaluation.detection import DetectionEvaluation, evaluate_detection
from tlkit.predictions.box_reading import read_detection
from tlkit.stats.box_matching import found_objects
from tlkit.stats.box_measures import MatchedBoxes


def scene(folder: Path, seed: int = 0, images: int = 40, *, blind: str = "", crowds: bool = True) -> tuple[Path, Path]:
    """Write boxes of three categories that are found with noise, and return the files of predictions and truth.

    Objects in images of the light `blind` are mostly missed.
    """
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(images):
        for _ in range(int(rng.integers(0, 6))):
            size = rng.choice([16, 60, 150])
            box = [*rng.uniform(0, 200, 2), *(size * rng.uniform(0.7, 1.3, 2))]
            category = int(rng.integers(1, 4))
            crowd = int(crowds and rng.random() < 0.08)
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": crowd,
                }
            )
            seen = 0.1 if light(image) == blind else 0.85
            for _ in range(int(rng.random() < seen) + int(rng.random() < 0.1)):
                moved = (np.array(box) + np.array([size] * 4) * rng.normal(0, 0.08, 4)).clip(1).tolist()
                called = category if rng.random() < 0.9 else int(rng.integers(1, 4))
                found.append({"image_id": image, "category_id": called, "bbox": moved, "score": round(rng.random(), 2)})
        if rng.random() < 0.5:
            found.append(
                {"image_id": image, "category_id": 1, "bbox": [*rng.uniform(0, 300, 2), 30, 30], "score": rng.random()}
            )
    right = {
        "images": [{"id": one, "file_name": f"{one:03d}.jpg"} for one in range(images)],
        "annotations": truth,
        "categories": [{"id": one, "name": name} for one, name in enumerate(("cat", "dog", "ox"), start=1)],
    }
    files = folder / "found.json", folder / "truth.json"
    for file, value in zip(files, (found, right), strict=True):
        file.write_text(json.dumps(value))
    return files


def light(image: int) -> str:
    return "day" if image % 2 else "night"


def of_coco(found: Path, truth: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the precisions of COCO's evaluation, (T, R, K), and its summary."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        right = COCO(str(truth))
        judged = COCOeval(right, right.loadRes(str(found)), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged.eval["precision"][:, :, :, 0, 2], np.array(judged.stats)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_cocos(tmp_path, seed):
    files = scene(tmp_path, seed)
    precision, summary = of_coco(*files)
    result = evaluate_detection(read_detection(*files), replicates=20)
    figures = (result.average_precision, result.average_precision_50, result.average_precision_75)
    assert [one.value for one in figures] == pytest.approx(summary[:3], abs=1e-12)
    for place, one in enumerate(result.per_category):
        assert one.average_precision.value == pytest.approx(precision[:, :, place].mean(), abs=1e-12)
        assert one.average_precision.low <= one.average_precision.value <= one.average_precision.high
    assert 0 < figures[0].low < figures[0].value < figures[0].high < 1
    assert DetectionEvaluation.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_an_annotation_whose_number_is_0_counts(tmp_path):
    found, truth = scene(tmp_path, images=12, crowds=False)
    values = json.loads(truth.read_text())
    results = []
    for first in (1, 0):  # pycocotools takes an object whose number is 0 for one that nothing found
        for number, annotation in enumerate(values["annotations"], start=first):
            annotation["id"] = number
        truth.write_text(json.dumps(values))
        results.append(evaluate_detection(read_detection(found, truth), replicates=20))
    assert results[0] == results[1]


def test_a_perfect_detector_has_an_interval_below_one(tmp_path):
    _, truth = scene(tmp_path, crowds=False)
    boxes = [{**one, "score": 0.9} for one in json.loads(truth.read_text())["annotations"]]
    (tmp_path / "perfect.json").write_text(json.dumps(boxes))
    result = evaluate_detection(read_detection(tmp_path / "perfect.json", truth), replicates=20)
    assert result.average_precision.value == pytest.approx(1) and result.average_precision.low < 0.95
    assert result.recall.value == 1 and sum(one.boxes for one in result.errors) == 0


def test_each_kind_of_error_is_counted(tmp_path):
    truth = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 100, 100]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [300, 0, 100, 100]},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [600, 0, 100, 100]},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    places = [(0, 1, 0.9), (2, 1, 0.8), (340, 1, 0.8), (600, 1, 0.8), (640, 1, 0.8), (900, 1, 0.8), (900, 1, 0.2)]
    found = [
        {"image_id": 7, "category_id": category, "bbox": [left, 0, 100, 100], "score": score}
        for left, category, score in places
    ]
    for name, value in (("found", found), ("truth", truth)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    boxes = read_detection(tmp_path / "found.json", tmp_path / "truth.json")
    result = evaluate_detection(boxes, replicates=10)
    assert {one.kind: one.boxes for one in result.errors} == {
        "localization": 1,
        "classification": 1,
        "duplicate": 1,
        "background": 1,
        "both": 1,
    }
    assert result.errors[0].share.value == pytest.approx(1 / 6)
    assert result.recall.value == pytest.approx(1 / 3)


def test_recall_is_audited_by_group_and_by_size_of_objects(tmp_path):
    boxes = read_detection(*scene(tmp_path, 5, 300, blind="night"))
    groups = pd.DataFrame({"path": boxes.path, "light": [light(one) for one in range(300)]})
    boxes = boxes.with_groups(groups)
    matched = MatchedBoxes.of(boxes)
    hit = found_objects(matched, matched.matches, min_score=0.0)
    audit = audit_detection(
        boxes, AuditOptions().with_overrides(by=["light", "object_size"], max_intersection_order=1), min_score=0.0
    )
    row = audit.group_table("light", metric="recall").row(("night",))
    night = np.array([light(one) == "night" for one in boxes.truth.image]) & ~boxes.truth.crowd
    assert row.rate.value == pytest.approx(hit[night].mean()) and row.verdict == "FAIL"
    assert row.clusters == len(np.unique(boxes.truth.image[night]))
    sizes = audit.group_table("object_size", metric="recall")
    assert [one.name for one in sizes.rows] == ["small", "medium", "large"]
    assert not any(one.verdict == "FAIL" for one in sizes.rows if one.name == "medium")
    assert audit.group_table("light", metric="recall", class_name="ox").row(("night",)).verdict == "FAIL"
    assert "objects" in str([one.columns for one in audit.tables()])


def test_what_is_no_coco_file_is_refused(tmp_path):
    found, truth = scene(tmp_path)
    with pytest.raises(PredictionsError) as error:
        read_detection(truth, truth)
    assert says(error.value.problems, "list", "score")
    with pytest.raises(PredictionsError) as error:
        read_detection(found, found)
    assert says(error.value.problems, "annotations", "categories")
    boxes = json.loads(found.read_text())
    boxes[0]["image_id"], boxes[1]["bbox"] = 999, [1, 2, -3, 4]
    found.write_text(json.dumps(boxes))
    with pytest.raises(PredictionsError) as error:
        read_detection(found, truth)
    assert says(error.value.problems, f"2 of {len(boxes)}", "999", "-3")
    found.write_text("{")
    with pytest.raises(PredictionsError) as error:
        read_detection(found, truth)
    assert says(error.value.problems, "JSON")


@pytest.mark.parametrize("corner", ["1" + "0" * 400, "NaN", "Infinity", "[]", "null", "-1"])
def test_a_box_that_is_none_is_named(tmp_path, corner):
    """The first is a whole number that no float holds."""
    box = f'"image_id": 1, "category_id": 1, "bbox": [1, 1, {corner}, 4]'
    image, category = '{"id": 1, "file_name": "a.png"}', '{"id": 1, "name": "c"}'
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(f'{{"images": [{image}], "categories": [{category}], "annotations": [{{{box}}}]}}')
    found.write_text(f'[{{{box}, "score": 0.9}}]')
    with pytest.raises(PredictionsError) as caught:
        read_detection(found, truth)
    assert len(caught.value.problems) == 2


def test_without_pycocotools_the_extra_is_named(tmp_path, monkeypatch):
    boxes = read_detection(*scene(tmp_path))
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError) as error:
        evaluate_detection(boxes)
    assert says(error.value.problems, "pycocotools", "tlkit[coco]")


def predicted_instances(found, truth, *, folder="/photos/"):
    """Return results as `tlkit predict` writes them: other ids, other order of categories, scored annotations."""
    right, boxes = json.loads(truth.read_text()), json.loads(found.read_text())
    images = {one["id"]: number for number, one in enumerate(reversed(right["images"]), start=500)}
    kinds = {one["id"]: number for number, one in enumerate(reversed(right["categories"]), start=1)}
    return {
        "images": [{"id": images[one["id"]], "file_name": folder + one["file_name"]} for one in right["images"]],
        "categories": [{"id": kinds[one["id"]], "name": one["name"]} for one in right["categories"]],
        "annotations": [
            {**one, "image_id": images[one["image_id"]], "category_id": kinds[one["category_id"]], "iscrowd": 0}
            for one in boxes
        ],
    }


def test_file_of_predict_is_matched_by_names(tmp_path):
    found, truth = scene(tmp_path)
    values = predicted_instances(found, truth)
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(values))
    assert read_detection(file, truth).table().equals(read_detection(found, truth).table())
    for change, words in (
        (lambda one: one["images"].pop(), ("1 of 40 images", "were not predicted", "039.jpg")),
        (lambda one: one["images"][0].update(file_name="x.jpg"), ("1 of 40 images", "none or several", "x.jpg (none)")),
        (lambda one: one["images"][0].update(file_name="b/001.jpg"), ("more than once", "001.jpg")),
        (lambda one: one["categories"][0].update(name="cow"), ("categories", "lacks", "cow")),
    ):
        other = json.loads(json.dumps(values))
        change(other)
        file.write_text(json.dumps(other))
        with pytest.raises(PredictionsError) as caught:
            read_detection(file, truth)
        assert says(str(caught.value), *words)


def test_names_of_predicted_categories_and_images_match_in_any_spelling(tmp_path):
    found, truth = scene(tmp_path)
    values = predicted_instances(found, truth, folder="day\\")
    for one in values["categories"]:
        one["name"] += "\u00a0"
    (tmp_path / "instances.json").write_text(json.dumps(values))
    assert read_detection(tmp_path / "instances.json", truth).table().equals(read_detection(found, truth).table())


def test_several_true_images_at_the_end_of_a_path_are_refused(tmp_path):
    found, truth = scene(tmp_path, images=3)
    values = json.loads(truth.read_text())
    values["images"][1]["file_name"] = "a/000.jpg"
    truth.write_text(json.dumps(values))
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(predicted_instances(found, truth)))
    with pytest.raises(PredictionsError) as caught:
        read_detection(file, truth)
    assert says(str(caught.value), "1 of 3 images", "/photos/a/000.jpg (several)")


def test_table_by_tlkit_is_judged_by_the_command_line_reader(tmp_path):
    boxes = read_detection(*scene(tmp_path))
    boxes.to_parquet(tmp_path / "boxes.parquet")
    given = dict.fromkeys((field.name for field in fields(TaskFile)), None)
    file = TaskFile(**{**given, "path": tmp_path / "boxes.parquet", "stated": "detection", "verbatim": False, "by": ()})
    assert file.open_boxes().table().equals(boxes.table())
    with pytest.raises(PredictionsError, match="--truth"):
        replace(file, truth=tmp_path / "truth.json").open_boxes()
