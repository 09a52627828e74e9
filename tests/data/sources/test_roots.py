"""Functions of a labelled dataset refuse images in memory, which have no label, and say what to give."""

from __future__ import annotations

import numpy as np
import pytest
from messages import says
from PIL import Image

import tlkit
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError


@pytest.mark.parametrize(
    "given", [Image.new("RGB", (4, 4)), np.zeros((4, 4, 3), np.uint8), b"\xff\xd8", [Image.new("L", (2, 2))], 3, None]
)
@pytest.mark.parametrize(
    "ask",
    [read_samples, tlkit.data_doctor, tlkit.advise, lambda given: tlkit.ImageFolderDataModule(given).setup()],
    ids=["read_samples", "data_doctor", "advise", "ImageFolderDataModule"],
)
def test_images_in_memory_are_no_dataset(ask, given):
    with pytest.raises(DataError) as error:
        ask(given)
    assert says(error.value, "folder", type(given[0] if isinstance(given, list) else given).__name__)
