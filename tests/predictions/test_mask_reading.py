"""Masks of files: their numbers, their pairs, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying
from PIL import Image

from tlkit.errors import PredictionsError
from tlkit.mask_classes import MaskClasses, UnusableMaskError
from tlkit.mask_files import mask_png, read_mask
from tlkit.png_files import png
from tlkit.predictions import MaskPredictions, read_mask_folders, read_masks

CLASSES = MaskClasses.of(["background", "cat", "dog"], void=255)


def write(folder, masks):
    for name, mask in masks.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(mask if isinstance(mask, bytes) else mask_png(mask))
    return folder


def random_masks(rng, count=6, values=(0, 1, 2, 255), side=9):
    return {
        f"scene{one % 2}/{one}.png": rng.choice(np.array(values, np.uint8), (side, side + 2)) for one in range(count)
    }


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_mask_is_read_as_it_was_written(kind):
    mask = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (7, 5)).astype(kind)
    read = read_mask(mask_png(mask))
    assert read.dtype == kind
    assert np.array_equal(read, mask)


def test_palette_gray_and_two_level_files_give_their_indices():
    mask = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    palette = Image.fromarray(mask, mode=None).convert("P")
    palette.putpalette([10, 20, 30, 200, 0, 0])
    for image in (palette, Image.fromarray(mask), Image.fromarray(mask.astype(bool))):
        assert np.array_equal(read_mask(png(image)), mask)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no image", "not a PNG"),
        (png(np.zeros((2, 2, 3), np.uint8)), "colours"),
        (png(np.zeros((9, 9), np.uint8))[:-30], "damaged"),
    ],
)
def test_a_file_that_is_no_mask_is_refused_with_the_reason(content, words):
    with pytest.raises(UnusableMaskError, match=words):
        read_mask(content)


def test_numbers_of_no_class_are_named_with_their_pixels():
    with pytest.raises(UnusableMaskError, match=r"3 \(2 pixels\), 9 \(1 pixels\)"):
        CLASSES.positions(np.array([[0, 3, 3, 9, 255]], dtype=np.uint8))


def test_classes_may_have_any_numbers_and_write_them_again():
    classes = MaskClasses.of({"road": 7, "car": 2600}, void=0)
    mask = np.array([[7, 2600, 0]], dtype=np.uint16)
    assert np.array_equal(classes.numbers(classes.positions(mask)), mask)
    for wrong in ({"a": 1, "b": 1}, {"a": 1}, {"a": 0, "b": 70_000}):
        with pytest.raises(ValueError, match=r"number|classes"):
            MaskClasses.of(wrong)


def test_folders_of_masks_are_counted_pair_by_pair(tmp_path):
    rng = np.random.default_rng(0)
    true, called = random_masks(rng), random_masks(rng)
    found = read_mask_folders(write(tmp_path / "p", called), write(tmp_path / "t", true), CLASSES)
    assert found.path.tolist() == sorted(true)
    right, truly, given = found.sums
    for row, name in enumerate(sorted(true)):
        known = true[name] != 255
        for place in range(3):
            a, b = (true[name] == place) & known, (called[name] == place) & known
            assert (right[row, place], truly[row, place], given[row, place]) == ((a & b).sum(), a.sum(), b.sum())
    found.to_parquet(tmp_path / "test.parquet")
    assert read_masks(tmp_path / "test.parquet") == found
    some = found.take(np.array([4, 1]))
    assert some.path.tolist() == [found.path[4], found.path[1]]
    assert np.array_equal(some.sums[0], right[[4, 1]])


def test_what_cannot_be_judged_is_named_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    true = write(tmp_path / "t", random_masks(rng))
    with pytest.raises(PredictionsError, match="2 of 6 true masks") as caught:
        read_mask_folders(write(tmp_path / "p", random_masks(rng, 4)), true, CLASSES)
    assert "scene0/4.png" in str(caught.value)
    bad = random_masks(rng) | {
        "scene0/0.png": np.full((9, 11), 7, np.uint8),
        "scene1/1.png": np.zeros((3, 4), np.uint8),
        "scene0/2.png": b"no image",
    }
    with pytest.raises(PredictionsError) as caught:
        read_mask_folders(write(tmp_path / "q", bad), true, CLASSES)
    problems = caught.value.problems
    assert len(problems) == 3
    text = str(caught.value)
    assert saying("7 (99 pixels)", "true 11x9, predicted 4x3", "not a PNG", "--classes", "nearest-neighbour") == text
    with pytest.raises(PredictionsError, match="does not exist"):
        read_mask_folders(tmp_path / "none", true, CLASSES)


def test_masks_of_other_shapes_or_classes_are_refused():
    with pytest.raises(PredictionsError, match=r"a\.png: the true mask has the shape") as caught:
        MaskPredictions.build(
            classes=["x", "y"],
            path=["a.png", "b.png"],
            masks=[(np.zeros((2, 2), int), np.zeros((2, 3), int)), (np.full((2, 2), 5), np.zeros((2, 2), int))],
        )
    assert len(caught.value.problems) == 2


def test_true_masks_that_are_no_files_are_named(tmp_path, caplog):
    masks = random_masks(np.random.default_rng(0), count=3)
    true, called = write(tmp_path / "true", masks), write(tmp_path / "called", masks)
    (true / "scene0" / "lost.png").symlink_to("nowhere.png")
    (true / "scene0" / "loop.png").symlink_to("loop.png")
    assert len(read_mask_folders(called, true, CLASSES)) == 3
    assert saying("true masks", "not judged (2)", "loop.png", "lost.png") in caplog.messages
