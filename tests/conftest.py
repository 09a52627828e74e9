"""What all tests share: a tiny folder of images that can be learnt, and the photos for tries where they are at hand."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# the same examples every time, so that a change that is green stays so; TLKIT_FUZZ=1 looks for new ones
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("TLKIT_FUZZ") else "steady")

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

collect_ignore_glob = ["*conftest.py"]  # no doctests there, and as modules their names would clash

LOGGERS = (None, "tlkit", "pytorch_lightning", "lightning", "lightning.pytorch")
COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (210, 50, 40)}


def write_images(folder: Path, colour: tuple[int, int, int], count: int, *, seed: int, size: int = 40) -> None:
    """Write noisy images of one colour: easy to tell apart, never identical."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = np.clip(np.array(colour) + rng.normal(0, 30, (size, size, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")


@pytest.fixture(autouse=True)
def a_feature_cache_of_its_own(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders of images: split -> images per class."""

    def make(name: str = "colours", *, classes: tuple[str, ...] = ("blue", "red"), **splits: int) -> Path:
        root = tmp_path / name
        for split, count in (splits or {"": 10}).items():
            for position, label in enumerate(classes):
                folder = root / split / label if split else root / label
                write_images(folder, COLOURS[label], count, seed=100 * len(split) + position)
        return root

    return make


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what the command line, called in this process, does to the logging of the tests after it."""
    levels = [(logger, logger.level) for logger in map(logging.getLogger, LOGGERS)]
    handlers = list(logging.root.handlers)
    yield
    for logger, level in levels:
        logger.setLevel(level)
    for handler in set(logging.root.handlers) - set(handlers):
        if type(handler) is logging.StreamHandler:
            logging.root.removeHandler(handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real photos, or skip where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the photos for tries are not at hand")
    return folder
