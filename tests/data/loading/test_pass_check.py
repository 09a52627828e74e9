"""A drive that is gone ends a pass after as many files in a row, whatever loads them and in whatever batches."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
from messages import says
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.batch import Failure
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.pass_check import MOST_GONE, PassCheck
from tlkit.errors import DataError
from tlkit.inference.concurrent_runs import run_concurrently
from tlkit.preprocess import Preprocess

COUNT = 70


class Zeros:
    name, dtype, images_per_run, threads = "zeros/cpu", "float32", 8, 2

    def __call__(self, pixels):
        return np.zeros((len(pixels), 1), np.float32)


def rows_by(way, dataset):
    """Return the rows of the images that are loaded, by threads or by a loader with batches of a size."""
    if way == "threads":
        return [row for run in run_concurrently(Zeros(), dataset) for row in run.rows.tolist()]
    batch_size, workers = way
    loader = create_loader(dataset, batch_size=batch_size, num_workers=workers)
    return [row for batch in loader for row in batch.index.tolist()]


@pytest.fixture
def files(tmp_path):
    for number in range(COUNT):
        Image.fromarray(np.full((5, 6, 3), number, dtype=np.uint8)).save(tmp_path / f"{number:03}.png")
    return [tmp_path / f"{number:03}.png" for number in range(COUNT)]


WAYS = ["threads", (1, 0), (7, 0), (64, 0), (7, 2)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("gone", "damaged", "error"),
    [
        (range(10, 41), (), None),  # one fewer than is too many
        (range(10, 42), (), 32),
        (range(38, COUNT), (), 32),
        (range(10, 60), (40,), None),  # 30 and 19 in a row
        (range(69, COUNT), (), None),  # alone in the last batch
        (range(COUNT), (), 32),
        ((), range(COUNT), None),
    ],
)
def test_each_way_ends_after_the_same_files(files, way, gone, damaged, error):
    for number in gone:
        files[number].unlink()
    for number in damaged:
        files[number].write_bytes(b"no image")
    dataset = ImageDataset(files, transform=build_transform(Preprocess(image_size=(4, 4), crop_pct=1.0)))
    if error is None:
        assert rows_by(way, dataset) == [row for row in range(COUNT) if row not in gone and row not in damaged]
        return
    with pytest.raises(DataError) as caught:
        rows_by(way, dataset)
    assert says(str(caught.value), f"{error} images in a row", files[gone[0]].name, "drive")
    assert multiprocessing.active_children() == []  # although the error's traceback still holds the loader


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("count", "damaged"), [(1, 0), (9, 0), (9, 1)])
def test_a_pass_of_which_no_image_can_be_opened_is_an_error_however_small(files, way, count, damaged):
    for file in files[:count]:
        file.unlink()
    for file in files[:damaged]:
        file.write_bytes(b"no image")
    dataset = ImageDataset(files[:count], transform=build_transform(Preprocess(image_size=(4, 4), crop_pct=1.0)))
    if damaged:
        assert rows_by(way, dataset) == []
        return
    with pytest.raises(DataError) as caught:
        rows_by(way, dataset)
    assert says(str(caught.value), files[0].name, "drive")


def test_the_count_in_a_row_ends_at_any_other_image():
    gone, damaged = Failure("a", "no such file", "gone"), Failure("b", "cut", "damaged")
    for other in (None, damaged):
        check = PassCheck()
        assert check.error_after([gone] * (MOST_GONE - 1)) is None
        assert check.error_after([other]) is None
        assert check.error_after([gone] * (MOST_GONE - 1)) is None and check.error_at_end() is None
        assert isinstance(check.error_after([gone]), DataError)
    assert PassCheck().error_at_end() is None
    assert says(str(PassCheck().error_after([Failure("c", "too small", "unfit")])), "c", "too small")
