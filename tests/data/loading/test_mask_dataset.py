"""Masks lie on the pixels of their images, however large a JPEG is and however it is decoded."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.checks import mask_check
from tlkit.data.checks.image_check import image_sizes
from tlkit.data.checks.mask_check import check_masks
from tlkit.data.loading.batch import Failure
from tlkit.data.loading.mask_dataset import MaskDataset
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError
from tlkit.mask_classes import MaskClasses
from tlkit.mask_files import mask_png
from tlkit.preprocess import Preprocess


@pytest.fixture
def halves(tmp_path):
    """Write a large JPEG, black on the left and white on the right, with its mask."""
    pixels = np.zeros((1200, 1600, 3), dtype=np.uint8)
    pixels[:, 800:] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    (tmp_path / "masks" / "a.png").write_bytes(mask_png((pixels[..., 0] > 0).astype(np.uint8)))
    options = ListOptions(
        task="segmentation", masks=MaskClasses.of(["left", "right"]), mask_folder=str(tmp_path / "masks")
    )
    return tmp_path, options


@pytest.mark.parametrize("decode", ["full", "reduced"])
def test_a_mask_lies_on_its_image_at_any_scale_of_decoding(halves, decode):
    root, options = halves
    samples = read_samples(root, options=options)
    preprocess = Preprocess(image_size=(64, 64), resize="squash", decode=decode)
    dataset = MaskDataset(samples, transform=build_transform(preprocess, augment="light"), seed=3)
    for epoch in range(5):
        item = dataset[(epoch, 0)]
        known = item.target != 255
        assert ((item.image[..., 0] > 127) == item.target)[known].mean() > 0.97


def test_a_mask_that_changed_since_its_check_is_named(halves, caplog):
    root, options = halves
    samples = check_masks(read_samples(root, options=options))
    dataset = MaskDataset(samples, transform=build_transform(Preprocess(image_size=(64, 64), resize="squash")))
    dataset[(0, 0)]
    assert dataset.changed == []
    (root / "masks" / "a.png").write_bytes(mask_png(np.zeros((1200, 1600), dtype=np.uint8)))
    dataset[(1, 0)], dataset[(2, 0)]
    assert dataset.changed == ["a.jpg"]
    assert [record.getMessage().count("a.png") for record in caplog.records if "changed" in record.getMessage()] == [1]


def test_a_mask_of_another_size_than_its_image_is_no_target(halves):
    root, options = halves
    samples = read_samples(root, options=options)
    dataset = MaskDataset(samples, transform=build_transform(Preprocess(image_size=(64, 64), resize="squash")))
    (root / "masks" / "a.png").write_bytes(mask_png(np.zeros((10, 20), dtype=np.uint8)))
    assert isinstance(dataset[(0, 0)], Failure)


@pytest.mark.parametrize("known", [True, False])
def test_the_check_takes_the_sizes_of_checked_images(halves, known, monkeypatch):
    root, options = halves
    samples = read_samples(root, options=options)
    sizes = image_sizes(["a.jpg"], [(1200, 1600, True)]) if known else None
    opened = []
    original = mask_check.open_rgb
    monkeypatch.setattr(mask_check, "open_rgb", lambda *given, **more: opened.append(1) or original(*given, **more))
    check_masks(samples, sizes)
    assert len(opened) == (not known)
    (root / "masks" / "a.png").write_bytes(mask_png(np.zeros((10, 20), dtype=np.uint8)))
    with pytest.raises(DataError, match=saying("20x10", "1600x1200").pattern):
        check_masks(samples, sizes)
