from __future__ import annotations

import pytest
import torch
from messages import says

from tlkit.data.sources.given_images import read_images
from tlkit.errors import DataError


def test_an_empty_path_is_not_the_working_folder(photos, monkeypatch):
    monkeypatch.chdir(photos)
    with pytest.raises(DataError) as caught:
        read_images("")
    assert says(str(caught.value), "image", "empty", "Give")


def test_a_tensor_is_one_value_that_is_refused_once():
    with pytest.raises(DataError) as caught:
        read_images(torch.zeros((5, 4, 3), dtype=torch.uint8))
    assert len(caught.value.problems) == 1
    assert says(str(caught.value), "image", "Tensor", "uint8 array")
