"""A function mapped over files: order, warnings by file, progress."""

from __future__ import annotations

import warnings

import pytest
from PIL import Image

from tlkit.data.checks.thread_pool import FILES_PER_TASK, map_files

PATHS = [f"{number:04d}.png" for number in range(5 * FILES_PER_TASK + 3)]


def test_results_are_in_the_order_of_the_files():
    seen = []
    found = map_files(lambda path, _: path[:4], PATHS, workers=4, progress=lambda *now: seen.append(now))
    assert found == [path[:4] for path in PATHS]
    assert seen == sorted(seen)
    assert seen[-1] == (len(PATHS), len(PATHS))


def test_each_file_receives_its_own_pillow_warnings(recwarn):
    def look(path, noted):
        if int(path[:4]) % 7 == 0:
            warnings.warn_explicit(f"{path} is odd", UserWarning, Image.__file__, 1, module="PIL.Image")
        return list(noted)

    found = map_files(look, PATHS, workers=4)
    assert found == [[f"{path} is odd"] if int(path[:4]) % 7 == 0 else [] for path in PATHS]
    assert not recwarn.list


def test_an_error_reaches_the_caller():
    def look(path, _):
        raise ValueError(path)

    with pytest.raises(ValueError, match=r"0000\.png"):
        map_files(look, PATHS)
