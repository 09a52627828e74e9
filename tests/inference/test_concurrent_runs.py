"""Images that several threads put through an engine: order, unreadable files, and a drive that is gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from messages import says
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.dataset import ImageDataset
from tlkit.errors import DataError
from tlkit.inference.concurrent_runs import run_concurrently, runs_concurrently
from tlkit.preprocess import Preprocess

PREPROCESS = Preprocess(image_size=(4, 4), crop_pct=1.0)


class Means:
    """An engine of the mean of each image's pixels, eight images at a time."""

    name, dtype, images_per_run, threads = "means/cpu", "float32", 8, 3

    def __call__(self, pixels):
        assert len(pixels) <= self.images_per_run
        return pixels.float().mean(dim=(1, 2, 3)).numpy()[:, None]


@pytest.fixture
def files(tmp_path):
    for number in range(70):
        Image.fromarray(np.full((5, 6, 3), number, dtype=np.uint8)).save(tmp_path / f"{number:03}.png")
    return [tmp_path / f"{number:03}.png" for number in range(70)]


def answers(files):
    engine = Means()
    dataset = ImageDataset(files, transform=build_transform(PREPROCESS))
    assert runs_concurrently(engine, dataset)
    found = list(run_concurrently(engine, dataset, engine))
    return np.concatenate([values for values, _ in found])[:, 0], np.concatenate([rows for _, rows in found])


def test_answers_come_in_order_and_without_unreadable_images(files):
    for number in (0, 9, *range(16, 40)):  # one, two, and whole runs
        files[number].write_bytes(b"no image")
    files[41].unlink()
    values, rows = answers(files)
    left = np.array([1, *range(2, 9), *range(10, 16), 40, *range(42, 70)])
    assert np.array_equal(rows, left)
    np.testing.assert_allclose(values, left, atol=1e-4)


@pytest.mark.parametrize(("gone", "stops"), [(range(10, 41), False), (range(10, 42), True), (range(38, 70), True)])
def test_files_that_are_gone_in_a_row_end_the_run(files, gone, stops):
    for number in gone:
        files[number].unlink()
    if not stops:
        assert np.array_equal(answers(files)[1], [*range(10), *range(41, 70)])
        return
    with pytest.raises(DataError) as error:
        answers(files)
    assert says(str(error.value), "32 images", "drive")


def test_one_thread_and_random_transforms_are_left_to_the_loader(files):
    one, engine = Means(), Means()
    one.threads = 1
    plain = ImageDataset(files, transform=build_transform(PREPROCESS))
    random = ImageDataset(files, transform=build_transform(PREPROCESS, augment="light"))
    assert runs_concurrently(engine, plain)
    assert not runs_concurrently(one, plain) and not runs_concurrently(engine, random)


def test_an_error_of_the_engine_ends_the_run(files):
    def fail(_):
        raise torch.OutOfMemoryError("no memory")

    dataset = ImageDataset(files, transform=build_transform(PREPROCESS))
    with pytest.raises(torch.OutOfMemoryError):
        list(run_concurrently(Means(), dataset, fail))
