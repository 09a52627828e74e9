"""What all tests share: a tiny folder of images that can be learnt, and the photos for tries where they are at hand."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from image_folders import write_image_folder
from matplotlib.backends.backend_svg import FigureCanvasSVG

# the same examples every time, so that a change that is green stays so; TLKIT_FUZZ=1 looks for new ones
settings.register_profile("steady", derandomize=True, deadline=None, database=None, max_examples=40)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("TLKIT_FUZZ") else "steady")

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

collect_ignore_glob = ["*conftest.py"]  # no doctests there, and as modules their names would clash

NOT_DRAWN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><defs></defs></svg>'
LOGGERS = (None, "tlkit", "pytorch_lightning", "lightning", "lightning.pytorch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the long series an hour each; other tests have the `timeout` of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("series"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Build figures, but leave out the drawing, most of a small fit, for a test and its fixtures without `figures`."""
    with pytest.MonkeyPatch.context() as patch:
        if not item.get_closest_marker("figures"):
            patch.setattr(FigureCanvasSVG, "print_svg", lambda self, file, **_: file.write(NOT_DRAWN))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Leave out fsync: it matters when the power fails, which no test does. Other processes sync as ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def feature_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield folders that do not exist yet, one for each test."""
    root = tmp_path_factory.mktemp("caches")
    return (root / str(number) for number in count())


@pytest.fixture(autouse=True)
def a_feature_cache_of_its_own(feature_caches, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(next(feature_caches)))


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders of images: split -> images per class."""

    def make(name: str = "colours", **given: Any) -> Path:
        return write_image_folder(tmp_path / name, **given)

    return make


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what the command line, called in this process, does to the logging of the tests after it."""
    levels = [(logger, logger.level) for logger in map(logging.getLogger, LOGGERS)]
    handlers = list(logging.root.handlers)
    yield
    for logger, level in levels:
        if logger.level != level:  # setting a level empties the caches of all loggers
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
