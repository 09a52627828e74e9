"""The time of a pass is measured in parts in which every thread takes the same number of runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from image_folders import write_image_folder

from tlkit.data.sources.folder import scan_folder
from tlkit.inference import embed_timing
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Pixels
from tlkit.models.backbone import create_backbone
from tlkit.training import time_estimate

SECONDS_PER_RUN = 2.0


class Clock:
    """A clock that others move on."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture(scope="module")
def many_images(tmp_path_factory):
    """Return a folder of 640 images."""
    return write_image_folder(tmp_path_factory.mktemp("images"), **{"": 320})


@pytest.fixture(params=[1, 2, 3, 5, 16])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def timing(folder, monkeypatch, *, budget_s, warm_up_s=0.5):
    """Return what is measured of threads that end their runs of 8 images together, and the images that were seen."""
    clock, seen = Clock(), []

    def features(self, engine, files, *, quiet):
        clock.now += warm_up_s
        for number, start in enumerate(range(0, len(files), 8)):
            if number % engine.threads == 0:
                clock.now += SECONDS_PER_RUN
            rows = np.arange(start, min(start + 8, len(files)))
            seen.extend(rows)
            yield np.zeros((len(rows), 1), np.float32), rows

    monkeypatch.setattr(Pixels, "features", features)
    monkeypatch.setattr(embed_timing, "time", clock)
    backbone = create_backbone("test_resnet", weights="none", image_size=(32, 32))
    found = embed_timing.time_features(
        scan_folder(folder), backbone=backbone, options=EmbedOptions(engine="onnxruntime"), budget_s=budget_s
    )
    return found, len(seen)


def test_the_rate_is_that_of_all_threads(many_images, monkeypatch, threads):
    found, seen = timing(many_images, monkeypatch, budget_s=1000.0)
    expected = SECONDS_PER_RUN * 32 / (8 * threads)
    assert found.batch_s == pytest.approx([expected] * len(found.batch_s))
    assert len(found.batch_s) == 4 and seen <= 640
    low, high = time_estimate._range(found.batch_s, found.batches)
    assert low < 640 / (8 * threads) * SECONDS_PER_RUN < high < 3 * low


def test_a_part_is_timed_to_its_end_whatever_the_budget(many_images, monkeypatch, threads):
    found, seen = timing(many_images, monkeypatch, budget_s=0.0)
    (seconds,) = found.batch_s
    assert seen == embed_timing._images_of_part(OfThreads(threads)) and seen >= 32
    rounds = seen / (8 * threads)
    assert seconds * seen / 32 == pytest.approx(rounds * SECONDS_PER_RUN + 0.5)


def test_a_few_images_are_timed_together(image_folder, monkeypatch, threads):
    found, seen = timing(image_folder(**{"": 10}), monkeypatch, budget_s=1000.0)
    assert seen == 20 and found.missing == 20
    rounds = -(-3 // threads)
    assert found.batch_s == pytest.approx([rounds * SECONDS_PER_RUN + 0.5])


class OfThreads:
    """An engine of a number of threads."""

    images_per_run = 8

    def __init__(self, threads):
        self.threads = threads


def test_a_part_has_whole_runs_of_every_thread():
    parts = [embed_timing._images_of_part(OfThreads(threads)) for threads in range(1, 40)]
    assert all(part >= 32 and part % (8 * threads) == 0 for threads, part in enumerate(parts, start=1))
    assert all(part - 8 * threads < 32 for threads, part in enumerate(parts, start=1))
