"""Augmentation of an image and its mask alike."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.data.augment.transforms import build_transform
from tlkit.preprocess import Preprocess

SIZE = (48, 64)


def picture():
    """Return an image whose red level is 80 times the class of its mask, in large blocks."""
    mask = np.zeros((60, 90), dtype=np.uint8)
    mask[10:40, 20:50], mask[30:55, 60:85] = 1, 2
    image = np.zeros((60, 90, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = 80 * mask, 200
    return image, mask


@pytest.mark.parametrize("resize", ["letterbox", "squash"])
@pytest.mark.parametrize(
    "augment", [None, "light", "medium", "heavy", [{"name": "HorizontalFlip", "p": 1}, {"name": "Rotate", "p": 1}]]
)
def test_masks_move_with_their_images(resize, augment):
    image, mask = picture()
    preprocess = Preprocess(image_size=SIZE, resize=resize, background=(10, 10, 10), decode="full")
    transform, agree, shown = build_transform(preprocess, augment=augment), [], 0
    colored = isinstance(augment, str) and augment in ("medium", "heavy")  # colors change, too
    for epoch in range(20):
        pixels, moved = transform.with_mask(image, mask, seed=1, epoch=epoch, sample_id=5)
        plain = transform(image, seed=1, epoch=epoch, sample_id=5)
        assert np.array_equal(pixels, plain)  # a mask changes nothing of its image
        assert moved.shape == SIZE
        assert set(np.unique(moved)) <= {0, 1, 2, 255}
        known = moved != 255
        shown += (moved == 1).any()
        if not colored:
            agree.append((np.rint(pixels[..., 0] / 80).astype(int) == moved)[known].mean())
    assert shown > 10
    assert colored or min(agree) > 0.9


def test_padding_belongs_to_no_class():
    image, mask = picture()
    boxed = build_transform(Preprocess(image_size=(64, 64), resize="letterbox", background=(9, 9, 9), decode="full"))
    pixels, moved = boxed.with_mask(image, mask)
    padded = (pixels == 9).all(axis=2)
    assert padded.any()
    assert np.array_equal(moved == 255, padded)
    turned = build_transform(
        Preprocess(image_size=SIZE, resize="squash", decode="full"),
        augment=[{"name": "Affine", "rotate": [40, 40], "p": 1}],
    )
    _, moved = turned.with_mask(image, mask)
    assert (moved == 255).mean() > 0.05
