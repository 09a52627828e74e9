from __future__ import annotations

import os
from pathlib import Path

import pytest
from messages import saying
from torchvision_oracle import image_folder_classes

from tlkit.data.sources.folder import scan_folder
from tlkit.data.sources.image_files import find_images
from tlkit.data.sources.listed_images import find_listed_images
from tlkit.data.sources.read_samples import read_samples, read_with_columns, survey_images
from tlkit.errors import DataError

REPEATED = "2023/ant/1 2023/bee/1 2024/ant/1 2024/bee/1"


def problem(folder: Path, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_samples(folder)
    return str(caught.value).replace(str(root), "ROOT")


def test_class_folders_become_classes_and_everything_is_train(photos):
    samples = scan_folder(photos)
    assert samples.classes == ("ant", "bee")
    assert samples.counts().to_numpy().tolist() == [[10, 0, 0], [10, 0, 0]]
    assert samples.table.iloc[0].tolist() == ["ant/0.png", "ant", "train", ""]
    assert samples.paths.tolist() == sorted(samples.paths)


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "valid", "TESTING"), ("TRAIN", "Validation", "test")]
)
def test_split_folders_are_known_by_their_aliases(tmp_path, make_image, names):
    for name in names:
        for label in ("ant", "bee"):
            make_image(f"{name}/{label}/1.png")
    samples = scan_folder(tmp_path)
    assert samples.counts().to_numpy().tolist() == [[1, 1, 1], [1, 1, 1]]
    assert set(samples.paths) == {f"{name}/{label}/1.png" for name in names for label in ("ant", "bee")}


def test_classes_are_sorted_by_code_point_like_torchvision(tmp_path, make_image):
    for label in ("10", "2", "1", "b", "B2", "é", "a b"):
        make_image(f"{label}/x.png")
    assert list(scan_folder(tmp_path).classes) == image_folder_classes(tmp_path)
    assert list(scan_folder(tmp_path).classes) == sorted(folder.name for folder in tmp_path.iterdir())


def test_images_are_found_at_every_depth_and_by_every_usual_ending(tmp_path, make_image):
    names = ["ant/2.jpeg", "ant/deep/deeper/1.JPG", "bee/3.webp", "bee/4.TIFF", "bee/5.PGM"]
    for name in names[:-1]:
        make_image(name)
    make_image("bee/5.pgm").rename(tmp_path / names[-1])
    assert scan_folder(tmp_path).paths.tolist() == names


def test_junk_is_ignored_with_one_line_for_each_kind(photos, make_image, lines):
    for name in (".DS_Store", "ant/Thumbs.db", "ant/._0.png", "ant/.ipynb_checkpoints/0.png", "__MACOSX/ant/0.png"):
        make_image("new.png").rename(make_image(f"{name}.png").with_name(Path(name).name))
        (photos / f"{name}.png").unlink()
    (photos / "ant" / "notes.txt").write_text("to do")
    (photos / "crow").mkdir()
    (photos / "ant" / "lost.png").symlink_to("nowhere.png")
    make_image("loose.png")
    (photos / "README.md").write_text("about")
    assert len(scan_folder(photos)) == 20
    assert lines() == [
        saying("1", "ant/lost.png", "Remove"),
        saying("1", "loose.png", "move"),
        saying("5", ".DS_Store", "__MACOSX/", "ant/._0.png", "ant/.ipynb_checkpoints/", "ant/Thumbs.db"),
        saying("2", "README.md", "ant/notes.txt"),
        saying("1", "Ignoring", "crow/"),
    ]


def test_a_link_to_a_folder_above_does_not_hang(photos, lines):
    (photos / "ant" / "again").symlink_to(photos, target_is_directory=True)
    (photos / "bee" / "itself").symlink_to(photos / "bee", target_is_directory=True)
    assert len(scan_folder(photos)) == 20
    assert lines() == [saying("2", "ant/again/", "bee/itself/")]


def test_a_class_that_is_a_link_is_followed(tmp_path, make_image):
    make_image("store/x/1.png")
    make_image("data/bee/1.png")
    (tmp_path / "data" / "ant").symlink_to(tmp_path / "store" / "x", target_is_directory=True)
    assert scan_folder(tmp_path / "data").paths.tolist() == ["ant/1.png", "bee/1.png"]


def test_a_name_that_is_not_utf8_is_ignored_and_logged(photos, lines):
    os.link(os.fsencode(photos / "ant" / "0.png"), os.fsencode(photos / "ant") + b"/\xff.png")
    assert len(scan_folder(photos)) == 20
    assert lines() == [saying("UTF-8", "1", "'ant/\\udcff.png'")]


def test_a_missing_folder_names_the_nearest_one(photos):
    assert problem(photos / "antt", photos) == saying("ROOT/antt", "'antt'", "ROOT", "'ant'")
    assert problem(photos / "x" / "y", photos) == saying("ROOT/x/y", "ROOT")
    assert problem(photos / "data" / "digits", photos) == saying("ROOT/data/digits", "ROOT", "tlkit data sample")
    assert problem(photos / "ant" / "0.png", photos) == saying("ROOT/ant/0.png", "folder", "holds")


def test_an_empty_folder_is_an_error_with_the_layouts(tmp_path, make_image):
    expected = saying("ROOT", "CLASS/image.jpg", "train/CLASS/image.jpg", ".jpg", ".avif")
    assert problem(tmp_path, tmp_path) == expected
    make_image("1.png")
    assert problem(tmp_path, tmp_path) == saying(expected, "outside", "1.png")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("ant/1", saying("ROOT", "one class", "'ant'")),
        ("photos/train/ant/1 photos/train/bee/1", saying("ROOT", "'photos'", "ROOT/photos")),
        (
            "train/ant/1 train/bee/1 val/ant/1 val/crow/1 val/crow/2 test/crow/1",
            saying("'crow'", "2", "val", "1", "test", "training"),
        ),
        ("ant/1 bee/1 train/ant/1", saying("ROOT", "ant/ and bee/", "split folders", "class folders")),
        ("train/ant/1 val/ant/1 valid/ant/1", saying("ROOT", "val/ and valid/", "Keep one")),
        ("val/ant/1 val/bee/1", saying("ROOT", "none for training", "train/CLASS")),
        ("train/cat.0 test/1", saying("ROOT", "test/CLASS/image.jpg")),
    ],
)
def test_a_folder_that_is_unusable_for_training_is_an_error(tmp_path, make_image, images, message):
    for name in images.split():
        make_image(f"{name}.png")
    assert problem(tmp_path, tmp_path) == message


def test_a_class_missing_from_val_shifts_no_index(tmp_path, make_image, lines):
    for name in ("train/ant", "train/bee", "train/crow", "val/bee", "val/crow"):
        make_image(f"{name}/1.png")
    samples = read_samples(tmp_path)
    assert lines() == [saying("val", "1", "ant")]
    assert samples.split("val").targets.tolist() == [1, 2]


def test_an_empty_split_folder_counts_as_absent(tmp_path, make_image, lines):
    for label in ("ant", "bee"):
        make_image(f"train/{label}/1.png")
        (tmp_path / "val" / label).mkdir(parents=True)
    scan_folder(tmp_path)
    assert lines() == [saying("images", "treated", "absent"), saying("2", "val/ant/", "val/bee/")]


@pytest.mark.parametrize(
    ("images", "classes", "said"),
    [
        (f"{REPEATED} 2024/wasp/1", "2023 2024", [saying("2023", "2024", "data.root", "ROOT/2023", "ROOT/2024")]),
        (f"{REPEATED} 2023/1", "2023 2024", []),
        (f"{REPEATED} 2025/wasp/1", "2023 2024 2025", []),
        ("train/1 bus/1 car/1", "bus car train", [saying("train", "holds", "images")]),
        ("train/ant/1 train/bee/1 test/1 test/2", "ant bee", [saying("2", "test/1.png", "test/2.png")]),
        ("Ant/1 ant/1 bee/1", "Ant ant bee", [saying("'Ant' and 'ant'", "data.merge_classes: {ant: [Ant]}")]),
    ],
)
def test_classes_are_found_and_what_is_unusual_is_logged(tmp_path, make_image, lines, images, classes, said):
    for name in images.split():
        make_image(f"{name}.png")
    samples = read_samples(tmp_path)
    assert samples.classes == tuple(classes.split())
    assert [line.replace(str(tmp_path), "ROOT") for line in lines()] == said
    if "val" in images:  # a class that val lacks shifts no index
        assert samples.split("val").targets.tolist() == [1, 2]


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar.gz", "PHOTOS.7z"])
def test_an_archive_as_the_folder_is_told_to_be_unpacked(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK")
    assert problem(tmp_path / name, tmp_path) == saying(f"ROOT/{name}", "Unpack it", "one folder per class")


def test_archives_in_a_class_folder_are_counted_with_a_warning(photos, caplog):
    (photos / "ant" / "more.zip").write_bytes(b"PK")
    assert len(read_samples(photos)) == 20
    assert any(saying("archives", "ant/more.zip", "Unpack") == message for message in caplog.messages)


@pytest.mark.parametrize("name", ["IM0001", "scan.5x", "cat.jpg~", "bee.jpg?size=2"])
def test_an_image_whose_ending_says_nothing_is_named_with_a_warning(photos, caplog, name):
    content = (photos / "ant" / "0.png").read_bytes()
    (photos / "ant" / name).write_bytes(content)
    (photos / "ant" / "LICENSE").write_text("Free.")
    (photos / "ant" / "pixels.npy").write_bytes(content)  # an ending that says something is believed
    assert len(read_samples(photos)) == 20
    assert any(saying(f"ant/{name}", "PNG by its content", "ending") == message for message in caplog.messages)
    assert not any("LICENSE" in message or "npy" in message for message in caplog.messages)
    caplog.clear()
    assert len(find_images([photos])) == 20
    assert any(saying(f"ant/{name}", "PNG by its content") == message for message in caplog.messages)


def test_a_folder_of_images_without_endings_says_so(tmp_path, photos):
    content = (photos / "ant" / "0.png").read_bytes()
    (tmp_path / "bare" / "ant").mkdir(parents=True)
    (tmp_path / "bare" / "ant" / "IM1").write_bytes(content)
    assert problem(tmp_path / "bare", tmp_path) == saying("ROOT/bare", "ant/IM1 (PNG by its content: give its name")


@pytest.mark.parametrize("target", ["root", "nowhere"])
def test_a_root_that_is_a_link_to_nothing_is_told(tmp_path, target):
    (tmp_path / "root").symlink_to(target)
    assert problem(tmp_path / "root", tmp_path) == saying("ROOT/root", f"a link to {target}", "Mend the link")


def test_a_folder_of_test_images_alone_is_judged_but_not_trained_on(tmp_path, make_image):
    for label in ("ant", "bee"):
        make_image(f"test/{label}/1.png")
    judged = read_with_columns(tmp_path, columns=(), judged=True)
    assert judged.counts()["test"].to_dict() == {"ant": 1, "bee": 1}
    assert problem(tmp_path, tmp_path) == saying("ROOT", "images for test", "none for training", "train/CLASS")
    survey = survey_images(tmp_path)
    assert survey.samples.classes == ("ant", "bee") and survey.problems == (saying("none for training"),)


def test_images_of_a_list_are_found_and_missing_ones_are_left_out_by_name(tmp_path, make_image):
    for name in ("ant/1.png", "bee/2.png"):
        make_image(name)
    (tmp_path / "list.csv").write_text("path,label\nant/1.png,ant\nbee/2.png,bee\nbee/3.png,bee\n")
    (tmp_path / "list.txt").write_text("./bee/2.png\n")
    left_out = []
    found = find_listed_images([tmp_path / "list.csv", tmp_path / "list.txt"], left_out=left_out)
    assert found == [tmp_path / "ant/1.png", tmp_path / "bee/2.png"]
    assert [entry.name for entry in left_out] == [str(tmp_path / "bee/3.png")]
    assert find_listed_images([tmp_path / "ant"]) == find_images([tmp_path / "ant"])
    (tmp_path / "none.csv").write_text("path\ngone.png\n")
    with pytest.raises(DataError, match=saying("none.csv", "exists").pattern):
        find_listed_images([tmp_path / "none.csv"])
