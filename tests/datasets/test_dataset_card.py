from __future__ import annotations

import json
from pathlib import Path

import pytest
from messages import saying, says

from tlkit.datasets.dataset_card import SampleImage, make_dataset
from tlkit.datasets.packages import Package
from tlkit.errors import DataError


def images(count=3):
    for number in range(count):
        yield SampleImage(f"train/cat/{number}.png", bytes([number]), {"color": "red"})
    yield SampleImage("test/dog/0.png", b"dog", {"color": "blue"})


def make(dest, made=images, seed=0):
    return make_dataset(
        dest,
        made,
        name="pets",
        request={"seed": seed},
        packages=[Package("numpy", "numpy", "2")],
        about="Painted.",
        attribution="By A. Painter.",
    )


def problem(dest, seed=0):
    with pytest.raises(DataError) as caught:
        make(dest, seed=seed)
    return str(caught.value)


def test_a_dataset_is_written_once_and_then_reused(tmp_path):
    dest = tmp_path / "new" / "pets"
    card = make(dest)
    assert make(dest, made=None) == card
    assert card.counts == {"train": 3, "val": 0, "test": 1}
    assert card.classes == ("cat", "dog")
    assert says(card.summary(), dest, "4 images", "2 classes", "train 3, val 0, test 1")
    assert set(card.made_with) == {"numpy"}
    colours = {"test/dog/0.png": "blue", **{f"train/cat/{number}.png": "red" for number in range(3)}}
    assert (dest / "metadata.csv").read_text().splitlines() == ["path,color", *map(",".join, colours.items())]
    assert [path.name for path in dest.parent.iterdir()] == ["pets"]


def test_an_empty_working_directory_can_be_filled(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path / "pets")
    make(Path())
    assert (tmp_path / "pets" / "dataset.json").exists()


def test_folders_that_hold_something_else_are_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    assert problem(tmp_path) == saying(tmp_path, "not empty", "folder")
    assert problem(tmp_path / "holiday.jpg") == saying(tmp_path / "holiday.jpg", "file", "Name a folder", "pets")


@pytest.mark.parametrize("text", ["", "[]", '{"name": "pets"}', '{"name": "pets", "request": 3}'])
def test_a_damaged_card_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    assert problem(tmp_path) == saying(tmp_path, "no sample")


@pytest.mark.parametrize("change", [{"counts": "x"}, {"counts": {"train": "9"}}, {"about": 5}, {"made_with": []}])
def test_a_card_with_values_of_another_kind_is_refused(tmp_path, change):
    make(tmp_path / "pets")
    file = tmp_path / "pets" / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert problem(tmp_path / "pets") == saying("pets", "no sample")


def test_a_link_that_leads_nowhere_is_no_folder(tmp_path):
    (tmp_path / "pets").symlink_to(tmp_path / "gone")
    assert problem(tmp_path / "pets") == saying("pets", "leads nowhere")


def test_another_seed_is_refused(tmp_path):
    make(tmp_path / "pets")
    assert problem(tmp_path / "pets", seed=1) == saying(tmp_path / "pets", "seed 0", "seed 1", "another folder")


@pytest.mark.parametrize("change", ["remove", "edit", "add", "metadata"])
def test_a_changed_dataset_is_refused(tmp_path, change):
    dest = tmp_path / "pets"
    make(dest)
    match change:
        case "remove":
            (dest / "train" / "cat" / "0.png").unlink()
        case "edit":
            (dest / "train" / "cat" / "0.png").write_bytes(b"other")
        case "add":
            (dest / "train" / "cat" / "9.png").write_bytes(b"new")
        case "metadata":
            (dest / "metadata.csv").unlink()
    assert problem(dest) == saying(dest, "metadata.csv", "changed", "another folder")


def test_a_failure_leaves_nothing_behind(tmp_path):
    def broken():
        yield from images()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "pets", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_cache_is_to_be_deleted_since_a_recipe_cannot_name_another(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    dest = tmp_path / "cache" / "datasets" / "pets"
    make(dest)
    (dest / "test" / "dog" / "0.png").write_bytes(b"another dog")
    assert problem(dest) == saying(dest, "changed", "delete it", "made again")
    assert "Name another" not in problem(dest) + problem(dest, seed=1)
    (dest / "dataset.json").unlink()
    assert problem(dest) == saying(dest, "delete it")
