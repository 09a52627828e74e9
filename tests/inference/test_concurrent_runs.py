"""Images that several threads put through an engine: order, places, unreadable files, errors, and what is kept."""

from __future__ import annotations

import threading
import time
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.dataset import ImageDataset
from tlkit.errors import DataError
from tlkit.inference.concurrent_runs import first_images, run_concurrently, runs_concurrently
from tlkit.preprocess import Preprocess

PREPROCESS = Preprocess(image_size=(4, 4), crop_pct=1.0)


class Means:
    """An engine of the mean of each image's pixels and of its place, eight images at a time."""

    name, dtype, images_per_run, threads = "means/cpu", "float32", 8, 3

    def __init__(self):
        self.calls = self.most = self.now = 0
        self.lock = threading.Lock()

    def __call__(self, pixels):
        assert pixels.shape == (8, 3, 4, 4) and pixels.is_contiguous()
        with self.lock:
            self.calls, self.now = self.calls + 1, self.now + 1
            self.most = max(self.most, self.now)
        time.sleep(0.001)
        with self.lock:
            self.now -= 1
        return np.stack([pixels.numpy().mean(axis=(1, 2, 3), dtype=np.float32), np.arange(8, dtype=np.float32)], axis=1)


@pytest.fixture
def files(tmp_path):
    for number in range(70):
        Image.fromarray(np.full((5, 6, 3), number, dtype=np.uint8)).save(tmp_path / f"{number:03}.png")
    return [tmp_path / f"{number:03}.png" for number in range(70)]


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def dataset_of(files):
    return ImageDataset(files, transform=build_transform(PREPROCESS))


def prefetching():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_answers_come_in_order_at_the_place_of_their_row_and_without_unreadable_images(files, threads):
    for number in (0, 9, *range(16, 40)):  # one, two, and whole runs
        files[number].write_bytes(b"no image")
    files[41].unlink()
    engine, dataset = Means(), dataset_of(files)
    assert runs_concurrently(engine, dataset)
    runs = list(run_concurrently(engine, dataset))
    rows = np.concatenate([run.rows for run in runs])
    values = np.concatenate([run.features[0, run.places] for run in runs])
    left = np.array([1, *range(2, 9), *range(10, 16), 40, *range(42, 70)])
    assert np.array_equal(rows, left)
    np.testing.assert_allclose(values[:, 0], left, atol=1e-4)
    assert np.array_equal(values[:, 1], left % 8)
    assert engine.most <= 3 and not prefetching()
    assert all(run.features.shape == (1, 8, 2) for run in runs)


def test_the_engine_gets_each_view(files):
    runs = run_concurrently(Means(), dataset_of(files), views=lambda pixels: [pixels, pixels[..., ::-1] // 2])
    for run in runs:
        np.testing.assert_allclose(run.features[0, run.places, 0], run.rows, atol=1e-4)
        np.testing.assert_allclose(run.features[1, run.places, 0], run.rows // 2, atol=1e-4)


def test_random_transforms_and_other_engines_are_left_to_the_loader(files):
    engine, other = Means(), Means()
    other.images_per_run = None
    random = ImageDataset(files, transform=build_transform(PREPROCESS, augment="light"))
    assert runs_concurrently(engine, dataset_of(files))
    assert not runs_concurrently(other, dataset_of(files)) and not runs_concurrently(engine, random)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, KeyboardInterrupt, StopIteration])
def test_an_error_of_the_engine_ends_the_run_and_its_threads(files, error):
    class Failing(Means):
        def __call__(self, pixels):
            found = super().__call__(pixels)
            if self.calls > 4:
                raise error("of the engine")
            return found

    with pytest.raises((error, RuntimeError)):  # a generator makes a RuntimeError of a StopIteration
        list(run_concurrently(Failing(), dataset_of(files)))
    assert not prefetching()


@pytest.mark.parametrize("end", ["close", "break", "error"])
def test_nothing_runs_on_once_the_loop_has_ended(files, end):
    engine = Means()
    runs = run_concurrently(engine, dataset_of(files * 10))
    if end == "close":
        next(runs)
        runs.close()
    elif end == "break":
        for _ in runs:
            break
        del runs
    else:
        with pytest.raises(KeyboardInterrupt):
            for _ in runs:
                raise KeyboardInterrupt
        del runs
    assert not prefetching()
    assert engine.calls < 88


def test_decoded_images_are_not_kept_while_their_answers_wait(files, monkeypatch):
    decoded, load = [], ImageDataset.__getitem__

    class Pixels(np.ndarray):
        """An array that can be referred to weakly."""

    def loaded(self, key):
        item = load(self, key)
        decoded.append(weakref.ref(pixels := item.image.view(Pixels)))
        return item._replace(image=pixels)

    monkeypatch.setattr(ImageDataset, "__getitem__", loaded)
    engine = Means()
    runs = run_concurrently(engine, dataset_of(files))
    next(runs)
    for _ in range(1000):  # until the threads have nothing to do
        if engine.calls >= min(9, 2 * max(2, torch.get_num_threads()) + 1) and not engine.now:
            break
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(decoded) >= 32 and not [one for one in decoded if one() is not None]
    runs.close()


def test_the_first_readable_images_are_found_and_a_drive_that_is_gone_is_left_soon(files, monkeypatch):
    for number in range(9):
        files[number].write_bytes(b"no image")
    assert first_images(dataset_of(files), most=8)[:, 0, 0, 0].tolist() == [*range(9, 16)]
    for file in files[:69]:
        file.unlink()
    opened, read = [], ImageDataset._content
    monkeypatch.setattr(ImageDataset, "_content", lambda self, *given: opened.append(given) or read(self, *given))
    assert len(first_images(dataset_of(files), most=8)) == 0 and len(opened) == 32
    with pytest.raises(DataError):
        list(run_concurrently(Means(), dataset_of(files)))
