"""Lists of images, and lists of splits."""

from __future__ import annotations

import logging
import shutil

import pandas as pd
import pytest
from data_modules import data_module
from messages import saying, says

from tlkit.data.sources.delimited_files import read_table
from tlkit.data.sources.manifest import apply_split, read_manifest, survey_list
from tlkit.data.sources.read_samples import read_samples
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.data.splits.split_file import make_split
from tlkit.errors import DataError


@pytest.fixture
def listed(tmp_path, photos):
    """Write a list of the photos and return its path."""

    def write(*, name: str = "list.csv", **columns):
        table = pd.DataFrame({"path": [f"{label}/{k}.png" for label in ("ant", "bee") for k in range(10)]})
        table["label"] = table["path"].str.split("/").str[0]
        table = table.assign(**columns)
        file = tmp_path / name
        if file.suffix == ".parquet":
            table.to_parquet(file)
        else:
            table.to_csv(file, index=False)
        return file

    return write


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_a_list_gives_the_same_samples_as_the_folder(listed, photos, name):
    samples = read_samples(listed(name=name))
    assert samples.root == photos
    pd.testing.assert_frame_equal(samples.table, read_samples(photos).table)


def test_labels_splits_and_groups_come_from_the_list(listed):
    file = listed(label=["odd", "even"] * 10, split=["training", "Valid"] * 10, age=["1", ""] * 10)
    samples = read_manifest(file, columns=["age"])
    assert samples.classes == ("even", "odd")
    assert samples.counts()["val"].tolist() == [10, 0]
    assert samples.groups["age"].isna().sum() == 10


def test_quarantined_rows_are_excluded_and_named(listed, lines):
    reasons = ["blurred", *[""] * 18, "leak"]
    samples = read_manifest(listed(split="train", quarantine=reasons))
    assert len(samples) == 18
    assert says(lines()[-1], "list.csv", "2", "20", "ant/0.png", "bee/9.png")


def test_all_problems_of_a_list_are_reported_with_lines(tmp_path, make_image):
    for name in ("a/1.png", "b/1.png"):
        make_image(name)
    file = tmp_path / "list.csv"
    file.write_text(
        "path,label,split\n"
        "a/1.png,a,train\n"
        "b/1.png,,train\n"
        "b/2.png,b,train\n"
        "b/3.png,b,trian\n"
        "../x.png,b,train\n"
        ",b,train\n"
        "a/1.png,b,train\n"
    )
    with pytest.raises(DataError) as caught:
        read_manifest(file)
    assert list(caught.value.problems) == [
        saying(f"{file}:5", "train", "'train'", "'training'"),
        f"{file}:7  a path is empty.",
        saying(f"{file}:6", tmp_path, "../x.png"),
        saying(f"{file}:4", tmp_path, "b/2.png", "2", "4", "5", "b/3.png"),
        f"{file}:3  a label is empty.",
        saying(f"{file}:8", "group", "a/1.png"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,label\n", saying("list.csv", "'path'", "file, label")),
        ("path;label\nx;y\n", saying("list.csv", "'path'", "path;label", "semicolons", "commas")),
        ("path,label\n", saying("list.csv", "no images")),
        ("", saying("list.csv", "empty", "CSV", "columns")),
        ("path,label,label\na,b,c\n", saying("list.csv", "columns", "Rename")),
        ("path,label\na,b,c\nd,e\nf\n", saying("list.csv:2", "3", "2", "4")),
        ('path,label\na,"b\n', saying("list.csv:2", "CSV")),
        (None, saying("list.csv", "images", "folder")),
    ],
)
def test_a_file_that_is_no_list_is_an_error(tmp_path, content, said):
    file = tmp_path / "list.csv"
    file.mkdir() if content is None else file.write_text(content)
    with pytest.raises(DataError, match=said.pattern):
        read_manifest(file)


def test_damaged_lists_are_data_errors(tmp_path):
    for name, content in (("a.parquet", b"PAR1junk"), ("b.csv", b"\xff\xfe\x00path"), ("c.csv", b"path,label\nx")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError):
            read_samples(tmp_path / name)


def test_a_list_of_one_class_or_without_training_images_is_refused(listed):
    with pytest.raises(DataError, match=saying("'x'", "classifier", "classes").pattern):
        read_samples(listed(label="x"))
    with pytest.raises(DataError, match=saying("'bee'", "10 test images", "training").pattern):
        read_samples(listed(split=["train"] * 10 + ["test"] * 10))


def test_several_folders_are_merged_by_class_and_names_do_not_collide(tmp_path, make_image, monkeypatch):
    paths = ["a/ant/1.png", "a/bee/1.png", "b/train/ant/1.png", "b/val/ant/2.png"]
    for name in paths:
        make_image(f"x/{name}")
    samples = read_samples([tmp_path / "x/a", tmp_path / "x/b"])
    assert samples.root == tmp_path / "x"
    assert samples.table["path"].tolist() == paths
    assert samples.counts().loc["ant"].tolist() == [2, 1, 0]
    monkeypatch.chdir(tmp_path)
    assert str(read_samples(["x/a", "x/b/"]).root) == "x"
    assert read_samples(["./x/a", "x/b"]).table["path"].tolist() == paths


def test_folders_that_overlap_or_are_missing_are_all_named(tmp_path, photos):
    with pytest.raises(DataError) as caught:
        read_samples([tmp_path, tmp_path / "ant", tmp_path / "gone"])
    assert says(caught.value.problems, tmp_path, tmp_path / "ant")
    assert any(says(problem, tmp_path / "gone", "folder", "exist") for problem in caught.value.problems)


def test_a_written_split_is_used_by_the_datamodule(photos, tmp_path, lines):
    out = tmp_path / "splits" / "split.csv"
    made = make_split(photos, out, plan=SplitPlan(val=0.2, test=0.3, seed=4))
    assert (made.table["digest"].str.len() == 64).all()
    data = data_module(photos, split=out, val=0.5, num_workers=0)
    pd.testing.assert_frame_equal(data.samples.table, made.table)
    assert any("train 10, val 4, test 6." in line for line in lines())
    with pytest.raises(DataError, match=saying(out, "exists", "another name").pattern):
        make_split(photos, out)


def test_given_splits_are_kept_unless_a_group_lies_in_two(image_folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    root = image_folder("camera", train=6, val=3)
    paths = read_samples(root).paths.tolist()
    rows = [f"{path},{'v' if path.startswith('val') and 'red' in path else 't'}" for path in paths]
    (root / "m.csv").write_text("path,patient\n" + "\n".join(rows) + "\n")
    plan, out = SplitPlan(val=0.3, group_by="patient"), tmp_path / "s.csv"
    with pytest.raises(DataError, match=saying("3", "photos/train", "photos/val").pattern):
        make_split(root, out, plan=plan, metadata="m.csv")
    assert not out.exists()
    make_split(root, out)
    assert says(caplog.messages, "images", "already", "splits")
    anew = make_split([root / "train", root / "val"], tmp_path / "anew.csv", plan=plan, metadata=root / "m.csv")
    assert anew.table.groupby("patient")["split"].nunique().max() == 1
    assert set(anew.table["split"]) == {"train", "val"}


def test_pictures_in_two_splits_are_named_when_a_split_is_made(image_folder, tmp_path, caplog):
    root = image_folder("copies", train=6, val=3)
    shutil.copyfile(root / "train/red/000.png", root / "val/red/again.png")
    make_split(root, tmp_path / "s.csv")
    said = [message for message in caplog.messages if message.startswith("Leak: ")]
    assert len(said) == 1 and says(said[0], "val/red/again.png", "train/red/000.png")
    assert says(caplog.messages, "data.on_leak", "listed", "recipe")


def test_missing_and_changed_images_of_a_split_are_named(photos, tmp_path, make_image):
    out = tmp_path / "split.csv"
    make_split(photos, out)
    (photos / "ant/3.png").write_bytes(make_image("other/x.png").read_bytes())
    with pytest.raises(DataError, match=saying("1", out, "ant/3.png").pattern):
        data_module(photos, split=out, num_workers=0).setup()
    (photos / "ant/4.png").unlink()
    (photos / "bee/5.png").rename(photos / "ant/5b.png")
    with pytest.raises(DataError, match=saying(f"{out}:6", photos, "ant/4.png", "2", "6", "17", "bee/5.png").pattern):
        data_module(photos, split=out, num_workers=0).setup()


def test_unlisted_images_are_excluded_and_counted(photos, tmp_path, make_image, lines):
    out = tmp_path / "split.csv"
    make_split(photos, out)
    make_image("bee/new.png")
    samples = apply_split(read_samples(photos), out)
    assert len(samples) == 20
    assert lines()[-1] == saying(out, "1", "bee/new.png")


def test_a_relabelled_image_is_noticed(photos, tmp_path):
    out = tmp_path / "split.csv"
    make_split(photos, out)
    out.write_text(out.read_text().replace('"bee/1.png","bee"', '"bee/1.png","ant"'))
    with pytest.raises(DataError, match=saying("split.csv:13", "bee/1.png").pattern):
        apply_split(read_samples(photos), out)


def test_columns_for_the_split_only_are_dropped_afterwards(photos, listed):
    file = listed(patient=[f"p{k // 2}" for k in range(20)], age="7")
    data = data_module(file, group_by="patient", groups=["age"], num_workers=0)
    assert data.samples.group_columns == ("age",)


def test_a_field_of_several_lines_does_not_shift_the_lines_of_messages(tmp_path, make_image):
    for name in ("a/1.png", "b/2.png"):
        make_image(name)
    (tmp_path / "list.csv").write_text('path,label,note\na/1.png,a,"two\nlines"\n\nb/2.png,,x\n')
    with pytest.raises(DataError, match=saying("list.csv:5", "label", "empty").pattern):
        read_manifest(tmp_path / "list.csv")


def test_a_wide_list_is_read_for_its_own_columns_only(tmp_path):
    names = ["path", "label", "age", *(f"feature_{number}" for number in range(20_000))]
    file = tmp_path / "wide.csv"
    file.write_text("\n".join(",".join(row) for row in (names, ["1.png", "ant", "7", *"1" * 20_000])) + "\n")
    table = read_table(file, columns=("path", "label", "age"), what="list of images")
    assert table.to_numpy().tolist() == [["1.png", "ant", "7"]]
    assert table.columns.tolist() == ["path", "label", "age"]
    with pytest.raises(DataError, match=saying("'size'", "feature_3", "more").pattern):
        read_table(file, columns=("path", "size"), what="list of images")
    with pytest.raises(DataError, match=saying("wide.csv", "20,003", "10,000", "Keep").pattern):
        read_table(file, columns=("path",), what="list of images", optional=None)


def test_what_differs_between_two_rows_of_a_path_is_named(photos):
    rows = "path,label,split\nant/0.png,ant,train\nant/0.png,ant,test\nant/1.png,ant,train\nant/1.png,bee,train\n"
    (photos / "list.csv").write_text(rows)
    said = [str(entry) for entry in survey_list(photos / "list.csv").entries.skipped]
    assert said == ["ant/0.png (split 'train' and 'test')", "ant/1.png (label 'ant' and 'bee')"]
