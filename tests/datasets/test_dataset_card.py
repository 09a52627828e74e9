from __future__ import annotations

import pytest
from messages import saying

from tlkit.datasets.dataset_card import SampleImage, find_dataset, write_dataset
from tlkit.errors import DataError


def images(count=3):
    for number in range(count):
        yield SampleImage(f"train/cat/{number}.png", bytes([number]), {"colour": "red"})
    yield SampleImage("test/dog/0.png", b"dog", {"colour": "blue"})


def write(dest, made=None):
    return write_dataset(
        dest,
        images() if made is None else made,
        name="pets",
        request={"seed": 0},
        made_with={"brush": "1.0"},
        about="Painted.",
        attribution="By A. Painter.",
    )


def find(dest, seed=0):
    return find_dataset(dest, name="pets", request={"seed": seed})


def test_what_was_written_is_found_again(tmp_path):
    dest = tmp_path / "new" / "pets"
    assert find(dest) is None
    card = write(dest)
    assert find(dest) == card
    assert card.counts == {"train": 3, "val": 0, "test": 1}
    assert card.classes == ("cat", "dog")
    assert card.summary() == saying(dest, "4", "2", "3", "0", "1")
    assert (dest / "metadata.csv").read_text() == (
        "path,colour\ntest/dog/0.png,blue\ntrain/cat/0.png,red\ntrain/cat/1.png,red\ntrain/cat/2.png,red\n"
    )
    assert [path.name for path in dest.parent.iterdir()] == ["pets"]


def test_an_empty_folder_is_free_and_stays_the_same_folder(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path / "pets")
    from pathlib import Path

    assert find(Path()) is None
    write(Path())
    assert (tmp_path / "pets" / "dataset.json").exists()


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    with pytest.raises(DataError) as caught:
        find(tmp_path)
    assert str(caught.value) == saying(tmp_path, "sample", "folder")


@pytest.mark.parametrize("text", ["", "[]", '{"name": "pets"}', '{"name": "pets", "request": 3}'])
def test_a_card_that_cannot_be_read_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=saying("sample", "tlkit", "made").pattern):
        find(tmp_path)


def test_a_file_is_refused(tmp_path):
    path = tmp_path / "pets"
    path.write_text("")
    with pytest.raises(DataError) as caught:
        find(path)
    assert str(caught.value) == saying(path, "folder", "sample")


def test_another_seed_is_refused(tmp_path):
    dest = tmp_path / "pets"
    write(dest)
    with pytest.raises(DataError) as caught:
        find(dest, seed=1)
    assert str(caught.value) == saying(dest, "0", "1")


@pytest.mark.parametrize("change", ["remove", "edit", "add", "metadata"])
def test_a_changed_dataset_is_not_taken_for_the_original(tmp_path, change):
    dest = tmp_path / "pets"
    write(dest)
    match change:
        case "remove":
            (dest / "train" / "cat" / "0.png").unlink()
        case "edit":
            (dest / "train" / "cat" / "0.png").write_bytes(b"other")
        case "add":
            (dest / "train" / "cat" / "9.png").write_bytes(b"new")
        case "metadata":
            (dest / "metadata.csv").unlink()
    with pytest.raises(DataError) as caught:
        find(dest)
    assert str(caught.value) == saying(dest, "metadata.csv", "were")


def test_what_fails_half_way_leaves_nothing_behind(tmp_path):
    def broken():
        yield from images()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "pets", broken())
    assert list(tmp_path.iterdir()) == []
