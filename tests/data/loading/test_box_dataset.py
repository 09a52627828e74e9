"""Boxes of a batch under augmentations that add boxes: reflected borders and shuffled grids."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.box_dataset import BoxDataset
from tlkit.data.loading.dataset import create_loader
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples

SQUASHED = Preprocess(image_size=(64, 64), resize="squash", crop_pct=1.0)
BOXES = {
    "edge.png": [["a", 0, 0, 20, 16, 0]],
    "plain.png": [],
    "two.png": [["b", 44, 30, 20, 18, 0], ["a", 16, 4, 32, 40, 0]],
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for name in BOXES:
        Image.new("RGB", (64, 48), (90, 120, 30)).save(root / name)
    rows = [(name, json.dumps(boxes), "train", "") for name, boxes in BOXES.items()]
    table = pd.DataFrame(rows, columns=["path", "label", "split", "digest"], dtype="str")
    return Samples(root, ("a", "b"), table, "detection")


@pytest.mark.parametrize(
    "augment",
    ["medium", "heavy", [{"name": "RandomGridShuffle", "grid": [2, 2], "p": 1}]],
    ids=["medium", "heavy", "grid"],
)
def test_all_boxes_that_an_augmentation_adds_reach_the_batch(samples, augment):
    transform = build_transform(SQUASHED, augment=augment)
    most = 0
    for seed in range(60):
        dataset = BoxDataset(samples, transform=transform, seed=seed)
        (batch,) = create_loader(dataset, batch_size=3, num_workers=0)
        there = batch.target[batch.target[:, :, 0] >= 0]
        assert batch.target.shape[1] == max((row[:, 0] >= 0).sum() for row in batch.target)
        assert (there[:, 3:] > there[:, 1:3]).all()
        assert ((there[:, 1:] >= 0) & (there[:, 1:] <= 64)).all()
        assert (batch.target[1] == -1).all()
        most = max(most, batch.target.shape[1])
    assert most > 2  # more than any image has


def test_batches_without_boxes_have_none(samples):
    dataset = BoxDataset(samples.take([1]), transform=build_transform(SQUASHED))
    (batch,) = create_loader(dataset, batch_size=1, num_workers=0)
    assert torch.equal(batch.target, torch.zeros(1, 0, 5))
    assert np.shape(dataset[0].target) == (0, 5)
