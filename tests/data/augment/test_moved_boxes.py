"""Boxes move as the pixels of their objects do: the oracle is the outline of a painted rectangle."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying

from tlkit.data.augment.moved_boxes import input_place
from tlkit.data.augment.transforms import build_transform
from tlkit.errors import DataError
from tlkit.inference.box_predictor import in_own_pixels
from tlkit.preprocess import Preprocess

HEIGHT, WIDTH = 90, 140
GEOMETRIES = [
    Preprocess(image_size=(64, 96), resize=kind, crop_pct=1.0, background=(0, 0, 0)) for kind in ("letterbox", "squash")
]


def painted(boxes):
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for color, (_, left, top, right, bottom) in enumerate(boxes.astype(int)):
        pixels[top:bottom, left:right, color] = 255
    return pixels


def outline(channel):
    rows, columns = np.flatnonzero((channel > 127).any(axis=1)), np.flatnonzero((channel > 127).any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else None


@pytest.mark.parametrize("preprocess", GEOMETRIES, ids=lambda one: one.resize)
@pytest.mark.parametrize(
    "augment",
    [
        "none",
        "light",
        [{"name": "HorizontalFlip", "p": 1}],
        [{"name": "RandomCrop", "height": 60, "width": 100, "p": 1}],
    ],
    ids=["none", "light", "flip", "crop"],
)
def test_boxes_are_the_outlines_of_what_they_show(preprocess, augment):
    boxes = np.array([[1, 10, 20, 50, 60], [0, 80, 30, 130, 85]], dtype=np.float32)
    transform = build_transform(preprocess, augment=augment).for_boxes()
    seen = 0
    for epoch in range(8):
        pixels, moved = transform.with_boxes(painted(boxes), boxes, epoch=epoch, sample_id=5)
        outlines = {1: outline(pixels[..., 0]), 0: outline(pixels[..., 1])}
        for category, *box in moved.tolist():
            assert outlines[int(category)] == pytest.approx(box, abs=1.5)
        dropped = {0, 1} - set(moved[:, 0].astype(int).tolist())
        for category in dropped:  # less than a quarter of it is left
            rest = outlines[category]
            assert rest is None or (rest[2] - rest[0]) * (rest[3] - rest[1]) < 800
        seen += len(moved)
    assert seen >= 12


def test_image_without_boxes_keeps_none_through_any_augmentation():
    none = np.zeros((0, 5), dtype=np.float32)
    for augment in ("medium", "heavy"):
        pixels, moved = build_transform(GEOMETRIES[0], augment=augment).for_boxes().with_boxes(painted(none), none)
        assert (pixels.shape, moved.shape) == ((64, 96, 3), (0, 5))


def test_pixels_with_boxes_are_those_without():
    boxes = np.array([[0, 10, 20, 50, 60]], dtype=np.float32)
    transform = build_transform(GEOMETRIES[0], augment="medium")
    pixels, _ = transform.for_boxes().with_boxes(painted(boxes), boxes, epoch=2, sample_id=9)
    assert np.array_equal(pixels, transform(painted(boxes), epoch=2, sample_id=9))


@pytest.mark.parametrize("preprocess", GEOMETRIES, ids=lambda one: one.resize)
def test_predicted_boxes_return_to_the_pixels_of_their_image(preprocess):
    across, down, x, y = input_place(preprocess, height=HEIGHT, width=WIDTH)
    own = np.array([[10.0, 20, 40, 40], [120, 70, 20, 20]])
    ends = np.hstack([own[:, :2], own[:, :2] + own[:, 2:]])
    there = ends * [across, down, across, down] + [x, y, x, y]
    assert in_own_pixels(there, preprocess, height=HEIGHT, width=WIDTH) == pytest.approx(own)
    beyond = in_own_pixels(there + np.array([0, 0, 900, 900]), preprocess, height=HEIGHT, width=WIDTH)
    assert (beyond[:, :2] + beyond[:, 2:]).tolist() == [[WIDTH, HEIGHT]] * 2


def test_images_with_boxes_are_not_cropped():
    with pytest.raises(DataError) as caught:
        build_transform(GEOMETRIES[0].replace(resize="crop"), augment="light").for_boxes()
    assert saying("resize: crop", "letterbox or squash", "preprocess=classifier.preprocess") == str(caught.value)
