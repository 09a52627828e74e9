"""Images with boxes in COCO's form as samples."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from box_images import CLASSES, write_box_images
from messages import saying, says
from pycocotools.coco import COCO

from tlkit.box_labels import BoxLabel, boxes_in, boxes_text
from tlkit.data.augment.transforms import build_transform
from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.data.checks.doctor import diagnose
from tlkit.data.dataset_source import Source
from tlkit.data.loading.box_dataset import BoxDataset
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples


@pytest.fixture
def root(tmp_path):
    return write_box_images(tmp_path / "images")


def read(root, **options):
    return read_samples(root, options=ListOptions(task="detection", box_file=str(root / "instances.json"), **options))


def changed(root, change):
    file = root / "instances.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def test_samples_hold_the_boxes_that_pycocotools_reads(root, capsys):
    samples = read(root)
    coco = COCO(root / "instances.json")
    assert (samples.classes, samples.split_sizes()) == (CLASSES, {"train": 16, "val": 6, "test": 8})
    of_path = {one["file_name"]: key for key, one in coco.imgs.items()}
    for path, text in zip(samples.paths, samples.table["label"], strict=True):
        theirs = coco.loadAnns(coco.getAnnIds(of_path[path]))
        assert [(one.name, [*one[1:5]]) for one in boxes_in(text)] == [
            (coco.cats[one["category_id"]]["name"], one["bbox"]) for one in theirs
        ]
    counts = samples.counts()
    for key, category in coco.cats.items():
        assert counts.loc[category["name"]].sum() == len(coco.getImgIds(catIds=[key]))


def in_two_spellings(values, other):
    """Give every second object of the first category another category of this name."""
    first = values["categories"][0]["id"]
    values["categories"].append({"id": 99, "name": other})
    for one in [one for one in values["annotations"] if one["category_id"] == first][::2]:
        one["category_id"] = 99


def test_categories_that_differ_in_white_space_are_one_class(root, lines):
    counted = read(root).counts()
    changed(root, lambda values: in_two_spellings(values, "disc\u00a0"))
    assert read(root).classes == CLASSES and read(root).counts().equals(counted)
    assert says(lines(), "instances.json", "as 'disc'")
    assert len(read(root, verbatim=True).classes) == 3


def test_categories_that_differ_in_case_are_warned_of(root, lines):
    changed(root, lambda values: in_two_spellings(values, "Disc"))
    assert read(root).classes == ("Disc", "disc", "square")
    assert says(lines(), "instances.json", "'Disc' and 'disc'", "stay apart")


def test_boxes_of_a_list_are_spelled_alike_and_have_a_class(root, tmp_path, lines):
    names = ["disc", "disc ", "Disc", "1", "1.0"]
    table = pd.DataFrame({"path": [f"train/{k:03d}.png" for k in range(5)]})
    table["label"] = [json.dumps([[name, 1, 2, 30, 40, 0]]) for name in names]
    table.to_csv(root / "list.csv", index=False)
    options = ListOptions(task="detection")
    assert read_samples(root / "list.csv", options=options).classes == ("1", "Disc", "disc")
    assert says(lines(), "list.csv", "'disc ' as 'disc'") and says(lines(), "list.csv", "'disc' and 'Disc'")
    table.loc[2, "label"] = '[[" ", 1, 2, 30, 40, 0]]'
    table.to_csv(root / "list.csv", index=False)
    with pytest.raises(DataError) as error:
        read_samples(root / "list.csv", options=options)
    assert says(str(error.value), "list.csv:4", "no list of boxes")


def test_stored_samples_are_read_back(root, tmp_path):
    samples = read(root)
    samples.to_csv(tmp_path / "split.csv")
    again = Samples.from_csv(tmp_path / "split.csv", root=root, task="detection")
    assert again.classes == samples.classes
    assert np.array_equal(again.target_values, samples.target_values)
    text = (tmp_path / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace("[[", "[", 1))
    with pytest.raises(DataError, match=r"split.csv is damaged: a label is no list of boxes"):
        Samples.from_csv(tmp_path / "split.csv", root=root, task="detection")


def test_crowds_are_kept_but_not_trained(root):
    changed(root, lambda values: values["annotations"][0].update(iscrowd=1))
    first = read(root)
    row = first.paths.tolist().index("train/000.png")
    assert boxes_in(first.table["label"][row])[0].crowd
    trained = first.target_values[row]
    assert (trained[:, 0] >= 0).sum() == len(boxes_in(first.table["label"][row])) - 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values["images"][0].update(file_name="gone.png"), ("1 of 30 images", "gone.png", "data.root")),
        (lambda values: values["images"][0].update(file_name="../out.png"), ("../out.png",)),
        (lambda values: values["images"][1].update(file_name="train/000.png"), ("train/000.png more than once",)),
        (lambda values: values["annotations"][2].update(bbox=[1, 2, -1, 4]), ("1 of", "number 2", "left, top")),
        (lambda values: values["annotations"][3].update(category_id=99), ("number 3", "category_id")),
        (lambda values: values.update(annotations=[]), ("holds no boxes", "Add annotations")),
        (lambda values: values.pop("categories"), ("images, annotations, categories",)),
    ],
)
def test_unusable_files_are_named_with_what_is_wrong(root, change, words):
    changed(root, change)
    with pytest.raises(DataError) as caught:
        read(root)
    assert saying(*words) == str(caught.value)


def test_boxes_beside_their_images_are_refused(root):
    changed(root, lambda values: values["annotations"][0].update(bbox=[300, 4, 20, 20]))
    source = Source(root=root, options=ListOptions(task="detection", box_file=str(root / "instances.json")))
    with pytest.raises(DataError) as caught:
        source.load()
    assert saying("1 boxes lie outside", "train/000.png", "64x48", "not shares") == str(caught.value)


def test_dataset_gives_boxes_in_the_input(root):
    samples = read(root).split("val")
    preprocess = Preprocess(image_size=(96, 128), resize="squash", crop_pct=1.0)
    dataset = BoxDataset(samples, transform=build_transform(preprocess, augment="light"))
    for row, true in enumerate(samples.target_values):
        item = dataset[row]
        there = item.target
        assert item.image.shape == (96, 128, 3)
        assert set(there[:, 0]) <= set(true[:, 0]) - {-1}
        assert (there[:, 3:] > there[:, 1:3]).all() and there[:, 1:].max(initial=0) <= 128
    plain = BoxDataset(samples, transform=build_transform(preprocess))[0].target
    shown = samples.target_values[0]
    assert plain[:, 1:] == pytest.approx(shown[shown[:, 0] >= 0, 1:] * 2)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[["a", 1, 2, 3]]', '[["a", 1, 2, -3, 4, 0]]', '[["a", 1, 2, NaN, 4, 0]]']
)
def test_text_that_holds_no_boxes_is_refused(text):
    with pytest.raises(ValueError):
        boxes_in(text)


def test_any_name_of_a_class_survives_the_text():
    boxes = (BoxLabel('a;"b"\n|ü', 0.5, 1, 2.25, 3, crowd=True), BoxLabel("b", 0, 0, 1, 1))
    assert boxes_in(boxes_text(boxes)) == boxes


def test_a_list_holds_the_same_boxes_in_its_column_label(root, tmp_path):
    samples = read(root)
    samples.table[["path", "label", "split"]].to_csv(tmp_path / "list.csv", index=False)
    listed = read_samples(root, manifest=tmp_path / "list.csv", options=ListOptions(task="detection"))
    assert listed.classes == samples.classes
    assert np.array_equal(listed.target_values, samples.target_values)
    text = (tmp_path / "list.csv").read_text()
    (tmp_path / "list.csv").write_text(text.replace("[[", "[", 2))
    with pytest.raises(DataError) as caught:
        read_samples(root, manifest=tmp_path / "list.csv", options=ListOptions(task="detection"))
    assert saying("a label is no list of boxes", "2", "[] where there is no object") == str(caught.value)


def test_the_doctor_and_the_summary_survive_a_file_that_training_refuses(root):
    options = ListOptions(task="detection", box_file=str(root / "instances.json"))
    sound, _ = diagnose(root, options=options)
    assert (sound.images, sound.entries["found"], sound.reaches("error")) == (30, 30, False)
    paths = read(root).paths.tolist()
    (root / paths[0]).unlink()
    (root / paths[1]).write_bytes(b"")

    def spoil(values):
        again = next(one for one in values["images"] if one["file_name"] == paths[2])
        values["images"].append({**again, "id": 9999})
        values["annotations"].append({"id": 9999, "image_id": 4711, "category_id": 7, "bbox": [0, 0, 1, 1]})

    changed(root, spoil)
    found, samples = diagnose(root, options=options)
    by_kind = {one.kind: " ".join(one.items) for one in found.findings}
    assert by_kind["missing-file"] == paths[0] and by_kind["zero-byte"].startswith(paths[1])
    assert by_kind["listed-again"] == paths[2]
    assert saying("1 of 31 images", "more than once", "1 of", "annotations cannot be used") == by_kind["layout"]
    assert found.entries == {"found": 31, "read": 29, "companions": 0, "excluded": 0, "skipped": 2}
    assert len(samples) == summarize_data(root, options=options)[0].images == 29
    with pytest.raises(DataError) as caught:
        read(root)
    assert len(caught.value.problems) == 3


def test_boxes_without_an_area_are_left_out_and_counted_in_files_and_lists(root, tmp_path, caplog):
    whole = read(root)
    changed(root, lambda values: values["annotations"][0].update(bbox=[10, 12, 0, 8]))
    samples = read(root)
    count = [sum(len(boxes_in(text)) for text in one.table["label"]) for one in (whole, samples)]
    assert count[1] == count[0] - 1
    table = samples.table[["path", "label", "split"]].copy()
    flat = BoxLabel(samples.classes[0], 3, 4, 9, 0)
    table["label"] = [boxes_text([*boxes_in(text), flat]) for text in table["label"]]
    table.to_csv(tmp_path / "list.csv", index=False)
    listed = read_samples(root, manifest=tmp_path / "list.csv", options=ListOptions(task="detection"))
    assert np.array_equal(listed.target_values, samples.target_values)
    for file, number in (("instances.json", 1), ("list.csv", len(samples))):
        assert any(f"{file}: {number} boxes have no width" in one for one in caplog.messages)


def test_classes_that_images_show_are_those_of_their_boxes(root):
    changed(root, lambda values: values["annotations"][0].update(iscrowd=1))
    samples = read(root)
    shown = [{one.name for one in boxes_in(text) if not one.crowd} for text in samples.table["label"]]
    assert samples.label_matrix.tolist() == [[int(name in own) for name in samples.classes] for own in shown]
