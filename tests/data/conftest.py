from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tlkit.samples import Samples

MakeImage = Callable[..., Path]


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Write a small image of smooth noise below tmp_path; a different one for every name."""

    def make(name: str, size: tuple[int, int] = (40, 32)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(list(name.encode()))
        coarse = Image.fromarray(generator.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(path)
        return path

    return make


@pytest.fixture
def photos(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of two classes, ten images each, without split folders."""
    for label in ("ant", "bee"):
        for number in range(10):
            make_image(f"{label}/{number}.png")
    return tmp_path


@pytest.fixture
def make_samples(tmp_path: Path) -> Callable[..., Samples]:
    """Build samples whose labels are the folder above each file."""

    def make(paths: list[str], split: str = "train") -> Samples:
        labels = [path.split("/")[-2] for path in paths]
        table = pd.DataFrame({"path": paths, "label": labels, "split": split, "digest": ""}, dtype="str")
        return Samples(tmp_path, tuple(sorted(set(labels))), table)

    return make


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What tlkit has written to the log so far."""
    caplog.set_level("DEBUG", "tlkit")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("tlkit")]
