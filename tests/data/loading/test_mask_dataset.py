"""Masks lie on the pixels of their images, however large a JPEG is and however it is decoded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.mask_dataset import MaskDataset
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import read_samples
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
