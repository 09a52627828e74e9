"""A feature extraction that is killed and repeated stores the same bytes as an uninterrupted one."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kill_runs import CUT, SERVER, TIMEOUT_S, begun, fit_apart
from kill_runs import assert_same as assert_same_run
from messages import says

KILLS = int(os.environ.get("TLKIT_KILLS", "3"))
CLASSES = {"dark": 300, "light": 270}  # three blocks


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A folder of 570 small photos, some of them JPEGs, with one copy and one file that is none."""
    from PIL import Image

    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    for name, count in CLASSES.items():
        (root / name).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 128, (12, 14, 3)) + (128 if name == "light" else 0)
            suffix = "jpg" if number % 3 else "png"
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:03d}.{suffix}")
    (root / "dark" / "copy.png").write_bytes((root / "dark" / "000.png").read_bytes())
    (root / "dark" / "junk.png").write_bytes(b"no image at all")
    return root


def extract(root: Path, folder: Path, *, at: int = 0, workers: int = 0) -> int:
    """Extract in a process of its own; return its exit code, negative for the signal that ended it."""
    folder.mkdir(exist_ok=True)
    process = SERVER.Process(target=_extract, args=(root, folder, at, workers))
    process.start()
    process.join(TIMEOUT_S)
    if process.is_alive():
        process.kill()
        raise AssertionError("the process hangs")
    return int(process.exitcode)


def _extract(root: Path, folder: Path, at: int, workers: int) -> None:
    import torch

    from tlkit.data.sources.folder import scan_folder
    from tlkit.features import FeatureCache
    from tlkit.features.cache_blocks import CacheBlock
    from tlkit.inference import extraction
    from tlkit.inference.embed import embed
    from tlkit.inference.embed_options import EmbedOptions
    from tlkit.models.backbone import create_backbone

    multiprocessing.set_start_method("fork", force=True)  # as in a process of the user's
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("tlkit").setLevel(logging.INFO)
    logging.getLogger("tlkit").addHandler(logging.FileHandler(folder / "log"))
    torch.manual_seed(3)
    backbone = create_backbone("test_resnet", weights="none", image_size=(32, 32))
    strike = _Strike(at)
    os.fsync = strike.at_sync  # type: ignore[assignment]
    for owner, name in ((Path, "replace"), (extraction, "filled"), (CacheBlock, "mark_used")):
        setattr(owner, name, strike.before(getattr(owner, name)))
    features = embed(
        scan_folder(root),
        backbone=backbone,
        options=EmbedOptions(engine="torch", cache=FeatureCache(cache_of(folder)), num_workers=workers),
    )
    np.save(folder / "x.npy", features.x)
    (folder / "paths").write_text("\n".join(features.path))
    (folder / "events").write_text(str(strike.count))


class _Strike:
    """Counts the points where a process may be killed (batches, writes, renamings) and kills it at one."""

    def __init__(self, at: int) -> None:
        self.count = 0
        self._at = at
        self._sync = os.fsync

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self._event()
            return function(*arguments)

        return counted

    def at_sync(self, file: int) -> None:
        if self.count + 1 == self._at and stat.S_ISREG(os.fstat(file).st_mode):
            os.ftruncate(file, os.fstat(file).st_size // 2)  # what a kill within a write leaves
        self._event()
        self._sync(file)

    def _event(self) -> None:
        self.count += 1
        if self.count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def cache_of(folder: Path) -> Path:
    return Path(f"{folder}-cache", "features")


def stored(folder: Path) -> dict[str, bytes]:
    """Return keys and bytes of all features that a folder's processes have cached."""
    from tlkit.features import FeatureCache

    cache = FeatureCache(cache_of(folder))
    (info,) = cache.info()
    entry = cache.entry(info.made_by)
    blocks = entry.blocks()
    assert all(block.is_intact for block in blocks)
    keys = [key for block in blocks for key in block.keys]
    assert len(keys) == len(set(keys)) == info.images, "an image was stored twice"
    at_rest = {path.name for path in entry.path.iterdir()} - {"manifest.json", ".lock"}
    assert at_rest == {path.name for block in blocks for path in (block.path, block.sidecar)}, "something half-written"
    return {key: row.tobytes() for block in blocks for key, row in zip(block.keys, block.open(), strict=True)}


def assert_same(folder: Path, whole: Path) -> None:
    assert (folder / "paths").read_text() == (whole / "paths").read_text()
    assert (folder / "x.npy").read_bytes() == (whole / "x.npy").read_bytes()
    assert stored(folder) == stored(whole)


def kill_and_repeat(root: Path, folder: Path, *, points: list[int], workers: int = 0) -> None:
    """Kill one attempt after the other at these points, then let one finish."""
    codes = [extract(root, folder, at=at, workers=workers) for at in points]
    assert codes[0] == -signal.SIGKILL
    assert set(codes) <= {-signal.SIGKILL, 0}, (folder / "log").read_text()  # 0: fewer events were left
    assert extract(root, folder, workers=workers) == 0, (folder / "log").read_text()


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory) -> Path:
    """The folder of an uninterrupted extraction."""
    folder = tmp_path_factory.mktemp("whole")
    assert extract(images, folder) == 0, (folder / "log").read_text()
    assert len(stored(folder)) == sum(CLASSES.values())
    assert says((folder / "log").read_text(), "1 of 572")
    return folder


@pytest.mark.series
def test_an_extraction_killed_at_random_points_resumes_to_the_same_bytes(images, whole, tmp_path):
    events = int((whole / "events").read_text())
    chance = random.Random(11)
    points = [chance.randint(events // 3, events), chance.randint(1, events // 2)]
    kill_and_repeat(images, tmp_path / "cut", points=points)
    assert_same(tmp_path / "cut", whole)


@pytest.mark.series
@pytest.mark.parametrize("workers", [0, 2])
def test_an_extraction_killed_many_times_resumes_to_the_same_bytes(images, whole, tmp_path, workers):
    events = int((whole / "events").read_text())
    chance = random.Random(workers)
    kills = KILLS if workers == 0 else max(1, KILLS // 3)
    points = [chance.randint(1, events // (1 + number)) for number in range(kills)]
    kill_and_repeat(images, tmp_path / "cut", points=points, workers=workers)
    assert_same(tmp_path / "cut", whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("batch of features", marks=pytest.mark.series), "block of features"])
def test_a_fit_on_cached_features_killed_while_it_stores_them_resumes_to_the_same_bits(tiny_recipe, tmp_path, kind):
    recipe = tiny_recipe(train=10, val=2)
    overrides = CUT | {"strategy.kind": "frozen", "augment.preset": "none"}
    whole = tmp_path / "whole"
    whole.mkdir()
    assert fit_apart(whole, recipe, overrides) == 0
    assert says((whole / "log").read_text(), "head", "cached features")
    expected = stored(whole)
    folder = tmp_path / kind
    folder.mkdir()
    assert fit_apart(folder, recipe, overrides, kind=kind, at=1) == -signal.SIGKILL
    assert not list(folder.rglob("*.ckpt"))  # training had not started
    assert fit_apart(folder, recipe, overrides, resume=begun(folder)) == 0, (folder / "log").read_text()
    assert_same_run(folder, whole)
    assert stored(folder) == expected
