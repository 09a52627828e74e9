"""COCO, Pascal VOC and YOLO, against pycocotools and torchvision on small made datasets."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import tlkit.torchvision_cure  # noqa: F401  before torchvision

import numpy as np
import pandas as pd
import pytest
import yaml as pyyaml
from command import invoke
from messages import saying, says
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import VOCDetection

from tlkit.data import import_images
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError

NAMES = {1: "cat", 3: "dog", 7: "traffic light"}


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(path)


def rows(imported) -> dict[str, str]:
    table = pd.read_csv(imported.manifest, keep_default_na=False)
    return dict(zip(table["path"], table["label"], strict=True))


def problem(*arguments, **options) -> str:
    with pytest.raises(DataError) as caught:
        import_images(*arguments, **options)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- COCO


def coco(root: Path, split: str = "train", *, seed: int = 0, several: bool = True) -> Path:
    """Write COCO's folders with 20 images of one to three categories, and return the JSON file."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    for number in range(20):
        name = f"{number:012d}.jpg"
        picture(root / f"{split}2017" / name, seed=number)
        images.append({"id": 100 + number, "file_name": name, "width": 12, "height": 9})
        for category in rng.choice(list(NAMES), rng.integers(1, 4) if several else 1, replace=several).tolist():
            box = {"bbox": [1, 1, 5, 5], "area": 25, "iscrowd": int(rng.integers(2))}
            annotations.append({"id": len(annotations) + 1, "image_id": 100 + number, "category_id": category, **box})
    categories = [{"id": key, "name": name, "supercategory": "thing"} for key, name in NAMES.items()]
    file = root / "annotations" / f"instances_{split}2017.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def changed(file: Path, change) -> Path:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))
    return file


def test_coco_labels_are_the_categories_that_pycocotools_finds(tmp_path):
    file = coco(tmp_path)
    imported = import_images("coco", file, tmp_path / "list.csv")
    theirs = COCO(str(file))
    expected = {}
    for one in theirs.loadImgs(theirs.getImgIds()):
        found = theirs.loadAnns(theirs.getAnnIds(imgIds=one["id"]))
        expected[one["file_name"]] = ";".join(sorted({NAMES[ann["category_id"]] for ann in found}))
    assert rows(imported) == expected
    assert imported.task == "multilabel" and imported.classes == tuple(sorted(NAMES.values()))
    assert imported.root == tmp_path / "train2017" and imported.skipped == () and imported.images == 20
    objects = pd.read_csv(imported.manifest)["objects"].sum()
    assert objects == len(theirs.anns)


def test_coco_with_one_category_an_image_reads_as_a_dataset_of_classes(tmp_path):
    files = [coco(tmp_path, split, seed=seed, several=False) for seed, split in enumerate(("train", "val"))]
    imported = import_images("coco", files, tmp_path / "list.csv")
    assert imported.task == "multiclass" and imported.counts == {"train": 20, "val": 20} and imported.root == tmp_path
    samples = read_samples(imported.root, manifest=imported.manifest)
    assert samples.counts().sum().to_dict() == {"train": 20, "val": 20, "test": 0}
    assert dict(zip(samples.table["path"], samples.table["label"], strict=True)) == rows(imported)


def test_the_lines_for_a_recipe_state_the_task_of_several_labels(tmp_path):
    imported = import_images("coco", coco(tmp_path / "coco", several=True), tmp_path / "made")
    manifest = str(tmp_path / "made" / "list.csv")
    assert pyyaml.safe_load(imported.recipe_lines) == {"task": "multilabel", "data": {"manifest": manifest}}
    notes = imported.tables()[0].notes
    assert [note.removeprefix("In a recipe: ") for note in notes] == imported.recipe_lines.splitlines()


def test_copies_of_images_keep_their_bytes(tmp_path):
    imported = import_images("coco", coco(tmp_path / "coco", several=False), tmp_path / "made")
    assert (
        imported.root == tmp_path / "made"
        and imported.recipe_lines == f"data: {{manifest: {tmp_path / 'made/list.csv'}}}"
    )
    for path in rows(imported):
        name = Path(path).name
        assert (imported.root / path).read_bytes() == (tmp_path / "coco" / "train2017" / name).read_bytes()
    read_samples(manifest=imported.manifest)


def test_what_coco_skips_is_counted_and_named(tmp_path):
    def spoil(values):
        values["annotations"] = [one for one in values["annotations"] if one["image_id"] != 103]
        values["annotations"] += [
            {"id": 900, "image_id": 555, "category_id": 1},
            {"id": 901, "image_id": 100, "category_id": 2},
            {"id": 902, "image_id": [100], "category_id": 1},
        ]

    file = changed(coco(tmp_path), spoil)
    (tmp_path / "train2017" / "000000000005.jpg").unlink()
    imported = import_images("coco", file, tmp_path / "list.csv")
    assert imported.images == 18
    assert dict(imported.skipped) == {
        "instances_train2017.json: annotation 900": saying("image", "does not list"),
        "instances_train2017.json: annotation 901": saying("category", "does not list"),
        "instances_train2017.json: annotation 902": saying("image", "does not list"),
        "000000000003.jpg": saying("no annotation"),
        "000000000005.jpg": saying("missing"),
    }
    assert pd.read_csv(imported.skipped_file)["name"].tolist() == [name for name, _ in imported.skipped]
    text = "\n".join(str(cell) for table in imported.tables() for row in table.rows for cell in row)
    assert says(text, "annotation 900", "annotation 902", "000000000005.jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("categories"), ("categories",)),
        (lambda values: values["images"].append(3), ("images", "objects")),
        (lambda values: values["images"].append({"id": 100, "file_name": "x.jpg"}), ("two images", "100")),
        (lambda values: values["images"].append({"id": 1}), ("images[20]", "file_name")),
        (lambda values: values["categories"].append({"id": 9, "name": "cat"}), ("two categories", "'cat'")),
        (lambda values: values["categories"].append({"id": 9}), ("categories[3]", "no name")),
        (lambda values: values["images"][4].update(file_name="../secret.jpg"), ("../secret.jpg", "outside")),
        (lambda values: values["images"][4].update(file_name="/etc/x.jpg"), ("/etc/x.jpg", "outside")),
        (lambda values: values["categories"][0].update(name="cat;kitten"), ("cat;kitten", "Rename")),
        (lambda values: values["categories"][0].update(name=" "), ("categories[0]", "no name")),
        (lambda values: values["images"].clear(), ("lists no images",)),
        (lambda values: values["annotations"].clear(), ("no image with a label", "no annotation")),
    ],
)
def test_malformed_coco_is_refused_and_nothing_is_written(tmp_path, change, message):
    said = problem("coco", changed(coco(tmp_path), change), tmp_path / "made")
    assert says(said, *message)
    assert not (tmp_path / "made").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations", "train2017"]


def test_json_that_nests_too_deeply_or_is_none_is_refused(tmp_path):
    file = tmp_path / "a.json"
    for content, message in (("[" * 100_000, "deep"), ("{", "JSON"), ("[]", "images"), ('{"a": NaN}', "NaN")):
        file.write_text(content)
        assert says(problem("coco", file, tmp_path / "made"), file, message)


def test_images_that_are_not_found_name_the_option(tmp_path):
    file = coco(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    assert problem("coco", file, tmp_path / "l.csv") == saying(file, "20 images", "--images FOLDER")
    assert import_images("coco", file, tmp_path / "l.csv", images=tmp_path / "elsewhere").images == 20
    assert problem("coco", file, tmp_path / "l.csv") == saying(tmp_path / "l.csv", "exists already")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    file = coco(tmp_path / "coco")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    linked = tmp_path / "coco" / "train2017" / "000000000002.jpg"
    linked.unlink()
    linked.symlink_to(tmp_path / "secret.jpg")
    assert problem("coco", file, tmp_path / "made") == saying(file, "outside", "000000000002.jpg")


def test_of_several_sources_each_skipped_entry_says_which_one(tmp_path):
    """Their folders have files of the same names."""
    files = []
    for split in ("train", "valid"):
        for number in range(2):
            picture(tmp_path / split / f"{number}.jpg", seed=number)
        files.append(tmp_path / split / "_annotations.coco.json")
        images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(3)]
        annotations = [{"id": number, "image_id": number, "category_id": 1} for number in (0, 1, 2, 9)]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        files[-1].write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    imported = import_images("coco", files, tmp_path / "list.csv")
    assert dict(imported.skipped) == {
        f"{split}/{name}": why
        for split in ("train", "valid")
        for name, why in (
            ("2.jpg", saying("missing")),
            ("_annotations.coco.json: annotation 9", saying("does not list")),
        )
    }


def test_paths_of_one_image_are_one_and_backslashes_are_slashes(tmp_path):
    file = changed(coco(tmp_path), lambda values: values["images"][1].update(file_name="./000000000000.jpg"))
    imported = import_images("coco", file, tmp_path / "list.csv")
    assert imported.skipped == (("000000000000.jpg", saying("twice")),)
    file = changed(
        coco(tmp_path / "w"),
        lambda values: [one.update(file_name="train2017\\" + one["file_name"]) for one in values["images"]],
    )
    assert import_images("coco", file, tmp_path / "w.csv").images == 20


def test_a_folder_of_one_split_states_it_and_an_image_without_a_split_is_no_training_image(tmp_path):
    for split, folder in (("train", "train"), ("val", "valid")):
        file = coco(tmp_path / "made", split)
        shutil.copytree(tmp_path / "made" / f"{split}2017", tmp_path / "d" / folder)
        shutil.copy(file, tmp_path / "d" / folder / "_annotations.coco.json")
    files = [tmp_path / "d" / folder / "_annotations.coco.json" for folder in ("train", "valid")]
    assert import_images("coco", files, tmp_path / "list.csv").counts == {"train": 20, "val": 20}
    shutil.move(tmp_path / "d" / "valid", tmp_path / "d" / "more")
    files[1] = tmp_path / "d" / "more" / "_annotations.coco.json"
    assert problem("coco", files, tmp_path / "other.csv") == saying("20 images", "no split", "more/000000000000.jpg")
    assert not (tmp_path / "other.csv").exists()


def test_names_that_no_disk_holds_are_missing_images(tmp_path):
    def change(values):
        values["images"][0]["file_name"] = "a" * 5000
        values["images"][1]["file_name"] = "a\ud800"

    imported = import_images("coco", changed(coco(tmp_path), change), tmp_path / "list.csv")
    assert [name for name, _ in imported.skipped] == ["a" * 5000, "a\\ud800"]
    file = changed(coco(tmp_path / "b"), lambda values: values["categories"][0].update(name="a\ud800"))
    assert problem("coco", file, tmp_path / "other.csv") == saying("UTF-8", "Rename")


# ------------------------------------------------------------------------------------------------- VOC


def voc(root: Path, *, sets: bool = True) -> Path:
    """Write VOCdevkit with 12 images of one to three objects, and return the folder."""
    rng = np.random.default_rng(1)
    base = root / "VOCdevkit" / "VOC2012"
    (base / "Annotations").mkdir(parents=True)
    names = [f"2008_{number:06d}" for number in range(12)]
    for number, name in enumerate(names):
        picture(base / "JPEGImages" / f"{name}.jpg", seed=number)
        objects = "".join(
            f"<object><name>{label}</name><difficult>{int(rng.integers(2))}</difficult><part><name>head</name></part>"
            "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>"
            for label in rng.choice(list(NAMES.values()), rng.integers(1, 4)).tolist()
        )
        text = f"<annotation><filename>{name}.jpg</filename><size><width>12</width></size>{objects}</annotation>"
        (base / "Annotations" / f"{name}.xml").write_text(text)
    if sets:
        (base / "ImageSets" / "Main").mkdir(parents=True)
        for split, some in (("train", names[:6]), ("val", names[6:11])):
            (base / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(some) + "\n")
    return root / "VOCdevkit"


def test_voc_labels_and_splits_are_those_of_torchvision(tmp_path):
    folder = voc(tmp_path)
    imported = import_images("voc", folder, tmp_path / "list.csv")
    assert imported.counts == {"train": 6, "val": 5}
    table = pd.read_csv(imported.manifest).set_index("path")
    for split in ("train", "val"):
        theirs = VOCDetection(tmp_path, year="2012", image_set=split)
        assert (table["split"] == split).sum() == len(theirs)
        for path, file in zip(theirs.images, theirs.annotations, strict=True):
            target = theirs.parse_voc_xml(ElementTree.parse(file).getroot())
            objects = [one["name"] for one in target["annotation"]["object"]]
            row = table.loc[Path(path).relative_to(imported.root).as_posix()]
            assert row["label"] == ";".join(sorted(set(objects))) and row["objects"] == len(objects)
    assert dict(imported.skipped) == {"Annotations/2008_000011.xml": saying("ImageSets/Main")}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>', "document type"),
        ("<a>" * 1000 + "</a>" * 1000, "deep"),
        ("<annotation><object>", "XML"),
        ("<other/>", "<annotation>"),
        ("<annotation><object><bndbox/></object></annotation>", "no name"),
        ("\xff", "XML"),
    ],
)
def test_xml_that_is_not_vocs_is_skipped_by_name(tmp_path, content, reason):
    folder = voc(tmp_path, sets=False)
    file = folder / "VOC2012" / "Annotations" / "2008_000004.xml"
    file.write_text(content, encoding="latin-1")
    imported = import_images("voc", folder, tmp_path / "list.csv")
    assert imported.images == 11 and imported.counts == {"": 11}
    [(name, why)] = imported.skipped
    assert name == "Annotations/2008_000004.xml" and says(why, reason)


def test_xml_that_is_no_file_is_skipped_by_name_and_one_in_capitals_is_read(tmp_path):
    folder = voc(tmp_path, sets=False) / "VOC2012" / "Annotations"
    (folder / "2008_000004.xml").rename(folder / "2008_000004.XML")
    (folder / "dead.xml").symlink_to(tmp_path / "gone")
    (folder / "self.xml").symlink_to("self.xml")
    (folder / "folder.xml").mkdir()
    os.mkfifo(folder / "pipe.xml")
    imported = import_images("voc", folder.parent, tmp_path / "list.csv")
    assert imported.images == 12
    names = ("dead", "folder", "pipe", "self")
    assert dict(imported.skipped) == {f"Annotations/{name}.xml": saying("no file") for name in names}


def test_an_image_in_two_lists_of_voc_is_named(tmp_path):
    folder = voc(tmp_path, sets=False) / "VOC2012"
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    names = [f"2008_{number:06d}" for number in range(12)]
    (folder / "ImageSets" / "Main" / "train.txt").write_text("\n".join(names[:8]))
    (folder / "ImageSets" / "Main" / "val.txt").write_text("\n".join(names[7:]))
    imported = import_images("voc", folder, tmp_path / "list.csv")
    assert imported.counts == {"train": 8, "val": 4}
    assert imported.skipped == (("ImageSets/Main/val.txt:1", saying(names[7], "train.txt")),)


def test_voc_names_missing_images_and_refuses_paths_out_of_the_folder(tmp_path):
    folder = voc(tmp_path)
    (folder / "VOC2012" / "JPEGImages" / "2008_000002.jpg").unlink()
    shutil.copy(folder / "VOC2012/ImageSets/Main/train.txt", folder / "VOC2012/ImageSets/Main/trainval.txt")
    (folder / "VOC2012/ImageSets/Main/train.txt").write_text("2008_000000\n2008_000001\n2008_000002\nnone\n")
    imported = import_images("voc", folder, tmp_path / "list.csv")
    skipped = dict(imported.skipped)
    assert skipped["2008_000002.jpg"] == saying("missing") and skipped["none"] == saying("no XML file")
    file = folder / "VOC2012" / "Annotations" / "2008_000001.xml"
    file.write_text(file.read_text().replace("2008_000001.jpg", "../../../x.jpg"))
    assert problem("voc", folder, tmp_path / "other") == saying(file, "../../../x.jpg", "outside")
    assert problem("voc", tmp_path / "list.csv", tmp_path / "other") == saying("list.csv", "Unpack")
    assert problem("voc", folder / "VOC2012" / "JPEGImages", tmp_path / "other") == saying("Annotations")


def test_voc_names_images_without_xml_and_lists_may_have_blanks(tmp_path):
    base = voc(tmp_path, sets=False) / "VOC2012"
    for old, new in (("2008_000003", "my photo"),):
        (base / "Annotations" / f"{old}.xml").rename(base / "Annotations" / f"{new}.xml")
        (base / "JPEGImages" / f"{old}.jpg").rename(base / "JPEGImages" / f"{new}.jpg")
    (base / "Annotations" / "2008_000004.xml").unlink()
    (base / "JPEGImages" / "phone.heic").write_bytes(b"\0")
    imported = import_images("voc", base, tmp_path / "list.csv")
    assert imported.images == 11 and "JPEGImages/my photo.jpg" in rows(imported)
    assert dict(imported.skipped) == {
        "JPEGImages/2008_000004.jpg": saying("no XML"),
        "JPEGImages/phone.heic": saying("HEIC", "not read"),
    }
    lists = base / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("2008_000001\nmy photo\n2008_000002 1\n" + "x" * 3000 + "\n")
    (lists / "val.txt").write_text("2008_000002\n")
    imported = import_images("voc", base, tmp_path / "other.csv")
    table = pd.read_csv(imported.manifest)
    assert dict(zip(table["path"].map(lambda path: Path(path).stem), table["split"], strict=True)) == {
        "2008_000001": "train",
        "2008_000002": "val",
        "my photo": "train",
    }


# ------------------------------------------------------------------------------------------------- YOLO

YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"


def yolo(root: Path, yaml: str = YAML) -> Path:
    """Write a YOLO dataset: image n of train has n % 3 boxes, the first a cat, the second a dog."""
    for split in ("train", "val"):
        for number in range(6):
            picture(root / "images" / split / f"{number}.png", seed=number)
            lines = [f"{kind} 0.5 0.5 0.2 0.2" for kind in range(number % 3)]
            file = root / "labels" / split / f"{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(lines))
    (root / "data.yaml").write_text(yaml)
    return root


@pytest.mark.parametrize(
    "yaml",
    [
        YAML,
        "train: ../images/train\nval: ../images/val\nnames: [cat, dog]\n",
        "train: [images/train]\nvalid: val.txt\nnames: [cat, dog]\n",
    ],
    ids=["folders", "Roboflow's", "lists"],
)
def test_yolo_labels_are_the_classes_of_the_boxes(tmp_path, yaml):
    root = yolo(tmp_path / "d", yaml)
    (root / "val.txt").write_text("\n".join(f"./images/val/{number}.png" for number in range(6)))
    for source in (root, root / "data.yaml"):
        imported = import_images("yolo", source, tmp_path / f"{source.name}.csv")
        expected = {1: "cat", 2: "cat;dog", 4: "cat", 5: "cat;dog"}
        assert rows(imported) == {
            f"images/{split}/{number}.png": label for split in ("train", "val") for number, label in expected.items()
        }
        assert imported.counts == {"train": 4, "val": 4}
        assert [name for name, _ in imported.skipped] == [
            f"images/{split}/{number}.png" for split in ("train", "val") for number in (0, 3)
        ]


def test_lines_of_boxes_that_are_wrong_are_named_with_their_number(tmp_path):
    root = yolo(tmp_path / "d")
    (root / "labels/train/1.txt").write_text("0 0.5 0.5 0.2 0.2\n\n2 0 0 1 1\nx 0 0 1 1\n1 0.5\n1 0 0 1 0 1 1\n")
    (root / "labels/train/4.txt").unlink()
    imported = import_images("yolo", root, tmp_path / "l.csv")
    assert rows(imported)["images/train/1.png"] == "cat;dog"
    skipped = dict(imported.skipped)
    assert skipped["labels/train/1.txt:3"] == saying("no name")
    assert {"labels/train/1.txt:4", "labels/train/1.txt:5"} <= set(skipped)
    assert skipped["images/train/4.png"] == saying("no file of boxes")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: images/train\n", ("names",)),
        ("names: [cat, cat]\ntrain: images/train\n", ("one name",)),
        ("names: [cat, dog]\n", ("train, val or test",)),
        ("names: [cat, dog]\ntrain: images/none\n", ("images/none", "no folder")),
        ("names: [cat, dog]\ntrain: ../../etc\n", ("../etc", "outside")),
        ("names: [cat, dog]\ntrain: /etc\n", ("/etc", "outside")),
        ("a: &a [1]\nnames: *a\n", ("aliases",)),
        ("names: !!python/tuple [cat, dog]\ntrain: images/train\n", ("python/tuple", "Remove")),
        ("names: [cat, [dog]]\ntrain: images/train\n", ("class none",)),
        ("names: [cat, null]\ntrain: images/train\n", ("class none",)),
        ("names: {0: cat, 00: dog}\ntrain: images/train\n", ("number",)),
        ("names: {-1: cat, 0: dog}\ntrain: images/train\n", ("names",)),
        ("names: [cat, dog]\ntrain: images/train\ntrain: images/val\n", ("data.yaml:3", "train", "twice")),
        ("names: [", ("YAML",)),
        ("!!python/object/apply:os.system [ls]", ("os.system", "Remove")),
        ("[" * 5000, ("YAML",)),
        ("3", ("names",)),
    ],
)
def test_a_wrong_yaml_file_of_yolo_is_refused(tmp_path, yaml, message):
    assert says(problem("yolo", yolo(tmp_path / "d", yaml), tmp_path / "made"), "data.yaml", *message)
    assert not (tmp_path / "made").exists()


def test_names_of_classes_in_yolos_yaml_are_read_as_they_are_written(tmp_path):
    root = yolo(tmp_path / "d", YAML.replace("cat", "yes").replace("dog", "010") + "test:\nval2: ~\n")
    assert import_images("yolo", root, tmp_path / "list.csv").classes == ("010", "yes")
    (root / "data.yaml").write_text(YAML.replace("0: cat", "'0': 1.0").replace("dog", "null value"))
    assert import_images("yolo", root, tmp_path / "other.csv").classes == ("1.0", "null value")


def test_yolo_names_images_that_are_not_read(tmp_path):
    root = yolo(tmp_path / "d")
    (root / "images/train/phone.heic").write_bytes(b"\0")
    (root / "images/train/notes.txt").write_text("no image")
    assert dict(import_images("yolo", root, tmp_path / "l.csv").skipped)["images/train/phone.heic"] == saying("HEIC")
    for label in ("cat", "dog"):
        picture(tmp_path / "c" / label / "1.jpg")
    picture(tmp_path / "c" / "loose.jpg")
    (tmp_path / "c" / "cat" / "phone.heic").write_bytes(b"\0")
    (tmp_path / "c" / "empty").mkdir()
    imported = import_images("yolo", tmp_path / "c", tmp_path / "c.csv")
    assert imported.images == 2
    assert dict(imported.skipped) == {
        "loose.jpg": saying("outside"),
        "cat/phone.heic": saying("HEIC"),
        "empty/": saying("without images"),
    }


@pytest.mark.parametrize("name", ["plain", "my, photos: {a} #1", 'a "b"', "é"])
def test_the_line_for_a_recipe_is_yaml_whatever_the_folder_is_called(tmp_path, name):
    for label in ("cat", "dog"):
        picture(tmp_path / name / label / "1.jpg")
    imported = import_images("yolo", tmp_path / name, tmp_path / f"{name}.csv")
    assert pyyaml.safe_load(imported.recipe_lines) == {
        "data": {"root": str(tmp_path / name), "manifest": str(tmp_path / f"{name}.csv")}
    }


def test_copies_are_not_written_among_the_class_folders(tmp_path):
    for label in ("cat", "dog"):
        picture(tmp_path / "c" / label / "1.jpg")
    for out in ("copies", "cat/copies"):
        assert problem("yolo", tmp_path / "c", tmp_path / "c" / out) == saying(out, "classes", "elsewhere")
    assert import_images("yolo", tmp_path / "c", tmp_path / "c" / "list.csv").images == 2


def test_yolo_class_folders_are_read_as_they_are(tmp_path):
    for split, count in (("train", 3), ("val", 1)):
        for label in ("cat", "dog"):
            for number in range(count):
                picture(tmp_path / "d" / split / label / f"{number}.jpg")
    imported = import_images("yolo", tmp_path / "d", tmp_path / "l.csv")
    theirs = read_samples(tmp_path / "d")
    ours = read_samples(imported.root, manifest=imported.manifest)
    pd.testing.assert_frame_equal(ours.table[["path", "label", "split"]], theirs.table[["path", "label", "split"]])
    (tmp_path / "d" / "labels").mkdir()
    assert problem("yolo", tmp_path / "d", tmp_path / "m.csv") == saying("data.yaml", "Add one")


# ------------------------------------------------------------------------------------------------- command


def test_the_command_prints_what_was_imported_and_what_was_skipped(tmp_path):
    file = changed(
        coco(tmp_path), lambda values: values["annotations"].append({"id": 900, "image_id": 5, "category_id": 1})
    )
    done = invoke(["data", "import", "coco", str(file), "--out", str(tmp_path / "a.csv"), "--json"])
    values = json.loads(done.stdout)
    assert done.exit_code == 0 and values["images"] == 20 and values["task"] == "multilabel"
    assert values["skipped"] == [
        {"name": "instances_train2017.json: annotation 900", "reason": saying("image", "does not list")}
    ]
    done = invoke(["data", "import", "coco", str(file), "--out", str(tmp_path / "b")])
    assert says(
        done.stdout, "20 images", "3 labels", "annotation 900", f"data: {{manifest: {tmp_path / 'b' / 'list.csv'}}}"
    )
    for arguments, message in (
        (["coco", file, "--column", "label=x"], "columns"),
        (["voc", tmp_path, "--images", tmp_path], "images"),
        (["mnist", tmp_path / "none"], "does not exist"),
        (["parquet", tmp_path, "--column", "path=x"], "'path'"),
    ):
        done = invoke(["data", "import", *map(str, arguments), "--out", str(tmp_path / "c")])
        assert says(str(done.exception), message) and not (tmp_path / "c").exists()
