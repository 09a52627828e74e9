"""Test images that lie in training are found and named, also changed copies."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest
from data_modules import data_module
from hypothesis import given
from hypothesis import strategies as st
from messages import saying, says
from PIL import Image
from scenes import scene

from tlkit.data.checks import verified_copies as copies_module
from tlkit.data.checks.duplicates import DuplicateSet, Pair
from tlkit.data.checks.leaks import find_leaks, log_near_duplicates
from tlkit.errors import DataError
from tlkit.samples import Samples


def altered(image: Image.Image, how: int) -> tuple[Image.Image, dict[str, int]]:
    """Return a copy as people make them: saved again, resized, mirrored, or all of it."""
    width, height = image.size
    match how % 4:
        case 0:
            return image, {"quality": 60}
        case 1:
            return image.resize((width * 2 // 3, height * 2 // 3), Image.Resampling.BICUBIC), {"quality": 85}
        case 2:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), {"quality": 90}
        case _:
            small = image.resize((width // 2, height // 2)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            return small, {"quality": 70}


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[Path, set[str]]:
    """Two classes, 200 training and 200 test images; 20 of the test images lie altered in train, too."""
    root = tmp_path_factory.mktemp("leaky")
    leaked = set()
    for number in range(400):
        split, label = ("train", "test")[number % 2], ("ant", "bee")[number // 2 % 2]
        folder = root / split / label
        folder.mkdir(parents=True, exist_ok=True)
        image = scene(number)
        image.save(folder / f"{number:03d}.jpg", quality=92)
        if split == "test" and number // 2 % 10 == 3:
            copy, options = altered(image, how=number // 20)
            copy.save(root / "train" / label / f"z{number:03d}.jpg", **options)
            leaked.add(f"test/{label}/{number:03d}.jpg")
    return root, leaked


def test_leaked_test_images_are_found_and_no_others(planted, lines):
    root, leaked = planted
    assert len(leaked) == 20
    data = data_module(root, val=0, num_workers=0)
    table = data.dataset.leaks.table
    found = set(table.loc[table["split"] == "test", "path"])
    assert len(found & leaked) >= 0.95 * max(len(leaked), len(found))
    duplicate_of_path = table.set_index("path")["duplicate_of"]
    for path in found & leaked:
        assert Path(duplicate_of_path[path]).stem == f"z{Path(path).stem}"
    assert set(table["how"]) == {"re-encoded", "mirrored"}
    warning = next(line for line in lines() if line.startswith("Leak: "))
    how = table["how"].value_counts()
    assert warning == saying(
        f"{len(found)} of 200", how["re-encoded"], f"{how['mirrored']} mirrored", "test/bee/007.jpg"
    )


def test_drop_removes_the_training_copies_and_nothing_else(planted, lines):
    root, _ = planted
    data = data_module(root, val=0, num_workers=0, on_leak="drop")
    counts = data.samples.counts().sum()
    assert counts["test"] == 200
    assert counts["train"] == 220 - len(data.dataset.leaks)
    assert set(data.dataset.leaks.table["duplicate_of"]) & set(data.samples.table["path"]) == set()
    assert says(lines(), "data.on_leak", len(data.dataset.leaks))


def test_on_leak_error_refuses_with_a_remedy(planted):
    root, _ = planted
    with pytest.raises(DataError) as caught:
        data_module(root, val=0, num_workers=0, on_leak="error").setup()
    assert caught.value.problems[0].startswith("Leak: ")
    assert caught.value.problems[1] == saying("data.on_leak", "Remove", "copies")


@pytest.fixture
def three_splits(tmp_path, make_image) -> Path:
    for split in ("train", "val", "test"):
        for label in ("ant", "bee"):
            for number in range(4):
                make_image(f"{split}/{label}/{number}.png")
    return tmp_path


def test_a_test_image_in_val_leaks(three_splits):
    (three_splits / "test/ant/9.png").write_bytes((three_splits / "val/ant/0.png").read_bytes())
    data = data_module(three_splits, num_workers=0)
    assert data.dataset.leaks.table.to_numpy().tolist() == [
        ["test/ant/9.png", "test", "val/ant/0.png", "val", "identical"]
    ]


def test_a_group_in_two_given_splits_leaks(three_splits, lines):
    paths = sorted(path.relative_to(three_splits).as_posix() for path in three_splits.rglob("*.png"))
    rows = [f"{path},{'shared' if path.endswith('/0.png') and 'ant' in path else path}" for path in paths]
    (three_splits / "m.csv").write_text("\n".join(["path,patient", *rows]))
    data = data_module(three_splits, metadata="m.csv", group_by="patient", num_workers=0)
    assert data.dataset.leaks.table[["path", "duplicate_of", "how"]].to_numpy().tolist() == [
        ["test/ant/0.png", "train/ant/0.png", "same patient"],
        ["val/ant/0.png", "train/ant/0.png", "same patient"],
    ]
    assert says(lines(), "1", "8", "test/ant/0.png", "train/ant/0.png")


def test_dropping_the_last_training_image_of_a_class_is_refused(tmp_path, make_image):
    for name in ("train/ant/0.png", "train/bee/0.png", "test/ant/0.png"):
        make_image(name)
    (tmp_path / "test/bee").mkdir(parents=True)
    (tmp_path / "test/bee/1.png").write_bytes((tmp_path / "train/bee/0.png").read_bytes())
    with pytest.raises(DataError, match=saying("'bee'", "1").pattern):
        data_module(tmp_path, val=0, num_workers=0, on_leak="drop").setup()


def test_very_many_images_are_compared_by_digest_only(three_splits, monkeypatch, lines):
    monkeypatch.setattr(copies_module, "MOST_COMPARED", 10)
    (three_splits / "test/bee/9.png").write_bytes((three_splits / "train/bee/2.png").read_bytes())
    data = data_module(three_splits, num_workers=0)
    table = data.dataset.leaks.table
    assert table.loc[table["split"] == "test", "path"].tolist() == ["test/bee/9.png"]
    assert says(lines(), "25", "images", "identical")


def test_images_that_do_not_leak_give_an_empty_table(three_splits):
    leaks = data_module(three_splits, num_workers=0).dataset.leaks
    assert len(leaks) == 0
    pd.testing.assert_index_equal(
        leaks.table.columns, pd.Index(["path", "split", "duplicate_of", "duplicate_split", "how"])
    )


def test_a_picture_under_two_labels_is_named(tmp_path, caplog):
    for label, numbers in (("ant", range(4)), ("bee", range(4, 8))):
        (tmp_path / label).mkdir()
        for number in numbers:
            scene(number).save(tmp_path / label / f"{number}.png")
    shutil.copy(tmp_path / "ant/0.png", tmp_path / "bee/same.png")
    scene(5).save(tmp_path / "ant/again.jpg", quality=80)
    caplog.set_level("WARNING", "tlkit")
    data_module(tmp_path, val=0, num_workers=0).setup()
    assert [record.getMessage() for record in caplog.records if "class" in record.getMessage()] == [
        saying("2", "ant/0.png", "bee/same.png", "ant/again.jpg", "bee/5.png")
    ]


@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.sampled_from([None, "p", "q"])), min_size=1))
def test_an_image_leaks_by_group_if_and_only_if_an_earlier_split_has_the_group(rows):
    table = pd.DataFrame(rows, columns=["split", "patient"])
    table = table.assign(path=[f"{row}.png" for row in range(len(rows))], label="a", digest=table.index.astype(str))
    samples = Samples(Path(), ("a",), table[["path", "label", "split", "digest", "patient"]])
    found = find_leaks(samples, DuplicateSet((), 1.0), group_by="patient")
    earlier = {"train": (), "val": ("train",), "test": ("train", "val")}
    expected = {
        f"{place}.png"
        for place, (split, patient) in enumerate(rows)
        if patient is not None and any(other == patient and before in earlier[split] for before, other in rows)
    }
    assert set(found.table["path"]) == expected


@pytest.mark.parametrize(("pairs", "level"), [(1, logging.INFO), (2, logging.WARNING)])
def test_pictures_that_look_alike_across_splits_are_a_warning_only_beyond_a_tenth(pairs, level, caplog):
    caplog.set_level(logging.INFO)
    n = 12
    table = pd.DataFrame(
        {
            "path": [f"{split}/a/{i}.png" for split in ("train", "test") for i in range(n)],
            "label": "a",
            "split": ["train"] * n + ["test"] * n,
            "digest": "",
        }
    )
    near = DuplicateSet(tuple(Pair(i, n + i, "re-encoded", 0.95, False) for i in range(pairs)), 0.93)
    log_near_duplicates(Samples(Path(), ("a",), table), near, pd.DataFrame(columns=["path"]))
    (record,) = caplog.records
    assert record.levelno == level
    assert says(record.getMessage(), "no leaks", f"{pairs} of {n} test images", "test/a/0.png as train/a/0.png")
