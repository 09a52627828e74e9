from __future__ import annotations

import json
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before torchvision

import numpy as np
import pandas as pd
import pytest
import torch
from messages import saying
from PIL import Image
from torchvision import transforms
from torchvision.datasets import CocoDetection, FakeData, ImageFolder

from tlkit.data import from_torchvision
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError


def problem(*arguments, **options) -> str:
    with pytest.raises(DataError) as caught:
        from_torchvision(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    for number, label in enumerate(("ant", "bee", "ant", "bee")):
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (6, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.jpg")
    return tmp_path / "photos"


def test_an_image_folder_keeps_its_files(tmp_path, folder):
    dataset = ImageFolder(folder)
    made = from_torchvision({"train": dataset, "test": dataset}, tmp_path / "made")
    assert made.counts == {"train": 4, "test": 4} and made.classes == tuple(dataset.classes)
    table = pd.read_csv(made.manifest)
    for split in ("train", "test"):
        some = table[table["split"] == split]
        assert some["label"].tolist() == [dataset.classes[target] for target in dataset.targets]
        for row, (path, _) in zip(some.itertuples(), dataset.samples, strict=True):
            assert (made.root / row.path).read_bytes() == Path(path).read_bytes()
            assert (folder / row.source).samefile(path)
    assert len(read_samples(manifest=made.manifest)) == 8


def test_pictures_in_memory_are_written_without_loss(tmp_path):
    dataset = FakeData(12, (3, 5, 4), 3)
    made = from_torchvision(dataset, tmp_path / "made", labels=lambda target: f"kind {int(target)}")
    table = pd.read_csv(made.manifest)
    assert list(table.columns) == ["path", "label"]
    for row, path, label in zip(range(12), table["path"], table["label"], strict=True):
        image, target = dataset[row]
        with Image.open(made.root / path) as written:
            np.testing.assert_array_equal(np.asarray(written), np.asarray(image))
        assert label == f"kind {int(target)}"


class Tensors(torch.utils.data.Dataset):
    classes = ("zero", "one")

    def __init__(self, images, targets):
        self.images, self.targets = images, targets

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.images[row], self.targets[row]


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (4, 5)])
def test_tensors_of_bytes_are_channels_first_and_arrays_last(tmp_path, shape):
    images = torch.randint(0, 256, (4, *shape), dtype=torch.uint8)
    expected = images.permute(0, 2, 3, 1).squeeze(-1).numpy() if len(shape) == 3 else images.numpy()
    targets = torch.tensor([0, 1, 1, 0])
    for name, some in (("tensors", images), ("arrays", expected)):
        made = from_torchvision(Tensors(some, targets), tmp_path / name)
        table = pd.read_csv(made.manifest)
        assert table["label"].tolist() == ["zero", "one", "one", "zero"]
        for path, pixels in zip(table["path"], expected, strict=True):
            with Image.open(made.root / path) as written:
                np.testing.assert_array_equal(np.asarray(written), pixels)


def test_boxes_of_coco_are_several_labels(tmp_path, folder):
    images = [{"id": number, "file_name": f"ant/{number}.jpg"} for number in (0, 2)]
    pairs = [(0, 1), (0, 2), (0, 2)]
    boxes = [
        {"id": place, "image_id": image, "category_id": kind} for place, (image, kind) in enumerate(pairs, start=1)
    ]
    names = [{"id": 1, "name": "leg"}, {"id": 2, "name": "eye"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": boxes, "categories": names}))
    made = from_torchvision(CocoDetection(str(folder), str(tmp_path / "a.json")), tmp_path / "made")
    assert pd.read_csv(made.manifest)["label"].tolist() == ["eye;leg"]
    assert [reason for _, reason in made.skipped] == [saying("no label")]


def test_what_would_lose_something_is_refused(tmp_path, folder):
    out = tmp_path / "made"
    assert problem(ImageFolder(folder, transform=transforms.ToTensor()), out) == saying(
        "ImageFolder", "transform", "without"
    )
    assert problem(ImageFolder(folder, target_transform=str), out) == saying("target_transform")
    assert problem(Tensors(torch.rand(2, 3, 4, 5), [0, 1]), out) == saying(
        "float32", "(4, 5, 3)", "without a transform"
    )
    assert problem(Tensors(torch.zeros(2, 4, 5, dtype=torch.uint8), [0, 2]), out) == saying("Target 1", "2 classes")
    assert problem(Tensors(torch.zeros(1, 4, 5, dtype=torch.uint8), [None]), out) == saying("'None'", "labels=lambda")
    for number in (0.7, torch.tensor(0.7), b"1"):  # a grade or a number, which no class number is
        assert problem(Tensors(torch.zeros(1, 4, 5, dtype=torch.uint8), [number]), out) == saying("labels=lambda")
    assert problem({"dev": ImageFolder(folder)}, out) == saying("dev", "train, val, test")
    assert problem([1, 2], out) == saying("Item 0", "no pair")
    assert problem(3, out) == saying("int", "no length")
    assert problem(ImageFolder(folder), tmp_path / "list.csv") == saying("list.csv", "Name a folder")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert problem(ImageFolder(folder), out) == saying(out, "exists already")
    assert (out / "mine.txt").read_text() == "keep"
